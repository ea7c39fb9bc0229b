"""matmul and linear against the numeric contract, bit for bit: an oracle of fused multiply-adds, written in NumPy.

Every element is the sum, over chunks of 256 inner indices in order, of a chain of fused multiply-adds; then the bias,
then the activation. Shapes, memory layouts, threads and ISAs must not show.
"""

import hashlib
import platform
import re
import runpy
import shutil
import subprocess
from fractions import Fraction
from itertools import product
from pathlib import Path

import child
import numpy as np
import pytest

import nncore
from nncore import kernels

ROOT = Path(__file__).parents[1]
FLOATS = [np.float32, np.float64]
ACTIVATIONS = {1: "relu", 2: "sigmoid", 3: "tanh", 4: "gelu", 5: "silu"}

# Around every edge of the tiles (1 .. 14 rows, 8 .. 32 columns), of the chunks of 256 and of the blocks; few rows or
# columns take loops of their own.
SHAPES = [
    (1, 1, 1), (1, 1, 300), (1, 1, 5000), (1, 7, 5), (1, 33, 17), (1, 100, 300), (2, 10, 64), (3, 40, 513), (5, 16, 17),
    (6, 32, 256), (7, 33, 257), (13, 31, 15), (14, 32, 64), (15, 64, 40), (16, 10, 128), (29, 65, 31), (97, 1, 50),
    (300, 2, 20), (60, 17, 600), (64, 150, 20), (130, 70, 30), (800, 5, 3),
]  # fmt: skip
EMPTY = [(0, 3, 4), (3, 0, 4), (3, 4, 0), (1, 4, 0), (0, 0, 0)]


def two_sum(a, b):
    """a + b = total + error, exactly (Knuth)."""
    total = a + b
    b_part = total - a
    return total, (a - (total - b_part)) + (b - b_part)


def two_product(a, b):
    """a * b = total + error, exactly (Dekker)."""

    def split(x):
        big = x * (2.0**27 + 1)
        high = big - (big - x)
        return high, x - high

    (a_high, a_low), (b_high, b_low) = split(a), split(b)
    total = a * b
    return total, ((a_high * b_high - total) + a_high * b_low + a_low * b_high) + a_low * b_low


def odd_sum(a, b):
    """a + b in float64, rounded to odd: a second rounding, to fewer bits, is then the right one."""
    total, error = two_sum(a, b)
    even = (total.view(np.int64) & 1) == 0
    return np.where((error != 0) & even, np.nextafter(total, np.copysign(np.inf, error)), total)


def fma(a, b, c):
    """round(a * b + c), rounded once (Boldo & Melquiond, "Emulation of a FMA", IEEE Trans. Computers 57(4), 2008)."""
    a, b, c = np.broadcast_arrays(a, b, c)
    if c.dtype == np.float32:
        wide = a.astype(np.float64) * b  # exact
        return odd_sum(wide, c.astype(np.float64)).astype(np.float32)
    product_high, product_low = two_product(a, b)
    total_high, total_low = two_sum(c, product_low)
    high, low = two_sum(product_high, total_high)
    return high + odd_sum(total_low, low)


def oracle(a, b, bias=None):
    c = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    for chunk in range(0, a.shape[1], 256):
        chain = np.zeros_like(c)
        for k in range(chunk, min(chunk + 256, a.shape[1])):
            chain = fma(a[:, k, None], b[None, k], chain)
        c = c + chain if chunk else chain
    return c if bias is None else c + bias


def normal(dtype, *shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def layouts(matrix):
    """The same matrix in different memory."""
    rows, cols = matrix.shape
    apart = np.zeros((2 * rows + 1, 3 * cols + 1), matrix.dtype)[1::2, 1::3][:rows, :cols]
    apart[...] = matrix
    return {
        "rows": np.ascontiguousarray(matrix),
        "columns": np.asfortranarray(matrix),
        "apart": apart,
        "backwards": np.ascontiguousarray(matrix[::-1, ::-1])[::-1, ::-1],
    }


def matmul(a, b):
    return kernels.matmul(a[None], b[None])[0]


def same_bits(got, expected):
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    np.testing.assert_array_equal(*(np.ascontiguousarray(x).view(f"i{x.itemsize}") for x in (got, expected)))


@pytest.fixture(params=[1, 2, 3, 5])
def threads(request):
    before = nncore.get_num_threads()
    nncore.set_num_threads(request.param)
    yield request.param
    nncore.set_num_threads(before)


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_oracle_rounds_once(dtype):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 2000)).astype(dtype)
    c = (rng.standard_normal(2000) * 2.0 ** rng.integers(-60, 60, 2000)).astype(dtype)
    c[:500] = -(a * b)[:500]  # cancellation
    for x, y, z, got in zip(a, b, c, fma(a, b, c), strict=True):
        exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
        error = abs(Fraction(float(got)) - exact)
        for neighbour in (np.nextafter(got, dtype(np.inf)), np.nextafter(got, dtype(-np.inf))):
            assert error <= abs(Fraction(float(neighbour)) - exact)


