"""L1 that gives exact zeros: after a step every element goes towards 0, and stops there."""

from nncore._core.capture import live
from nncore._core.kernels import KERNELS

_clamp, _sub = KERNELS["clamp_forward"], KERNELS["sub"]


def soften(arrays, group, l1):
    """p = sign(p) max(|p| - lr l1, 0), in place: the proximal step of l1 sum|p|.

    Args:
        arrays: of parameters.
        group: the ParamGroup whose "lr" counts; a replay reads it anew.
        l1: strength.

    Reference: Daubechies, Defrise & De Mol 2004.
    """

    def bound():
        return float(group["lr"]) * l1

    low, high = live(-bound(), lambda: -bound()), live(bound(), bound)
    for array in arrays:
        _sub(array, _clamp(array, low, high), out=array)
