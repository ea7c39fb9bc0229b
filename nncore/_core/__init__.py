"""The compiled core: tensors, the tape, and the door to the C kernels."""

import os

# libgomp reads how long a waiting thread spins when it is loaded, and by default spins for milliseconds: on a busy machine
# that starves the very thread it waits for, and it burns a processor after every call. 10,000 turns (0.1 to 0.5 ms) still
# bridge the gap between two calls. What the user has set stays; the environment is as it was afterwards.
_policy = [name for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY") if name in os.environ]
if not _policy:
    os.environ["GOMP_SPINCOUNT"] = "10000"
try:
    from nncore._core import kernels as kernels
finally:
    if not _policy:
        del os.environ["GOMP_SPINCOUNT"]
