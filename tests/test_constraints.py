"""Constraints and proximal L1: their formulas, in fit and in its replay, and an outside number for the lasso."""

import numpy as np
import pytest

import nncore
import nncore.nn.functional as F
from nncore import nn, optim
from nncore.keras import constraints, layers, models, optimizers, regularizers

W = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
NORMS = np.sqrt((W**2).sum(axis=0, keepdims=True))
CASES = [
    (constraints.MaxNorm(1.5), W * np.minimum(NORMS, 1.5) / NORMS),
    (constraints.MaxNorm(1.5, axis=1), W * np.minimum(1.5 / np.sqrt((W**2).sum(axis=1, keepdims=True)), 1)),
    (constraints.NonNeg(), np.maximum(W, 0)),
    (constraints.UnitNorm(), W / NORMS),
    (constraints.UnitNorm(axis=[0, 1]), W / np.sqrt((W**2).sum())),
    (constraints.MinMaxNorm(1.0, 2.0), W * np.clip(NORMS, 1, 2) / NORMS),
    (constraints.MinMaxNorm(1.0, 2.0, rate=0.25), W * (0.25 * np.clip(NORMS, 1, 2) + 0.75 * NORMS) / NORMS),
]


@pytest.mark.parametrize(("constraint", "expected"), CASES, ids=repr)
def test_formulas(constraint, expected):
    np.testing.assert_allclose(constraint(nncore.tensor(W)).numpy(), expected, rtol=1e-5, atol=1e-6)
    assert type(constraint).from_config(constraint.get_config()) == constraint


def data():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(24, 5)).astype(np.float32)
    return x, np.tanh(x @ W[:, :2])


def fitted(make_layers, eager, optimizer=lambda: optimizers.SGD(0.3, momentum=0.9), **options):
    nncore.manual_seed(0)
    model = models.Sequential([layers.Input((5,)), *make_layers()])
    model.compile(optimizer(), "mse", run_eagerly=eager)
    model.fit(*data(), **{"batch_size": 8, "epochs": 6, "verbose": 0, **options})
    assert eager or model.replay.reason is None
    return model


@pytest.mark.parametrize("name", ["max_norm", "non_neg", "unit_norm", "min_max_norm"])
def test_fit_holds_the_constraint_with_the_bits_of_eager(name):
    def make():
        return [
            layers.Dense(8, activation="tanh", kernel_constraint=constraints.get(name), bias_constraint="non_neg"),
            layers.Dense(2),
        ]

    runs = [fitted(make, eager) for eager in (True, False)]
    assert [w.tobytes() for w in runs[0].get_weights()] == [w.tobytes() for w in runs[1].get_weights()]
    kernel, bias = runs[1].get_weights()[:2]
    held = constraints.get(name)(nncore.tensor(kernel)).numpy()
    np.testing.assert_allclose(held, kernel, rtol=1e-5, atol=1e-6)
    assert (bias >= 0).all()
    assert (bias > 0).any()


