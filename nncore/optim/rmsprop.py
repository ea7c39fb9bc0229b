"""RMSprop."""

from nncore._core.kernels import KERNELS
from nncore.optim.optimizer import Optimizer, check_not_negative

_rmsprop_step = KERNELS["rmsprop_step"]


class RMSprop(Optimizer):
    """p -= lr g / (sqrt(s) + eps), s = alpha s + (1 - alpha) g^2.

    Args:
        params: parameters or groups; see Optimizer.
        lr: learning rate. Default: 1e-2.
        alpha: smoothing of s. Default: 0.99.
        eps: Default: 1e-8.
        weight_decay: added to g as weight_decay p. Default: 0.
        momentum: b = momentum b + g / (sqrt(s) + eps), p -= lr b. Default: 0.
        centered: the variance of g in the place of s. Default: False.
        foreach: accepted as in torch; every step is one kernel call for all parameters.
        maximize: go up instead of down. Default: False.

    Example:
        >>> import nncore
        >>> p = nncore.tensor([1.0], requires_grad=True)
        >>> optimizer = nncore.optim.RMSprop([p], lr=0.01)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.9

    Reference: torch.optim.RMSprop; Tieleman & Hinton 2012.
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        alpha=0.99,
        eps=1e-8,
        weight_decay=0,
        momentum=0,
        centered=False,
        *,
        foreach=None,
        maximize=False,
    ):
        check_not_negative(learning_rate=lr, epsilon=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def step(self, closure=None):
        """Move every parameter that has a gradient; see Optimizer.step."""
        loss = self._begin(closure)
        for group in self.param_groups:
            optional = {"grad_avg": group["centered"], "momentum_buffer": group["momentum"] > 0}
            names = ("square_avg", *(name for name, used in optional.items() if used))
            for _, params, grads, *states in self._batches(group, *names):
                state = dict(zip(names, states, strict=True))
                _rmsprop_step(
                    params,
                    state["square_avg"],
                    state.get("grad_avg"),
                    state.get("momentum_buffer"),
                    grads,
                    group.number("lr"),
                    group["alpha"],
                    group["eps"],
                    group["weight_decay"],
                    group.number("momentum"),
                    group["maximize"],
                )
        return loss
