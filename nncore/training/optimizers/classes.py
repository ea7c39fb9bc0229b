"""Optimizers in Keras's words. Each is the optimizer of nncore.optim that its name says, which gets its parameters later."""

from ... import optim
from .lazy import Lazy


class SGD(Lazy, optim.SGD):
    """Gradient descent: p += v, v = momentum v - learning_rate g; with nesterov p += momentum v - learning_rate g.

    Args:
        learning_rate: default 0.01.
        momentum: default 0.0.
        nesterov: default False.
        **common: weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ...; see `Lazy`.

    Example:
        >>> SGD(momentum=0.9)
        SGD(learning_rate=0.01)

    Reference: Keras, `keras.optimizers.SGD`; Sutskever et al. 2013.
    """

    def __init__(self, learning_rate=0.01, momentum=0.0, nesterov=False, **common):
        self._init(learning_rate, common, momentum=momentum, nesterov=nesterov and momentum > 0, form="classic")


class RMSprop(Lazy, optim.RMSprop):
    """p -= learning_rate g / (sqrt(s) + epsilon), s = rho s + (1 - rho) g^2. (Keras adds epsilon under the root.)

    Args:
        learning_rate: default 0.001.
        rho: default 0.9.
        momentum: default 0.0.
        epsilon: default 1e-7.
        centered: divide by the deviation of the gradient, not by its size. Default False.
        **common: see `Lazy`.

    Example:
        >>> RMSprop()
        RMSprop(learning_rate=0.001)

    Reference: Keras, `keras.optimizers.RMSprop`; Tieleman & Hinton 2012.
    """

    def __init__(self, learning_rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False, **common):
        self._init(learning_rate, common, alpha=rho, eps=epsilon, momentum=momentum, centered=centered)


class Adam(Lazy, optim.AdamW):
    """p -= learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon), m and v running means of g and g^2.

    Keras's epsilon is added before the correction of v for its start at 0, PyTorch's after it.

    Args:
        learning_rate: default 0.001.
        beta_1: of m. Default 0.9.
        beta_2: of v. Default 0.999.
        epsilon: default 1e-7.
        amsgrad: divide by the largest v so far. Default False.
        **common: see `Lazy`.

    Example:
        >>> Adam(0.01).learning_rate
        0.01

    Reference: Keras, `keras.optimizers.Adam`; Kingma & Ba 2015, the form before section 2.1.
    """

    decays = True

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False, **common):
        self.epsilon = epsilon
        self._init(learning_rate, common, betas=(beta_1, beta_2), eps=epsilon, amsgrad=amsgrad)

    def bind(self, parameters):
        """As `Lazy.bind`; epsilon is Keras's."""
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
        **common,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **common)


class Adamax(Lazy, optim.Adamax):
    """p -= learning_rate / (1 - beta_1^t) m / u, u = max(beta_2 u, |g| + epsilon). (Keras adds epsilon to u later.)

    Args:
        learning_rate: default 0.001.
        beta_1: of m. Default 0.9.
        beta_2: of u. Default 0.999.
        epsilon: default 1e-7.
        **common: see `Lazy`.

    Example:
        >>> Adamax()
        Adamax(learning_rate=0.001)

    Reference: Keras, `keras.optimizers.Adamax`; Kingma & Ba 2015, section 7.1.
    """

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, **common):
        self._init(learning_rate, common, betas=(beta_1, beta_2), eps=epsilon)


class Nadam(Lazy, optim.NAdam):
    """Adam with Nesterov's momentum, whose factor beta_1 (1 - 0.96^t / 2) grows with the steps.

    Args:
        learning_rate: default 0.001.
        beta_1: of the mean of g. Default 0.9.
        beta_2: of that of g^2. Default 0.999.
        epsilon: default 1e-7.
        **common: see `Lazy`.

    Example:
        >>> Nadam()
        Nadam(learning_rate=0.001)

    Reference: Keras, `keras.optimizers.Nadam`; Dozat 2016.
    """

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, **common):
        self._init(learning_rate, common, betas=(beta_1, beta_2), eps=epsilon, momentum_decay=1.0)


class Adagrad(Lazy, optim.Adagrad):
    """p -= learning_rate g / (sqrt(s) + epsilon), s the sum of all g^2. (Keras adds epsilon under the root.)

    Args:
        learning_rate: default 0.001.
        initial_accumulator_value: s at the start. Default 0.1.
        epsilon: default 1e-7.
        **common: see `Lazy`.

    Example:
        >>> Adagrad()
        Adagrad(learning_rate=0.001)

    Reference: Keras, `keras.optimizers.Adagrad`; Duchi, Hazan & Singer 2011.
    """

    def __init__(self, learning_rate=0.001, initial_accumulator_value=0.1, epsilon=1e-7, **common):
        self._init(learning_rate, common, initial_accumulator_value=initial_accumulator_value, eps=epsilon)


class Adadelta(Lazy, optim.Adadelta):
    """p -= learning_rate d, d = sqrt(a + epsilon) / sqrt(s + epsilon) g; s and a are running means of g^2 and d^2.

    Args:
        learning_rate: default 0.001.
        rho: smoothing of s and a. Default 0.95.
        epsilon: default 1e-7.
        **common: see `Lazy`.

    Example:
        >>> Adadelta(learning_rate=1.0)
        Adadelta(learning_rate=1)

    Reference: Keras, `keras.optimizers.Adadelta`; Zeiler 2012.
    """

    def __init__(self, learning_rate=0.001, rho=0.95, epsilon=1e-7, **common):
        self._init(learning_rate, common, rho=rho, eps=epsilon)


class Lion(Lazy, optim.Lion):
    """p -= learning_rate sign(beta_1 m + (1 - beta_1) g), then m = beta_2 m + (1 - beta_2) g.

    Args:
        learning_rate: default 0.001.
        beta_1: of the sign. Default 0.9.
        beta_2: of m. Default 0.99.
        **common: see `Lazy`.

    Example:
        >>> Lion()
        Lion(learning_rate=0.001)

    Reference: Keras, `keras.optimizers.Lion`; Chen et al. 2023.
    """

    decays = True

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.99, **common):
        self._init(learning_rate, common, betas=(beta_1, beta_2))
