"""Optimizers in Keras's words. Each is the optimizer of nncore.optim of the same name that gets its parameters later.

`compile(optimizer="adam")` is written before the model's shapes are known, so these are made without parameters;
`bind` gives them, once. From then on they are ordinary `nncore.optim.Optimizer`s.
"""

import math

import numpy as np

from .. import nn, optim


class _Lazy:
    """Parameters later, and Keras's common arguments. The class after it in the MRO is the optimizer of nncore.optim.

    Args:
        learning_rate: a number; may be set at any time, `optimizer.learning_rate = 0.01`.
        weight_decay: every step begins with p *= 1 - learning_rate * weight_decay. None: 0.
        clipnorm: limit of the norm of each gradient.
        clipvalue: limit of the absolute value of each element of the gradients.
        global_clipnorm: limit of the common norm of all gradients.
        **arguments: of the class after it.
    """

    decays = False  # whether the class after it does the decay itself, and in this form

    def _init(self, name, learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, **arguments):
        kind = type(self).__name__
        if isinstance(learning_rate, bool) or not isinstance(learning_rate, (int, float, np.number)):
            raise TypeError(
                f"{kind}: argument 'learning_rate' is {type(learning_rate).__name__}, expected a number; "
                "a schedule over epochs is the callback LearningRateScheduler"
            )
        if not (math.isfinite(learning_rate) and learning_rate >= 0):
            raise ValueError(f"{kind}: argument 'learning_rate' is {learning_rate}, expected a number >= 0")
        if sum(limit is not None for limit in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ValueError(
                f"{kind}: expected at most one of the arguments 'clipnorm', 'clipvalue', 'global_clipnorm'"
            )
        self.name = name
        self.weight_decay = weight_decay or 0.0
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.bound = False
        self.param_groups, self.state = [], {}
        self._arguments = {"lr": float(learning_rate), **arguments}
        if self.decays:
            self._arguments["weight_decay"] = self.weight_decay

    def bind(self, parameters):
        """Give the optimizer the parameters that it moves. `Model` does it, once the shapes are known.

        Args:
            parameters: iterable of Parameters.
        """
        super().__init__(parameters, **self._arguments)
        self.bound = True

    @property
    def learning_rate(self):
        """The learning rate; may be set at any time."""
        return self.param_groups[0]["lr"] if self.bound else self._arguments["lr"]

    @learning_rate.setter
    def learning_rate(self, value):
        self._arguments["lr"] = float(value)
        for group in self.param_groups:
            group["lr"] = float(value)

    def step(self, closure=None):
        """Clip the gradients, shrink the weights and move them; see `nncore.optim.Optimizer.step`."""
        if not self.bound:
            raise RuntimeError(f"{type(self).__name__}: has no parameters yet; call bind, or compile a model with it")
        parameters = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        if self.clipvalue is not None:
            nn.utils.clip_grad_value_(parameters, self.clipvalue)
        elif self.clipnorm is not None:
            for parameter in parameters:
                nn.utils.clip_grad_norm_(parameter, self.clipnorm)
        elif self.global_clipnorm is not None:
            nn.utils.clip_grad_norm_(parameters, self.global_clipnorm)
        if self.weight_decay and not self.decays:
            for parameter in parameters:
                parameter.data.mul_(1.0 - self.learning_rate * self.weight_decay)
        return super().step(closure)

    def __repr__(self):
        return f"{type(self).__name__}(learning_rate={self.learning_rate:g})"


class SGD(_Lazy, optim.SGD):
    """Gradient descent: p += v, v = momentum v - learning_rate g; with nesterov p += momentum v - learning_rate g.

    Args:
        learning_rate: default 0.01.
        momentum: default 0.0.
        nesterov: default False.
        weight_decay, clipnorm, clipvalue, global_clipnorm: p *= 1 - learning_rate * weight_decay before the step; limits
            of the norm of each gradient, of each element, of the common norm. Default None.
        name: for people.

    Example:
        >>> SGD(momentum=0.9)
        SGD(learning_rate=0.01)

    Reference: Keras, `keras.optimizers.SGD`; Sutskever et al. 2013.
    """

    def __init__(
        self,
        learning_rate=0.01,
        momentum=0.0,
        nesterov=False,
        weight_decay=None,
        clipnorm=None,
        clipvalue=None,
        global_clipnorm=None,
        name="SGD",
    ):
        common = (name, learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm)
        self._init(*common, momentum=momentum, nesterov=nesterov and momentum > 0, form="classic")


class RMSprop(_Lazy, optim.RMSprop):
    """p -= learning_rate g / (sqrt(s) + epsilon), s = rho s + (1 - rho) g^2. (Keras adds epsilon under the root.)

    Args:
        learning_rate: default 0.001.
        rho: default 0.9.
        momentum: default 0.0.
        epsilon: default 1e-7.
        centered: divide by the deviation of the gradient, not by its size. Default False.
        weight_decay, clipnorm, clipvalue, global_clipnorm, name: see `SGD`.

    Example:
        >>> RMSprop()
        RMSprop(learning_rate=0.001)

    Reference: Keras, `keras.optimizers.RMSprop`; Tieleman & Hinton 2012.
    """

    def __init__(
        self,
        learning_rate=0.001,
        rho=0.9,
        momentum=0.0,
        epsilon=1e-7,
        centered=False,
        weight_decay=None,
        clipnorm=None,
        clipvalue=None,
        global_clipnorm=None,
        name="rmsprop",
    ):
        common = (name, learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm)
        self._init(*common, alpha=rho, eps=epsilon, momentum=momentum, centered=centered)


class Adam(_Lazy, optim.AdamW):
    """p -= learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon), m and v running means of g and g^2.

    Keras's epsilon is added before the correction of v for its start at 0, PyTorch's after it.

    Args:
        learning_rate: default 0.001.
        beta_1: of m. Default 0.9.
        beta_2: of v. Default 0.999.
        epsilon: default 1e-7.
        amsgrad: divide by the largest v so far. Default False.
        weight_decay, clipnorm, clipvalue, global_clipnorm, name: see `SGD`.

    Example:
        >>> Adam(0.01).learning_rate
        0.01

    Reference: Keras, `keras.optimizers.Adam`; Kingma & Ba 2015, the form before section 2.1.
    """

    decays = True

    def __init__(
        self,
        learning_rate=0.001,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-7,
        amsgrad=False,
        weight_decay=None,
        clipnorm=None,
        clipvalue=None,
        global_clipnorm=None,
        name="adam",
    ):
        self.epsilon = epsilon
        common = (name, learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm)
        self._init(*common, betas=(beta_1, beta_2), eps=epsilon, amsgrad=amsgrad)

    def bind(self, parameters):
        """As `_Lazy.bind`; epsilon is Keras's."""
        super().bind(parameters)
        for group in self.param_groups:
            group["epsilon_hat"] = True


class AdamW(Adam):
    """Adam with a weight decay of 0.004.

    Args:
        As `Adam`; weight_decay: default 0.004.

    Example:
        >>> AdamW().weight_decay
        0.004

    Reference: Keras, `keras.optimizers.AdamW`; Loshchilov & Hutter 2019.
    """

    def __init__(
        self,
        learning_rate=0.001,
        weight_decay=0.004,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-7,
        amsgrad=False,
        clipnorm=None,
        clipvalue=None,
        global_clipnorm=None,
        name="adamw",
    ):
        limits = (clipnorm, clipvalue, global_clipnorm)
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, *limits, name=name)


