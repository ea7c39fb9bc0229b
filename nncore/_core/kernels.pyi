from collections.abc import Sequence
from typing import Any

import numpy as np

ISA: str
KERNELS: dict[str, Kernel]

class Kernel:
    __name__: str
    op: str
    def __init__(self, id: int) -> None: ...
    @property
    def dtypes(self) -> list[str]: ...
    @property
    def isa(self) -> dict[str, str]: ...
    @property
    def fields(self) -> list[tuple[str, str, str, bool, str]]: ...
    def __call__(
        self,
        *args: Any,
        out: np.ndarray | tuple[np.ndarray | None, ...] | None = None,
        want: Sequence[bool] | None = None,
        **named: Any,
    ) -> Any: ...
    def seconds(
        self,
        *args: Any,
        out: np.ndarray | tuple[np.ndarray | None, ...] | None = None,
        want: Sequence[bool] | None = None,
        repeat: int = 1,
        **named: Any,
    ) -> float: ...

def isas() -> list[str]: ...
def baseline() -> str: ...
def get_num_threads() -> int: ...
def set_num_threads(n: int) -> None: ...
def openmp_runtime() -> str: ...
def start_threads(n: int) -> None: ...
