"""Adam's relatives: Adamax, NAdam, RAdam."""

from nncore._core.kernels import KERNELS
from nncore.optim.optimizer import Optimizer, check_betas, check_not_negative

_adamax_step, _nadam_step, _radam_step = KERNELS["adamax_step"], KERNELS["nadam_step"], KERNELS["radam_step"]


class Adamax(Optimizer):
    """p -= lr / (1 - beta1^step) m / u, m the running mean of g, u = max(beta2 u, |g| + eps).

    Args:
        params: parameters or groups; see Optimizer.
        lr: learning rate. Default: 2e-3.
        betas: (of m, of u). Default: (0.9, 0.999).
        eps: Default: 1e-8.
        weight_decay: added to g as weight_decay p. Default: 0.
        foreach: accepted as in torch; every step is one kernel call for all parameters.
        maximize: go up instead of down. Default: False.

    Example:
        >>> import nncore
        >>> p = nncore.tensor([1.0], requires_grad=True)
        >>> optimizer = nncore.optim.Adamax([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.9

    Reference: torch.optim.Adamax; Kingma & Ba 2015, section 7.1.
    """

    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, foreach=None, *, maximize=False):
        check_not_negative(learning_rate=lr, epsilon=eps, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": check_betas(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def step(self, closure=None):
        """Move every parameter that has a gradient; see Optimizer.step."""
        loss = self._begin(closure)
        for group in self.param_groups:
            for step, params, grads, exp_avgs, exp_infs in self._batches(group, "exp_avg", "exp_inf"):
                _adamax_step(
                    params,
                    exp_avgs,
                    exp_infs,
                    grads,
                    group.number("lr"),
                    *group.betas(),
                    group["eps"],
                    group["weight_decay"],
                    group["maximize"],
                    step,
                )
        return loss


class NAdam(Optimizer):
    """Adam with Nesterov's momentum, whose factor mu = beta1 (1 - 0.96^(step momentum_decay) / 2) grows with the steps.

    Args:
        params: parameters or groups; see Optimizer.
        lr: learning rate. Default: 2e-3.
        betas: (of the mean of g, of that of g^2). Default: (0.9, 0.999).
        eps: Default: 1e-8.
        weight_decay: added to g as weight_decay p. Default: 0.
        momentum_decay: Default: 4e-3.
        decoupled_weight_decay: p *= 1 - lr weight_decay instead. Default: False.
        foreach: accepted as in torch; every step is one kernel call for all parameters.
        maximize: go up instead of down. Default: False.

    Example:
        >>> import nncore
        >>> p = nncore.tensor([1.0], requires_grad=True)
        >>> optimizer = nncore.optim.NAdam([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.8944

    Reference: torch.optim.NAdam; Dozat 2016.
    """

    def __init__(
        self,
        params,
        lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        momentum_decay=4e-3,
        decoupled_weight_decay=False,
        *,
        foreach=None,
        maximize=False,
    ):
        check_not_negative(learning_rate=lr, epsilon=eps, weight_decay=weight_decay, momentum_decay=momentum_decay)
        defaults = {
            "lr": lr,
            "betas": check_betas(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def step(self, closure=None):
        """Move every parameter that has a gradient; see Optimizer.step."""
        loss = self._begin(closure)
        for group in self.param_groups:
            for step, params, grads, exp_avgs, exp_avg_sqs in self._batches(group, "exp_avg", "exp_avg_sq"):
                _nadam_step(
                    params,
                    exp_avgs,
                    exp_avg_sqs,
                    grads,
                    group.number("lr"),
                    *group.betas(),
                    group["eps"],
                    group["weight_decay"],
                    group["momentum_decay"],
                    group["decoupled_weight_decay"],
                    group["maximize"],
                    step,
                )
        return loss

    def load_state_dict(self, state_dict):
        """Take over state and options, also torch's, whose "mu_product" follows from the step; see Optimizer."""
        state = {
            number: {name: value for name, value in values.items() if name != "mu_product"}
            for number, values in state_dict["state"].items()
        }
        super().load_state_dict({**state_dict, "state": state})


class RAdam(Optimizer):
    """Adam that begins as momentum alone and adapts its rates, rectified, when it has seen enough gradients.

    Args:
        params: parameters or groups; see Optimizer.
        lr: learning rate. Default: 1e-3.
        betas: (of the mean of g, of that of g^2). Default: (0.9, 0.999).
        eps: Default: 1e-8.
        weight_decay: added to g as weight_decay p. Default: 0.
        decoupled_weight_decay: p *= 1 - lr weight_decay instead. Default: False.
        foreach: accepted as in torch; every step is one kernel call for all parameters.
        maximize: go up instead of down. Default: False.

    Example:
        >>> import nncore
        >>> p = nncore.tensor([1.0], requires_grad=True)
        >>> optimizer = nncore.optim.RAdam([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.8

    Reference: torch.optim.RAdam; Liu et al. 2020.
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        decoupled_weight_decay=False,
        *,
        foreach=None,
        maximize=False,
    ):
        check_not_negative(learning_rate=lr, epsilon=eps, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": check_betas(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def step(self, closure=None):
        """Move every parameter that has a gradient; see Optimizer.step."""
        loss = self._begin(closure)
        for group in self.param_groups:
            for step, params, grads, exp_avgs, exp_avg_sqs in self._batches(group, "exp_avg", "exp_avg_sq"):
                _radam_step(
                    params,
                    exp_avgs,
                    exp_avg_sqs,
                    grads,
                    group.number("lr"),
                    *group.betas(),
                    group["eps"],
                    group["weight_decay"],
                    group["decoupled_weight_decay"],
                    group["maximize"],
                    step,
                )
        return loss
