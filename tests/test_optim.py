"""Optimizers: groups, state, layouts and errors. Their numbers are compared with torch's in test_torch_parity."""

import copy

import numpy as np
import pytest

import nncore
from nncore import nn, optim

ALL = [
    pytest.param(lambda p: optim.SGD(p, lr=0.1), id="sgd"),
    pytest.param(lambda p: optim.SGD(p, lr=0.1, momentum=0.9), id="momentum"),
    pytest.param(lambda p: optim.SGD(p, lr=0.1, momentum=0.9, form="classic"), id="classic"),
    pytest.param(lambda p: optim.Adam(p, lr=0.1), id="adam"),
    pytest.param(lambda p: optim.Adam(p, lr=0.1, amsgrad=True), id="amsgrad"),
    pytest.param(lambda p: optim.AdamW(p, lr=0.1), id="adamw"),
    pytest.param(lambda p: optim.RMSprop(p, lr=0.1, momentum=0.5, centered=True), id="rmsprop"),
    pytest.param(lambda p: optim.Adagrad(p, lr=0.5, initial_accumulator_value=0.1), id="adagrad"),
    pytest.param(lambda p: optim.Adadelta(p, lr=10.0), id="adadelta"),
    pytest.param(lambda p: optim.Adamax(p, lr=0.1), id="adamax"),
    pytest.param(lambda p: optim.NAdam(p, lr=0.1), id="nadam"),
    pytest.param(lambda p: optim.RAdam(p, lr=0.1), id="radam"),
    pytest.param(lambda p: optim.Lion(p, lr=0.1), id="lion"),
]


def with_gradient(array, gradient=1.0):
    parameter = nn.Parameter(np.array(array, np.float32))
    parameter.grad = nncore.full(parameter.shape, gradient)
    return parameter


@pytest.mark.parametrize("make", ALL)
def test_minimises_a_parabola(make):
    parameter = nn.Parameter(nncore.tensor([3.0, -2.0]))
    optimizer = make([parameter])
    for _ in range(200):
        optimizer.zero_grad()
        ((parameter - 1) ** 2).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(parameter.detach().numpy(), [1, 1], atol=0.2)


@pytest.mark.parametrize("make", ALL)
def test_layout_and_split_do_not_change_the_result(make):
    """Transposed memory, a gradient in another layout, one group or two: the same bits."""
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(5, 7)), rng.normal(size=(4, 5, 7))
    start, gradients = start.astype(np.float32), gradients.astype(np.float32)
    results = []
    for layout in ("C", "F"):
        parameter = nn.Parameter(np.array(start, order=layout))
        other = nn.Parameter(start[0].copy())
        optimizer = make([{"params": [parameter]}, {"params": [other]}] if layout == "F" else [parameter, other])
        for gradient in gradients:
            parameter.grad = nncore.from_numpy(gradient.copy())
            other.grad = nncore.from_numpy(gradient[0].copy())
            optimizer.step()
        results.append((parameter.detach().numpy(), other.detach().numpy()))
        assert parameter.array.flags[f"{layout}_CONTIGUOUS"]
    assert np.array_equal(results[0][0], results[1][0])
    assert np.array_equal(results[0][1], results[1][1])
    assert np.array_equal(results[0][0][0], results[0][1])


@pytest.mark.parametrize("make", ALL)
def test_resumed_run_gives_the_same_bits(make):
    rng = np.random.default_rng(1)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    x = nncore.from_numpy(rng.normal(size=(6, 4)).astype(np.float32))

    def run(model, optimizer, n):
        for _ in range(n):
            optimizer.zero_grad()
            (model(x) ** 2).mean().backward()
            optimizer.step()

    optimizer = make(model.parameters())
    run(model, optimizer, 3)
    resumed = copy.deepcopy(model)
    resumed_optimizer = make(resumed.parameters())
    resumed_optimizer.load_state_dict(optimizer.state_dict())
    run(model, optimizer, 3)
    run(resumed, resumed_optimizer, 3)
    for a, b in zip(model.parameters(), resumed.parameters(), strict=True):
        assert np.array_equal(a.array, b.array)


def test_mixed_dtypes_and_late_gradients():
    """A parameter that joins later counts its own steps."""
    early, late, double = with_gradient([1.0]), nn.Parameter(nncore.ones(1)), nn.Parameter(np.ones(1))
    double.grad = nncore.from_numpy(np.ones(1))
    optimizer = optim.Adam([early, late, double], lr=0.1)
    optimizer.step()
    late.grad = nncore.ones(1)
    optimizer.step()
    steps = [optimizer.state[p]["step"] for p in (early, late, double)]
    assert steps == [2, 1, 2]
    assert late.item() == pytest.approx(0.9, abs=1e-6)
    assert double.item() == pytest.approx(0.8, abs=1e-6)


