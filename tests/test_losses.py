"""Losses of both faces: torch's modules and functions against torch, Keras's against their formulas, reductions, replay."""

import numpy as np
import pytest

import nncore
import nncore.nn.functional as F
from nncore import nn
from nncore.keras import losses

RNG = np.random.default_rng(0)
A, B, C = RNG.normal(size=(3, 5, 4))
P, Q = (np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in (A, B))
SIGNS = np.where(B > 0, 1.0, -1.0)
COUNTS = RNG.poisson(3.0, (5, 4)).astype(float)
MEANS = ("mean", "sum", "none")

# module, options, arguments
TORCH = [
    ("KLDivLoss", {}, (np.log(P), Q)),
    ("KLDivLoss", {"reduction": "batchmean"}, (np.log(P), np.where(Q < 0.1, 0, Q))),
    ("KLDivLoss", {"log_target": True}, (np.log(P), np.log(Q))),
    ("PoissonNLLLoss", {}, (A, COUNTS)),
    ("PoissonNLLLoss", {"log_input": False, "full": True}, (np.abs(A), COUNTS)),
    ("GaussianNLLLoss", {}, (A, B, np.abs(C))),
    ("GaussianNLLLoss", {"full": True, "eps": 0.5}, (A, B, np.abs(C[:, :1]))),
    ("GaussianNLLLoss", {}, (A, B, np.abs(C[:, 0]))),
    ("SoftMarginLoss", {}, (30 * A, SIGNS)),
    ("MarginRankingLoss", {"margin": 0.3}, (A, B, SIGNS)),
    ("TripletMarginLoss", {}, (A, B, C)),
    ("TripletMarginLoss", {"margin": 2.0, "p": 1.0, "swap": True}, (A, B, C)),
    ("CosineEmbeddingLoss", {}, (A, B, SIGNS[:, 0])),
    ("CosineEmbeddingLoss", {"margin": 0.2}, (A, B, SIGNS[:, 0])),
]


