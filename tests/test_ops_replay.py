"""Replays of every row of op_cases.py: the bits of eager on arguments that the capture has not seen."""

import pytest
from op_cases import CASES
from op_checks import as_tuple, cotangents, draw

import nncore

OF_KERNELS = {
    "dropout",
    "random_uniform",
    "random_normal",
    "random_permutation",
    *(c.name for c in CASES if c.name.endswith("_step")),
}
SETTINGS = [  # all but the rows that call kernels on arrays; test_replay.py has what stands over those
    pytest.param(c, shapes, id=f"{c.name}-{number}")
    for c in CASES
    if c.name not in OF_KERNELS
    for number, shapes in enumerate(c.shapes)
]


def calls(op_case):
    """A function of tensors that gives results, and one that gives gradients."""

    def forward(*tensors):
        with nncore.no_grad():
            return as_tuple(op_case.op(*(tensor.clone() for tensor in tensors)))

    def gradients(dys, *tensors):
        leaves = [tensor.clone() for tensor in tensors]
        wanted = [leaf for leaf, arg in zip(leaves, op_case.args) if arg.gradient and arg.kind in ("float", "distinct")]
        for leaf in wanted:
            leaf.requires_grad = True
        results = as_tuple(op_case.op(*leaves))
        for result, dy in zip(results, dys):
            if result.requires_grad:
                result.backward(dy, retain_graph=result is not results[-1])
        return [leaf.grad for leaf in wanted]

    return forward, gradients


def bits(tensors):
    return [None if t is None else (t.shape, t.dtype, t.array.tobytes()) for t in tensors]


@pytest.mark.parametrize("threads", [1, 5], indirect=True)
@pytest.mark.parametrize(("op_case", "shapes"), SETTINGS)
def test_the_bits_of_eager(op_case, shapes, threads):
    forward, gradients = calls(op_case)
    replays = nncore.compile(forward), nncore.compile(gradients)
    for seed in range(3):
        tensors = [nncore.Tensor(array) for array in draw(op_case, shapes, op_case.dtypes[0], seed)]
        nncore.manual_seed(seed)
        results = forward(*tensors)
        state = nncore.get_rng_state()
        nncore.manual_seed(seed)
        replayed = replays[0](*tensors)
        assert nncore.get_rng_state() == state
        assert bits(replayed) == bits(results)
        if op_case.gradient:
            dys = [nncore.Tensor(dy) for dy in cotangents([result.array for result in results])]
            nncore.manual_seed(seed)
            expected = gradients(dys, *tensors)
            nncore.manual_seed(seed)
            assert bits(replays[1](dys, *tensors)) == bits(expected)
    assert len(replays[0].programs) == 1
