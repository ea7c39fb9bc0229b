"""Every op: forward and gradient rule side by side.

An op converts its arguments to tensors, calls kernels through the door, and records how to get the gradient. The few that
still compute in NumPy are listed in docs/architecture.md.
"""

# ruff: noqa: E402, F403
from nncore.ops import (
    activations,
    attention,
    broadcast,
    contraction,
    conv,
    create,
    indexing,
    likelihood,
    lookup,
    loss,
    margin,
    normalization,
    padding,
    pointwise,
    pool,
    products,
    random,
    recurrent,
    reduce,
    resample,
    shape,
    softmaxes,
    triangles,
)

__all__ = ["as_tensor", "default_dtype", "set_default_dtype"]
__all__ += activations.__all__
__all__ += attention.__all__
__all__ += broadcast.__all__
__all__ += contraction.__all__
__all__ += conv.__all__
__all__ += create.__all__
__all__ += indexing.__all__
__all__ += likelihood.__all__
__all__ += lookup.__all__
__all__ += loss.__all__
__all__ += margin.__all__
__all__ += normalization.__all__
__all__ += padding.__all__
__all__ += pointwise.__all__
__all__ += pool.__all__
__all__ += products.__all__
__all__ += random.__all__
__all__ += recurrent.__all__
__all__ += reduce.__all__
__all__ += resample.__all__
__all__ += shape.__all__
__all__ += softmaxes.__all__
__all__ += triangles.__all__

from nncore.ops.activations import *
from nncore.ops.attention import *
from nncore.ops.broadcast import *
from nncore.ops.contraction import *
from nncore.ops.conv import *
from nncore.ops.convert import as_tensor, default_dtype, set_default_dtype
from nncore.ops.create import *
from nncore.ops.indexing import *
from nncore.ops.likelihood import *
from nncore.ops.lookup import *
from nncore.ops.loss import *
from nncore.ops.margin import *
from nncore.ops.normalization import *
from nncore.ops.padding import *
from nncore.ops.pointwise import *
from nncore.ops.pool import *
from nncore.ops.products import *
from nncore.ops.random import *
from nncore.ops.recurrent import *
from nncore.ops.reduce import *
from nncore.ops.resample import *
from nncore.ops.shape import *
from nncore.ops.softmaxes import *
from nncore.ops.triangles import *
