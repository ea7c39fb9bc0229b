"""Named arrays in one safetensors file, with a checksum of everything. Knows arrays and bytes, no modules.

The file is ordinary safetensors: any reader of that format opens it. The entry ``nncore`` of its ``__metadata__`` is a
JSON object: what the caller wants to keep beside the arrays, and under ``sha256`` the digest of each array and of names,
dtypes, shapes and the rest of the object together, so that a single flipped bit anywhere is found when the file is read.
Equal content makes equal bytes.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from .atomic import write_atomically

DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("float64"),
    "F32": np.dtype("float32"),
    "F16": np.dtype("float16"),
    "I64": np.dtype("int64"),
    "I32": np.dtype("int32"),
    "I16": np.dtype("int16"),
    "I8": np.dtype("int8"),
    "U64": np.dtype("uint64"),
    "U32": np.dtype("uint32"),
    "U16": np.dtype("uint16"),
    "U8": np.dtype("uint8"),
    "BOOL": np.dtype("bool"),
    "C64": np.dtype("complex64"),
}
_SAVED_DTYPES = frozenset(DTYPES.values())
_KEY = "nncore"


def write_arrays(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], about: Mapping[str, Any] | None = None
) -> None:
    """Write named arrays, and what is to be known about them, as a safetensors file with checksums, atomically.

    Args:
        path: file to create or replace.
        arrays: name -> array of any shape and memory layout; dtypes as in ``DTYPES``.
        about: a JSON object that ``read_arrays`` returns; its key ``sha256`` is taken. Default: empty.

    Raises:
        ValueError: an array has a dtype that the format does not hold, or a reserved name.
        OSError: the file cannot be written; an older file at ``path`` is intact.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "a.safetensors")
        >>> write_arrays(path, {"weight": np.ones((2, 3), np.float32)}, {"note": "ones"})
        >>> arrays, about = read_arrays(path)
        >>> arrays["weight"].shape, about
        ((2, 3), {'note': 'ones'})

    Reference: https://github.com/huggingface/safetensors#format
    """
    from safetensors.numpy import save

    dense = {}
    for name, array in arrays.items():
        dtype = array.dtype.newbyteorder("=")
        if dtype not in _SAVED_DTYPES:
            raise ValueError(f"save: array {name!r} has dtype {dtype}, which a safetensors file cannot hold")
        if name == "__metadata__":
            raise ValueError("save: the name '__metadata__' is reserved by the safetensors format")
        dense[name] = np.asarray(array, dtype, order="C")  # safetensors takes the memory as it lies, strides ignored
    about = {} if about is None else dict(about)
    text = json.dumps({"sha256": _checksums(dense, about), **about})
    write_atomically(path, save(dense, metadata={_KEY: text}))


def read_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any] | None]:
    """Read what ``write_arrays`` wrote, or any other safetensors file, and check it completely.

    Args:
        path: a safetensors file.

    Returns:
        The arrays, writable and in C order, and what is known about them; ``None`` if another program wrote the file.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is truncated, damaged or not a safetensors file; names the file and the reason.
    """
    from safetensors import SafetensorError, deserialize

    with open(path, "rb") as file:
        data = file.read()
    try:
        entries = deserialize(data)
    except SafetensorError as error:
        reason = str(error).removeprefix("Error while deserializing: ")
        raise ValueError(f"{os.fspath(path)}: truncated, damaged or not a safetensors file ({reason})") from None
    arrays = {}
    for name, entry in sorted(entries):
        if entry["dtype"] not in DTYPES:
            raise ValueError(
                f"{os.fspath(path)}: array {name!r} has dtype {entry['dtype']}, expected one of {', '.join(DTYPES)}"
            )
        array = np.frombuffer(entry["data"], DTYPES[entry["dtype"]]).reshape(entry["shape"])
        if array.dtype == bool and array.view(np.uint8).max(initial=0) > 1:
            raise ValueError(f"{os.fspath(path)}: array {name!r} of dtype BOOL holds bytes other than 0 and 1")
        arrays[name] = array
    return arrays, _verified(path, arrays, _metadata(path, data))


def _metadata(path, data: bytes) -> dict[str, str]:
    """The ``__metadata__`` of a file that safetensors has accepted."""
    header = data[8 : 8 + int.from_bytes(data[:8], "little")]
    try:
        return json.loads(header, object_pairs_hook=_unique_keys).get("__metadata__") or {}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{os.fspath(path)}: damaged header ({error})") from None


def _unique_keys(pairs: list) -> dict:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name appears twice")
    return result


def _checksums(arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> dict[str, Any]:
    digests = {name: hashlib.sha256(array.data).hexdigest() for name, array in sorted(arrays.items())}
    facts = [[name, array.dtype.name, array.shape, digests[name]] for name, array in sorted(arrays.items())]
    return {"arrays": digests, "file": hashlib.sha256(json.dumps([facts, about]).encode()).hexdigest()}


def _verified(path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> dict[str, Any] | None:
    """What nncore wrote about the arrays, after a look at every checksum."""
    if _KEY not in metadata:
        if any('"sha256"' in text for text in metadata.values()):
            raise ValueError(f"{os.fspath(path)}: damaged, the header does not match its checksum")
        return None
    try:
        about = json.loads(metadata[_KEY])
        expected = about.pop("sha256")
        expected_digests, expected_file = dict(expected["arrays"]), expected["file"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError(f"{os.fspath(path)}: damaged, its checksums are missing or unreadable") from None
    found = _checksums(arrays, about)
    for name, digest in found["arrays"].items():
        if digest != expected_digests.get(name):
            raise ValueError(f"{os.fspath(path)}: damaged, array {name!r} does not match its checksum")
    if found["file"] != expected_file or found["arrays"].keys() != expected_digests.keys():
        raise ValueError(f"{os.fspath(path)}: damaged, the header does not match its checksum")
    return about
