"""Models, their weights, and nested values as files: what ``nncore.save`` and ``nncore.load`` do.

A file is the arrays of weights.py with a JSON object beside them that says what kind of thing was saved and, for a
model, its configuration.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._tensor import Tensor
from . import config as architecture
from .tree import pack, unpack
from .weights import read_arrays, write_arrays

FORMAT = 1  # raised when an older nncore could not read a file rightly


def save(obj: Any, path: str | os.PathLike[str]) -> None:
    """Write a model, a state_dict, or nested dicts and lists of arrays and scalars to a safetensors file.

    The file is replaced as a whole or not at all, and holds no code. A model is written with its architecture, if all
    of it is made of nncore's own classes; ``load`` then builds it again.

    Args:
        obj: a Module, or any nesting of dict, list, tuple, Tensor, ndarray, str, int, float, bool and None.
        path: file to create or replace, by custom ending in ``.safetensors``.

    Raises:
        TypeError: ``obj`` holds something else.
        OSError: the file cannot be written; an older file is intact.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "value.safetensors")
        >>> save({"epoch": 3, "weights": [np.ones(2)]}, path)
        >>> load(path)
        {'epoch': 3, 'weights': [array([1., 1.])]}

    Reference: https://github.com/huggingface/safetensors.
    """
    from ..nn import Module

    if isinstance(obj, Module):
        save_model(obj, path)
        return
    try:
        tree, arrays = pack(obj)
        write_arrays(path, arrays, {"format": FORMAT, "kind": "object", "tree": tree})
    except RecursionError:
        raise TypeError("save: the value is nested too deeply, or contains itself") from None


def load(path: str | os.PathLike[str]) -> Any:
    """Read what ``save`` wrote. Everything is checked before anything is made of it.

    Args:
        path: the file.

    Returns:
        The model, built anew, or an equal value. For a safetensors file of another program: a dict of arrays.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is truncated, damaged, not a safetensors file, or holds a model of a class that is not
            nncore's; names the file and the reason.

    Example:
        >>> import os, tempfile
        >>> from nncore import nn
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> save(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), path)
        >>> load(path)
        Sequential(
          (0): Linear(in_features=4, out_features=3, bias=True)
          (1): ReLU()
        )
    """
    arrays, about = _read(path)
    if about is None:
        return arrays
    if about["kind"] == "model":
        return _build(path, arrays, about)
    try:
        return unpack(about["tree"], arrays)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None


def save_model(model: Any, path: str | os.PathLike[str], notes: Mapping[str, Any] | None = None) -> None:
    """Write the weights of a model, and its architecture if nncore can build it again.

    Args:
        model: a Module.
        path: file to create or replace.
        notes: what else a reader of the file should know, as JSON can hold it; ``load_model`` returns it.

    Raises:
        OSError: the file cannot be written; an older file is intact.
    """
    about: dict[str, Any] = {"format": FORMAT, "kind": "model", "config": None, "notes": dict(notes or {})}
    try:
        about["config"] = architecture.to_config(model)
    except TypeError as error:
        about["unknown"] = str(error)
    arrays = {name: tensor.array for name, tensor in model.state_dict().items()}
    write_arrays(path, arrays, about)


def load_model(path: str | os.PathLike[str]) -> tuple[Any, dict[str, Any]]:
    """Build the model in a file.

    Args:
        path: what ``save_model`` wrote.

    Returns:
        The model and the notes that were saved with it.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is damaged or holds no model that nncore can build.
    """
    arrays, about = _read(path)
    if about is None or about["kind"] != "model":
        raise ValueError(f"{os.fspath(path)}: holds no model, only values; read it with nncore.load")
    return _build(path, arrays, about), about["notes"]


def load_weights(model: Any, path: str | os.PathLike[str]) -> None:
    """Read the weights in a file into an existing model, all of them or, on any error, none.

    Args:
        model: a Module with the same names, shapes and dtypes in its state_dict.
        path: what ``save`` wrote of a model or a state_dict, or a safetensors file of another program.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is damaged or does not fit; names the first tensors that do not.

    Example:
        >>> import os, tempfile
        >>> from nncore import nn
        >>> path = os.path.join(tempfile.mkdtemp(), "weights.safetensors")
        >>> trained, fresh = nn.Linear(4, 3), nn.Linear(4, 3)
        >>> save(trained.state_dict(), path)
        >>> load_weights(fresh, path)
        >>> bool((fresh.weight.array == trained.weight.array).all())
        True
    """
    arrays, about = _read(path)
    state: Any = arrays
    if about is not None and about["kind"] == "object":
        state = load(path)
        if not isinstance(state, dict) or not all(isinstance(value, (Tensor, np.ndarray)) for value in state.values()):
            raise ValueError(f"{os.fspath(path)}: holds no state_dict, that is a dict of nothing but tensors")
    check_state(model, state, path)
    model.load_state_dict(state)


def check_state(model: Any, state: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Raise ValueError unless ``state`` has the names, shapes and dtypes of the model's own state_dict."""
    wrong = []
    own = model.state_dict()
    for name in [*own, *(name for name in state if name not in own)]:
        if name not in state:
            wrong.append(f"{name!r} is missing")
        elif name not in own:
            wrong.append(f"{name!r} has no place in the model")
        elif state[name].shape != own[name].shape:
            wrong.append(f"{name!r} has shape {state[name].shape}, expected {own[name].shape}")
        elif state[name].dtype != own[name].dtype:
            wrong.append(f"{name!r} has dtype {state[name].dtype}, expected {own[name].dtype}")
    if wrong:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise ValueError(f"{os.fspath(path)}: does not fit {type(model).__name__}: {'; '.join(wrong[:3])}{more}")


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any] | None]:
    """The arrays of a file and what nncore wrote about them; None for a file of another program."""
    arrays, about = read_arrays(path)
    if about is None:
        return arrays, None
    version = about.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise ValueError(f"{os.fspath(path)}: has format {version}, this nncore reads up to {FORMAT}")
    parts = {"model": {"config", "notes"}, "object": {"tree"}}.get(str(about.get("kind")))
    if version != FORMAT or parts is None or not parts <= about.keys():
        raise ValueError(f"{os.fspath(path)}: its description is not one that nncore writes")
    return arrays, about


def _build(path: str | os.PathLike[str], arrays: dict[str, np.ndarray], about: dict[str, Any]) -> Any:
    if "unknown" in about:
        raise ValueError(
            f"{os.fspath(path)}: holds weights only ({about['unknown']}); make the model and call load_weights"
        )
    try:
        model = architecture.from_config(about["config"])
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None
    for name, tensor in model.state_dict(keep_vars=True).items():
        if (
            name in arrays
            and tensor.dtype != arrays[name].dtype
            and tensor.dtype.kind == arrays[name].dtype.kind == "f"
        ):
            tensor.data = tensor.data.to(arrays[name].dtype)  # the model was converted after it was made
    check_state(model, arrays, path)
    model.load_state_dict(arrays)
    return model
