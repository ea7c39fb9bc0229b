"""The shipped digits, the generators, the split, and the readers of the user's own files."""

import gzip
import struct
import zipfile
from importlib.resources import files

import numpy as np
import pytest

from nncore import datasets

GENERATORS = ["xor", "moons", "circles", "blobs", "spirals", "sine", "exam"]


# ---- the digits ----
def test_digits_are_the_1797_images_of_the_uci_test_set():
    images, labels = datasets.load_digits()
    assert images.shape == (1797, 8, 8)
    assert images.dtype == np.float32
    assert labels.shape == (1797,)
    assert labels.dtype == np.int64
    assert (images.min(), images.max()) == (0, 16)
    assert (images == np.rint(images)).all()
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_first_digit_is_the_published_zero():
    images, labels = datasets.load_digits()
    assert labels[0] == 0
    assert images[0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert images[0, 7].tolist() == [0, 0, 6, 13, 10, 0, 0, 0]


def test_every_call_gives_arrays_of_its_own():
    images, _ = datasets.load_digits()
    images[:] = -1
    assert datasets.load_digits()[0].min() == 0


def test_shipped_data_is_small_and_states_source_and_licence():
    folder = files("nncore.datasets") / "data"
    assert sum(len(file.read_bytes()) for file in folder.iterdir()) <= 100_000
    text = (folder / "README.md").read_text(encoding="utf-8")
    for words in ("digits.npz", "UCI Machine Learning Repository", "CC BY 4.0", "Alpaydin", "Changes made"):
        assert words in text


# ---- generators ----
@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("n", [0, 1, 2, 7, 100])
def test_generators_give_n_float32_samples_and_a_target_for_each(name, n):
    x, y = getattr(datasets, name)(n)
    assert len(x) == len(y) == n
    assert x.ndim == 2
    assert x.dtype == np.float32
    assert y.dtype == (np.float32 if name == "sine" else np.int64)
    assert np.isfinite(x).all()


@pytest.mark.parametrize("name", GENERATORS)
def test_generators_repeat_with_their_seed(name):
    make = getattr(datasets, name)
    noise = {} if name in ("exam", "blobs") else {"noise": 0.1}
    first, again, other = make(50, seed=1, **noise), make(50, seed=1, **noise), make(50, seed=2, **noise)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("name", GENERATORS)
def test_generators_refuse_a_negative_count(name):
    with pytest.raises(ValueError, match=f"{name}: argument 'n' is -1"):
        getattr(datasets, name)(-1)


def test_xor_is_the_exclusive_or():
    x, y = datasets.xor()
    assert [(a, b, int(label)) for (a, b), label in zip(x.tolist(), y, strict=True)] == [
        (0, 0, 0),
        (0, 1, 1),
        (1, 0, 1),
        (1, 1, 0),
    ]


def test_moons_lie_on_two_half_circles():
    x, y = datasets.moons(101)
    np.testing.assert_allclose(np.hypot(*x[y == 0].T), 1, rtol=1e-6)
    np.testing.assert_allclose(np.hypot(*(x[y == 1] - [1, 0.5]).T), 1, rtol=1e-6)
    assert np.bincount(y).tolist() == [51, 50]


def test_circles_have_their_radii():
    x, y = datasets.circles(101, factor=0.3)
    np.testing.assert_allclose(np.hypot(*x.T), np.where(y == 0, 1, 0.3), rtol=1e-6)


def test_blobs_gather_around_their_centres():
    x, y = datasets.blobs(4000, classes=4, spread=0.5)
    centres = np.stack([x[y == label].mean(axis=0) for label in range(4)])
    np.testing.assert_allclose(centres, [[5, 0], [0, 5], [-5, 0], [0, -5]], atol=0.1)
    np.testing.assert_allclose([x[y == label].std() for label in (0, 2)], np.sqrt(0.25 + 6.25), atol=0.1)


def test_spirals_have_one_arm_a_class():
    x, y = datasets.spirals(99, classes=3, noise=0)
    assert np.bincount(y).tolist() == [33, 33, 33]
    for label in range(3):
        radius = np.hypot(*x[y == label].T)
        np.testing.assert_allclose(radius, np.linspace(0, 1, 33), atol=1e-6)


def test_sine_is_one_period():
    x, y = datasets.sine(1001)
    np.testing.assert_allclose(y, np.sin(2 * np.pi * x.astype(np.float64)), atol=1e-6)
    assert (x[0], x[-1]) == (0, 1)


def test_exam_does_not_depend_on_the_name():
    x, y = datasets.exam(500)
    np.testing.assert_array_equal(y, x.astype(np.float64) @ [0.5, 0.3, 0.2, 0] > 0.5)
    assert 0.3 < y.mean() < 0.7


def test_surfing_is_decided_by_the_weighted_sum():
    x, y = datasets.surfing()
    assert len({tuple(row) for row in x.tolist()}) == 8
    np.testing.assert_array_equal(y, x @ [5, 2, 4] >= 3)


# ---- train_test_split ----
def test_split_gives_every_class_its_share():
    images, labels = datasets.load_digits()
    x_train, y_train, x_test, y_test = datasets.train_test_split(images, labels, 0.2, seed=3)
    assert len(x_train) + len(x_test) == 1797
    np.testing.assert_array_equal(np.bincount(y_test), np.rint(0.2 * np.bincount(labels)))
    both = np.concatenate([x_train, x_test]).reshape(1797, -1)
    np.testing.assert_array_equal(np.unique(both, axis=0), np.unique(images.reshape(1797, -1), axis=0))
    assert (np.diff(y_train) != 0).mean() > 0.5  # shuffled, not sorted by class


def test_split_keeps_samples_and_labels_together_and_repeats():
    x = np.arange(40)
    first, again = (datasets.train_test_split(x, x % 4, seed=5) for _ in range(2))
    for part in (0, 2):
        np.testing.assert_array_equal(first[part] % 4, first[part + 1])
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (datasets.train_test_split(x, x % 4, seed=6)[0] != first[0]).any()


def test_split_puts_small_classes_in_both_parts():
    _, y_train, _, y_test = datasets.train_test_split(np.zeros(14), [0] * 10 + [1, 1] + [2, 2], 0.1)
    assert set(y_train.tolist()) == {0, 1, 2} == set(y_test.tolist())


@pytest.mark.parametrize(
    ("x", "y", "size", "words"),
    [
        (np.zeros(3), np.zeros(2), 0.5, "argument 'y' has shape"),
        (np.zeros(3), np.zeros((3, 1)), 0.5, "argument 'y' has shape"),
        (np.zeros(4), np.zeros(4), 0.0, "'test_size' is 0.0"),
        (np.zeros(4), np.zeros(4), 1.0, "'test_size' is 1.0"),
        (np.zeros(1), np.zeros(1), 0.2, "cannot be split"),
        (np.zeros(0), np.zeros(0), 0.2, "cannot be split"),
        (np.zeros(3), np.arange(3), 0.2, "cannot be split"),
    ],
)
def test_split_refuses(x, y, size, words):
    with pytest.raises(ValueError, match=words):
        datasets.train_test_split(x, y, size)


# ---- .npz ----
def test_npz_reads_what_was_written(tmp_path):
    path = tmp_path / "data.npz"
    images = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    np.savez_compressed(path, X=images, Y=np.array([3, 1], np.uint8), other=np.zeros(1))
    x, y = datasets.read_npz(path)
    np.testing.assert_array_equal(x, images)
    assert (x.dtype, y.dtype, y.tolist()) == (np.float32, np.int64, [3, 1])
    np.savez(path, x=images)
    assert datasets.read_npz(path, labels=False)[1] is None


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"y": [0]}, "has no array 'x'"),
        ({"x": [[1.0]]}, "has no array 'y'"),
        ({"x": [["a"]], "y": [0]}, "x has dtype <U1, expected numbers"),
        ({"x": np.array([[1j]]), "y": [0]}, "x has dtype complex128"),
        ({"x": [1.0], "y": [0]}, r"x has shape \(1,\), expected"),
        ({"x": np.zeros((0, 3)), "y": np.zeros(0)}, r"x has shape \(0, 3\), expected"),
        ({"x": [[1.0], [np.nan]], "y": [0, 1]}, "sample 1 of x holds NaN"),
        ({"x": [[1.0], [-np.inf]], "y": [0, 1]}, "sample 1 of x holds NaN"),
        ({"x": [[1e300]], "y": [0]}, "sample 0 of x holds NaN"),
        ({"x": [[1.0], [2.0]], "y": [0]}, r"y has shape \(1,\), expected \(2,\)"),
        ({"x": [[1.0]], "y": [[0]]}, r"y has shape \(1, 1\), expected \(1,\)"),
        ({"x": [[1.0], [2.0]], "y": [0, 0.5]}, "y holds 0.5 at position 1"),
        ({"x": [[1.0], [2.0]], "y": [0, np.nan]}, "y holds nan at position 1"),
        ({"x": [[1.0]], "y": ["a"]}, "y has dtype <U1, expected integer labels"),
        ({"x": np.array([[None]]), "y": [0]}, "not a readable .npz file"),
    ],
)
def test_npz_names_what_is_wrong(tmp_path, arrays, words):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=words) as caught:
        datasets.read_npz(path)
    assert str(path) in str(caught.value)


