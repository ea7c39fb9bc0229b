"""What is done to all gradients or all parameters at once; sequences of different lengths are in `rnn`."""

import math

from nncore import ops
from nncore._core.tape import no_grad
from nncore._tensor import Tensor
from nncore.nn.utils import rnn as rnn


def _gradients(parameters):
    parameters = [parameters] if isinstance(parameters, Tensor) else parameters
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Scale all gradients in place so that their common norm is at most max_norm.

    Args:
        parameters: Tensor or iterable of Tensors.
        max_norm: the largest norm allowed.
        norm_type: p of the p-norm; inf for the largest absolute value. Default: 2.
        error_if_nonfinite: raise when the norm is NaN or infinite. Default: False.
        foreach: accepted as in torch, without effect.

    Returns:
        Tensor without dimensions: the norm before.

    Example:
        >>> import nncore
        >>> p = nncore.zeros(2, requires_grad=True)
        >>> p.grad = nncore.tensor([3.0, 4.0])
        >>> nncore.nn.utils.clip_grad_norm_([p], max_norm=1.0).item()
        5.0
        >>> p.grad
        tensor([0.6000, 0.8000])

    Reference: torch.nn.utils.clip_grad_norm_; Pascanu, Mikolov & Bengio 2013.
    """
    gradients = _gradients(parameters)
    if not gradients:
        return ops.as_tensor(0.0)
    dtype = gradients[0].dtype
    with no_grad():
        total = _norm(ops.stack([_norm(gradient, norm_type).to(dtype) for gradient in gradients]), norm_type)
        scale = (max_norm / (total + 1e-6)).clamp(max=1.0)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be "
            "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    with no_grad():
        for gradient in gradients:
            gradient.mul_(scale.to(gradient.dtype))
    return total


def _norm(x, norm_type):
    if norm_type == math.inf:
        return x.abs().max() if x.numel() else ops.zeros(dtype=x.dtype)
    if norm_type == 2:
        return x.square().sum().sqrt()
    return (x.abs() ** norm_type).sum() ** (1.0 / norm_type)


def clip_grad_value_(parameters, clip_value, foreach=None):
    """Hold every gradient in place to [-clip_value, clip_value].

    Example:
        >>> import nncore
        >>> p = nncore.zeros(2, requires_grad=True)
        >>> p.grad = nncore.tensor([3.0, -0.5])
        >>> nncore.nn.utils.clip_grad_value_([p], 1.0)
        >>> p.grad
        tensor([ 1.0000, -0.5000])

    Reference: torch.nn.utils.clip_grad_value_.
    """
    for gradient in _gradients(parameters):
        gradient.clamp_(-float(clip_value), float(clip_value))


def parameters_to_vector(parameters):
    """All parameters, flattened, one after the other.

    Example:
        >>> from nncore import nn
        >>> nn.utils.parameters_to_vector(nn.Linear(3, 2).parameters()).shape
        (8,)

    Reference: torch.nn.utils.parameters_to_vector.
    """
    return ops.cat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec, parameters):
    """Copy the pieces of a vector into the parameters; the inverse of parameters_to_vector.

    Raises:
        ValueError: the vector has not as many elements as the parameters; nothing is changed.

    Example:
        >>> import nncore
        >>> from nncore import nn
        >>> layer = nn.Linear(2, 1)
        >>> nn.utils.vector_to_parameters(nncore.tensor([1.0, 2.0, 3.0]), layer.parameters())
        >>> layer.bias.item()
        3.0

    Reference: torch.nn.utils.vector_to_parameters.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected nncore.Tensor, but got: {type(vec).__name__}")
    parameters = list(parameters)
    total = sum(parameter.numel() for parameter in parameters)
    if vec.shape != (total,):
        raise ValueError(f"vector_to_parameters: argument 'vec' has shape {vec.shape}, expected ({total},)")
    vec = vec.detach()
    start = 0
    for parameter in parameters:
        stop = start + parameter.numel()
        parameter.detach().copy_(vec[start:stop].reshape(parameter.shape))
        start = stop


def sparsity(module):
    """How many weights are exactly 0, as proximal L1 makes them.

    Args:
        module: a Module.

    Returns:
        dict from the name of a parameter to the share of its elements that are 0, and "total" for all of them together.

    Example:
        >>> import nncore
        >>> layer = nncore.nn.Linear(2, 1)
        >>> nncore.nn.utils.vector_to_parameters(nncore.tensor([0.0, 1.0, 0.0]), layer.parameters())
        >>> nncore.nn.utils.sparsity(layer)
        {'weight': 0.5, 'bias': 1.0, 'total': 0.6666666666666666}
    """
    sizes = {name: (p.numel(), int((p.detach() == 0).sum().item())) for name, p in module.named_parameters()}
    elements, zeros = (sum(column) for column in zip(*sizes.values(), strict=True)) if sizes else (0, 0)
    shares = {name: zero / count if count else 0.0 for name, (count, zero) in sizes.items()}
    return {**shares, "total": zeros / elements if elements else 0.0}
