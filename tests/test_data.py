"""Datasets, samplers, the DataLoader, and the helpers for arrays."""

from collections import namedtuple

import numpy as np
import pytest

import nncore
from nncore.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    StandardScaler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    pad_sequences,
    random_split,
    timeseries_dataset_from_array,
    to_categorical,
    train_test_split,
)


class Squares(Dataset):
    def __init__(self, n):
        self.n = n

    def __getitem__(self, index):
        if not 0 <= index < self.n:
            raise IndexError(index)
        return index * index

    def __len__(self):
        return self.n


class Count(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))


def tensor_dataset(n=10):
    x = nncore.arange(float(2 * n)).reshape(n, 2)
    return TensorDataset(x, nncore.arange(n))


# ---- datasets ----
def test_tensor_dataset():
    dataset = tensor_dataset()
    assert len(dataset) == 10
    x, y = dataset[3]
    assert (x.tolist(), y.item()) == ([6.0, 7.0], 3)
    array = np.zeros((3, 2), np.float32)
    assert np.shares_memory(TensorDataset(array).tensors[0].array, array)
    with pytest.raises(ValueError, match=r"shapes \(3, 2\), \(4,\)"):
        TensorDataset(array, np.zeros(4))


def test_concat_and_subset():
    dataset = Squares(3) + Squares(4)
    assert isinstance(dataset, ConcatDataset)
    assert [dataset[i] for i in range(7)] == [0, 1, 4, 0, 1, 4, 9]
    assert dataset[-1] == 9
    assert dataset.cumulative_sizes == [3, 7]
    with pytest.raises(IndexError):
        dataset[7]
    subset = Subset(dataset, [6, 2])
    assert (len(subset), subset[0], subset[1]) == (2, 9, 4)
    with pytest.raises(ValueError, match="empty"):
        ConcatDataset([])
    with pytest.raises(TypeError, match="IterableDataset"):
        ConcatDataset([Count(1)])


def test_random_split():
    generator = nncore.Generator(3)
    parts = random_split(Squares(10), [7, 3], generator)
    assert [len(part) for part in parts] == [7, 3]
    assert sorted(value for part in parts for value in part) == [i * i for i in range(10)]
    again = random_split(Squares(10), [0.7, 0.3], nncore.Generator(3))
    assert [part.indices for part in again] == [part.indices for part in parts]
    assert [len(part) for part in random_split(range(10), [1 / 3, 1 / 3, 1 / 3])] == [4, 3, 3]
    with pytest.raises(ValueError, match="does not equal"):
        random_split(Squares(10), [7, 4])
    with pytest.warns(UserWarning, match="empty"):
        random_split(range(1), [0.5, 0.5])


# ---- samplers ----
def test_samplers():
    source = range(6)
    assert list(SequentialSampler(source)) == [0, 1, 2, 3, 4, 5]
    shuffled = list(RandomSampler(source, generator=nncore.Generator(1)))
    assert sorted(shuffled) == list(source)
    assert shuffled == list(RandomSampler(source, generator=nncore.Generator(1)))
    assert len(list(RandomSampler(source, num_samples=4))) == 4
    twice = list(RandomSampler(source, num_samples=12))
    assert sorted(twice[:6]) == sorted(twice[6:]) == list(source)
    drawn = list(RandomSampler(source, replacement=True, num_samples=500))
    assert set(drawn) == set(source)
    assert sorted(SubsetRandomSampler([5, 3, 1])) == [1, 3, 5]
    assert list(BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    assert len(BatchSampler(range(5), 2, False)) == 3
    assert list(RandomSampler([])) == []


def test_weighted_sampler():
    generator = nncore.Generator(0)
    drawn = np.array(list(WeightedRandomSampler([1, 0, 3], 4000, generator=generator)))
    assert abs((drawn == 2).mean() - 0.75) < 0.03
    assert not (drawn == 1).any()
    assert sorted(WeightedRandomSampler([1, 0, 3], 2, replacement=False)) == [0, 2]
    first = [next(iter(WeightedRandomSampler([1, 3], 1, replacement=False, generator=generator))) for _ in range(1000)]
    assert abs(np.mean(first) - 0.75) < 0.05
    for weights in ([], [-1.0, 2.0], [0.0], [np.nan]):
        with pytest.raises(ValueError, match="weights"):
            WeightedRandomSampler(weights, 1)
    with pytest.raises(ValueError, match="cannot draw 3"):
        WeightedRandomSampler([1, 0, 3], 3, replacement=False)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: BatchSampler([], 0, False), "batch_size should be a positive"),
        (lambda: BatchSampler([], 1, 1), "drop_last should be a boolean"),
        (lambda: RandomSampler([1], num_samples=0), "num_samples should be a positive"),
        (lambda: WeightedRandomSampler([1], 0), "num_samples should be a positive"),
    ],
)
def test_sampler_errors(make, match):
    with pytest.raises(ValueError, match=match):
        make()


