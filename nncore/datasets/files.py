"""The user's own data in .npz, .csv and IDX files, checked so that a mistake is named where it stands."""

import csv
import gzip
import math
import os
import zipfile
import zlib
from typing import IO, cast

import numpy as np

_LARGEST = float(np.finfo(np.float32).max)


def read_npz(path: str | os.PathLike[str], labels: bool = True) -> tuple[np.ndarray, np.ndarray | None]:
    """Read samples ``x`` (or ``X``) and integer labels ``y`` (or ``Y``) from an .npz file.

    Args:
        path: the file; ``x`` has shape (n, features), (n, height, width) or (n, height, width, channels).
        labels: whether ``y`` must be there; otherwise it may be.

    Returns:
        x in float32, and y in int64 of shape (n,), or ``None`` where the file has none.

    Raises:
        OSError: the file cannot be read.
        ValueError: names the file and what is wrong in it.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "data.npz")
        >>> np.savez(path, x=[[0.5, 1.0], [2.0, 3.0]], y=[0, 1])
        >>> x, y = read_npz(path)
        >>> x.shape, y.tolist()
        ((2, 2), [0, 1])
    """
    name = os.fspath(path)
    try:
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as arrays:
            found = {key.lower(): arrays[key] for key in arrays.files if key in ("x", "X", "y", "Y")}
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{name}: not a readable .npz file ({error})") from None
    for key in ("x", "y") if labels else ("x",):
        if key not in found:
            raise ValueError(f"{name}: has no array {key!r} (or {key.upper()!r})")
    x, y = found["x"], found.get("y")
    if not (np.issubdtype(x.dtype, np.number) or x.dtype == bool) or np.iscomplexobj(x):
        raise ValueError(f"{name}: x has dtype {x.dtype}, expected numbers")
    if x.ndim not in (2, 3, 4) or 0 in x.shape:
        raise ValueError(
            f"{name}: x has shape {x.shape}, expected (n, features), (n, height, width) or (n, height, width, channels)"
        )
    with np.errstate(over="ignore"):
        x = np.ascontiguousarray(x, dtype=np.float32)
    wrong = np.nonzero(~np.isfinite(x))[0]
    if len(wrong):
        raise ValueError(f"{name}: sample {wrong[0]} of x holds NaN, infinity or a value beyond float32")
    return x, None if y is None else _integer_labels(f"{name}: y", y, len(x))


def read_csv(path: str | os.PathLike[str], labels: bool = True) -> tuple[np.ndarray, np.ndarray | None]:
    """Read a table of numbers from a .csv file: one sample a line, the last column an integer label.

    Args:
        path: the file, UTF-8, comma-separated; a first line without any number is taken as the header.
        labels: whether the last column is the label; otherwise all columns are features.

    Returns:
        x in float32 of shape (n, features), and y in int64 of shape (n,), or ``None`` without ``labels``.

    Raises:
        OSError: the file cannot be read.
        ValueError: names the file, the line and what is wrong in it.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "data.csv")
        >>> with open(path, "w") as file:
        ...     _ = file.write("width,height,label\\n0.5,1.0,0\\n2.0,3.0,1\\n")
        >>> x, y = read_csv(path)
        >>> x.tolist(), y.tolist()
        ([[0.5, 1.0], [2.0, 3.0]], [0, 1])
    """
    name = os.fspath(path)
    rows: list[list[float]] = []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if not rows and reader.line_num == 1 and not any(_is_number(cell) for cell in cells):
                    continue
                place = f"{name}, line {reader.line_num}"
                rows.append([_number(place, column, cell) for column, cell in enumerate(cells, 1)])
                if len(rows[-1]) != len(rows[0]):
                    raise ValueError(f"{place}: has {len(rows[-1])} columns, expected {len(rows[0])} as above")
                if labels and rows[-1][-1] != int(rows[-1][-1]):
                    raise ValueError(f"{place}: the label (last column) is {cells[-1].strip()}, expected an integer")
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{name}: not a readable .csv file ({error})") from None
    if not rows:
        raise ValueError(f"{name}: has no data lines")
    table = np.array(rows, dtype=np.float64)
    if not labels:
        return table.astype(np.float32), None
    if table.shape[1] < 2:
        raise ValueError(f"{name}: has 1 column, expected features and a label in the last column")
    return table[:, :-1].astype(np.float32), _integer_labels(f"{name}: the last column", table[:, -1], len(table))


# Type codes of the IDX format; its numbers are big-endian.
_IDX_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an array from a file in the IDX format, in which MNIST is distributed; gzipped or not.

    Args:
        path: the file, for example train-images-idx3-ubyte.gz.

    Returns:
        Array of the shape and number type that the file states: uint8, int8, int16, int32, float32 or float64. MNIST's
        images are (n, 28, 28) and its labels (n,), both uint8.

    Raises:
        OSError: the file cannot be read.
        ValueError: names the file and what is wrong in it.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "labels-idx1-ubyte")
        >>> with open(path, "wb") as file:
        ...     _ = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]))
        >>> read_idx(path)
        array([5, 0, 4], dtype=uint8)

    Reference: LeCun, Cortes and Burges, "The MNIST database of handwritten digits", section "File formats".
    """
    name = os.fspath(path)
    with open(path, "rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        with cast(IO[bytes], gzip.GzipFile(fileobj=raw) if zipped else raw) as file:
            try:
                return _idx_array(name, file)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise ValueError(f"{name}: not a readable gzip file ({error})") from None


def _idx_array(name: str, file: IO[bytes]) -> np.ndarray:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _IDX_DTYPES:
        raise ValueError(f"{name}: not an IDX file: it begins with {magic.hex(' ') or 'nothing'}")
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise ValueError(f"{name}: ends inside its header, which announces {magic[3]} dimensions")
    shape = tuple(map(int, np.frombuffer(sizes, ">u4")))
    dtype = np.dtype(_IDX_DTYPES[magic[2]])
    expected = math.prod(shape) * dtype.itemsize
    content = bytearray()
    while len(content) <= expected and (part := file.read(min(1 << 20, expected + 1 - len(content)))):
        content += part
    if len(content) != expected:
        found = "more" if len(content) > expected else f"{len(content)}"
        raise ValueError(f"{name}: holds {found} bytes of numbers, expected {expected} for the shape {shape}")
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(place: str, column: int, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise ValueError(f"{place}, column {column}: {cell.strip()!r} is not a number") from None
    if not abs(value) <= _LARGEST:
        raise ValueError(f"{place}, column {column}: {cell.strip()} is not a finite float32 number")
    return value


def _integer_labels(what: str, y: np.ndarray, n: int) -> np.ndarray:
    if y.shape != (n,):
        raise ValueError(f"{what} has shape {y.shape}, expected ({n},), one label a sample")
    if not (np.issubdtype(y.dtype, np.number) or y.dtype == bool) or np.iscomplexobj(y):
        raise ValueError(f"{what} has dtype {y.dtype}, expected integer labels")
    with np.errstate(invalid="ignore"):
        whole = y.astype(np.int64)
    wrong = np.nonzero(whole != y)[0]
    if len(wrong):
        raise ValueError(f"{what} holds {y[wrong[0]]} at position {wrong[0]}, expected integer labels")
    return whole