def test_npz_refuses_files_that_are_none(tmp_path):
    whole = tmp_path / "whole.npz"
    np.savez_compressed(whole, x=np.arange(100.0).reshape(10, 10), y=np.arange(10))
    content = whole.read_bytes()
    path = tmp_path / "bad.npz"
    for bad in (b"", b"hello", content[:-1], content[: len(content) // 2], content[:200] + b"?" + content[201:]):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=r"not a readable \.npz file"):
            datasets.read_npz(path)
    np.save(tmp_path / "array.npy", np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"not a readable \.npz file"):
        datasets.read_npz(tmp_path / "array.npy")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"no array")
    with pytest.raises(ValueError, match=r"bad\.npz"):
        datasets.read_npz(path)
    with pytest.raises(FileNotFoundError):
        datasets.read_npz(tmp_path / "missing.npz")


# ---- .csv ----
@pytest.mark.parametrize(
    "text",
    [
        "1,2.5,0\n-3e2, 4 ,7\n",
        "a,b,label\n1,2.5,0\n-3e2,4,7\n",
        "\ufeffa,b,label\r\n1,2.5,0\r\n\r\n-3e2,4,7",
        '"a","b","c"\n"1","2.5","0.0"\n-300,4,7e0\n',
    ],
    ids=["plain", "header", "bom-crlf-blank", "quoted"],
)
def test_csv_reads_numbers_and_labels(tmp_path, text):
    path = tmp_path / "data.csv"
    path.write_bytes(text.encode())
    x, y = datasets.read_csv(path)
    assert x.tolist() == [[1, 2.5], [-300, 4]]
    assert y.tolist() == [0, 7]
    assert (x.dtype, y.dtype) == (np.float32, np.int64)


def test_csv_without_labels_keeps_all_columns(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("1,2\n3,4.5\n")
    x, y = datasets.read_csv(path, labels=False)
    assert x.tolist() == [[1, 2], [3, 4.5]]
    assert y is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no data lines"),
        ("a,b\n", "has no data lines"),
        ("a,b\n1,0\n2,x\n", "line 3, column 2: 'x' is not a number"),
        ("1,0\n,1\n", "line 2, column 1: '' is not a number"),
        ("1,0\na,b\n", "line 2, column 1: 'a' is not a number"),
        ("1,2,0\n1,0\n", "line 2: has 2 columns, expected 3"),
        ("1,0\n\n1,2,0\n", "line 3: has 3 columns, expected 2"),
        ("nan,0\n", "line 1, column 1: nan is not a finite float32 number"),
        ("1,0\n1e39,0\n", "line 2, column 1: 1e39 is not a finite float32 number"),
        ("1,0\n1,0.5\n", r"line 2: the label \(last column\) is 0.5, expected an integer"),
        ("1\n2\n", "has 1 column, expected features and a label"),
        ("a;b\n1;0\n", "line 2, column 1: '1;0' is not a number"),
    ],
)
def test_csv_names_the_line_that_is_wrong(tmp_path, text, words):
    path = tmp_path / "data.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=words) as caught:
        datasets.read_csv(path)
    assert str(path) in str(caught.value)


