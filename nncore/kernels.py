"""The kernels themselves: NumPy arrays in and out, no tape, `out=` everywhere.

Every row of csrc/kernels.def is a function of this module. Arguments are the inputs and scalars in the order of the row;
`help(nncore.kernels.linear_forward)` and `nncore.kernels.linear_forward.fields` say which.

Example:
    >>> import numpy as np
    >>> from nncore import kernels
    >>> x = np.array([-1.0, 2.0], np.float32)
    >>> kernels.relu_forward(x)
    array([0., 2.], dtype=float32)
    >>> kernels.relu_forward(x, out=x) is x
    True
"""

from nncore._core.kernels import KERNELS, Kernel

__all__ = ["Kernel", *KERNELS]

globals().update(KERNELS)


def __dir__():
    return __all__