# ---- the loader ----
def test_loader_in_order():
    loader = DataLoader(tensor_dataset(), batch_size=4)
    batches = list(loader)
    assert len(loader) == len(batches) == 3
    assert all(isinstance(batch, list) for batch in batches)
    assert [y.tolist() for _, y in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert batches[0][1].dtype == nncore.int64
    assert len(list(DataLoader(tensor_dataset(), batch_size=4, drop_last=True))) == 2


def test_batches_do_not_share_the_dataset():
    dataset = tensor_dataset()
    for x, _ in DataLoader(dataset, batch_size=10):
        x.zero_()
    assert dataset.tensors[0][9].tolist() == [18.0, 19.0]


def test_shuffle_depends_on_the_seed_alone():
    def order(seed, threads=1):
        before = nncore.get_num_threads()
        nncore.set_num_threads(threads)
        loader = DataLoader(tensor_dataset(100), batch_size=7, shuffle=True, generator=nncore.Generator(seed))
        epochs = [[i for _, y in loader for i in y.tolist()] for _ in range(2)]
        nncore.set_num_threads(before)
        return epochs

    first, second = order(1)
    assert sorted(first) == sorted(second) == list(range(100))
    assert first != second
    assert order(1, threads=3) == [first, second]
    assert order(2) != [first, second]
    nncore.manual_seed(5)
    a = [y.tolist() for _, y in DataLoader(tensor_dataset(), shuffle=True)]
    nncore.manual_seed(5)
    assert [y.tolist() for _, y in DataLoader(tensor_dataset(), shuffle=True)] == a


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8", "bool"])
def test_whole_batches_equal_collated_samples(dtype):
    """One kernel call or sample by sample: the same values, dtypes and shapes, for every layout."""
    rng = np.random.default_rng(0)
    images = (rng.normal(size=(9, 4, 5, 3)) * 3).astype(dtype)
    arrays = [images, images.transpose(0, 3, 1, 2), images[:, ::2], np.asfortranarray(images), images[:, 0, 0, 0]]
    dataset = TensorDataset(*arrays)
    indices = [3, -1, 0, 8]
    by_gather = dataset.batches()(np.array(indices))
    by_sample = default_collate([dataset[i] for i in indices])
    for gathered, collated, array in zip(by_gather, by_sample, arrays, strict=True):
        assert gathered.dtype == collated.dtype == array.dtype
        assert np.array_equal(gathered.array, collated.array)
        assert np.array_equal(gathered.array, array[indices])
    assert by_gather[1].array.transpose(0, 2, 3, 1).flags.c_contiguous  # channels-last images stay so
    subset = Subset(dataset, [8, 3, 0])
    assert np.array_equal(next(iter(DataLoader(subset, batch_size=3)))[0].array, images[[8, 3, 0]])


def test_empty_samples_and_bad_indices():
    dataset = TensorDataset(np.zeros((4, 0), np.float32))
    assert [x.shape for (x,) in DataLoader(dataset, batch_size=3)] == [(3, 0), (1, 0)]
    assert list(DataLoader(TensorDataset(np.zeros((0, 2))), batch_size=3)) == []
    with pytest.raises((ValueError, IndexError), match="4"):
        list(DataLoader(tensor_dataset(4), sampler=[0, 4]))


def test_subclass_with_getitem_is_asked():
    class Negated(TensorDataset):
        def __getitem__(self, index):
            x, y = super().__getitem__(index)
            return -x, y

    x, _ = next(iter(DataLoader(Negated(nncore.ones(3, 2), nncore.arange(3)), batch_size=3)))
    assert x.tolist() == [[-1.0, -1.0]] * 3


def test_loader_of_anything():
    assert [x.tolist() for x in DataLoader(Squares(3), batch_size=2)] == [[0, 1], [4]]
    assert list(DataLoader(Squares(3), batch_size=None)) == [0, 1, 4]
    assert list(DataLoader(Squares(4), batch_size=2, collate_fn=sum)) == [1, 13]
    assert [
        x.tolist() for x in DataLoader(tensor_dataset(), batch_sampler=[[1], [2, 3]], collate_fn=lambda b: b[0][1])
    ] == [1, 2]
    assert [y.tolist() for _, y in DataLoader(tensor_dataset(), batch_sampler=[[1], [2, 3]])] == [[1], [2, 3]]
    assert [y.tolist() for _, y in DataLoader(tensor_dataset(), batch_size=2, sampler=[9, 0, 4])] == [[9, 0], [4]]
    assert [x.tolist() for x in DataLoader(Count(5), batch_size=2)] == [[0, 1], [2, 3], [4]]
    assert [x.tolist() for x in DataLoader(Count(5), batch_size=2, drop_last=True)] == [[0, 1], [2, 3]]
    assert list(DataLoader(Count(3), batch_size=None)) == [0, 1, 2]


def test_utils_data_is_the_same():
    from nncore.utils.data import DataLoader as Loader
    from nncore.utils.data import TensorDataset as Tensors

    assert (Loader, Tensors) == (DataLoader, TensorDataset)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"num_workers": -1}, "'num_workers' is -1, expected an int >= 0"),
        ({"prefetch_factor": 2}, "'prefetch_factor' is 2, which needs num_workers > 0"),
        ({"persistent_workers": True}, "'persistent_workers' is True, which needs num_workers > 0"),
        ({"num_workers": 1, "prefetch_factor": 0}, "'prefetch_factor' is 0, expected an int >= 1"),
        ({"num_workers": 1, "timeout": -1}, "'timeout' is -1, expected seconds >= 0"),
        ({"sampler": [0], "shuffle": True}, "mutually exclusive with shuffle"),
        ({"batch_sampler": [[0]], "batch_size": 3}, "mutually exclusive with batch_size"),
        ({"batch_size": None, "drop_last": True}, "mutually exclusive with drop_last"),
        ({"batch_size": 0}, "batch_size should be a positive"),
    ],
)
def test_loader_errors(options, match):
    with pytest.raises(ValueError, match=match):
        DataLoader(tensor_dataset(), **options)
    with pytest.raises(ValueError, match="IterableDataset"):
        DataLoader(Count(3), shuffle=True)