OPTIMIZERS = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam, "adamw": AdamW}


def resolve(optimizer):
    """The optimizer that is meant by a name, an object, or a class of this module.

    Raises:
        ValueError: the name is unknown.

    Example:
        >>> resolve("adam")
        Adam(learning_rate=0.001)
    """
    if isinstance(optimizer, optim.Optimizer):
        return optimizer
    if isinstance(optimizer, str):
        if optimizer.lower() not in OPTIMIZERS:
            raise ValueError(f"compile: argument 'optimizer' is {optimizer!r}, expected one of {', '.join(OPTIMIZERS)}")
        return OPTIMIZERS[optimizer.lower()]()
    if isinstance(optimizer, type) and issubclass(optimizer, _Lazy):
        return optimizer()
    raise TypeError(
        f"compile: argument 'optimizer' is {getattr(optimizer, '__name__', type(optimizer).__name__)}, "
        "expected a name or an optimizer object"
    )


def learning_rate_of(optimizer):
    """The learning rate (of the first parameter group)."""
    return optimizer.learning_rate if isinstance(optimizer, _Lazy) else optimizer.param_groups[0]["lr"]


def set_learning_rate(optimizer, rate):
    """Set the learning rate of all parameter groups."""
    if isinstance(optimizer, _Lazy):
        optimizer.learning_rate = rate
    else:
        for group in optimizer.param_groups:
            group["lr"] = rate
