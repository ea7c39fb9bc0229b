"""Nested dicts, lists and scalars as a JSON tree, with the arrays in them set aside under names.

JSON knows neither tuples nor integer keys, so a container becomes a one-entry object named after its type:
``{"dict": [[key, value], ...]}``, ``{"tuple": [...]}``; a list stays a list. An array becomes ``{"array": name}``,
a Tensor ``{"tensor": name}``, a NumPy scalar ``{"scalar": name}``; NaN and the infinities ``{"float": "nan"}``.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._tensor import Tensor


def pack(value: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """Split ``value`` into a JSON tree and named arrays; an array in a dict is named by its keys, joined with dots.

    Args:
        value: any nesting of dict (keys str or int), list, tuple, Tensor, ndarray, NumPy scalar, str, int, float,
            bool and None.

    Returns:
        The tree and the arrays that ``unpack`` needs to make an equal value.

    Raises:
        TypeError: ``value`` holds an object of another type; names the place.

    Example:
        >>> tree, arrays = pack({"bias": np.zeros(3), "step": 7, 0: (True, None)})
        >>> tree
        {'dict': [['bias', {'array': 'bias'}], ['step', 7], [0, {'tuple': [True, None]}]]}
        >>> unpack(tree, arrays)
        {'bias': array([0., 0., 0.]), 'step': 7, 0: (True, None)}
    """
    arrays: dict[str, np.ndarray] = {}
    return _encode(value, "", arrays), arrays


def unpack(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The value that ``pack`` split.

    Raises:
        ValueError: ``tree`` is not what ``pack`` makes, or names an array that is not there.
    """
    try:
        return _decode(tree, arrays)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"unreadable content ({type(error).__name__}: {error})") from None


def _encode(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, np.generic):
        return {"scalar": _set_aside(np.asarray(value), name, arrays)}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, Tensor):
        return {"tensor": _set_aside(value.array, name, arrays)}
    if isinstance(value, np.ndarray):
        return {"array": _set_aside(value, name, arrays)}
    prefix = f"{name}." if name else ""
    if isinstance(value, Mapping):
        for key in value:
            if isinstance(key, bool) or not isinstance(key, (str, int)):
                raise TypeError(f"save: the key {key!r} at {name or 'the top'!r} is neither a str nor an int")
        return {"dict": [[key, _encode(item, f"{prefix}{key}", arrays)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        items = [_encode(item, f"{prefix}{i}", arrays) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    raise TypeError(f"save: cannot write a {type(value).__name__} (at {name or 'the top'!r})")


def _set_aside(array: np.ndarray, name: str, arrays: dict[str, np.ndarray]) -> str:
    name = name or "value"
    while name in arrays:  # {"a.b": x, "a": {"b": y}}
        name += "_"
    arrays[name] = array
    return name


def _decode(node: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(node, list):
        return [_decode(item, arrays) for item in node]
    if not isinstance(node, dict):
        return node
    [(kind, content)] = node.items()
    if kind == "dict":
        return {key: _decode(item, arrays) for key, item in content}
    if kind == "tuple":
        return tuple(_decode(item, arrays) for item in content)
    if kind == "float":
        return float(content)
    if kind == "tensor":
        return Tensor(arrays[content])
    if kind == "array":
        return arrays[content]
    if kind == "scalar":
        return arrays[content][()]
    raise ValueError(f"unknown kind {kind!r}")
