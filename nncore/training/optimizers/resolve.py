"""From what `compile` is given to an optimizer, and its learning rate."""

from ... import optim
from .classes import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop
from .lazy import Lazy

OPTIMIZERS = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
    "adamax": Adamax,
    "nadam": Nadam,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "lion": Lion,
}


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
    if isinstance(optimizer, type) and issubclass(optimizer, Lazy):
        return optimizer()
    raise TypeError(
        f"compile: argument 'optimizer' is {getattr(optimizer, '__name__', type(optimizer).__name__)}, "
        "expected a name or an optimizer object"
    )


def learning_rate_of(optimizer):
    """The learning rate (of the first parameter group)."""
    return optimizer.learning_rate if isinstance(optimizer, Lazy) else optimizer.param_groups[0]["lr"]


def set_learning_rate(optimizer, rate):
    """Set the learning rate of all parameter groups."""
    if optimizer.schedule is not None:
        raise TypeError(f"{type(optimizer).__name__}: the learning rate is a schedule and cannot be set")
    if isinstance(optimizer, Lazy):
        optimizer.learning_rate = rate
    else:
        for group in optimizer.param_groups:
            group["lr"] = rate