def test_default_collate():
    Point = namedtuple("Point", "x y")
    batch = default_collate([Point(1, {"a": 0.5}), Point(2, {"a": 1.5})])
    assert isinstance(batch, Point)
    assert batch.x.tolist() == [1, 2]
    assert batch.y["a"].dtype == nncore.float64
    assert default_collate([True, False]).dtype == nncore.bool
    assert default_collate([np.float32(1), np.float32(2)]).dtype == nncore.float32
    assert default_collate([np.ones(2, np.int32)] * 3).shape == (3, 2)
    assert default_collate(["a", "b"]) == ["a", "b"]
    with pytest.raises(TypeError, match="found NoneType"):
        default_collate([None])
    with pytest.raises(RuntimeError, match="equal size"):
        default_collate([[1], [1, 2]])


# ---- arrays ----
def test_to_categorical():
    assert to_categorical([1, 0], 3).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert to_categorical(np.array([[1], [2]])).shape == (2, 3)
    assert to_categorical(np.array([[1, 2]]), dtype="int64").dtype == np.int64
    assert to_categorical([]).shape == (0, 0)
    for bad in ([3], [-1], [0.5]):
        with pytest.raises(ValueError, match="to_categorical: argument 'x'"):
            to_categorical(bad, 3)


def test_train_test_split():
    x, y = np.arange(20).reshape(10, 2), list(range(10))
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.25, random_state=4)
    assert (len(x_train), len(x_test), len(y_train), len(y_test)) == (7, 3, 7, 3)
    assert sorted(y_train + y_test) == y
    assert np.array_equal(x_train[:, 0], 2 * np.array(y_train))
    again = train_test_split(x, y, test_size=0.25, random_state=4)
    assert again[2] == y_train
    train, test = train_test_split(x, train_size=4, shuffle=False)
    assert np.array_equal(train, x[:4])
    assert np.array_equal(test, x[4:])
    for bad in ({"test_size": 0}, {"test_size": 10}, {"test_size": 1.5}, {"test_size": 6, "train_size": 5}):
        with pytest.raises(ValueError, match="train_test_split"):
            train_test_split(x, **bad)
    with pytest.raises(ValueError, match="lengths"):
        train_test_split(x, y[:3])


