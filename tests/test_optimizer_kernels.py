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


def adagrad(p, grads, lr, lr_decay, eps, weight_decay, maximize):
    total = np.zeros_like(p)
    for step, g in enumerate(grads, 1):
        g = (-g if maximize else g) + weight_decay * p
        total = total + g * g
        p = p - lr / (1 + (step - 1) * lr_decay) * g / (np.sqrt(total) + eps)
    return p


def adadelta(p, grads, lr, rho, eps, weight_decay, maximize):
    square = moved = np.zeros_like(p)
    for g in grads:
        g = (-g if maximize else g) + weight_decay * p
        square = rho * square + (1 - rho) * g * g
        d = np.sqrt(moved + eps) / np.sqrt(square + eps) * g
        moved = rho * moved + (1 - rho) * d * d
        p = p - lr * d
    return p


def adamax(p, grads, lr, beta1, beta2, eps, weight_decay, maximize):
    m = u = np.zeros_like(p)
    for step, g in enumerate(grads, 1):
        g = (-g if maximize else g) + weight_decay * p
        m, u = beta1 * m + (1 - beta1) * g, np.maximum(beta2 * u, np.abs(g) + eps)
        p = p - lr / (1 - beta1**step) * m / u
    return p


def moments(p, grads, lr, beta1, beta2, eps, weight_decay, decoupled, maximize, shares):
    """Adam's moments; shares(step) -> what of m and of g is the step, and whether it is divided by the root of v."""
    m = v = np.zeros_like(p)
    for step, g in enumerate(grads, 1):
        g = -g if maximize else g
        if decoupled:
            p = p * (1 - lr * weight_decay)
        else:
            g = g + weight_decay * p
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        of_m, of_g, root = shares(step)
        p = p - lr * (of_m * m + of_g * g) / (root(v) if root else 1)
    return p


def nadam(p, grads, lr, beta1, beta2, eps, weight_decay, momentum_decay, decoupled, maximize):
    def mu(step):
        return beta1 * (1 - 0.5 * 0.96 ** (step * momentum_decay))

    def shares(step):
        so_far = math.prod(mu(i) for i in range(1, step + 1))
        of_m = mu(step + 1) / (1 - so_far * mu(step + 1))
        return of_m, (1 - mu(step)) / (1 - so_far), lambda v: np.sqrt(v / (1 - beta2**step)) + eps

    return moments(p, grads, lr, beta1, beta2, eps, weight_decay, decoupled, maximize, shares)


def radam(p, grads, lr, beta1, beta2, eps, weight_decay, decoupled, maximize):
    most = 2 / (1 - beta2) - 1

    def shares(step):
        length, of_m = most - 2 * step * beta2**step / (1 - beta2**step), 1 / (1 - beta1**step)
        if length <= 5:
            return of_m, 0, None
        rectified = (length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)
        return of_m * math.sqrt(rectified * (1 - beta2**step)), 0, lambda v: np.sqrt(v) + eps

    return moments(p, grads, lr, beta1, beta2, eps, weight_decay, decoupled, maximize, shares)


def lion(p, grads, lr, beta1, beta2, weight_decay, maximize):
    m = np.zeros_like(p)
    for g in grads:
        g = -g if maximize else g
        p = p * (1 - lr * weight_decay) - lr * np.sign(beta1 * m + (1 - beta1) * g)
        m = beta2 * m + (1 - beta2) * g
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


def run_adaptive(name, dtype, states, counts, *scalars):
    """Four steps of the kernel `name`, which has so many states and, if `counts`, the step as last scalar."""
    params, memory = arrays(dtype, 0), [zeros(dtype) for _ in range(states)]
    for step in range(1, STEPS + 1):
        getattr(kernels, name)(params, *memory, arrays(dtype, step), *scalars, *([step] if counts else []))
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


ADAPTIVE = [  # kernel, its formula, number of states, whether it counts steps, scalars
    ("adagrad_step", adagrad, 1, True, (0.1, 0.0, 1e-10, 0.0, 0)),
    ("adagrad_step", adagrad, 1, True, (0.1, 0.5, 1e-3, 0.05, 1)),
    ("adadelta_step", adadelta, 2, False, (1.0, 0.9, 1e-6, 0.0, 0)),
    ("adadelta_step", adadelta, 2, False, (0.5, 0.8, 1e-3, 0.05, 1)),
    ("adamax_step", adamax, 2, True, (0.01, 0.9, 0.999, 1e-8, 0.0, 0)),
    ("adamax_step", adamax, 2, True, (0.01, 0.8, 0.7, 1e-2, 0.05, 1)),
    ("nadam_step", nadam, 2, True, (0.01, 0.9, 0.999, 1e-8, 0.0, 4e-3, 0, 0)),
    ("nadam_step", nadam, 2, True, (0.01, 0.8, 0.99, 1e-4, 0.05, 1.0, 1, 1)),
    ("nadam_step", nadam, 2, True, (0.01, 0.8, 0.99, 1e-4, 0.05, 0.0, 0, 0)),
    ("radam_step", radam, 2, True, (0.01, 0.9, 0.999, 1e-8, 0.0, 0, 0)),
    ("radam_step", radam, 2, True, (0.01, 0.8, 0.9, 1e-4, 0.05, 1, 1)),
    ("radam_step", radam, 2, True, (0.01, 0.8, 0.97, 1e-4, 0.05, 0, 0)),
    ("lion_step", lion, 1, False, (0.01, 0.9, 0.99, 0.0, 0)),
    ("lion_step", lion, 1, False, (0.01, 0.7, 0.5, 0.1, 1)),
]


