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


# ---- against scikit-learn ----
def in_batches(metric, y, scores, weight=None):
    metric.reset_state()
    for rows in (slice(0, 7), slice(7, 8), slice(8, N)):
        metric.update_state(y[rows], scores[rows], None if weight is None else weight[rows])
    return metric.result()


TIED = np.round(SCORES, 1)  # many equal scores


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_scores_of_scikit_learn(weight):
    of = pytest.importorskip("sklearn.metrics")
    options = {} if weight is None else {"sample_weight": weight}
    for scores in (SCORES, TIED):
        y, column = YES[:, 0], scores[:, 0]
        assert in_batches(metrics.AUC(), y, column, weight) == pytest.approx(of.roc_auc_score(y, column, **options))
        precision = of.average_precision_score(y, column, **options)
        assert in_batches(metrics.AUC(curve="PR"), y, column, weight) == pytest.approx(precision)
    predicted = SCORES.argmax(axis=1)
    for average in (None, "macro", "micro", "weighted"):
        expected = of.f1_score(LABELS, predicted, average=average, **options)
        for labels in (LABELS, ONE_HOT):
            assert in_batches(metrics.F1Score(average), labels, SCORES, weight) == pytest.approx(expected)
    for threshold in (0.3, 0.5):
        expected = of.f1_score(YES[:, 0], SCORES[:, 0] > threshold, **options)
        f1 = metrics.F1Score(threshold=threshold)
        assert in_batches(f1, YES[:, :1], SCORES[:, :1], weight) == pytest.approx(expected)
        expected = of.f1_score(YES, threshold < SCORES, average="macro", **options)
        assert in_batches(metrics.F1Score("macro", threshold), YES, SCORES, weight) == pytest.approx(expected)
    values = 1000 + SCORES * np.arange(1, 6)
    found = in_batches(metrics.R2Score(), values, values + 0.3 * TIED, weight)
    assert found == pytest.approx(of.r2_score(values, values + 0.3 * TIED, **options), rel=1e-5)
    for labels, predictions in ((LABELS, predicted), (YES[:, 0].astype(int), (SCORES[:, 0] > 0.5).astype(int))):
        np.testing.assert_array_equal(confusion_matrix(labels, predictions), of.confusion_matrix(labels, predictions))
    found = in_batches(metrics.SparseTopKCategoricalAccuracy(k=2), LABELS, SCORES, weight)
    assert found == pytest.approx(of.top_k_accuracy_score(LABELS, SCORES, k=2, **options))
    rmse = np.sqrt(of.mean_squared_error(YES, SCORES, **options))
    assert in_batches(metrics.RootMeanSquaredError(), YES, SCORES, weight) == pytest.approx(rmse, rel=1e-6)


def test_scores_of_nothing():
    assert metrics.AUC().result() == 0.0
    assert metrics.AUC()([1, 1], [0.1, 0.2]) == 0.0
    assert metrics.AUC(curve="PR")([0, 0], [0.1, 0.2]) == 0.0
    assert metrics.R2Score().result() == 0.0
    assert metrics.R2Score()([2.0, 2.0], [2.0, 2.0]) == 1.0
    assert metrics.R2Score()([2.0, 2.0], [2.0, 3.0]) == 0.0
    assert metrics.F1Score(threshold=0.5)([[0], [0]], [[0.1], [0.2]]) == 0.0
    with pytest.raises(ValueError, match="needs a threshold"):
        metrics.F1Score()([[0], [1]], [[0.1], [0.2]])
    with pytest.raises(ValueError, match="F1Score: argument 'average' is 'mean'"):
        metrics.F1Score("mean")
    with pytest.raises(ValueError, match="a class outside 0 to 1"):
        metrics.F1Score()([0, -1], [[0.1, 0.9], [0.2, 0.8]])
    assert np.isnan(metrics.AUC()([0, 1], [0.1, np.nan]))
    with pytest.raises(ValueError, match="AUC: argument 'curve' is 'roc'"):
        metrics.AUC(curve="roc")
    with pytest.raises(ValueError, match=r"f1_score: argument 'y_true' has shape \(2, 3\)"):
        metrics.F1Score()(np.zeros((2, 3)), np.zeros((2, 2)))


def test_scores_by_name_in_fit(capsys, tmp_path):
    """A score per class is a list in the logs, on the line of the epoch and in the file."""
    model = Model(nn.Sequential(nn.Linear(CLASSES, CLASSES), nn.Softmax(-1)))
    names = ["auc", "f1_score", "r2", metrics.F1Score(name="each")]
    model.compile("adam", "categorical_crossentropy", metrics=names)
    logger = nncore.keras.callbacks.CSVLogger(tmp_path / "log.csv")
    history = model.fit(SCORES, ONE_HOT, epochs=2, verbose=2, callbacks=[logger]).history
    assert history.keys() == {"loss", "auc", "f1_score", "r2", "each"}
    assert len(history["each"][1]) == CLASSES
    assert np.mean(history["each"][1]) == pytest.approx(history["f1_score"][1])
    assert "each=[" in capsys.readouterr().out
    assert str(history["each"][1]) in (tmp_path / "log.csv").read_text()


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