def test_csv_refuses_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes(b"\xff\xfe\x00\x81,1\n")
    with pytest.raises(ValueError, match=r"not a readable \.csv file"):
        datasets.read_csv(path)
    with pytest.raises(FileNotFoundError):
        datasets.read_csv(tmp_path / "missing.csv")


# ---- IDX ----
def idx(array, code, sizes=None):
    sizes = array.shape if sizes is None else sizes
    header = bytes([0, 0, code, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("dtype", "code"), [("u1", 0x08), ("i1", 0x09), ("i2", 0x0B), ("i4", 0x0C), ("f4", 0x0D), ("f8", 0x0E)]
)
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3, 4)])
def test_idx_reads_every_type(tmp_path, dtype, code, shape, zipped):
    array = (np.arange(np.prod(shape, dtype=int)) * 7.5 + 3).astype(dtype).reshape(shape)
    path = tmp_path / "data"
    path.write_bytes(gzip.compress(idx(array, code)) if zipped else idx(array, code))
    read = datasets.read_idx(path)
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    assert np.array_equal(read, array)
    assert read.flags.writeable


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an IDX file: it begins with nothing"),
        (b"P5 28 28", "not an IDX file: it begins with 50 35 20 32"),
        (bytes([0, 0, 7, 1, 0, 0, 0, 0]), "not an IDX file"),
        (bytes([0, 0, 8, 3, 0, 0, 0, 1]), "ends inside its header, which announces 3 dimensions"),
        (idx(np.arange(4, dtype="u1"), 8, (5,)), r"holds 4 bytes of numbers, expected 5 for the shape \(5,\)"),
        (idx(np.arange(4, dtype="u1"), 8, (3,)), "holds more bytes of numbers, expected 3"),
        (idx(np.arange(4, dtype="u1"), 8, (2**32 - 1,) * 3), "holds 4 bytes of numbers, expected 79228162458924105385"),
        (gzip.compress(idx(np.arange(4, dtype="u1"), 8))[:-9], "not a readable gzip file"),
        (gzip.compress(idx(np.arange(4, dtype="u1"), 8, (5,))), "holds 4 bytes"),
        (b"\x1f\x8b rubbish", "not a readable gzip file"),
    ],
)
def test_idx_names_what_is_wrong(tmp_path, content, words):
    path = tmp_path / "data.idx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        datasets.read_idx(path)
    assert str(path) in str(caught.value)
    with pytest.raises(FileNotFoundError):
        datasets.read_idx(tmp_path / "missing")
