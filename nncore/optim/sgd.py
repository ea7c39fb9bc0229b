"""Stochastic gradient descent."""

from nncore._core.kernels import KERNELS
from nncore.optim.optimizer import Optimizer, check_not_negative

_sgd_step = KERNELS["sgd_step"]


class SGD(Optimizer):
    """p -= lr b, b = momentum b + (1 - dampening) g, g = gradient + weight_decay p.

    Args:
        params: parameters or groups; see Optimizer.
        lr: learning rate. Default: 1e-3.
        momentum: Default: 0.
        dampening: Default: 0.
        weight_decay: Default: 0.
        nesterov: step along g + momentum b. Default: False.
        maximize: go up instead of down. Default: False.
        foreach, fused: accepted as in torch; every step is one kernel call for all parameters.
        form: "torch" as above, or "classic": b = momentum b - lr g, p += b (with nesterov: p += momentum b - lr g),
            which differs as soon as lr changes. Default: "torch".

    Example:
        >>> import nncore
        >>> p = nncore.tensor([1.0], requires_grad=True)
        >>> optimizer = nncore.optim.SGD([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.8

    Reference: torch.optim.SGD; Sutskever et al. 2013.
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        momentum=0,
        dampening=0,
        weight_decay=0,
        nesterov=False,
        *,
        maximize=False,
        foreach=None,
        fused=None,
        form="torch",
    ):
        check_not_negative(learning_rate=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        if form not in ("torch", "classic"):
            raise ValueError(f"SGD: argument 'form' is {form!r}, expected 'torch' or 'classic'")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "form": form,
        }
        super().__init__(params, defaults)

    def step(self, closure=None):
        """Move every parameter that has a gradient; see Optimizer.step."""
        loss = self._begin(closure)
        for group in self.param_groups:
            names = ("momentum_buffer",) if group["momentum"] else ()
            for step, params, grads, *buffers in self._batches(group, *names):
                _sgd_step(
                    params,
                    buffers[0] if buffers else None,
                    grads,
                    group.number("lr"),
                    group.number("momentum"),
                    group["dampening"],
                    group["weight_decay"],
                    group["nesterov"],
                    group["maximize"],
                    group["form"] == "classic",
                    step,
                )
        return loss