@pytest.mark.parametrize(("name", "formula", "states", "counts", "scalars"), ADAPTIVE)
@pytest.mark.parametrize("dtype", FLOATS)
def test_adaptive(dtype, name, formula, states, counts, scalars):
    """The last of RAdam's settings begins to adapt at the fourth step."""
    check(dtype, run_adaptive(name, dtype, states, counts, *scalars), expected(formula, dtype, *scalars))


@pytest.mark.parametrize("momentum_decay", [0.0, 4e-3, 1.0])
def test_nadam_has_the_product_of_all_factors_after_many_steps(momentum_decay):
    """One step from given moments at step 1000: the kernel has no memory of the factors before."""
    step, beta1, beta2 = 1000, 0.99, 0.999
    factors = [beta1 * (1 - 0.5 * 0.96 ** (i * momentum_decay)) for i in range(1, step + 2)]
    p, m, v, g = (np.array([value]) for value in (1.0, 0.3, 0.2, 0.5))
    kernels.nadam_step([p], [m], [v], [g], 0.1, beta1, beta2, 1e-8, 0.0, momentum_decay, 0, 0, step)
    of_m = factors[-1] / (1 - math.prod(factors))
    of_g = (1 - factors[-2]) / (1 - math.prod(factors[:-1]))
    moved = 0.1 * (of_m * m + of_g * g) / (np.sqrt(v / (1 - beta2**step)) + 1e-8)
    np.testing.assert_allclose(p, 1 - moved, rtol=1e-12)


# ---- what all of them promise ----
@pytest.mark.parametrize("count", [2, 3, 5])
def test_same_bits_on_any_number_of_threads(count):
    def run():
        params, m, v = ([rng.random(size, np.float32) for size in [(300, 301), (5,), (70_001,)]] for _ in range(3))
        grads = [p - 0.5 for p in params]
        kernels.adam_step(params, m, v, None, grads, 0.01, 0.9, 0.999, 1e-8, 0.0, 0, 0, 0, 7)
        kernels.sgd_step(params, m, grads, 0.1, 0.9, 0.0, 0.01, 1, 0, 0, 7)
        kernels.rmsprop_step(params, v, None, m, grads, 0.01, 0.9, 1e-8, 0.0, 0.9, 0)
        for name, _, states, counts, scalars in ADAPTIVE:
            getattr(kernels, name)(params, *(m, v)[:states], grads, *scalars, *([7] if counts else []))
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
    adadelta, adamax, nadam, radam, lion = ([[np.ones(37, dtype)] for _ in range(2)] for _ in range(5))
    none = [np.zeros(37, dtype)]
    tiny = [np.full(37, np.finfo(dtype).tiny, dtype)]
    for grads in (tiny, none):
        for step in range(2, 80):
            kernels.sgd_step(p, b, grads, 0.1, 1e-5, 0.0, 0.0, 0, 0, 0, step)
            kernels.adam_step(p, m, v, None, grads, 0.1, 1e-5, 1e-5, 1e-8, 0.0, 0, 0, 0, step)
            kernels.rmsprop_step(p, s, a, d, grads, 0.1, 1e-5, 1e-8, 0.0, 1e-5, 0)
            kernels.adadelta_step(p, *adadelta, grads, 0.1, 1e-5, 1e-8, 0.0, 0)
            kernels.adamax_step(p, *adamax, grads, 0.1, 1e-5, 1e-5, 1e-8, 0.0, 0, step)
            kernels.nadam_step(p, *nadam, grads, 0.1, 1e-5, 1e-5, 1e-8, 0.0, 0.0, 0, 0, step)
            kernels.radam_step(p, *radam, grads, 0.1, 1e-5, 1e-5, 1e-8, 0.0, 0, 0, step)
            kernels.lion_step(p, lion[0], grads, 0.1, 1e-5, 1e-5, 0.0, 0)
        assert not any(square[0].any() for square in (v, s, adadelta[0], nadam[1], radam[1]))  # that of `tiny`, too
    assert not any(state[0].any() for state in (b, m, a, d, *adadelta, adamax[0], nadam[0], radam[0], lion[0]))
    assert np.isfinite(p[0]).all()


def test_nan_stays_in_its_element():
    p, m, v, g = (np.zeros(37, np.float32) for _ in range(4))
    g[5] = np.nan
    kernels.adam_step([p], [m], [v], None, [g], 0.01, 0.9, 0.999, 1e-8, 0.0, 0, 0, 0, 1)
    assert np.isnan(p).nonzero()[0].tolist() == [5]


@pytest.mark.parametrize(("name", "states", "counts", "scalars"), [(n, s, c, v) for n, _, s, c, v in ADAPTIVE])
def test_nan_stays_in_its_element_of_the_others(name, states, counts, scalars):
    p, *memory, g = (np.zeros(37, np.float32) for _ in range(states + 2))
    g[5] = np.nan
    getattr(kernels, name)([p], *([m] for m in memory), [g], *scalars, *([1] if counts else []))
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
