"""The optimizer steps against their formulas, written out in float64."""

import math
from itertools import product

import numpy as np
import pytest

import nncore
from nncore import kernels

SIZES = [(7,), (1,), (0,), (64, 65), (3, 1001), (33,), (10,)]
STEPS = 4
TOLERANCE = {np.float32: 3e-6, np.float64: 1e-13}
FLOATS = list(TOLERANCE)


def arrays(dtype, seed):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(size).astype(dtype) for size in SIZES]


def zeros(dtype):
    return [np.zeros(size, dtype) for size in SIZES]


def check(dtype, params, expected):
    for p, e in zip(params, expected):
        np.testing.assert_allclose(p, e, TOLERANCE[dtype], TOLERANCE[dtype])


# ---- formulas: one parameter, g in float64 ----
def sgd(p, grads, lr, momentum, dampening, weight_decay, nesterov, maximize, classic):
    buffer = np.zeros_like(p)
    for step, g in enumerate(grads, 1):
        g = (-g if maximize else g) + weight_decay * p
        if classic:
            buffer = momentum * buffer - lr * g
            p = p + (momentum * buffer - lr * g if nesterov else buffer)
        else:
            buffer = g if step == 1 else momentum * buffer + (1 - dampening) * g
            p = p - lr * (g + momentum * buffer if nesterov else buffer if momentum else g)
    return p


def adam(p, grads, lr, beta1, beta2, eps, weight_decay, decoupled, maximize, amsgrad):
    m = v = largest = np.zeros_like(p)
    for step, g in enumerate(grads, 1):
        g = -g if maximize else g
        if decoupled:
            p = p * (1 - lr * weight_decay)
        else:
            g = g + weight_decay * p
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        largest = np.maximum(largest, v)
        denominator = np.sqrt(largest if amsgrad else v) / math.sqrt(1 - beta2**step) + eps
        p = p - lr / (1 - beta1**step) * m / denominator
    return p


def rmsprop(p, grads, lr, alpha, eps, weight_decay, momentum, maximize, centered):
    square = average = buffer = np.zeros_like(p)
    for g in grads:
        g = (-g if maximize else g) + weight_decay * p
        square, average = alpha * square + (1 - alpha) * g * g, alpha * average + (1 - alpha) * g
        buffer = momentum * buffer + g / (np.sqrt(square - average**2 if centered else square) + eps)
        p = p - lr * buffer
    return p


def expected(formula, dtype, *scalars):
    starts, grads = arrays(dtype, 0), [arrays(dtype, 1 + step) for step in range(STEPS)]
    return [
        formula(p.astype(np.float64), [g[i].astype(np.float64) for g in grads], *scalars) for i, p in enumerate(starts)
    ]


# ---- kernels ----
def run_sgd(dtype, lr, momentum, dampening, weight_decay, nesterov, maximize, classic):
    params, buffers = arrays(dtype, 0), zeros(dtype) if momentum else None
    for step in range(1, STEPS + 1):
        kernels.sgd_step(
            params,
            buffers,
            arrays(dtype, step),
            lr,
            momentum,
            dampening,
            weight_decay,
            nesterov,
            maximize,
            classic,
            step,
        )
    return params


def run_adam(dtype, lr, beta1, beta2, eps, weight_decay, decoupled, maximize, amsgrad):
    params, m, v, largest = arrays(dtype, 0), zeros(dtype), zeros(dtype), zeros(dtype) if amsgrad else None
    for step in range(1, STEPS + 1):
        kernels.adam_step(
            params,
            m,
            v,
            largest,
            arrays(dtype, step),
            lr,
            beta1,
            beta2,
            eps,
            weight_decay,
            decoupled,
            0,
            maximize,
            step,
        )
    return params


def run_rmsprop(dtype, lr, alpha, eps, weight_decay, momentum, maximize, centered):
    params, square = arrays(dtype, 0), zeros(dtype)
    average, buffers = zeros(dtype) if centered else None, zeros(dtype) if momentum else None
    for step in range(1, STEPS + 1):
        kernels.rmsprop_step(
            params, square, average, buffers, arrays(dtype, step), lr, alpha, eps, weight_decay, momentum, maximize
        )
    return params


SGD_SCALARS = [
    (0.1, 0.0, 0.0, 0.0, 0, 0, 0),
    (0.1, 0.0, 0.0, 0.1, 0, 1, 0),
    (0.1, 0.9, 0.0, 0.0, 0, 0, 0),
    (0.1, 0.9, 0.1, 0.01, 0, 0, 0),
    (0.1, 0.9, 0.0, 0.01, 1, 1, 0),
    (0.1, 0.9, 0.0, 0.0, 0, 0, 1),
    (0.1, 0.9, 0.0, 0.01, 1, 1, 1),
]


