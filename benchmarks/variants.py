"""Ops that are combinations of others, or of their options: against the formulas of their op cases, and torch."""

import numpy as np

import nncore
from benchmarks.peers import with_torch
from nncore.bench import Contest


def _interpolate(torch, x, **options):
    return torch.nn.functional.interpolate(x, **options)


# name: what torch calls it; the arguments are those of the op case, drawn in the sizes of suite.py
TORCH = {
    "adaptive_avg_pool2d": lambda torch, x: torch.nn.functional.adaptive_avg_pool2d(x, (3, 2)),
    "adaptive_max_pool2d": lambda torch, x: torch.nn.functional.adaptive_max_pool2d(x, (3, 2)),
    "addmm": lambda torch, x, a, b: torch.addmm(x, a, b, beta=0.5, alpha=-2),
    "addmm_row": lambda torch, x, a, b: torch.addmm(x, a, b),
    "avg_pool2d_ceil": lambda torch, x: torch.nn.functional.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
    "baddbmm": lambda torch, x, a, b: torch.baddbmm(x, a, b, beta=2),
    "conv1d": lambda torch, x, w, b: torch.nn.functional.conv1d(x, w, b, 2, 1),
    "conv2d_flipped": lambda torch, x, w, b: torch.nn.functional.conv2d(x, w.flip(2, 3), b),
    "conv_transpose2d": lambda torch, x, w, b: torch.nn.functional.conv_transpose2d(x, w, b),
    "conv_transpose2d_strided": lambda torch, x, w, b: torch.nn.functional.conv_transpose2d(x, w, b, 2, 1, 1),
    "einsum": lambda torch, *tensors: torch.einsum("bn,anm,bm->ba", *tensors),
    "einsum_diagonal": lambda torch, *tensors: torch.einsum("iij,jk->kij", *tensors),
    "einsum_scores": lambda torch, *tensors: torch.einsum("bqhd,bkhd->bhqk", *tensors),
    "einsum_sums": lambda torch, *tensors: torch.einsum("...ij,k...->j...", *tensors),
    "group_norm": lambda torch, x, w, b: torch.nn.functional.group_norm(x, 2, w, b),
    "interpolate_bilinear": lambda torch, x: _interpolate(torch, x, size=(5, 3), mode="bilinear"),
    "interpolate_nearest": lambda torch, x: _interpolate(torch, x, scale_factor=2),
    "max_pool2d_ceil": lambda torch, x: torch.nn.functional.max_pool2d(x, 3, 2, 1, ceil_mode=True),
    "pad_circular": lambda torch, x: torch.nn.functional.pad(x, (1, 2, 0, 1), "circular"),
    "pad_reflect": lambda torch, x: torch.nn.functional.pad(x, (1, 2, 0, 1), "reflect"),
    "pad_replicate": lambda torch, x: torch.nn.functional.pad(x, (1, 2, 0, 1), "replicate"),
    "prelu": lambda torch, x, w: torch.nn.functional.prelu(x, w),
    "rms_norm": lambda torch, x, w: torch.nn.functional.rms_norm(x, x.shape[-1:], w, 1e-5),
    "roll": lambda torch, x: torch.roll(x, (3, -1), (0, -1)),
    "tril": lambda torch, x: torch.tril(x, -1),
    "triu": lambda torch, x: torch.triu(x, -1),
}


def variant(case, *shapes):
    """An op of float arguments, in one dtype."""
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(arg.low, arg.high, shape).astype(np.float32) for arg, shape in zip(case.args, shapes)]
    tensors = [nncore.from_numpy(array) for array in arrays]

    def by_nncore():
        with nncore.no_grad():
            return case.op(*tensors)

    run = {"numpy": lambda: case.reference(*arrays), "nncore": by_nncore}
    contest = Contest(run, bytes=4.0 * (sum(a.size for a in arrays) + by_nncore().array.size), rtol=1e-4, atol=1e-4)
    return with_torch(contest, TORCH[case.name], *arrays)