def test_parameters_without_gradient_stay():
    moved, still = with_gradient([1.0]), nn.Parameter(nncore.ones(2))
    optimizer = optim.AdamW([moved, still], weight_decay=0.5)
    optimizer.step()
    assert still.tolist() == [1.0, 1.0]
    assert all(parameter is not still for parameter in optimizer.state)


def test_classic_form_differs_when_lr_changes():
    """torch: v = mu v + g, p -= lr v. classic: v = mu v - lr g, p += v."""
    results = {}
    for form in ("torch", "classic"):
        parameter = with_gradient([1.0])
        optimizer = optim.SGD([parameter], lr=0.1, momentum=0.5, form=form)
        optimizer.step()
        assert parameter.item() == pytest.approx(0.9)
        optimizer.param_groups[0]["lr"] = 0.01
        optimizer.step()
        results[form] = parameter.item()
    assert results["torch"] == pytest.approx(0.9 - 0.01 * 1.5)
    assert results["classic"] == pytest.approx(0.9 - (0.5 * 0.1 + 0.01))


def test_classic_nesterov():
    parameter = with_gradient([1.0])
    optim.SGD([parameter], lr=0.1, momentum=0.5, nesterov=True, form="classic").step()
    assert parameter.item() == pytest.approx(1 - 0.1 * 1.5)


def test_closure():
    parameter = nn.Parameter(nncore.tensor([2.0]))
    optimizer = optim.SGD([parameter], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (parameter**2).sum()
        loss.backward()
        return loss

    with nncore.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 4.0
    assert parameter.item() == 1.0


def test_zero_grad():
    parameter = with_gradient([1.0])
    optimizer = optim.SGD([parameter])
    optimizer.zero_grad(set_to_none=False)
    assert parameter.grad.tolist() == [0.0]
    optimizer.zero_grad()
    assert parameter.grad is None


def test_groups_have_options_of_their_own():
    a, b = with_gradient([1.0]), with_gradient([1.0])
    optimizer = optim.SGD([{"params": a}, {"params": [b], "lr": 1.0}], lr=0.5)
    optimizer.step()
    assert (a.item(), b.item()) == (0.5, 0.0)
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_named_parameters():
    optimizer = optim.SGD(nn.Linear(2, 1).named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]


def test_step_between_forward_and_backward_is_an_error():
    parameter = nn.Parameter(nncore.ones(2))
    optimizer = optim.SGD([parameter])
    loss = (parameter * parameter).sum()
    parameter.grad = nncore.ones(2)
    optimizer.step()
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_empty_parameters():
    parameter = with_gradient(np.empty((0, 3)))
    optim.Adam([parameter]).step()
    assert parameter.shape == (0, 3)


def test_torch_state_dict_loads():
    """What torch.optim.Adam and SGD save: steps as arrays, momentum_buffer None or without a count."""
    parameter = with_gradient([1.0, 2.0])
    adam = optim.Adam([parameter])
    group = {**adam.state_dict()["param_groups"][0], "foreach": None, "capturable": False}
    values = {"step": np.array(3.0, np.float32), "exp_avg": np.ones(2), "exp_avg_sq": np.ones(2)}
    adam.load_state_dict({"state": {0: values}, "param_groups": [group]})
    assert adam.state[parameter]["step"] == 3
    assert adam.state[parameter]["exp_avg"].dtype == nncore.float32
    adam.step()
    assert adam.state[parameter]["step"] == 4

    sgd = optim.SGD([parameter], lr=1.0, momentum=0.5, dampening=1.0)
    before = parameter.tolist()
    sgd.load_state_dict(
        {"state": {0: {"momentum_buffer": np.ones(2)}}, **{"param_groups": sgd.state_dict()["param_groups"]}}
    )
    sgd.step()  # b = 0.5 b + (1 - dampening) g
    assert parameter.tolist() == [value - 0.5 for value in before]
    sgd.load_state_dict({"state": {0: {"momentum_buffer": None}}, "param_groups": sgd.state_dict()["param_groups"]})
    assert sgd.state[parameter] == {}


FROM_TORCH = [
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.01, "initial_accumulator_value": 0.2}),
    ("Adadelta", {"rho": 0.8, "weight_decay": 0.1}),
    ("Adamax", {"lr": 0.1, "weight_decay": 0.1}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.1}),
    (
        "NAdam",
        {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True, "momentum_decay": 1.0, "maximize": True},
    ),
    ("RAdam", {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.1}),
    ("RAdam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
]


