"""Adagrad and Adadelta: rates that shrink with the gradients an element has seen."""

from nncore._core.kernels import KERNELS
from nncore.optim.optimizer import Optimizer, check_not_negative

_adagrad_step, _adadelta_step = KERNELS["adagrad_step"], KERNELS["adadelta_step"]


class Adagrad(Optimizer):
    """p -= lr / (1 + (step - 1) lr_decay) g / (sqrt(s) + eps), s the sum of all g^2 so far.

    Args:
        params: parameters or groups; see Optimizer.
        lr: learning rate. Default: 1e-2.
        lr_decay: Default: 0.
        weight_decay: added to g as weight_decay p. Default: 0.
        initial_accumulator_value: s at the start. Default: 0.
        eps: Default: 1e-10.
        foreach, fused: accepted as in torch; every step is one kernel call for all parameters.
        maximize: go up instead of down. Default: False.

    Example:
        >>> import nncore
        >>> p = nncore.tensor([1.0], requires_grad=True)
        >>> optimizer = nncore.optim.Adagrad([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.9

    Reference: torch.optim.Adagrad; Duchi, Hazan & Singer 2011.
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        lr_decay=0,
        weight_decay=0,
        initial_accumulator_value=0,
        eps=1e-10,
        foreach=None,
        *,
        maximize=False,
        fused=None,
    ):
        check_not_negative(
            learning_rate=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=eps,
        )
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _first(self, group, name):
        return group["initial_accumulator_value"]

    def step(self, closure=None):
        """Move every parameter that has a gradient; see Optimizer.step."""
        loss = self._begin(closure)
        for group in self.param_groups:
            for step, params, grads, sums in self._batches(group, "sum"):
                _adagrad_step(
                    params,
                    sums,
                    grads,
                    group.number("lr"),
                    group["lr_decay"],
                    group["eps"],
                    group["weight_decay"],
                    group["maximize"],
                    step,
                )
        return loss


class Adadelta(Optimizer):
    """p -= lr d, d = sqrt(a + eps) / sqrt(s + eps) g; s and a are running means of g^2 and d^2.

    Args:
        params: parameters or groups; see Optimizer.
        lr: factor of the step. Default: 1.
        rho: smoothing of s and a. Default: 0.9.
        eps: Default: 1e-6.
        weight_decay: added to g as weight_decay p. Default: 0.
        foreach: accepted as in torch; every step is one kernel call for all parameters.
        maximize: go up instead of down. Default: False.

    Example:
        >>> import nncore
        >>> p = nncore.tensor([1.0], requires_grad=True)
        >>> optimizer = nncore.optim.Adadelta([p])
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.9968

    Reference: torch.optim.Adadelta; Zeiler 2012.
    """

    def __init__(self, params, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0, foreach=None, *, maximize=False):
        check_not_negative(learning_rate=lr, epsilon=eps, weight_decay=weight_decay)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        defaults = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)

    def step(self, closure=None):
        """Move every parameter that has a gradient; see Optimizer.step."""
        loss = self._begin(closure)
        for group in self.param_groups:
            for _, params, grads, squares, deltas in self._batches(group, "square_avg", "acc_delta"):
                _adadelta_step(
                    params,
                    squares,
                    deltas,
                    grads,
                    group.number("lr"),
                    group["rho"],
                    group["eps"],
                    group["weight_decay"],
                    group["maximize"],
                )
        return loss
