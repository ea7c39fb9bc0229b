"""Lion: steps of one size, whose signs a momentum decides."""

from nncore._core.kernels import KERNELS
from nncore.optim.optimizer import Optimizer, check_betas, check_not_negative

_lion_step = KERNELS["lion_step"]


class Lion(Optimizer):
    """p -= lr sign(beta1 m + (1 - beta1) g), then m = beta2 m + (1 - beta2) g.

    Args:
        params: parameters or groups; see Optimizer.
        lr: learning rate, the size of each element's step. Default: 1e-4.
        betas: (of the sign, of m). Default: (0.9, 0.99).
        weight_decay: p *= 1 - lr weight_decay before each step. Default: 0.
        maximize: go up instead of down. Default: False.

    Example:
        >>> import nncore
        >>> p = nncore.tensor([1.0, -3.0], requires_grad=True)
        >>> optimizer = nncore.optim.Lion([p], lr=0.5)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> p.tolist()
        [0.5, -2.5]

    Reference: Chen et al., "Symbolic discovery of optimization algorithms", 2023.
    """

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0, *, maximize=False):
        check_not_negative(learning_rate=lr, weight_decay=weight_decay)
        defaults = {"lr": lr, "betas": check_betas(betas), "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)

    def step(self, closure=None):
        """Move every parameter that has a gradient; see Optimizer.step."""
        loss = self._begin(closure)
        for group in self.param_groups:
            for _, params, grads, exp_avgs in self._batches(group, "exp_avg"):
                _lion_step(
                    params,
                    exp_avgs,
                    grads,
                    group.number("lr"),
                    *group.betas(),
                    group["weight_decay"],
                    group["maximize"],
                )
        return loss