def test_stratified_split():
    classes = np.array([0] * 60 + [1] * 30 + [2] * 10)
    train, test = train_test_split(np.arange(100), test_size=0.2, stratify=classes, random_state=0)
    assert np.bincount(classes[test]).tolist() == [12, 6, 2]
    assert np.bincount(classes[train]).tolist() == [48, 24, 8]
    assert sorted([*train, *test]) == list(range(100))
    assert not np.array_equal(test, np.sort(test))
    with pytest.raises(ValueError, match="class with one sample"):
        train_test_split(np.arange(3), stratify=[0, 0, 1])


def test_standard_scaler():
    x = np.random.default_rng(0).normal(3, [1, 100, 0.01], (200, 3)).astype(np.float32)
    x[:, 1] = 0.1  # a constant that float32 cannot hold
    scaler = StandardScaler()
    z = scaler.fit_transform(x)
    assert z.dtype == np.float32
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(z.std(0), [1, 0, 1], atol=1e-5)
    np.testing.assert_allclose(scaler.inverse_transform(z), x, rtol=1e-6)
    assert scaler.transform(np.array([[1, 2, 3]])).dtype == np.float64
    images = np.arange(24).reshape(2, 3, 4)
    assert StandardScaler().fit(images).transform(images)[1].tolist() == np.ones((3, 4)).tolist()
    with pytest.raises(RuntimeError, match="transform was called before fit"):
        StandardScaler().transform(x)
    with pytest.raises(ValueError, match=r"has shape \(2, 2\), expected \(samples, 3\)"):
        scaler.transform(np.ones((2, 2)))
    for bad in (np.ones((0, 3)), np.array([[np.nan]]), np.float64(1)):
        with pytest.raises(ValueError, match="StandardScaler: argument 'x'"):
            StandardScaler().fit(bad)


# ---- sequences ----
@pytest.mark.parametrize("batch_size", [2, None])
@pytest.mark.parametrize(
    ("options", "starts"),
    [
        ({"sequence_length": 3}, range(8)),
        ({"sequence_length": 3, "sequence_stride": 3}, [0, 3, 6]),
        ({"sequence_length": 3, "sampling_rate": 2}, range(6)),
        ({"sequence_length": 2, "start_index": 4, "end_index": 8}, [4, 5, 6]),
        ({"sequence_length": 1}, range(10)),
        ({"sequence_length": 10}, [0]),
    ],
)
def test_timeseries_windows(options, starts, batch_size):
    series, targets = np.arange(20.0).reshape(10, 2), np.arange(10) * 10
    loader = timeseries_dataset_from_array(series, targets, batch_size=batch_size, **options)
    length, rate = options["sequence_length"], options.get("sampling_rate", 1)
    if batch_size is None:
        windows = [x.array for x, _ in loader]
        labels = [y.item() for _, y in loader]
    else:
        assert len(loader) == -(-len(starts) // 2)
        windows = np.concatenate([x.array for x, _ in loader])
        labels = np.concatenate([y.array for _, y in loader]).tolist()
    assert labels == [10 * start for start in starts]
    expected = [series[start : start + length * rate : rate] for start in starts]
    assert np.array_equal(windows, expected)
    assert windows[0].dtype == np.float64


def test_timeseries_without_targets_and_with_few():
    series = np.arange(6, dtype=np.float32)
    [x] = timeseries_dataset_from_array(series, None, 4)
    assert x.tolist() == [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5]]
    [(x, y)] = timeseries_dataset_from_array(series, series[4:], 2)
    assert (x.tolist(), y.tolist()) == ([[0, 1], [1, 2]], [4, 5])


