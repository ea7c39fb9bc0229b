"""Gradients: as functions, of your own operations, and checked against finite differences."""

import numpy as np

from nncore._core import tape
from nncore._core.tape import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from nncore._core.tensor import TensorBase, wrap_array
from nncore.ops.convert import as_float
from nncore.ops.dims import filled_like

__all__ = [
    "Function",
    "backward",
    "derivative",
    "enable_grad",
    "grad",
    "gradcheck",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]


def _sequence(value):
    return (value,) if isinstance(value, TensorBase) else tuple(value)


def grad(outputs, inputs, grad_outputs=None, retain_graph=False, create_graph=False, allow_unused=False):
    """Gradients of the sum of `outputs` with respect to `inputs`; .grad stays as it is.

    Args:
        outputs: Tensor or sequence of them.
        inputs: Tensor or sequence of them, to differentiate by.
        grad_outputs: gradients of the outputs to start with. Default: 1 for outputs of one element.
        retain_graph: keep what is needed to do it again. Default: False.
        create_graph: record the gradient computation itself; not available.
        allow_unused: give None for an input that the outputs do not depend on, instead of an error. Default: False.

    Returns:
        Tuple of Tensors, one for each input.

    Example:
        >>> import nncore
        >>> x = nncore.tensor([3.0], requires_grad=True)
        >>> nncore.autograd.grad(x * x, x)
        (tensor([6.]),)
    """
    if create_graph:
        raise ValueError("grad: argument 'create_graph' is True, and second derivatives are not available")
    grad_outputs = None if grad_outputs is None else _sequence(grad_outputs)
    return tape.grad(_sequence(outputs), _sequence(inputs), grad_outputs, retain_graph, allow_unused)


def derivative(function):
    """The derivative of a function that takes each number by itself, as a function.

    Args:
        function: from a Tensor to one of the same shape, each element computed from its own alone.

    Returns:
        Function from a Tensor, an array or a number to the Tensor of slopes, without history.

    Raises:
        ValueError: when called, if the function changes the shape.

    Example:
        >>> import nncore
        >>> nncore.autograd.derivative(nncore.tanh)([0.0, 1.0])
        tensor([1.0000, 0.4200])

    Reference: the slopes at kinks are those of the backward pass; docs/numerics.md.
    """

    def slope(x):
        x = as_float("derivative", x).detach().requires_grad_()
        with enable_grad():
            y = function(x)
        if y.shape != x.shape:
            raise ValueError(f"derivative: the function gives shape {y.shape} for {x.shape}, expected the same")
        if not y.requires_grad:
            return wrap_array(filled_like(x.array, 0))
        return grad(y, x, wrap_array(filled_like(y.array, 1)), allow_unused=True)[0]

    return slope


def backward(tensors, grad_tensors=None, retain_graph=False):
    """Tensor.backward of several tensors.

    Example:
        >>> import nncore
        >>> x = nncore.tensor(3.0, requires_grad=True)
        >>> nncore.autograd.backward([x * x, 2 * x])
        >>> x.grad
        tensor(8.)
    """
    tensors = _sequence(tensors)
    gradients = (None,) * len(tensors) if grad_tensors is None else _sequence(grad_tensors)
    if len(gradients) != len(tensors):
        raise ValueError(f"backward: argument 'grad_tensors' has {len(gradients)} tensors, expected {len(tensors)}")
    for i, (t, g) in enumerate(zip(tensors, gradients)):
        tape.backward(t, g, retain_graph or i < len(tensors) - 1)


class _Context:
    """What forward leaves for backward."""

    saved_tensors = ()

    def save_for_backward(self, *tensors):
        """Keep tensors for backward, where they are ctx.saved_tensors."""
        self.saved_tensors = tensors


