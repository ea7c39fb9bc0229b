"""AveragedModel: a second model whose weights are a mean of those that training goes through."""

import copy

from nncore._core.tape import no_grad
from nncore._tensor import Tensor
from nncore.nn.module import Module
from nncore.ops.convert import as_tensor


def get_swa_avg_fn():
    """An avg_fn for AveragedModel: the mean of all, each as much as the others.

    Reference: torch.optim.swa_utils.get_swa_avg_fn; Izmailov et al. 2018.
    """

    def average(averaged, current, num_averaged):
        return averaged + (current - averaged) / (float(num_averaged) + 1)

    return average


def get_ema_avg_fn(decay=0.999):
    """An avg_fn for AveragedModel: decay averaged + (1 - decay) current.

    Args:
        decay: 0 to 1. Default: 0.999.

    Reference: torch.optim.swa_utils.get_ema_avg_fn.
    """
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")

    def average(averaged, current, num_averaged):
        return decay * averaged + (1 - decay) * current

    return average


class AveragedModel(Module):
    """A copy of a model with the mean of its parameters over time.

    Args:
        model: the Module that is trained.
        device: accepted as in torch; "cpu" or None.
        avg_fn: function(averaged, current, num_averaged) of Tensors. Default: get_swa_avg_fn(), the mean of all.
        use_buffers: whether buffers (running statistics) are averaged like parameters. Default: False: they are copied.

    Attributes:
        module: the copy.
        n_averaged: int64 Tensor, how often `update_parameters` was called.

    Example:
        >>> import nncore
        >>> model = nncore.nn.Linear(1, 1, bias=False)
        >>> averaged = AveragedModel(model)
        >>> for value in (1.0, 2.0, 6.0):
        ...     _ = nncore.nn.init.constant_(model.weight, value)
        ...     averaged.update_parameters(model)
        >>> averaged(nncore.ones(1, 1)).item()
        3.0

    Reference: torch.optim.swa_utils.AveragedModel; Izmailov et al. 2018.
    """

    def __init__(self, model, device=None, avg_fn=None, use_buffers=False):
        super().__init__()
        if device is not None and str(device) != "cpu":
            raise RuntimeError(f"device {device!r} is not available, expected 'cpu'")
        self.module = copy.deepcopy(model)
        self.register_buffer("n_averaged", as_tensor(0))
        self.avg_fn = get_swa_avg_fn() if avg_fn is None else avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args, **kwargs):
        """The copy's output."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model):
        """Take the present weights of the model into the mean; the first are the mean."""
        count = int(self.n_averaged.item())
        own, others = list(self.module.parameters()), list(model.parameters())
        if self.use_buffers:
            own, others = own + list(self.module.buffers()), others + list(model.buffers())
        with no_grad():
            for averaged, current in zip(own, others, strict=True):
                value = current.detach()
                if count and current.dtype.kind == "f":
                    value = as_tensor(self.avg_fn(averaged.detach(), value, Tensor(self.n_averaged.array)))
                averaged.detach().copy_(value)
            if not self.use_buffers:
                for mine, current in zip(self.module.buffers(), model.buffers(), strict=True):
                    mine.detach().copy_(current.detach())
            self.n_averaged.add_(1)
