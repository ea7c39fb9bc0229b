"""What layers, functions and losses check about their arguments alike."""

from nncore.ops.convert import default_dtype


def check_device(device):
    """Refuse a device that is not there."""
    if device is not None and str(device).split(":")[0] != "cpu":
        raise RuntimeError(f"device {device!r} is not available, expected 'cpu'")


def float_dtype(dtype):
    """The dtype of new parameters: the given one or the default."""
    return default_dtype() if dtype is None else dtype


def unsupported(op, **arguments):
    """Refuse arguments that are there for torch's signature only: name=(value, the only value allowed)."""
    for name, (value, allowed) in arguments.items():
        if value != allowed:
            raise ValueError(f"{op}: argument '{name}' is {value!r}, expected {allowed!r}, the only value supported")


def reduction_of(size_average, reduce, reduction):
    """`reduction`, unless torch's older words for it are given."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"