class Function:
    """An operation of your own: subclass with static methods forward(ctx, *args) and backward(ctx, *gradients), call apply.

    Example:
        >>> import nncore
        >>> class Cube(nncore.autograd.Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         ctx.save_for_backward(x)
        ...         return x * x * x
        ...     @staticmethod
        ...     def backward(ctx, dy):
        ...         (x,) = ctx.saved_tensors
        ...         return dy * 3 * x * x
        >>> x = nncore.tensor(2.0, requires_grad=True)
        >>> Cube.apply(x).backward()
        >>> x.grad
        tensor(12.)
    """

    @staticmethod
    def forward(ctx, *args, **kwargs):
        """Compute the outputs, a Tensor or a tuple of them. Nothing is recorded meanwhile."""
        raise TypeError("Function: a subclass must define forward(ctx, ...)")

    @staticmethod
    def backward(ctx, *gradients):
        """Gradients of the Tensor arguments of forward, from the gradients of its outputs; None for the rest."""
        raise TypeError("Function: a subclass must define backward(ctx, ...)")

    @classmethod
    def apply(cls, *args, **kwargs):
        """Run forward and record backward."""
        ctx = _Context()
        inputs = tuple(a if isinstance(a, TensorBase) else None for a in args)
        ctx.needs_input_grad = tuple(a is not None and a.requires_grad for a in inputs)
        with no_grad():
            result = cls.forward(ctx, *args, **kwargs)
        outputs = result if isinstance(result, tuple) else (result,)
        for i, y in enumerate(outputs):
            if not isinstance(y, TensorBase):
                raise TypeError(f"{cls.__name__}: forward returned {type(y).__name__} as output {i}, expected a Tensor")

        def vjp(needs, *dys):
            gradients = [wrap_array(np.zeros(y.shape, y.dtype) if dy is None else dy) for y, dy in zip(shapes, dys)]
            with no_grad():
                dinputs = cls.backward(ctx, *gradients)
            dinputs = dinputs if isinstance(dinputs, tuple) else (dinputs,)
            if len(dinputs) != len(inputs):
                raise ValueError(
                    f"{cls.__name__}: backward returned {len(dinputs)} gradients, expected {len(inputs)}, one for each argument"
                )
            for i, (a, d) in enumerate(zip(inputs, dinputs)):
                if a is not None and d is not None and d.shape != a.shape:
                    raise ValueError(
                        f"{cls.__name__}: backward returned a gradient of shape {d.shape} for argument {i}, expected {a.shape}"
                    )
            return tuple(None if d is None or not need else d.array for d, need in zip(dinputs, needs))

        vjp.__qualname__ = cls.__name__
        shapes = [y.array for y in outputs]
        saved = tuple(t for t in ctx.saved_tensors if isinstance(t, TensorBase) and any(t is a for a in inputs))
        recorded = tape.record(tuple(y.array for y in outputs), inputs, vjp, saved)
        return recorded if isinstance(result, tuple) else recorded[0]


def gradcheck(fn, inputs, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True):
    """Compare the gradients of fn with central differences.

    Args:
        fn: function of Tensors that returns a Tensor or a tuple of them.
        inputs: tuple of float64 Tensors; those that require a gradient are checked.
        eps: step of the differences. Default: 1e-6.
        atol, rtol: |gradient - difference| <= atol + rtol |difference|. Defaults: 1e-5, 1e-3.
        raise_exception: raise, or return False. Default: True.

    Returns:
        True if all agree.

    Raises:
        RuntimeError: a gradient differs; the message says which and by how much.

    Example:
        >>> import nncore
        >>> x = nncore.tensor([1.0, 2.0], dtype=nncore.float64, requires_grad=True)
        >>> nncore.autograd.gradcheck(lambda x: x.exp() * x, (x,))
        True
    """
    inputs = _sequence(inputs)
    for i, x in enumerate(inputs):
        if isinstance(x, TensorBase) and x.requires_grad and x.array.dtype != np.float64:
            raise TypeError(f"gradcheck: input {i} has dtype {x.array.dtype}, expected float64")

    def outputs():
        return _sequence(fn(*inputs))

    count = len(outputs())
    for o in range(count):
        for i, x in enumerate(inputs):
            if not isinstance(x, TensorBase) or not x.requires_grad:
                continue
            numeric = _differences(lambda o=o: outputs()[o].array, x, eps)
            analytic = np.zeros_like(numeric)
            for j in range(numeric.shape[1]):
                y = outputs()[o]
                seed = np.zeros(y.array.size)
                seed[j] = 1
                (dx,) = grad(y, x, wrap_array(seed.reshape(y.shape)), allow_unused=True) if y.requires_grad else (None,)
                if dx is not None:
                    analytic[:, j] = dx.array.reshape(-1)
            if not np.allclose(analytic, numeric, rtol, atol):
                if not raise_exception:
                    return False
                worst = np.unravel_index(np.argmax(np.abs(analytic - numeric)), numeric.shape)
                raise RuntimeError(
                    f"gradcheck: output {o} element {worst[1]} by input {i} element {worst[0]}: gradient {analytic[worst]:.8g}, "
                    f"difference quotient {numeric[worst]:.8g}"
                )
    return True


def _differences(outputs, x, eps):
    """(x.size, y.size) matrix of central differences."""
    flat = x.array.reshape(-1) if x.array.flags.c_contiguous else None
    if flat is None:
        raise ValueError("gradcheck: an input is not contiguous; use contiguous() and index inside fn")
    columns = []
    with no_grad():
        for k in range(flat.size):
            value = flat[k]
            flat[k] = value + eps
            above = outputs().astype(np.float64).reshape(-1).copy()
            flat[k] = value - eps
            below = outputs().astype(np.float64).reshape(-1).copy()
            flat[k] = value
            columns.append((above - below) / (2 * eps))
    return np.array(columns).reshape(flat.size, -1)