def test_constraints_of_convolutions_and_tables():
    """Norms over the axes of a kernel in Keras's layout: (height, width, in)."""
    nncore.manual_seed(0)
    model = models.Sequential(
        [
            layers.Input((4, 4, 2)),
            layers.Conv2D(3, 2, kernel_constraint=constraints.UnitNorm(axis=(0, 1, 2))),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    model.compile(optimizers.SGD(0.1), "mse")
    model.fit(np.ones((4, 4, 4, 2)), np.ones((4, 1)), verbose=0)
    kernel = model.get_weights()[0]
    assert kernel.shape == (2, 2, 2, 3)
    np.testing.assert_allclose((kernel**2).sum(axis=(0, 1, 2)), 1, rtol=1e-5)
    table = layers.Embedding(5, 3, embeddings_constraint="non_neg")
    model = models.Sequential([table, layers.Flatten()])
    model.compile(optimizers.SGD(0.1), "mse")
    model.fit(np.arange(5).reshape(5, 1), -np.ones((5, 3)), epochs=30, verbose=0)
    assert (table.weight.array >= 0).all()


def test_a_layer_with_a_constraint_is_saved(tmp_path):
    model = models.Sequential([layers.Input((3,)), layers.Dense(2, kernel_constraint=constraints.MaxNorm(1.5, axis=1))])
    model.save(tmp_path / "model.safetensors")
    again = models.Sequential.load(tmp_path / "model.safetensors")
    assert list(again.modules())[-1].kernel_constraint == constraints.MaxNorm(1.5, axis=1)


def test_a_constraint_does_not_touch_what_is_frozen():
    layer = layers.Dense(2, kernel_constraint="unit_norm", trainable=False)
    model = fitted(lambda: [layer, layers.Dense(2)], eager=False)
    norms = np.sqrt((model.get_weights()[0] ** 2).sum(axis=0))
    assert not np.allclose(norms, 1, atol=1e-3)


# ---- proximal L1 ----
@pytest.mark.parametrize(
    ("optimizer", "share"), [(lambda: optimizers.SGD(0.1, momentum=0.5), 0.3), (lambda: optimizers.Adam(0.02), 0.02)]
)
def test_proximal_l1_gives_exact_zeros_with_the_bits_of_eager(optimizer, share):
    def make():
        return [layers.Dense(16, "tanh", kernel_regularizer=regularizers.L1(0.02, proximal=True)), layers.Dense(2)]

    runs = [fitted(make, eager, optimizer, epochs=60) for eager in (True, False)]
    assert [w.tobytes() for w in runs[0].get_weights()] == [w.tobytes() for w in runs[1].get_weights()]
    report = nn.utils.sparsity(runs[1])
    assert report["0.weight"] > share
    assert 0 < report["total"] < report["0.weight"]
    plain = fitted(lambda: [layers.Dense(16, "tanh", kernel_regularizer="l1"), layers.Dense(2)], False, optimizer)
    assert nn.utils.sparsity(plain)["0.weight"] == 0  # its gradient alone never gets there
    assert runs[0].history.history["loss"] == pytest.approx(runs[1].history.history["loss"])


def test_proximal_l1_follows_the_learning_rate_in_a_replay():
    """The threshold is lr l1, and lr changes with every step."""
    results = []
    for compiled in (False, True):
        p = nn.Parameter(nncore.linspace(-1, 1, 41))
        optimizer = optim.SGD([{"params": [p], "l1": 0.5}], lr=0.2)

        def step(t, p=p, optimizer=optimizer):
            optimizer.zero_grad()
            F.mse_loss(p, t, reduction="half_mean").backward()
            optimizer.step()

        step = nncore.compile(step) if compiled else step
        t = nncore.zeros(41)
        expected = p.array.astype(np.float64)
        for i in range(5):
            rate = optimizer.param_groups[0]["lr"] = 0.2 / (i + 1)
            step(t)
            expected = expected - rate * expected / 41
            expected = np.sign(expected) * np.maximum(np.abs(expected) - rate * 0.5, 0)
        np.testing.assert_allclose(p.array, expected, rtol=1e-5, atol=1e-6)
        results.append(p.array.tobytes())
        assert (p.array == 0).sum() == 9
    assert results[0] == results[1]


def test_the_loss_tells_the_penalty_but_its_gradient_is_left_out():
    for proximal in (False, True):
        model = models.Sequential(
            [layers.Input((1,)), layers.Dense(1, kernel_regularizer=regularizers.L1(2.0, proximal))]
        )
        model.set_weights([np.full((1, 1), 0.5), np.zeros(1)])
        model.compile(optimizers.SGD(0.1), "mse")
        assert model.train_on_batch(np.zeros((1, 1)), np.zeros((1, 1))) == pytest.approx(1.0)
        assert model.get_weights()[0].item() == pytest.approx(0.5 - 0.1 * 2.0)


def test_lasso_of_scikit_learn():
    """Gradient descent with proximal steps on 1 / (2 n) |y - X w|^2 + alpha |w|: scikit-learn's Lasso on diabetes."""
    sklearn_data = pytest.importorskip("sklearn.datasets")
    from sklearn.linear_model import Lasso

    x, y = sklearn_data.load_diabetes(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y = (y - y.mean()) / y.std()
    reference = Lasso(alpha=0.05, tol=1e-12, max_iter=100_000).fit(x, y).coef_
    weight = nn.Parameter(nncore.zeros(10, dtype=nncore.float64))
    optimizer = optim.SGD([{"params": [weight], "l1": 0.05}], lr=0.2)
    features, targets = nncore.tensor(x, dtype=nncore.float64), nncore.tensor(y, dtype=nncore.float64)

    @nncore.compile
    def step():
        optimizer.zero_grad()
        F.mse_loss(features @ weight, targets, reduction="half_mean").backward()
        optimizer.step()

    for _ in range(3000):
        step()
    np.testing.assert_allclose(weight.detach().numpy(), reference, rtol=1e-7, atol=1e-9)
    assert ((weight.detach().numpy() == 0) == (reference == 0)).all()
    assert 3 <= (reference == 0).sum() <= 7


# ---- a penalty that looks at the layout ----
@pytest.mark.parametrize("mode", ["rows", "columns"])
def test_orthogonal_regularizer_of_a_kernel(mode):
    """Rows and columns are those of Keras's kernel, (in, out); the bits in a replay are those of eager."""
    regularizer = regularizers.OrthogonalRegularizer(0.5, mode)
    matrix = W if mode == "rows" else W.T
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    cosines = np.abs(unit @ unit.T)[~np.eye(len(unit), dtype=bool)]
    assert regularizer(nncore.tensor(W)).item() == pytest.approx(0.5 * cosines.mean(), rel=1e-5)
    layer = layers.Dense(4, kernel_regularizer=regularizer, input_shape=(5,))
    layer.set_weights([W, np.zeros(4)])
    assert [penalty.item() for penalty in layer.losses] == [pytest.approx(0.5 * cosines.mean(), rel=1e-5)]
    runs = [
        fitted(lambda: [layers.Dense(4, kernel_regularizer=regularizer), layers.Dense(2)], e) for e in (True, False)
    ]
    assert [w.tobytes() for w in runs[0].get_weights()] == [w.tobytes() for w in runs[1].get_weights()]


def test_orthogonal_regularizer_of_keras():
    keras = pytest.importorskip("keras")
    for mode in ("rows", "columns"):
        expected = float(keras.regularizers.OrthogonalRegularizer(0.5, mode)(keras.ops.convert_to_tensor(W)))
        found = regularizers.OrthogonalRegularizer(0.5, mode)(nncore.tensor(W)).item()
        assert found == pytest.approx(expected, rel=1e-5)


# ---- one decay, three conventions ----
def test_conversion_of_l2():
    """L2(l) of Keras, weight_decay = 2 l of torch (coupled), alpha = 2 n l of scikit-learn's alpha / (2 n) |w|^2."""
    x, y = data()
    strength, n = 0.03, len(x)

    def descended(loss_of, weight_decay=0.0):
        weight = nn.Parameter(nncore.tensor(W[:, :2]))
        optimizer = optim.SGD([weight], lr=0.1, momentum=0.9, weight_decay=weight_decay)
        for _ in range(10):
            optimizer.zero_grad()
            loss_of(weight).backward()
            optimizer.step()
        return weight.detach().numpy()

    def plain(weight):
        return F.mse_loss(nncore.tensor(x) @ weight, nncore.tensor(y))

    keras = descended(lambda w: plain(w) + regularizers.L2(strength)(w))
    torch = descended(plain, weight_decay=2 * strength)
    alpha = 2 * n * strength
    sklearn = descended(lambda w: plain(w) + alpha / (2 * n) * w.square().sum())
    np.testing.assert_allclose(torch, keras, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(sklearn, keras, rtol=1e-4, atol=1e-6)
    # Decoupled decay is the same for plain gradient descent only: p *= 1 - lr weight_decay before the step.
    decoupled = optimizers.SGD(0.1, weight_decay=2 * strength)
    weight = nn.Parameter(nncore.tensor(W[:, :2]))
    decoupled.bind([weight])
    other = nn.Parameter(nncore.tensor(W[:, :2]))
    coupled = optim.SGD([other], lr=0.1, weight_decay=2 * strength)
    for optimizer, parameter in ((decoupled, weight), (coupled, other)):
        plain(parameter).backward()
        optimizer.step()
    np.testing.assert_allclose(weight.array, other.array, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: constraints.MaxNorm(-1), "MaxNorm: argument 'max_value' is -1"),
        (lambda: constraints.MinMaxNorm(rate=-1), "MinMaxNorm: argument 'rate' is -1"),
        (lambda: constraints.get("nope"), "constraint: 'nope' is unknown, expected one of max_norm"),
        (lambda: regularizers.OrthogonalRegularizer(mode="all"), "OrthogonalRegularizer: argument 'mode' is 'all'"),
        (lambda: regularizers.OrthogonalRegularizer()(W[0]), r"OrthogonalRegularizer: argument 'x' has shape \(4,\)"),
        (lambda: regularizers.L1(-1, proximal=True), "L1: argument 'l1' is -1"),
        (lambda: optim.SGD([{"params": [nn.Parameter(nncore.zeros(1))], "l1": -1}]), "Invalid l1 value: -1"),
    ],
)
def test_bad_arguments(make, match):
    with pytest.raises(ValueError, match=match):
        make()
