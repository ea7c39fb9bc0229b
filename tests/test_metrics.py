"""Metrics: the formulas, batch by batch, with sample weights, and the accuracy that fits."""

import numpy as np
import pytest

import nncore
from nncore import nn
from nncore.keras import metrics
from nncore.training import Model, confusion_matrix

RNG = np.random.default_rng(0)
N, CLASSES = 60, 5
SCORES = RNG.uniform(size=(N, CLASSES)).astype(np.float32)
LABELS = RNG.integers(0, CLASSES, N)
ONE_HOT = np.eye(CLASSES)[LABELS]
YES = (RNG.uniform(size=(N, CLASSES)) > 0.5).astype(np.float32)
WEIGHT = RNG.uniform(size=N)

HITS = SCORES.argmax(axis=1) == LABELS
TOP2 = (np.argsort(-SCORES, axis=1)[:, :2] == LABELS[:, None]).any(axis=1)

CASES = [
    (metrics.BinaryAccuracy(), YES, ((SCORES > 0.5) == YES).mean(axis=1)),
    (metrics.BinaryAccuracy(threshold=0.3), YES, ((SCORES > 0.3) == YES).mean(axis=1)),
    (metrics.CategoricalAccuracy(), ONE_HOT, HITS),
    (metrics.SparseCategoricalAccuracy(), LABELS, HITS),
    (metrics.SparseCategoricalAccuracy(), LABELS[:, None], HITS),
    (metrics.TopKCategoricalAccuracy(k=2), ONE_HOT, TOP2),
    (metrics.SparseTopKCategoricalAccuracy(k=2), LABELS, TOP2),
    (metrics.MeanSquaredError(), YES, np.square(SCORES - YES).mean(axis=1)),
    (metrics.MeanAbsoluteError(), YES, np.abs(SCORES - YES).mean(axis=1)),
]


@pytest.mark.parametrize(("metric", "y", "per_sample"), CASES, ids=lambda v: getattr(v, "name", None))
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_mean_over_samples_in_uneven_batches(metric, y, per_sample, weight):
    metric.reset_state()
    assert metric.result() == 0.0
    for rows in (slice(0, 7), slice(7, 8), slice(8, N)):
        metric.update_state(y[rows], nncore.from_numpy(SCORES[rows]), None if weight is None else weight[rows])
    assert metric.result() == pytest.approx(np.average(per_sample, weights=weight), rel=1e-6)
    metric.reset_state()
    assert metric(y[:4], SCORES[:4]) == pytest.approx(per_sample[:4].mean(), rel=1e-6)


def test_root_mean_squared_error():
    metric = metrics.RootMeanSquaredError()
    metric.update_state(YES[:10], SCORES[:10])
    metric.update_state(YES[10:], SCORES[10:])
    assert metric.result() == pytest.approx(np.sqrt(np.square(SCORES - YES).mean()), rel=1e-6)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("column", [None, 2])
def test_precision_and_recall(weight, column):
    precision, recall = metrics.Precision(thresholds=0.4, class_id=column), metrics.Recall(0.4, column)
    for rows in (slice(0, 11), slice(11, N)):
        part = None if weight is None else weight[rows]
        precision.update_state(YES[rows], SCORES[rows], part)
        recall.update_state(YES[rows], SCORES[rows], part)
    columns = slice(None) if column is None else slice(column, column + 1)
    w = (np.ones(N) if weight is None else weight)[:, None]
    found, right = SCORES[:, columns] > 0.4, YES[:, columns] > 0.5
    assert precision.result() == pytest.approx((w * (found & right)).sum() / (w * found).sum())
    assert recall.result() == pytest.approx((w * (found & right)).sum() / (w * right).sum())


def test_nothing_found_is_no_division_by_zero():
    precision, recall = metrics.Precision(), metrics.Recall()
    assert precision([0, 1], [0.1, 0.2]) == 0.0
    assert recall([0, 0], [0.9, 0.9]) == 0.0