@pytest.mark.filterwarnings("ignore:reduction")  # torch's, of KLDivLoss with "mean"
@pytest.mark.parametrize(("name", "options", "arguments"), TORCH)
def test_values_and_gradients_of_torch(name, options, arguments):
    torch = pytest.importorskip("torch")
    for reduction in (options["reduction"],) if "reduction" in options else MEANS:
        values = []
        for library in (torch, nncore):
            tensors = [library.tensor(a, requires_grad=i == 0, dtype=library.float64) for i, a in enumerate(arguments)]
            loss = getattr(library.nn, name)(**{**options, "reduction": reduction})(*tensors)
            loss.sum().backward()
            values.append((loss.detach().numpy(), tensors[0].grad.numpy()))
        for ours, theirs in zip(values[1], values[0], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_similarities_of_torch():
    torch = pytest.importorskip("torch")
    a, b = torch.tensor(A), torch.tensor(B)
    ours = nncore.tensor(A, dtype=nncore.float64), nncore.tensor(B, dtype=nncore.float64)
    for dim in (0, 1):
        expected = torch.nn.CosineSimilarity(dim)(a, b).numpy()
        np.testing.assert_allclose(nn.CosineSimilarity(dim)(*ours).numpy(), expected, rtol=1e-12)
    for options in ({}, {"p": 1.0}, {"p": 3.0, "keepdim": True}):
        expected = torch.nn.PairwiseDistance(**options)(a, b).numpy()
        np.testing.assert_allclose(nn.PairwiseDistance(**options)(*ours).numpy(), expected, rtol=1e-12)
    zero = nncore.zeros(1, 3, requires_grad=True)
    nn.CosineSimilarity()(zero, nncore.ones(1, 3)).sum().backward()
    assert np.isfinite(zero.grad.numpy()).all()


def test_half_mean_is_the_form_with_one_half():
    """Mean squared errors as 1 / (2 m) sum, of every loss that has a mean."""
    x, t = nncore.tensor(A), nncore.tensor(B)
    assert F.mse_loss(x, t, reduction="half_mean").item() == pytest.approx(np.square(A - B).sum() / (2 * A.size))
    assert nn.MSELoss(reduction="half_mean")(x, t).item() == F.mse_loss(x, t).item() / 2
    labels = nncore.tensor([0, 1, 2, 3, 1])
    for loss, target in [
        (nn.CrossEntropyLoss, labels),
        (nn.NLLLoss, labels),
        (nn.L1Loss, t),
        (nn.HuberLoss, t),
        (nn.SmoothL1Loss, t),
        (nn.BCEWithLogitsLoss, nncore.tensor(Q)),
    ]:
        assert loss(reduction="half_mean")(x, target).item() == loss()(x, target).item() / 2
    assert losses.MeanSquaredError("half_mean")(B, A).item() == losses.MeanSquaredError()(B, A).item() / 2
    weight = np.arange(5.0)
    halved = losses.MeanSquaredError("half_mean")(B, A, weight).item()
    assert halved == losses.MeanSquaredError()(B, A, weight).item() / 2
    sparse = [losses.SparseCategoricalCrossentropy(ignore_class=1, reduction=r) for r in ("half_mean", "mean")]
    for w in (None, weight):
        half, whole = (loss([0, 1, 2, 3, 1], P, w).item() for loss in sparse)
        assert half == pytest.approx(whole / 2)


def sums(x):
    return x.sum(axis=-1)


def means(x):
    return x.mean(axis=-1)


ONE_HOT = np.eye(4)[[0, 1, 2, 3, 1]]
# function, its losses of the samples in NumPy, y_true, y_pred; Keras 3.15 gives the same
KERAS = [
    ("mean_absolute_percentage_error", means(100 * np.abs(A - B) / np.abs(A)), A, B),
    ("mean_squared_logarithmic_error", means((np.log1p(P) - np.log1p(Q)) ** 2), P, Q),
    ("log_cosh", means(np.log(np.cosh(A - B))), A, B),
    ("poisson", means(P - COUNTS * np.log(P + 1e-7)), COUNTS, P),
    ("sum_of_squares", sums((A - B) ** 2), A, B),
    ("sum_of_absolute_differences", sums(np.abs(A - B)), A, B),
    ("kl_divergence", sums(P * np.log(P / Q)), P, Q),
    ("hinge", means(np.maximum(0, 1 - SIGNS * A)), SIGNS, A),
    ("hinge", means(np.maximum(0, 1 - SIGNS * A)), (SIGNS + 1) / 2, A),
    ("squared_hinge", means(np.maximum(0, 1 - SIGNS * A) ** 2), (SIGNS + 1) / 2, A),
    ("categorical_hinge", np.maximum(0, 1 + np.where(ONE_HOT, 0, A).max(1) - sums(ONE_HOT * A)), ONE_HOT, A),
    ("cosine_similarity", -sums(A * B) / np.sqrt(sums(A * A) * sums(B * B)), A, B),
]


@pytest.mark.parametrize(("name", "expected", "y_true", "y_pred"), KERAS)
def test_formulas_of_keras(name, expected, y_true, y_pred):
    y_true, y_pred = (nncore.tensor(y, dtype=nncore.float64) for y in (y_true, y_pred))
    function = getattr(losses, name)
    np.testing.assert_allclose(function(y_true, y_pred).numpy(), expected, rtol=1e-6, atol=1e-9)
    loss = losses.get(name)
    assert type(losses.get(function)) is type(loss)
    total = expected.sum() if name.startswith("sum_of") else expected.mean()
    assert loss(y_true, y_pred).item() == pytest.approx(total, rel=1e-6)
    assert type(loss)(reduction="sum")(y_true, y_pred).item() == pytest.approx(expected.sum(), rel=1e-6)
    assert type(loss)(reduction="mean")(y_true, y_pred).item() == pytest.approx(expected.mean(), rel=1e-6)
    weight = np.arange(5.0)
    weighted = type(loss)(reduction="sum")(y_true, y_pred, weight).item()
    assert weighted == pytest.approx((weight * expected).sum(), rel=1e-6)


def test_keras_gives_the_same():
    keras = pytest.importorskip("keras")
    for name, _, y_true, y_pred in KERAS:
        if not name.startswith("sum_of"):
            expected = np.asarray(getattr(keras.losses, name)(y_true, y_pred))
            np.testing.assert_allclose(getattr(losses, name)(y_true, y_pred).numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("short", "formula"), [("ssr", lambda e: e**2), ("sad", np.abs)])
def test_sums_by_name_in_compile(short, formula):
    """The loss that fit minimises is the sum over all rows and outputs, so its gradient is, too."""
    nncore.manual_seed(0)
    model = nncore.Model(nn.Linear(4, 4))
    model.compile(nncore.keras.optimizers.SGD(0.01), short)
    error = model.predict(A) - B.astype(np.float32)
    assert model.evaluate(A, B, batch_size="full") == pytest.approx(formula(error).sum(), rel=1e-5)
    before = model.module.bias.array.copy()
    model.train_on_batch(A, B)
    slope = (2 * error if short == "ssr" else np.sign(error)).sum(axis=0)
    np.testing.assert_allclose(before - model.module.bias.array, 0.01 * slope, rtol=1e-4)


@pytest.mark.parametrize(
    "name", ["ssr", "sad", "log_cosh", "poisson", "kld", "hinge", "squared_hinge", "categorical_hinge"]
)
def test_fit_replays_every_loss_with_the_bits_of_eager(name):
    results = []
    for eager in (True, False):
        nncore.manual_seed(0)
        model = nncore.Model(nn.Sequential(nn.Linear(4, 4), nn.Softmax(-1)))
        model.compile("adam", name, run_eagerly=eager)
        history = model.fit(A, ONE_HOT, batch_size=2, epochs=4, verbose=0).history["loss"]
        results.append((history, [p.array.tobytes() for p in model.parameters()]))
        assert eager or model.replay.reason is None
    assert results[0] == results[1]


def test_batchmean_with_sample_weights():
    model = nncore.Model(nn.Sequential(nn.Linear(4, 4), nn.LogSoftmax(-1)))
    model.compile("sgd", nn.KLDivLoss(reduction="batchmean"))
    weight = np.arange(5.0)
    each = (P * (np.log(P) - model.predict(A))).sum(axis=1)
    assert model.evaluate(A, P, batch_size="full") == pytest.approx(each.mean(), rel=1e-5)
    found = model.evaluate(A, P, sample_weight=weight, batch_size="full")
    assert found == pytest.approx((weight * each).mean(), rel=1e-5)


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", nn.SoftMarginLoss()])
def test_accuracy_of_margins_is_divided_at_zero(loss):
    model = nncore.Model(nn.Linear(4, 1))
    model.compile("sgd", loss, metrics=["accuracy"])
    y = SIGNS[:, :1]
    assert model.evaluate(A, y)[1] == ((model.predict(A) > 0) == (y > 0)).mean()


def test_hinge_takes_labels_of_either_kind_in_a_replay():
    """Whether labels are 0 and 1 is decided anew in every replay."""
    value = nncore.compile(lambda y, x: losses.Hinge()(y, x))
    x = nncore.tensor(A)
    for y in (SIGNS, (SIGNS + 1) / 2, SIGNS):
        assert value(nncore.tensor(y), x).item() == pytest.approx(np.maximum(0, 1 - SIGNS * A).mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda x: F.kl_div(x, x, reduction="average"), "kl_div: argument 'reduction' is 'average'"),
        (
            lambda x: F.mse_loss(x, x, reduction="half"),
            "mse_loss: argument 'reduction' is 'half', expected one of 'mean'",
        ),
        (lambda x: F.kl_div(x, x[0]), r"kl_div: argument 'target' has shape \(4,\), expected \(5, 4\)"),
        (lambda x: F.gaussian_nll_loss(x, x, -x.abs()), "gaussian_nll_loss: argument 'var' holds -"),
        (lambda x: F.gaussian_nll_loss(x, x, x[0]), r"argument 'var' has shape \(4,\), expected \(5, 4\)"),
        (lambda x: F.gaussian_nll_loss(x, x, 1.0, eps=0), "argument 'eps' is 0"),
        (lambda x: F.triplet_margin_loss(x, x, x[:1]), r"triplet_margin_loss: argument 'target' has shape \(1, 4\)"),
        (lambda x: nn.TripletMarginLoss(margin=0), "TripletMarginLoss: argument 'margin' is 0"),
        (lambda x: F.cosine_embedding_loss(x, x, x), r"argument 'target' has shape \(5, 4\), expected \(5,\)"),
        (lambda x: losses.Hinge("half"), "Hinge: argument 'reduction' is 'half'"),
        (lambda x: losses.get("nope"), "argument 'loss' is 'nope', expected one of bce"),
    ],
)
def test_wrong_arguments(make, match):
    with pytest.raises(ValueError, match=match):
        make(nncore.tensor(A))