def test_timeseries_shuffles_by_its_seed():
    def order(seed, passes=1):
        loader = timeseries_dataset_from_array(np.arange(50), None, 3, batch_size=7, shuffle=True, seed=seed)
        return [[row[0] for batch in loader for row in batch.tolist()] for _ in range(passes)]

    first, second = order(1, 2)
    assert sorted(first) == sorted(second) == list(range(48))
    assert first != second
    assert order(1) == [first]
    assert order(2) != [first]


def test_timeseries_trains_a_model():
    series = np.sin(np.arange(200, dtype=np.float32) / 5)
    loader = timeseries_dataset_from_array(series[:-4], series[4:], 4, batch_size=32, shuffle=True, seed=0)
    nncore.manual_seed(0)
    model = nncore.Model(nncore.nn.Linear(4, 1))
    model.compile(nncore.optim.Adam(model.parameters(), lr=0.05), lambda y, p: ((y - p[:, 0]) ** 2).mean())
    assert model.fit(loader, epochs=20, verbose=0).history["loss"][-1] < 0.01


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"sequence_length": 0}, "'sequence_length' is 0, expected an int >= 1"),
        ({"sequence_stride": 1.5}, "'sequence_stride' is 1.5, expected an int >= 1"),
        ({"sampling_rate": -1}, "'sampling_rate' is -1"),
        ({"start_index": 10}, "'start_index' is 10, expected an int from 0 to 9"),
        ({"start_index": 4, "end_index": 4}, "'end_index' is 4, expected an int from 5 to 10"),
        ({"sequence_length": 11}, "10 steps hold no window of 11 steps with sampling_rate=1"),
        ({"targets": []}, "10 steps and 0 targets hold no window"),
        ({"data": 1.0}, "'data' is a single number"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_timeseries_errors(options, match):
    arguments = {"data": np.arange(10.0), "targets": None, "sequence_length": 3, **options}
    with pytest.raises(ValueError, match=match):
        timeseries_dataset_from_array(**arguments)


def test_pad_sequences():
    ragged = [[1], [2, 3], [4, 5, 6]]
    assert pad_sequences(ragged).tolist() == [[0, 0, 1], [0, 2, 3], [4, 5, 6]]
    assert pad_sequences(ragged).dtype == np.int32
    assert pad_sequences(ragged, padding="post", value=9).tolist() == [[1, 9, 9], [2, 3, 9], [4, 5, 6]]
    assert pad_sequences(ragged, maxlen=2).tolist() == [[0, 1], [2, 3], [5, 6]]
    assert pad_sequences(ragged, maxlen=2, truncating="post", padding="post").tolist() == [[1, 0], [2, 3], [4, 5]]
    assert pad_sequences(ragged, maxlen=0).shape == (3, 0)
    vectors = pad_sequences([np.ones((1, 2)), np.ones((3, 2)), []], dtype="float32", value=-1.0)
    assert (vectors.shape, vectors.dtype) == ((3, 3, 2), np.float32)
    assert vectors[0].tolist() == [[-1, -1], [-1, -1], [1, 1]]
    assert (vectors[2] == -1).all()
    assert pad_sequences([], maxlen=2).shape == (0, 2)
    assert nncore.keras.utils.pad_sequences is pad_sequences


@pytest.mark.parametrize(
    ("sequences", "options", "match"),
    [
        ([1, 2], {}, "element 0 of argument 'sequences' is 1"),
        ([[[1], [1, 2]]], {}, "sequence 0 of argument 'sequences' has elements of different shapes"),
        ([[1], [[1, 2]]], {}, r"elements of shapes \[\(\), \(2,\)\]"),
        ([[1]], {"padding": "left"}, "'padding' is 'left', expected 'pre' or 'post'"),
        ([[1]], {"maxlen": -1}, "'maxlen' is -1"),
    ],
)
def test_pad_sequences_errors(sequences, options, match):
    with pytest.raises(ValueError, match=match):
        pad_sequences(sequences, **options)
