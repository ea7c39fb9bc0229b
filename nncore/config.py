"""How many threads to start with, and what this build and machine are."""

import os
import platform

from nncore._core.kernels import (
    ISA,
    KERNELS,
    baseline,
    get_num_threads,
    isas,
    openmp_runtime,
    set_num_threads,
    start_threads,
)

__all__ = ["default_threads", "get_num_threads", "set_num_threads", "show_config"]


def _cgroup_quota():
    """Processors that the container may use, or None."""
    try:  # cgroup v2
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()[:2]
            return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:  # cgroup v1
        with (
            open("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") as quota_file,
            open("/sys/fs/cgroup/cpu/cpu.cfs_period_us") as period_file,
        ):
            quota, period = int(quota_file.read()), int(period_file.read())
            return quota / period if quota > 0 and period > 0 else None
    except (OSError, ValueError):
        return None


def default_threads():
    """min(affinity, cgroup quota, OMP_NUM_THREADS), at least 1.

    Example:
        >>> import nncore
        >>> nncore.config.default_threads() >= 1
        True
    """
    counts = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    quota = _cgroup_quota()
    if quota is not None:
        counts.append(int(quota + 0.5))
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdigit() and int(wanted) > 0:
        counts.append(int(wanted))
    return max(1, min(counts))


def show_config():
    """Print the ISA, the threads, the OpenMP runtime, and which kernels run on the reference path.

    Example:
        >>> import nncore
        >>> nncore.show_config()  # doctest: +ELLIPSIS
        nncore ...
    """
    from nncore import __version__

    print(f"nncore {__version__}, Python {platform.python_version()}, {platform.machine()} {platform.system()}")
    print(f"ISA       {ISA} (this CPU can run {', '.join(isas())}; NNCORE_ISA caps it; baseline is {baseline()})")
    print(f"threads   {get_num_threads()}")
    print(f"OpenMP    {openmp_runtime()}")
    reference = {}
    for name, kernel in KERNELS.items():
        on_reference = tuple(dtype for dtype, isa in kernel.isa.items() if isa == "baseline" and ISA != "baseline")
        if on_reference:
            reference.setdefault(on_reference, []).append(name)
    print(f"kernels   {len(KERNELS)}, of which on the reference path (baseline):")
    if not reference:
        print("          none" if ISA != "baseline" else "          all")
    for dtypes, names in reference.items():
        print(f"          {', '.join(dtypes)}: {' '.join(names)}")


start_threads(default_threads())