# ---- matmul ----
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("M", "N", "K"), SHAPES + EMPTY)
def test_matmul_in_every_layout(dtype, M, N, K):
    a, b = normal(dtype, M, K), normal(dtype, K, N, seed=1)
    expected = oracle(a, b)
    for (_, in_a), (_, in_b) in product(layouts(a).items(), layouts(b).items()):
        same_bits(matmul(in_a, in_b), expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("M", "N", "K"), [(150, 170, 260), (1, 6000, 700), (6000, 2, 300), (20, 3000, 70), (3000, 20, 70)]
)
def test_matmul_on_any_number_of_threads(dtype, M, N, K, threads):
    a, b = normal(dtype, M, K), normal(dtype, K, N, seed=1)
    rows, columns = (np.r_[:40, n // 2 - 20 : n // 2 + 20, n - 40 : n] % n for n in (M, N))
    y = matmul(a, b)
    same_bits(y[rows][:, columns], oracle(a[rows], b[:, columns]))
    same_bits(matmul(np.asfortranarray(a), np.asfortranarray(b)), y)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("in_a", "in_b", "M", "N", "K"), [(3, 3, 5, 7, 9), (4, 1, 5, 7, 9), (1, 4, 5, 7, 9), (9, 1, 1, 33, 20)]
)
def test_matmul_of_stacks(dtype, in_a, in_b, M, N, K):
    batch = max(in_a, in_b)
    a = np.broadcast_to(normal(dtype, in_a, M, K), (batch, M, K))
    b = np.broadcast_to(normal(dtype, in_b, K, N, seed=1), (batch, K, N))
    y = kernels.matmul(a, b)
    for i in range(batch):
        same_bits(y[i], oracle(a[i], b[i]))


def test_stacks_on_any_number_of_threads(threads):
    a, b = normal(np.float32, 7, 60, 80), normal(np.float32, 7, 80, 90, seed=1)
    y = kernels.matmul(a, b)
    for i in range(7):
        same_bits(y[i], matmul(a[i], b[i]))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(("M", "N", "K"), [(2, 40, 20), (30, 37, 20), (20, 2, 20)])
def test_nan_and_infinity_stay_in_their_row_and_column(dtype, value, M, N, K):
    a, b = normal(dtype, M, K), normal(dtype, K, N, seed=1)
    clean = matmul(a, b)
    a[M - 1, 3] = value
    b[5, N - 1] = value
    y = matmul(a, b)
    same_bits(y[:-1, :-1], clean[:-1, :-1])
    assert not np.isfinite(y[-1]).any()
    assert not np.isfinite(y[:, -1]).any()


# ---- linear ----
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("M", "N", "K"), [(1, 1, 3), (1, 40, 300), (9, 2, 20), (20, 37, 300), (33, 10, 0), (0, 3, 2)])
def test_linear_forward(dtype, M, N, K):
    x, weight, bias = normal(dtype, M, K), normal(dtype, N, K, seed=1), normal(dtype, N, seed=2)
    plain, expected = oracle(x, weight.T), oracle(x, weight.T, bias)
    for in_weight in layouts(weight).values():
        same_bits(kernels.linear_forward(x, in_weight, None, 0), plain)
        same_bits(kernels.linear_forward(x, in_weight, bias, 0), expected)
        for activation, name in ACTIVATIONS.items():
            y = kernels.linear_forward(x, in_weight, bias, activation)
            same_bits(y, getattr(kernels, f"{name}_forward")(expected))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("M", "N", "K"), [(1, 1, 3), (1, 40, 30), (9, 2, 20), (20, 37, 19), (300, 17, 5), (0, 3, 2)])
def test_linear_backward(dtype, M, N, K):
    x, weight, dy = normal(dtype, M, K), normal(dtype, N, K, seed=1), normal(dtype, M, N, seed=2)
    expected_dbias = np.zeros(N, dtype)
    for chunk in range(0, M, 256):
        total = np.zeros(N, dtype)
        for row in dy[chunk : chunk + 256]:
            total = total + row
        expected_dbias = expected_dbias + total
    expected = oracle(dy, weight), oracle(dy.T, x), expected_dbias
    for in_weight in layouts(weight).values():
        results = kernels.linear_backward(dy, x, in_weight)
        for got, value in zip(results, expected, strict=True):
            same_bits(got, value)
        for dweight in layouts(np.full_like(weight, np.nan)).values():
            out = np.full_like(x, np.nan), dweight, np.full(N, np.nan, dtype)
            kernels.linear_backward(dy, x, in_weight, out=out)
            for got, value in zip(out, expected, strict=True):
                same_bits(got, value)
    for i, value in enumerate(expected):
        only = kernels.linear_backward(dy, x, weight, want=[j == i for j in range(3)])
        same_bits(only[i], value)
        assert [j for j in range(3) if only[j] is not None] == [i]


