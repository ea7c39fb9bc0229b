"""Module: a tree of parameters, buffers and submodules with a `forward`. Nothing is computed here: see nncore.ops."""

from collections import OrderedDict, namedtuple
from collections.abc import Mapping

import numpy as np

from nncore._core.capture import Same, guard, is_capturing, refuse, touch
from nncore._tensor import Tensor
from nncore.nn.arguments import check_device
from nncore.nn.hooks import BackwardHooks, add_hook
from nncore.nn.parameter import Parameter


class IncompatibleKeys(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """What `load_state_dict` returns: the names that were missing and those that had no place."""

    __slots__ = ()

    def __repr__(self):
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    __str__ = __repr__


class Module:
    """Base class of all neural network modules.

    Parameters, buffers and modules that are assigned as attributes become part of the tree.

    Example:
        >>> import nncore
        >>> from nncore import nn
        >>> class Affine(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.scale = nn.Parameter(nncore.ones(2))
        ...
        ...     def forward(self, x):
        ...         return x * self.scale
        >>> [name for name, _ in Affine().named_parameters()]
        ['scale']

    Reference: torch.nn.Module.
    """

    def __init__(self):
        # Past __setattr__, which looks into these. What they hold under a name is an attribute as well: Python then
        # finds it without asking __getattr__, which takes as long as a small kernel.
        fields = self.__dict__
        fields["training"] = True
        fields["_parameters"] = {}
        fields["_buffers"] = {}
        fields["_non_persistent_buffers_set"] = set()
        fields["_modules"] = {}
        fields["_forward_pre_hooks"] = OrderedDict()
        fields["_forward_hooks"] = OrderedDict()
        fields["_backward_hooks"] = OrderedDict()

    def forward(self, *args, **kwargs):
        """Compute the output. Every subclass defines it; call the module itself, which also runs its hooks."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args, **kwargs):
        """Run the hooks and forward."""
        if is_capturing():
            guard(self._configuration, self._configuration())
        if not (self._forward_hooks or self._forward_pre_hooks or self._backward_hooks):
            return self.forward(*args, **kwargs)
        return self._call_with_hooks(args, kwargs)

    def _call_with_hooks(self, args, kwargs):
        for hook, with_kwargs in list(self._forward_pre_hooks.values()):
            if with_kwargs:
                changed = hook(self, args, kwargs)
                if changed is not None:
                    args, kwargs = changed
            else:
                changed = hook(self, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        backward = BackwardHooks(self) if self._backward_hooks else None
        if backward is not None:
            args = backward.around_inputs(args)
        result = self.forward(*args, **kwargs)
        for hook, with_kwargs in list(self._forward_hooks.values()):
            changed = hook(self, args, kwargs, result) if with_kwargs else hook(self, args, result)
            if changed is not None:
                result = changed
        return result if backward is None else backward.around_outputs(result)

    # ---- attributes ----
    def __setattr__(self, name, value):
        fields = self.__dict__
        if isinstance(value, Parameter):
            self._claim("_parameters", name)
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self._claim("_modules", name)[name] = value
            fields[name] = value
        elif name in fields.get("_parameters", ()):
            self._replace("_parameters", name, value, "parameter", "Parameter")
        elif name in fields.get("_modules", ()):
            self._replace("_modules", name, value, "child module", "Module")
        elif name in fields.get("_buffers", ()):
            self._replace("_buffers", name, value, "buffer", "Tensor")
        else:
            if fields.get(name, fields) is not value:
                refuse(
                    f"{type(self).__name__}.{name} = ...", "keep what changes from call to call in a buffer, a Tensor"
                )
                touch()
            object.__setattr__(self, name, value)

    def _configuration(self):
        """What a captured call of this module depends on: mode, options, which parts and hooks it has."""
        options, parts = [], []
        for name, value in self.__dict__.items():
            if isinstance(value, dict):
                parts.append((name, tuple((key, Same(part)) for key, part in value.items())))
            else:
                simple = isinstance(value, (bool, int, float, str, tuple, type(None)))
                options.append((name, value if simple else Same(value)))
        return options, parts

    def _claim(self, registry, name):
        """The registry ("_parameters" or "_modules") that `name` shall live in, and nowhere else."""
        touch()
        fields = self.__dict__
        if registry not in fields:
            raise AttributeError(f"cannot assign {registry[1:]} before Module.__init__() call")
        for other in (fields, fields["_parameters"], fields["_buffers"], fields["_modules"]):
            if other is not fields[registry]:
                other.pop(name, None)
        self._non_persistent_buffers_set.discard(name)
        return fields[registry]

    def _replace(self, registry, name, value, what, expected):
        if value is not None and not (registry == "_buffers" and isinstance(value, Tensor)):
            raise TypeError(
                f"cannot assign '{type(value).__name__}' object to {what} '{name}' ({expected} or None expected)"
            )
        touch()
        self.__dict__[registry][name] = self.__dict__[name] = value

    def __getattr__(self, name):
        fields = self.__dict__
        for registry in ("_parameters", "_buffers", "_modules"):
            if registry in fields and name in fields[registry]:
                return fields[registry][name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name):
        touch()
        for registry in (self._parameters, self._buffers, self._modules):
            if name in registry:
                del registry[name]
                self.__dict__.pop(name, None)
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self):
        return sorted({*super().__dir__(), *self._parameters, *self._buffers, *self._modules})

    def _check_name(self, what, name, registry):
        if not isinstance(name, str):
            raise TypeError(f"{what} name should be a string. Got {type(name).__name__}")
        if "." in name:
            raise KeyError(f'{what} name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError(f'{what} name can\'t be empty string ""')
        if name not in registry and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")

    def register_parameter(self, name, param):
        """Add a parameter, or None for one that this configuration leaves out (`bias=False`)."""
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameters before Module.__init__() call")
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{type(param).__name__}' object to parameter '{name}' "
                "(nncore.nn.Parameter or None required)"
            )
        self._check_name("parameter", name, self._parameters)
        touch()
        self._parameters[name] = self.__dict__[name] = param

    def register_buffer(self, name, tensor, persistent=True):
        """Add a tensor that is state but no parameter, such as a running mean.

        Args:
            name: attribute name.
            tensor: a Tensor, or None.
            persistent: whether it is part of the state_dict.
        """
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_name("buffer", name, self._buffers)
        touch()
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' (nncore.Tensor or None required)"
            )
        self._buffers[name] = self.__dict__[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name, module):
        """Add a child module under a name that need not be an identifier ("0", "1", ...)."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        self._check_name("module", name, self._modules)
        touch()
        self._modules[name] = self.__dict__[name] = module

    register_module = add_module

    # ---- the tree ----
    def children(self):
        """Iterate over the direct submodules."""
        for _, module in self.named_children():
            yield module

    def named_children(self):
        """Iterate over (name, module) of the direct submodules."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def modules(self):
        """Iterate over this module and everything below it."""
        for _, module in self.named_modules():
            yield module

    def named_modules(self, memo=None, prefix="", remove_duplicate=True):
        """Iterate over (name, module) of this module, named `prefix`, and everything below it."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def _named_members(self, registry, prefix, recurse, remove_duplicate):
        seen = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, member in getattr(module, registry).items():
                if member is None or id(member) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(member))
                yield f"{path}.{name}" if path else name, member

    def parameters(self, recurse=True):
        """Iterate over the parameters, each once."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        """Iterate over (name, parameter)."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def buffers(self, recurse=True):
        """Iterate over the buffers, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
        """Iterate over (name, buffer)."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def get_submodule(self, target):
        """The module at a dotted path; "" is this module."""
        module = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module

    def get_parameter(self, target):
        """The parameter at a dotted path."""
        return self._get_member("_parameters", target, "an nn.Parameter")

    def get_buffer(self, target):
        """The buffer at a dotted path."""
        return self._get_member("_buffers", target, "a buffer")

    def _get_member(self, registry, target, what):
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if name not in getattr(module, registry):
            raise AttributeError(f"{type(module).__name__}.{name} is not {what}")
        return getattr(module, registry)[name]

    def apply(self, fn):
        """Call `fn(module)` for every submodule, children first, then for this module; returns self."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # ---- mode ----
    def train(self, mode=True):
        """Set training mode (dropout drops, batch norm uses the batch) for this module and all below it."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self):
        """Set evaluation mode."""
        return self.train(False)

    def requires_grad_(self, requires_grad=True):
        """Set whether the parameters ask for gradients."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none=True):
        """Drop the gradients of all parameters, or fill them with zeros."""
        for parameter in self.parameters():
            if parameter.grad is not None:
                if set_to_none:
                    parameter.grad = None
                else:
                    parameter.grad.zero_()

    # ---- dtype ----
    def _apply(self, fn):
        """Replace every parameter, gradient and buffer by fn of it, in the same objects."""
        for parameter in self.parameters():
            grad, parameter.grad = parameter.grad, None
            parameter.replace(fn(parameter.detach()).array)
            if grad is not None:
                parameter.grad = fn(grad)
        for buffer in self.buffers():
            buffer.replace(fn(buffer.detach()).array)
        return self

    def to(self, *args, **kwargs):
        """Convert the floating-point parameters and buffers in place: `to(dtype)`, `to("cpu")`, `to(tensor)`.

        Returns:
            This module.

        Example:
            >>> import nncore
            >>> from nncore import nn
            >>> nn.Linear(2, 3).to(nncore.float64).weight.dtype
            dtype('float64')
        """
        device, dtype = kwargs.pop("device", None), kwargs.pop("dtype", None)
        kwargs.pop("non_blocking", None)
        if kwargs:
            raise TypeError(f"to() got an unexpected keyword argument '{next(iter(kwargs))}'")
        for value in args:
            if isinstance(value, Tensor):
                dtype = value.dtype
            elif isinstance(value, str):
                device = value
            elif not isinstance(value, bool) and value is not None:  # a bool is torch's non_blocking
                dtype = np.dtype(value)
        check_device(device)
        if dtype is None:
            return self
        if np.dtype(dtype).kind != "f":
            raise TypeError(f"nn.Module.to only accepts floating point dtypes, but got desired dtype={dtype}")
        return self._apply(lambda tensor: tensor.to(dtype) if tensor.dtype.kind == "f" else tensor)

    def float(self):
        """Convert the floating-point parameters and buffers to float32."""
        return self.to(np.float32)

    def double(self):
        """Convert the floating-point parameters and buffers to float64."""
        return self.to(np.float64)

    def cpu(self):
        """Return this module: it is on the CPU."""
        return self

    # ---- hooks ----
    def register_forward_pre_hook(self, hook, *, prepend=False, with_kwargs=False):
        """Call `hook(module, args)` before every forward; what it returns, unless None, replaces the arguments."""
        return add_hook(self._forward_pre_hooks, (hook, with_kwargs), prepend)

    def register_forward_hook(self, hook, *, prepend=False, with_kwargs=False):
        """Call `hook(module, args, output)` after every forward; what it returns, unless None, is the output.

        Example:
            >>> import nncore
            >>> from nncore import nn
            >>> layer = nn.Linear(2, 3)
            >>> handle = layer.register_forward_hook(lambda module, args, output: print(output.shape))
            >>> y = layer(nncore.ones(4, 2))
            (4, 3)
            >>> handle.remove()
        """
        return add_hook(self._forward_hooks, (hook, with_kwargs), prepend)

    def register_full_backward_hook(self, hook, prepend=False):
        """Call `hook(module, grad_input, grad_output)` when the gradients of the inputs are known.

        Both are tuples, with None for what needs no gradient. What the hook returns, unless None, replaces grad_input.
        """
        return add_hook(self._backward_hooks, hook, prepend)

    # ---- state ----
    def state_dict(self, *, destination=None, prefix="", keep_vars=False):
        """Names and values of all parameters and persistent buffers. The tensors share the module's memory.

        Args:
            destination: mapping to fill. Default: a new OrderedDict.
            prefix: put before every name.
            keep_vars: give the Parameters themselves instead of detached tensors.

        Example:
            >>> from nncore import nn
            >>> list(nn.Linear(2, 3).state_dict())
            ['weight', 'bias']
        """
        destination = OrderedDict() if destination is None else destination
        for name, parameter in self._parameters.items():
            if parameter is not None:
                destination[prefix + name] = parameter if keep_vars else parameter.detach()
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                destination[prefix + name] = buffer if keep_vars else buffer.detach()
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        return destination

    def load_state_dict(self, state_dict, strict=True):
        """Copy values into the parameters and buffers of the same names. On an error nothing is changed.

        Args:
            state_dict: mapping from names to Tensors, NumPy arrays or whatever `numpy.asarray` takes.
            strict: refuse missing and unexpected names. Shapes must fit in any case.

        Returns:
            (missing_keys, unexpected_keys), a named tuple.

        Raises:
            RuntimeError: lists every missing and unexpected name and every size that does not fit.

        Example:
            >>> import numpy as np
            >>> from nncore import nn
            >>> layer = nn.Linear(2, 1)
            >>> layer.load_state_dict({"weight": np.ones((1, 2)), "bias": np.zeros(1)})
            <All keys matched successfully>
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        targets = self.state_dict()
        missing = [name for name in targets if name not in state_dict]
        unexpected = [name for name in state_dict if name not in targets]
        errors = []
        if strict and missing:
            errors.append(f"Missing key(s) in state_dict: {', '.join(map(_quoted, missing))}. ")
        if strict and unexpected:
            errors.append(f"Unexpected key(s) in state_dict: {', '.join(map(_quoted, unexpected))}. ")
        values = {}
        for name, target in targets.items():
            if name not in state_dict:
                continue
            value = state_dict[name]
            value = value.array if isinstance(value, Tensor) else np.asarray(value)
            if value.shape != target.shape:
                errors.append(
                    f"size mismatch for {name}: copying a param with shape {value.shape} from checkpoint, "
                    f"the shape in current model is {target.shape}."
                )
            elif value.dtype.kind not in "biuf":
                errors.append(f"dtype mismatch for {name}: expected real numbers, got {value.dtype}.")
            elif not target.array.flags.writeable:
                errors.append(f"the memory of {name} is read-only.")
            else:
                values[name] = value
        if errors:
            message = "\n\t".join(errors)
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{message}")
        for name, value in values.items():
            refuse("loading weights", "load them outside the function")
            np.copyto(targets[name].array, value, casting="unsafe")
            targets[name].changed()
        return IncompatibleKeys(missing, unexpected)

    # ---- repr ----
    def extra_repr(self):
        """The configuration between the parentheses of `repr`; layers define it."""
        return ""

    def _get_name(self):
        return type(self).__name__

    def __repr__(self):
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): {indented(repr(module))}" for name, module in self._modules.items()]
        if len(lines) == 1 and not children:
            return f"{self._get_name()}({extra})"
        return tree_repr(self._get_name(), lines + children)


def _quoted(name):
    return f'"{name}"'


def indented(text):
    """The text with two spaces before each line but the first."""
    return text.replace("\n", "\n  ")


def tree_repr(name, lines):
    """Name(...) with one line for each part."""
    if not lines:
        return f"{name}()"
    return f"{name}(\n  " + "\n  ".join(lines) + "\n)"
