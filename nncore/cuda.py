"""Whether there is a GPU: not in this build."""


def is_available():
    """Whether tensors can live on a GPU.

    Example:
        >>> import nncore
        >>> nncore.cuda.is_available()
        False
    """
    return False


def device_count():
    """Number of GPUs.

    Example:
        >>> import nncore
        >>> nncore.cuda.device_count()
        0
    """
    return 0