@pytest.mark.parametrize("scalars", SGD_SCALARS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_sgd(dtype, scalars):
    check(dtype, run_sgd(dtype, *scalars), expected(sgd, dtype, *scalars))


@pytest.mark.parametrize(
    ("weight_decay", "decoupled", "maximize", "amsgrad"), list(product([0.0, 0.05], [0, 1], [0, 1], [0, 1]))
)
@pytest.mark.parametrize("dtype", FLOATS)
def test_adam(dtype, weight_decay, decoupled, maximize, amsgrad):
    scalars = (0.01, 0.9, 0.999, 1e-8, weight_decay, decoupled, maximize, amsgrad)
    check(dtype, run_adam(dtype, *scalars), expected(adam, dtype, *scalars))


@pytest.mark.parametrize(
    ("weight_decay", "momentum", "maximize", "centered"), list(product([0.0, 0.05], [0.0, 0.9], [0, 1], [0, 1]))
)
@pytest.mark.parametrize("dtype", FLOATS)
def test_rmsprop(dtype, weight_decay, momentum, maximize, centered):
    scalars = (0.01, 0.99, 1e-8, weight_decay, momentum, maximize, centered)
    check(dtype, run_rmsprop(dtype, *scalars), expected(rmsprop, dtype, *scalars))


# ---- what all of them promise ----
@pytest.mark.parametrize("count", [2, 3, 5])
def test_same_bits_on_any_number_of_threads(count):
    def run():
        params, m, v = ([rng.random(size, np.float32) for size in [(300, 301), (5,), (70_001,)]] for _ in range(3))
        grads = [p - 0.5 for p in params]
        kernels.adam_step(params, m, v, None, grads, 0.01, 0.9, 0.999, 1e-8, 0.0, 0, 0, 0, 7)
        kernels.sgd_step(params, m, grads, 0.1, 0.9, 0.0, 0.01, 1, 0, 0, 7)
        kernels.rmsprop_step(params, v, None, m, grads, 0.01, 0.9, 1e-8, 0.0, 0.9, 0)
        return b"".join(a.tobytes() for a in (*params, *m, *v))

    before = nncore.get_num_threads()
    try:
        nncore.set_num_threads(1)
        rng = np.random.default_rng(0)
        serial = run()
        nncore.set_num_threads(count)
        rng = np.random.default_rng(0)
        assert run() == serial
    finally:
        nncore.set_num_threads(before)


def test_one_call_for_all_is_one_call_for_each():
    together, m, v = arrays(np.float32, 0), zeros(np.float32), zeros(np.float32)
    apart, grads = arrays(np.float32, 0), arrays(np.float32, 1)
    kernels.adam_step(together, m, v, None, grads, 0.01, 0.9, 0.999, 1e-8, 0.0, 0, 0, 0, 1)
    for p, g in zip(apart, grads):
        kernels.adam_step(
            [p], [np.zeros_like(p)], [np.zeros_like(p)], None, [g], 0.01, 0.9, 0.999, 1e-8, 0.0, 0, 0, 0, 1
        )
    for a, b in zip(together, apart):
        assert a.tobytes() == b.tobytes()


def test_no_parameters_at_all():
    kernels.adam_step([], [], [], None, [], 0.01, 0.9, 0.999, 1e-8, 0.0, 0, 0, 0, 1)


def test_centred_rmsprop_survives_a_variance_that_rounds_below_zero():
    p, square, average, g = (np.full(100, value, np.float32) for value in (1.0, 0.0, 0.0, 0.1))
    for _ in range(50):
        kernels.rmsprop_step([p], [square], [average], None, [g], 0.01, 0.5, 1.0, 0.0, 0.0, 0)
    assert np.isfinite(p).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_states_that_decay_end_at_zero(dtype):
    """Subnormal numbers would stay, as rounding holds them up, and are slow."""
    p, b, m, v, s, a, d = ([np.ones(37, dtype)] for _ in range(7))
    none = [np.zeros(37, dtype)]
    tiny = [np.full(37, np.finfo(dtype).tiny, dtype)]
    for grads in (tiny, none):
        for step in range(2, 80):
            kernels.sgd_step(p, b, grads, 0.1, 1e-5, 0.0, 0.0, 0, 0, 0, step)
            kernels.adam_step(p, m, v, None, grads, 0.1, 1e-5, 1e-5, 1e-8, 0.0, 0, 0, 0, step)
            kernels.rmsprop_step(p, s, a, d, grads, 0.1, 1e-5, 1e-8, 0.0, 1e-5, 0)
        assert not any(square[0].any() for square in (v, s))  # that of `tiny`, too
    assert not any(state[0].any() for state in (b, m, a, d))
    assert np.isfinite(p[0]).all()


def test_nan_stays_in_its_element():
    p, m, v, g = (np.zeros(37, np.float32) for _ in range(4))
    g[5] = np.nan
    kernels.adam_step([p], [m], [v], None, [g], 0.01, 0.9, 0.999, 1e-8, 0.0, 0, 0, 0, 1)
    assert np.isnan(p).nonzero()[0].tolist() == [5]


def test_amsgrad_keeps_a_nan():
    p, m, v, largest, g = (np.zeros(3, np.float32) for _ in range(5))
    largest[1] = np.nan
    kernels.adam_step([p], [m], [v], [largest], [g], 0.01, 0.9, 0.999, 1e-8, 0.0, 0, 0, 0, 1)
    assert np.isnan(largest).tolist() == [False, True, False]


def test_lists_that_do_not_match_are_refused():
    p, m, v = ([np.zeros(3, np.float32)] for _ in range(3))
    with pytest.raises(ValueError, match="adam_step: argument 'grad'"):
        kernels.adam_step(p, m, v, None, [np.zeros(4, np.float32)], 0.01, 0.9, 0.999, 1e-8, 0.0, 0, 0, 0, 1)
