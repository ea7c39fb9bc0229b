"""L-BFGS: torch's path, its conditions, state, errors, and training with it."""

import numpy as np
import pytest

import nncore
import nncore.nn.functional as F
from nncore import nn, optim

OPTIONS = [
    {"lr": 0.001, "max_iter": 7},
    {"line_search_fn": "strong_wolfe", "max_iter": 9},
    {"line_search_fn": "strong_wolfe", "max_iter": 9, "history_size": 3},
    {"line_search_fn": "strong_wolfe", "max_iter": 50, "max_eval": 11},
    {"line_search_fn": "strong_wolfe", "lr": 0.1, "max_iter": 100},
]


def valley(p):
    return ((1 - p[:-1]) ** 2 + 100 * (p[1:] - p[:-1] ** 2) ** 2).sum()


def searching(library, options, resume_at=None):
    """Losses and points of four steps, and how often the function was evaluated."""
    p = library.tensor([-1.2, 1.0, -0.5, 2.0], dtype=library.float64, requires_grad=True)
    optimizer, path = library.optim.LBFGS([p], **options), []

    def closure():
        optimizer.zero_grad()
        loss = valley(p)
        loss.backward()
        return loss

    for i in range(4):
        if i == resume_at:
            state, optimizer = optimizer.state_dict(), library.optim.LBFGS([p], lr=9.0)
            optimizer.load_state_dict(state)
        path.append([float(optimizer.step(closure).detach()), *p.detach().numpy()])
    memory = optimizer.state[p]
    return path, memory["func_evals"], memory["n_iter"]


@pytest.mark.parametrize("options", OPTIONS)
def test_the_path_of_torch(options):
    torch = pytest.importorskip("torch")
    expected, ours = searching(torch, options), searching(nncore, options)
    np.testing.assert_allclose(ours[0], expected[0], rtol=1e-9, atol=1e-10)
    assert ours[1:] == expected[1:]


@pytest.mark.parametrize("options", OPTIONS)
def test_a_loaded_state_goes_on(options):
    assert searching(nncore, options, resume_at=2) == searching(nncore, options)


def test_torch_s_state_loads():
    torch = pytest.importorskip("torch")
    p = torch.tensor([-1.2, 1.0], dtype=torch.float64, requires_grad=True)
    theirs = torch.optim.LBFGS([p], max_iter=5, line_search_fn="strong_wolfe")

    def closure():
        theirs.zero_grad()
        loss = valley(p)
        loss.backward()
        return loss

    theirs.step(closure)
    q = nncore.tensor(p.detach().numpy(), dtype=nncore.float64, requires_grad=True)
    ours = optim.LBFGS([q], lr=9.0)
    ours.load_state_dict(theirs.state_dict())

    def own_closure():
        ours.zero_grad()
        loss = valley(q)
        loss.backward()
        return loss

    theirs.step(closure)
    ours.step(own_closure)
    np.testing.assert_allclose(q.detach().numpy(), p.detach().numpy(), rtol=1e-10)


def test_the_minimum_is_found():
    path, _, _ = searching(nncore, {"line_search_fn": "strong_wolfe", "max_iter": 100})
    np.testing.assert_allclose(path[-1][1:], 1, rtol=1e-4)  # where no step changes the loss by 1e-9


@pytest.mark.parametrize("start", [(1.0, 5.0), (0.7, 4.0)])
def test_certified_values_of_nist(start):
    """DanWood of the NIST StRD, y = b1 x^b2: six observations, parameters certified to eleven digits."""
    y = nncore.tensor([2.138, 3.421, 3.597, 4.340, 4.882, 5.660], dtype=nncore.float64)
    x = nncore.tensor([1.309, 1.471, 1.490, 1.565, 1.611, 1.680], dtype=nncore.float64)
    b = nncore.tensor(start, dtype=nncore.float64, requires_grad=True)
    options = {"tolerance_grad": 1e-14, "tolerance_change": 0.0, "line_search_fn": "strong_wolfe"}
    optimizer = optim.LBFGS([b], max_iter=200, **options)

    def closure():
        optimizer.zero_grad()
        loss = F.mse_loss(b[0] * x ** b[1], y, reduction="sum")
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(b.detach().numpy(), [7.6886226176e-01, 3.8604055871e00], rtol=1e-7)
    assert closure().item() == pytest.approx(4.3173084083e-03, rel=1e-9)


def test_logistic_regression_of_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model")
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    reference = linear.LogisticRegression(C=1.0, tol=1e-12, max_iter=10_000).fit(x, y)
    net = nn.Linear(30, 1, dtype=nncore.float64)
    features, labels = (nncore.tensor(a, dtype=nncore.float64) for a in (x, y[:, None]))
    optimizer = optim.LBFGS(net.parameters(), max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    @nncore.compile
    def gradients():
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(net(features), labels, reduction="sum")
        loss = loss + 0.5 * net.weight.square().sum()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(gradients)
    np.testing.assert_allclose(net.weight.detach().numpy(), reference.coef_, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(net.bias.detach().numpy(), reference.intercept_, rtol=1e-4)


def test_fit_with_a_closure_of_its_own():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (64, 1)).astype(np.float32)
    nncore.manual_seed(0)
    model = nncore.Model(nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1)))
    model.compile(optim.LBFGS(model.parameters(), line_search_fn="strong_wolfe"), "mse")
    losses = model.fit(x, np.sin(3 * x), batch_size="full", epochs=10, verbose=0).history["loss"]
    assert losses[-1] < 1e-3 * losses[0]
    assert "a step of L-BFGS cannot be captured" in str(model.replay.reason)


def test_nan_and_nothing_to_do_end_the_search():
    p = nn.Parameter(nncore.tensor([1.0]))
    optimizer = optim.LBFGS([p], line_search_fn="strong_wolfe")

    def closure(factor):
        optimizer.zero_grad()
        loss = (p * factor).sum()
        loss.backward()
        return loss

    optimizer.step(lambda: closure(0.0))
    assert p.item() == 1.0
    assert optimizer.state[p] == {"func_evals": 1, "n_iter": 0, "old_dirs": [], "old_stps": [], "ro": [], "H_diag": 1.0}
    optimizer.step(lambda: closure(float("nan")))
    assert optimizer.state[p]["func_evals"] < 40


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda p: optim.LBFGS([p], lr=-1), ValueError, "Invalid learning rate: -1"),
        (lambda p: optim.LBFGS([p], line_search_fn="wolfe"), ValueError, "'line_search_fn' is 'wolfe'"),
        (lambda p: optim.LBFGS([{"params": [p]}, {"params": [p * 1]}]), ValueError, "non-leaf"),
        (lambda p: optim.LBFGS([{"params": [p]}, {"params": [nn.Parameter(p)]}]), ValueError, "parameter groups"),
        (lambda p: optim.LBFGS([p]).step(None), TypeError, r"LBFGS: step\(\) needs a closure"),
        (
            lambda p: nncore.compile(lambda: optim.LBFGS([p]).step(lambda: p.sum()))(),
            nncore.CaptureError,
            "the closure may be compiled",
        ),
        (
            lambda p: nncore.Model(nn.Linear(1, 1)).compile(optim.LBFGS([p]), "mse", gradient_accumulation_steps=2),
            ValueError,
            "'gradient_accumulation_steps' is 2, expected 1 for LBFGS",
        ),
    ],
)
def test_bad_arguments(make, error, match):
    with pytest.raises(error, match=match):
        make(nn.Parameter(nncore.ones(2)))
