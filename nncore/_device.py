"""Devices. A kernel table for another device would be one more name here."""


class device(str):
    """Where tensors live: device("cpu"). A string that also has PyTorch's `type` and `index`.

    Raises:
        ValueError: this build has no such device.

    Example:
        >>> import nncore
        >>> nncore.device("cuda" if nncore.cuda.is_available() else "cpu").type
        'cpu'
    """

    __slots__ = ()
    type = property(lambda self: str(self).partition(":")[0], doc='"cpu".')
    index = property(lambda self: None, doc="Always None: there is one CPU.")

    def __new__(cls, name="cpu"):
        if str(name) != "cpu":
            raise ValueError(f"device: argument 'name' is {str(name)!r}, and this build has only 'cpu'")
        return super().__new__(cls, name)

    def __repr__(self):
        return f"device(type='{self.type}')"


CPU = device("cpu")