def test_a_missing_last_axis_and_nothing_else_is_forgiven():
    assert metrics.MeanSquaredError()(np.zeros(4), np.ones((4, 1))) == 1.0
    assert metrics.BinaryAccuracy()([[1], [0]], [0.9, 0.1]) == 1.0
    for metric in (metrics.BinaryAccuracy(), metrics.MeanSquaredError(), metrics.Precision()):
        with pytest.raises(ValueError, match=r"argument 'y_true' has shape \(4, 3\), expected \(4, 2\) as 'y_pred'"):
            metric(np.zeros((4, 3)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"categorical_accuracy: argument 'y_true' has shape \(4,\)"):
        metrics.CategoricalAccuracy()(np.zeros(4), np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"argument 'y_true' has shape \(3,\), expected \(4,\)"):
        metrics.SparseCategoricalAccuracy()(np.zeros(3), np.zeros((4, 2)))


def test_a_score_of_nan_is_never_in_the_top():
    scores = np.array([[np.nan, 0.1, 0.2]])
    assert metrics.SparseTopKCategoricalAccuracy(k=2)([0], scores) == 0.0


# ---- the accuracy that fits ----
@pytest.mark.parametrize(
    ("loss", "outputs", "y", "expected"),
    [
        ("binary_crossentropy", 1, YES[:, 0], metrics.BinaryAccuracy),
        ("binary_crossentropy", 5, YES, metrics.BinaryAccuracy),
        ("mse", 1, YES[:, :1], metrics.BinaryAccuracy),
        ("categorical_crossentropy", 5, ONE_HOT, metrics.CategoricalAccuracy),
        ("mse", 5, ONE_HOT, metrics.CategoricalAccuracy),
        ("sparse_categorical_crossentropy", 5, LABELS, metrics.SparseCategoricalAccuracy),
        ("sparse_categorical_crossentropy", 5, LABELS[:, None], metrics.SparseCategoricalAccuracy),
        (nn.CrossEntropyLoss(), 5, LABELS, metrics.SparseCategoricalAccuracy),
        (nn.CrossEntropyLoss(), 5, ONE_HOT, metrics.CategoricalAccuracy),
        (nn.BCELoss(), 5, YES, metrics.BinaryAccuracy),
    ],
)
@pytest.mark.parametrize("name", ["accuracy", "acc"])
def test_accuracy(loss, outputs, y, expected, name):
    nncore.manual_seed(0)
    model = Model(nn.Sequential(nn.Linear(CLASSES, outputs), nn.Sigmoid()))
    model.compile("adam", loss, metrics=[name])
    logs = model.evaluate(SCORES, y, return_dict=True)
    assert type(model.metrics[0].chosen) is expected
    assert logs[name] == expected()(y, model.predict(SCORES))


@pytest.mark.parametrize("loss", [nn.BCEWithLogitsLoss(), nncore.keras.losses.BinaryCrossentropy(from_logits=True)])
def test_accuracy_of_logits_is_divided_at_zero(loss):
    nncore.manual_seed(0)
    model = Model(nn.Linear(CLASSES, 1))
    model.compile("adam", loss, metrics=["accuracy"])
    y = YES[:, 0]
    assert model.evaluate(SCORES, y)[1] == ((model.predict(SCORES)[:, 0] > 0) == y).mean()


def test_functions_as_metrics():
    def per_sample(y_true, y_pred):
        return np.abs(y_true - y_pred).max(axis=1)

    def of_the_batch(y_true, y_pred):
        return np.abs(y_true - y_pred).mean()

    model = Model(nn.Linear(CLASSES, CLASSES))
    model.compile("adam", "mse", metrics=[per_sample, of_the_batch])
    logs = model.evaluate(SCORES, YES, return_dict=True)
    errors = np.abs(model.predict(SCORES) - YES)
    assert logs["per_sample"] == pytest.approx(errors.max(axis=1).mean())
    assert logs["of_the_batch"] == pytest.approx(errors.mean())


def test_get():
    assert isinstance(metrics.get("mse"), metrics.MeanSquaredError)
    assert metrics.get("mse").name == "mse"
    assert isinstance(metrics.get(metrics.Recall), metrics.Recall)
    with pytest.raises(ValueError, match="compile: argument 'metrics' has 'nope'"):
        metrics.get("nope")
    with pytest.raises(TypeError, match="compile: argument 'metrics' has a int"):
        metrics.get(3)


# ---- the confusion matrix ----
def test_confusion_matrix():
    expected = np.zeros((CLASSES, CLASSES), np.int64)
    for label, prediction in zip(LABELS, SCORES.argmax(axis=1), strict=True):
        expected[label, prediction] += 1
    for labels in (LABELS, LABELS[:, None], ONE_HOT, nncore.from_numpy(LABELS)):
        for predictions in (SCORES, SCORES.argmax(axis=1)):
            np.testing.assert_array_equal(confusion_matrix(labels, predictions), expected)
    assert confusion_matrix([0, 1], [1, 0], num_classes=4).shape == (4, 4)
    assert confusion_matrix([], []).shape == (0, 0)


def test_confusion_matrix_of_wrong_data():
    with pytest.raises(ValueError, match="argument 'predictions' has 2 samples, expected 3 as in 'labels'"):
        confusion_matrix([0, 1, 2], [0, 1])
    with pytest.raises(ValueError, match="there is a class 2, expected 0 to 1"):
        confusion_matrix([0, 2], [0, 1], num_classes=2)
    with pytest.raises(ValueError, match="there is a class -1"):
        confusion_matrix([0, -1], [0, 1])
