"""Containers: modules made of modules, or of parameters."""

from collections import OrderedDict
from collections.abc import Mapping

from nncore._tensor import Tensor
from nncore.nn.module import Module, indented, tree_repr
from nncore.nn.parameter import Parameter


def _position(index, length):
    if not isinstance(index, int) and not hasattr(index, "__index__"):
        raise TypeError(f"index {index!r} is not an integer")
    index = index.__index__()
    if not -length <= index < length:
        raise IndexError(f"index {index} is out of range")
    return index % length


class _ModuleSequence(Module):
    """Child modules named "0", "1", ...: what Sequential and ModuleList share."""

    def __len__(self):
        return len(self._modules)

    def __iter__(self):
        return iter(self._modules.values())

    def __getitem__(self, index):
        if isinstance(index, slice):
            return self._of(list(self._modules.items())[index])
        return list(self._modules.values())[_position(index, len(self))]

    def __setitem__(self, index, module):
        setattr(self, list(self._modules)[_position(index, len(self))], module)

    def __delitem__(self, index):
        modules = list(self._modules.items())
        if isinstance(index, slice):
            del modules[index]
        else:
            del modules[_position(index, len(self))]
        self._set(modules)

    def _set(self, named):
        """Replace all children; numbers are given anew, other names are kept."""
        for name in list(self._modules):
            delattr(self, name)
        for i, (name, module) in enumerate(named):
            self.add_module(str(i) if name.isdecimal() else name, module)

    def __dir__(self):
        return [name for name in super().__dir__() if not name.isdecimal()]

    def append(self, module):
        """Add a module at the end; returns self."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules):
        """Add modules at the end; returns self."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index, module):
        """Insert a module before the given position."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        modules = list(self._modules.items())
        modules.insert(index, (str(index), module))
        self._set(modules)
        return self

    def pop(self, key):
        """Remove a module and return it."""
        module = self[key]
        del self[key]
        return module


class Sequential(_ModuleSequence):
    """y = fn(...(f1(f0(x)))): modules in a chain.

    Args:
        *args: the modules, or one mapping from names to modules.

    Example:
        >>> import nncore
        >>> from nncore import nn
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> model(nncore.ones(3, 4)).shape
        (3, 2)
        >>> model[1]
        ReLU()

    Reference: torch.nn.Sequential.
    """

    def __init__(self, *args):
        super().__init__()
        named = args[0].items() if len(args) == 1 and isinstance(args[0], Mapping) else enumerate(args)
        for name, module in named:
            self.add_module(str(name), module)

    def _of(self, named):
        return type(self)(OrderedDict(named))

    def __add__(self, other):
        if not isinstance(other, Sequential):
            return NotImplemented
        return Sequential(*self, *other)

    def forward(self, input):
        """Compute the output; see the class."""
        for module in self._modules.values():
            input = module(input)
        return input


class ModuleList(_ModuleSequence):
    """A list of modules that the parent sees.

    Args:
        modules: iterable of modules. Default: none.

    Example:
        >>> from nncore import nn
        >>> layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
        >>> len(layers), len(list(layers.parameters()))
        (3, 6)

    Reference: torch.nn.ModuleList.
    """

    def __init__(self, modules=None):
        super().__init__()
        self.extend(modules or ())

    def _of(self, named):
        return type(self)(module for _, module in named)

    def __iadd__(self, modules):
        return self.extend(modules)

    def __add__(self, other):
        return ModuleList([*self, *other])

    def __repr__(self):
        lines = []
        runs = []  # [first, last, repr] of equal neighbours
        for i, module in enumerate(self):
            text = repr(module)
            if runs and runs[-1][2] == text:
                runs[-1][1] = i
            else:
                runs.append([i, i, text])
        for first, last, text in runs:
            count = last - first + 1
            lines.append(indented(f"({first}): {text}" if count == 1 else f"({first}-{last}): {count} x {text}"))
        return tree_repr(self._get_name(), lines)


class ModuleDict(Module):
    """A dictionary of modules that the parent sees, in order of insertion.

    Args:
        modules: mapping, or iterable of (name, module). Default: none.

    Example:
        >>> from nncore import nn
        >>> heads = nn.ModuleDict({"digit": nn.Linear(8, 10), "parity": nn.Linear(8, 1)})
        >>> heads["parity"].out_features
        1

    Reference: torch.nn.ModuleDict.
    """

    def __init__(self, modules=None):
        super().__init__()
        self.update(modules or {})

    def __getitem__(self, key):
        return self._modules[key]

    def __setitem__(self, key, module):
        self.add_module(key, module)

    def __delitem__(self, key):
        self.pop(key)

    def __len__(self):
        return len(self._modules)

    def __iter__(self):
        return iter(self._modules)

    def __contains__(self, key):
        return key in self._modules

    def clear(self):
        """Remove all modules."""
        for key in list(self._modules):
            delattr(self, key)

    def pop(self, key):
        """Remove a module and return it."""
        module = self._modules[key]
        delattr(self, key)
        return module

    def keys(self):
        """The names."""
        return self._modules.keys()

    def values(self):
        """The modules."""
        return self._modules.values()

    def items(self):
        """(name, module) pairs."""
        return self._modules.items()

    def update(self, modules):
        """Add or replace modules from a mapping or from (name, module) pairs."""
        for name, module in modules.items() if hasattr(modules, "items") else modules:
            self.add_module(name, module)


class ParameterList(Module):
    """A list of parameters that the parent sees. Tensors that are put in become Parameters.

    Args:
        values: iterable of Parameters or Tensors. Default: none.

    Example:
        >>> import nncore
        >>> from nncore import nn
        >>> weights = nn.ParameterList([nncore.zeros(2), nncore.zeros(3)])
        >>> [weight.shape for weight in weights]
        [(2,), (3,)]

    Reference: torch.nn.ParameterList.
    """

    def __init__(self, values=None):
        super().__init__()
        self.extend(values or ())

    def __len__(self):
        return len(self._parameters)

    def __iter__(self):
        return iter(self._parameters.values())

    def __getitem__(self, index):
        parameters = list(self._parameters.values())
        if isinstance(index, slice):
            return type(self)(parameters[index])
        return parameters[_position(index, len(self))]

    def __setitem__(self, index, value):
        self.register_parameter(str(_position(index, len(self))), _as_parameter(value))

    def __iadd__(self, values):
        return self.extend(values)

    def append(self, value):
        """Add a parameter at the end; returns self."""
        self.register_parameter(str(len(self)), _as_parameter(value))
        return self

    def extend(self, values):
        """Add parameters at the end; returns self."""
        for value in values:
            self.append(value)
        return self

    def extra_repr(self):
        """The configuration, for repr."""
        return "\n".join(
            f"({name}): Parameter containing: [{parameter.dtype} of size {'x'.join(map(str, parameter.shape))}]"
            for name, parameter in self._parameters.items()
        )

    def __repr__(self):
        return tree_repr(self._get_name(), self.extra_repr().split("\n") if len(self) else [])


def _as_parameter(value):
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value
