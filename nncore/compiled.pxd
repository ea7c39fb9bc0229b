"""Plans and compiled functions from Cython, without the GIL: `from nncore.compiled cimport Plan, Step`."""
from nncore._core.entry cimport RUN_MEMORY, RUN_PYTHON, RUN_REFUSED, Plan, Step
