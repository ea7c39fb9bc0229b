"""Adam and AdamW."""

from nncore._core.kernels import KERNELS
from nncore.optim.optimizer import Optimizer, check_betas, check_not_negative

_adam_step = KERNELS["adam_step"]


class Adam(Optimizer):
    """p -= lr m' / (sqrt(s') + eps), m and s running means of g and g^2, m' and s' those without their bias to 0.

    Args:
        params: parameters or groups; see Optimizer.
        lr: learning rate. Default: 1e-3.
        betas: (of m, of s). Default: (0.9, 0.999).
        eps: Default: 1e-8.
        weight_decay: added to g as weight_decay p. Default: 0.
        amsgrad: divide by the largest s so far. Default: False.
        foreach, fused: accepted as in torch; every step is one kernel call for all parameters.
        maximize: go up instead of down. Default: False.
        decoupled_weight_decay: p *= 1 - lr weight_decay instead, as in AdamW. Default: False.

    Example:
        >>> import nncore
        >>> p = nncore.tensor([1.0], requires_grad=True)
        >>> optimizer = nncore.optim.Adam([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.9

    Reference: torch.optim.Adam; Kingma & Ba 2015.
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        amsgrad=False,
        *,
        foreach=None,
        maximize=False,
        fused=None,
        decoupled_weight_decay=False,
    ):
        check_not_negative(learning_rate=lr, epsilon=eps, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": check_betas(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def step(self, closure=None):
        """Move every parameter that has a gradient; see Optimizer.step."""
        loss = self._begin(closure)
        for group in self.param_groups:
            names = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if group["amsgrad"] else ("exp_avg", "exp_avg_sq")
            for step, params, grads, exp_avgs, exp_avg_sqs, *largest in self._batches(group, *names):
                _adam_step(
                    params,
                    exp_avgs,
                    exp_avg_sqs,
                    largest[0] if largest else None,
                    grads,
                    group.number("lr"),
                    *group.betas(),
                    group["eps"],
                    group["weight_decay"],
                    group["decoupled_weight_decay"],
                    group.get("epsilon_hat", False),
                    group["maximize"],
                    step,
                )
        return loss


class AdamW(Adam):
    """Adam with decoupled weight decay: p *= 1 - lr weight_decay before each step.

    Args:
        As Adam; weight_decay: Default: 1e-2.

    Example:
        >>> import nncore
        >>> p = nncore.tensor([1.0], requires_grad=True)
        >>> optimizer = nncore.optim.AdamW([p], lr=0.1, weight_decay=0.5)
        >>> (p * 0).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.95

    Reference: torch.optim.AdamW; Loshchilov & Hutter 2019.
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=1e-2,
        amsgrad=False,
        *,
        maximize=False,
        foreach=None,
        fused=None,
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)

    def load_state_dict(self, state_dict):
        """Take over state and options; see Optimizer.load_state_dict. The decay stays decoupled."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
