"""The architecture of a model as JSON, and back. A file can name only the classes listed here; it never runs code.

A module is ``{"class": name, "arguments": {...}}``. The arguments of its constructor are what its ``get_config`` tells
or, by the convention of every layer in ``nncore.nn``, the attributes of the same names. A container has ``"children":
[[name, module], ...]`` instead. A module that occurs a second time is ``{"again": n}``, the n-th that was written.
"""

import inspect
from functools import cache
from typing import Any

import numpy as np

from .._tensor import Tensor


def to_config(module: Any) -> dict:
    """The configuration from which ``from_config`` builds a module of the same architecture.

    Args:
        module: a layer or a container of nncore, made of such.

    Returns:
        A tree of dicts, lists, strings, numbers, booleans and None.

    Raises:
        TypeError: a module is of a class that is not nncore's, or has an argument that JSON cannot hold.

    Example:
        >>> from nncore import nn
        >>> to_config(nn.Sequential(nn.Flatten()))["children"]
        [['0', {'class': 'nn.Flatten', 'arguments': {'start_dim': 1, 'end_dim': -1}}]]
    """
    return _to_config(module, {})


def from_config(config: dict) -> Any:
    """Build the module that ``to_config`` described. The random numbers of the caller are not touched.

    Raises:
        ValueError: the configuration names an unknown class, or arguments that the class refuses.
    """
    from .. import random

    state = random.get_rng_state()
    try:
        return _from_config(config, [])
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError, MemoryError) as error:
        raise ValueError(f"cannot build the model ({type(error).__name__}: {error})") from None
    finally:
        random.set_rng_state(state)


@cache
def _classes() -> dict[str, type]:
    """Name -> class of everything that a configuration may name."""
    from .. import Model, keras, models, nn

    classes: dict[str, type] = {"Model": Model}
    for prefix, namespace in (("nn", nn), ("models", models), ("keras.layers", keras.layers), ("keras", keras)):
        for name, value in vars(namespace).items():
            if inspect.isclass(value) and issubclass(value, nn.Module) and value.__name__ == name != "Module":
                classes.setdefault(f"{prefix}.{name}", value)
    return classes


@cache
def _names() -> dict[type, str]:
    return {value: name for name, value in reversed(_classes().items())}


def _is_container(kind: type) -> bool:
    from .. import nn

    return issubclass(kind, (nn.Sequential, nn.ModuleList, nn.ModuleDict))


def _to_config(module: Any, written: dict[int, int]) -> dict:
    if id(module) in written:
        return {"again": written[id(module)]}
    kind = type(module)
    if kind not in _names():
        raise TypeError(f"{kind.__qualname__} is not a class of nncore")
    config: dict[str, Any] = {"class": _names()[kind]}
    if _is_container(kind):
        config["children"] = [[name, _to_config(child, written)] for name, child in module._modules.items()]
        if hasattr(module, "build"):  # a Keras-style chain knows the shape of its input
            config["name"], config["input_shape"] = module.name, _to_json("input_shape", module.input_shape, written)
    else:
        arguments = module.get_config() if hasattr(kind, "from_config") else _arguments(module)
        config["arguments"] = {name: _to_json(name, value, written) for name, value in arguments.items()}
    written[id(module)] = len(written)
    return config


def _from_config(config: dict, built: list) -> Any:
    if "again" in config:
        return built[config["again"]]
    if config["class"] not in _classes():
        raise ValueError(f"{config['class']!r} is not a class of nncore")
    kind = _classes()[config["class"]]
    if _is_container(kind):
        module = kind(name=config["name"]) if "name" in config else kind()
        for name, child in config["children"]:
            module.add_module(name, _from_config(child, built))
        module.train(module.training)
        if config.get("input_shape") is not None:
            module.build(_from_json(config["input_shape"], built))
    else:
        arguments = {name: _from_json(value, built) for name, value in config["arguments"].items()}
        module = kind.from_config(arguments) if hasattr(kind, "from_config") else kind(**arguments)
    built.append(module)
    return module


def _arguments(module: Any) -> dict[str, Any]:
    arguments = {}
    for name, parameter in inspect.signature(type(module)).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or not hasattr(module, name):
            if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
                raise TypeError(f"{type(module).__name__} does not keep its argument {name!r}")
            continue
        value = getattr(module, name)
        if isinstance(parameter.default, bool) and (value is None or isinstance(value, Tensor)):
            value = value is not None  # `bias` is a flag in the constructor and the parameter itself in the layer
        arguments[name] = value
    return arguments


def _to_json(place: str, value: Any, written: dict[int, int]) -> Any:
    from ..nn import Module

    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (tuple, list)):
        return [_to_json(place, item, written) for item in value]
    if isinstance(value, dict):
        return {"dict": {str(key): _to_json(place, item, written) for key, item in value.items()}}
    if isinstance(value, Module):
        return _to_config(value, written)
    if isinstance(value, Tensor):
        return {"tensor": [value.dtype.name, list(value.shape)]}  # its values are in the state_dict
    raise TypeError(f"the argument {place!r} is a {type(value).__name__}, which JSON cannot hold")


def _from_json(value: Any, built: list) -> Any:
    if isinstance(value, list):
        return tuple(_from_json(item, built) for item in value)
    if isinstance(value, dict):
        if "dict" in value:
            return {key: _from_json(item, built) for key, item in value["dict"].items()}
        if "tensor" in value:
            dtype, shape = value["tensor"]
            return Tensor(np.zeros(shape, dtype))
        return _from_config(value, built)
    return value