@pytest.mark.parametrize(("name", "options"), FROM_TORCH)
def test_steps_and_state_of_torch(name, options):
    """Twelve steps; after the sixth a new optimizer goes on from torch's state_dict."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(3, 4)), rng.normal(size=(12, 3, 4))
    ours, theirs = nn.Parameter(start.copy()), torch.nn.Parameter(torch.tensor(start))
    optimizer, reference = getattr(optim, name)([ours], **options), getattr(torch.optim, name)([theirs], **options)
    for i, gradient in enumerate(gradients):
        if i == 6:
            optimizer = getattr(optim, name)([ours], lr=9.0)
            optimizer.load_state_dict(reference.state_dict())
        ours.grad, theirs.grad = nncore.from_numpy(gradient.copy()), torch.tensor(gradient)
        optimizer.step()
        reference.step()
        tolerance = 1e-8 if name == "NAdam" else 1e-12  # torch keeps mu_product in float32
        np.testing.assert_allclose(ours.array, theirs.detach().numpy(), rtol=tolerance, atol=tolerance)


def test_load_state_dict_errors_change_nothing():
    parameter = with_gradient([1.0, 2.0])
    optimizer = optim.Adam([parameter], lr=0.5)
    optimizer.step()
    good = optimizer.state_dict()
    group = good["param_groups"][0]
    bad = [
        ({**good, "param_groups": []}, "different number of parameter groups"),
        ({**good, "param_groups": [{**group, "params": [0, 1]}]}, "doesn't match the size"),
        ({"state": {0: {"exp_avg": np.ones(3)}}, "param_groups": [{**group, "lr": 9}]}, r"shape \(3,\)"),
        ({"state": {7: {}}, "param_groups": [{**group, "lr": 9}]}, "parameter 7"),
    ]
    for state_dict, match in bad:
        with pytest.raises(ValueError, match=match):
            optimizer.load_state_dict(state_dict)
        assert optimizer.param_groups[0]["lr"] == 0.5
        assert optimizer.state[parameter]["step"] == 1


def test_repr():
    text = repr(optim.SGD([with_gradient([1.0])], lr=0.5))
    assert text.startswith("SGD (\nParameter Group 0\n    dampening: 0\n")
    assert "    lr: 0.5\n" in text


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda p: optim.SGD([p], lr=-1), ValueError, "Invalid learning rate: -1"),
        (lambda p: optim.SGD([p], momentum=-1), ValueError, "Invalid momentum value: -1"),
        (lambda p: optim.SGD([p], weight_decay=-1), ValueError, "Invalid weight_decay value: -1"),
        (lambda p: optim.SGD([p], nesterov=True), ValueError, "Nesterov momentum requires a momentum"),
        (lambda p: optim.SGD([p], form="keras"), ValueError, "'form' is 'keras'"),
        (lambda p: optim.Adam([p], lr=float("nan")), ValueError, "Invalid learning rate: nan"),
        (lambda p: optim.Adam([p], betas=(1.0, 0.9)), ValueError, "Invalid beta parameter at index 0: 1.0"),
        (lambda p: optim.Adam([p], eps=-1), ValueError, "Invalid epsilon value: -1"),
        (lambda p: optim.RMSprop([p], alpha=-1), ValueError, "Invalid alpha value: -1"),
        (lambda p: optim.Adagrad([p], lr_decay=-1), ValueError, "Invalid lr_decay value: -1"),
        (lambda p: optim.Adadelta([p], rho=2), ValueError, "Invalid rho value: 2"),
        (lambda p: optim.Adamax([p], betas=(0.9, -1)), ValueError, "Invalid beta parameter at index 1: -1"),
        (lambda p: optim.NAdam([p], momentum_decay=-1), ValueError, "Invalid momentum_decay value: -1"),
        (lambda p: optim.RAdam([p], eps=-1), ValueError, "Invalid epsilon value: -1"),
        (lambda p: optim.Lion([p], lr=-1), ValueError, "Invalid learning rate: -1"),
        (lambda p: optim.SGD([]), ValueError, "empty parameter list"),
        (lambda p: optim.SGD(p), TypeError, "iterable of Tensors or dicts"),
        (lambda p: optim.SGD([1.0]), TypeError, "one of the params is float"),
        (lambda p: optim.SGD([{"params": {p}}]), TypeError, "ordered collections"),
        (lambda p: optim.SGD([p * 2]), ValueError, "non-leaf"),
        (lambda p: optim.SGD([nncore.tensor([1])]), ValueError, "dtype int64"),
        (lambda p: optim.SGD([p, p]), ValueError, "duplicate parameters"),
        (lambda p: optim.SGD([{"params": [p]}, {"params": [p]}]), ValueError, "more than one parameter group"),
    ],
)
def test_bad_arguments(make, error, match):
    with pytest.raises(error, match=match):
        make(nn.Parameter(nncore.ones(2)))