def test_linear_on_any_number_of_threads(threads):
    x, weight, bias = (
        normal(np.float32, 200, 150),
        normal(np.float32, 130, 150, seed=1),
        normal(np.float32, 130, seed=2),
    )
    y = kernels.linear_forward(x, weight, bias, 1)
    some = [0, 99, 100, 199]
    same_bits(y[some], np.maximum(oracle(x[some], weight.T, bias), 0))
    dx, dweight, _ = kernels.linear_backward(y, x, weight)
    same_bits(dx[some], oracle(y[some], weight))
    same_bits(dweight[some[:3]], oracle(y.T[some[:3]], x))


# ---- every ISA ----
def digest():
    h = hashlib.sha256()
    for dtype, (M, N, K) in product(FLOATS, SHAPES):
        a, b = normal(dtype, M, K), normal(dtype, K, N, seed=1)
        for in_a, in_b in product((a, np.asfortranarray(a)), (b, np.asfortranarray(b))):
            h.update(matmul(in_a, in_b))
        h.update(kernels.linear_forward(a, np.asfortranarray(b.T), normal(dtype, N, seed=2), 4))
        for gradient in kernels.linear_backward(normal(dtype, M, N, seed=3), a, b.T):
            h.update(np.ascontiguousarray(gradient))
    return h.hexdigest()


@pytest.mark.parametrize("isa", nncore._core.kernels.isas())
def test_the_same_bits_on_every_isa(isa):
    run = child.run(__file__, env=child.environment(NNCORE_ISA=isa))
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == digest()


# ---- the compiled tile ----
BACK = {"x86_64": r"j\w+ +([0-9a-f]+)\b", "aarch64": r"[bct][.\w]* +(?:.*, )?([0-9a-f]+) <"}  # jumps
PRODUCT = {"x86_64": "vfmadd", "aarch64": "fmla"}
STACK = {"x86_64": r"\(%r[sb]p\)", "aarch64": r"\[(sp|x29)\b"}


def inner_loops(disassembly, machine):
    """(function, instructions) of the loops around a fused multiply-add in the functions of the register tile."""
    for body in disassembly.split("\n\n"):
        head = re.match(r"[0-9a-f]+ <(tile_\w+)[.\w]*>:\n", body)
        if not head:
            continue
        code = [line.split("\t", 1) for line in body.splitlines()[1:]]
        code = [(int(parts[0].strip(" :"), 16), parts[1].replace("\t", " ")) for parts in code if len(parts) == 2]
        index = {address: i for i, (address, _) in enumerate(code)}
        for i, (address, instruction) in enumerate(code):
            jump = re.match(BACK[machine], instruction)
            if jump and int(jump[1], 16) <= address and int(jump[1], 16) in index:
                loop = [text for _, text in code[index[int(jump[1], 16)] : i + 1]]
                innermost = sum(bool(re.match(BACK[machine], text)) for text in loop) == 1
                if innermost and any(PRODUCT[machine] in text for text in loop):
                    yield head[1], loop


def assert_in_registers(compiled, machine="x86_64", objdump="objdump", rows=6):
    """No loop of the register tile keeps anything on the stack."""
    command = [objdump, "-d", "--no-show-raw-insn", compiled]
    loops = list(inner_loops(subprocess.run(command, capture_output=True, text=True, check=True).stdout, machine))
    assert {f"tile_{rows}", f"tile_{rows}_narrow"} <= {name for name, _ in loops}
    assert not {name: loop for name, loop in loops if any(re.search(STACK[machine], text) for text in loop)}


@pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("objdump")), reason="no gcc and objdump")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 instructions")
@pytest.mark.parametrize("source", ["gemm", "convolve"])
@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("isa", ["avx2", "avx512"])
def test_the_tile_stays_in_registers(isa, dtype, source, tmp_path):
    build = runpy.run_path(ROOT / "csrc/compilations.py")
    macros = [f"-DNN_ISA={isa}", f"-DNN_DTYPE={dtype}"]
    folders = [f"-I{ROOT / folder}" for folder in build["INCLUDE"]]
    compiled = tmp_path / f"{source}.o"
    command = [
        "gcc",
        *build["C_FLAGS"],
        *build["X86_ISAS"][isa],
        *macros,
        *folders,
        "-c",
        ROOT / f"csrc/cpu/{source}.c",
        "-o",
        compiled,
    ]
    subprocess.run(command, check=True)
    assert_in_registers(compiled)


if __name__ == "__main__":
    print(digest())
