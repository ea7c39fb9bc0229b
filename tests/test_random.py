"""Philox and what is drawn from it: published answers, one number per position, and the distributions."""

import math

import numpy as np
import pytest

import nncore
from nncore import kernels

LOW = 0xFFFFFFFF
FLOATS = [np.float32, np.float64]
POSITIONS = [(0, 0), (1, 3), (2**63 - 1, 2**40 + 1), (2**35, 2**37 - 7)]  # (seed, offset)


# ---- the reference: one number at a time, in plain integers ----
def philox(counter, key):
    """Philox4x32-10 as in Salmon et al. (2011)."""
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & LOW, (p0 >> 32) ^ c[3] ^ k[1], p0 & LOW]
        k = [(k[0] + 0x9E3779B9) & LOW, (k[1] + 0xBB67AE85) & LOW]
    return c


def draw(bits, seed, position, stream=0):
    """The draw of 16, 32 or 64 bits at a position; see csrc/cpu/random.c."""
    block, place = divmod(position, 128 // bits)
    words = philox([block & LOW, block >> 32, stream + (bits == 64), 0], [seed & LOW, seed >> 32])
    whole = sum(word << 32 * i for i, word in enumerate(words))
    return whole >> bits * place & (1 << bits) - 1


def uniform(dtype, seed, position):
    bits, kept = (32, 24) if dtype == np.float32 else (64, 53)
    return (draw(bits, seed, position) >> (bits - kept)) * 2.0**-kept


def normal(dtype, seed, position):
    bits, half = (32, 16) if dtype == np.float32 else (64, 8)
    is_sine = position // half % 2
    first = position - half * is_sine
    u = ((draw(bits, seed, first, 2) >> 1) + 0.5) * 2.0 ** (1 - bits)
    t = (draw(bits, seed, first + half, 2) + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)
    return math.sqrt(-2 * math.log(u)) * (math.cos, math.sin)[is_sine](t * math.pi * 2.0 ** (1 - bits))


def permutation(n, seed, offset):
    y = []
    for i in range(n):
        place = draw(64, seed, offset + i) * (i + 1) >> 64
        y.append(i)
        y[i], y[place] = y[place], i
    return y


def words(text):
    return [int(word, 16) for word in text.split()]


# ---- against the reference ----
@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # kat_vectors of Random123 1.14.0
        ("0 0 0 0", "0 0", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_reference_gives_the_published_answers(counter, key, expected):
    assert philox(words(counter), words(key)) == words(expected)


def test_kernel_gives_the_published_answer_of_the_zero_counter():
    y = kernels.random_uniform(0, 1, 0, 0, out=np.empty(4, np.float32))
    assert [int(u * 2**24) for u in y.tolist()] == [w >> 8 for w in words("6627e8d5 e169c58d bc57ac4c 9b00dbd8")]


@pytest.mark.parametrize(("seed", "offset"), POSITIONS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [0, 1, 5, 67])
def test_uniform_is_the_reference_bit_for_bit(dtype, n, seed, offset):
    y = kernels.random_uniform(0, 1, seed, offset, out=np.empty(n, dtype))
    assert y.tolist() == [uniform(dtype, seed, offset + i) for i in range(n)]


@pytest.mark.parametrize(("seed", "offset"), POSITIONS)
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 2e-6), (np.float64, 1e-14)])
def test_normal_is_box_muller_of_the_reference(dtype, rtol, seed, offset):
    y = kernels.random_normal(3, 2, seed, offset, out=np.empty(75, dtype))
    np.testing.assert_allclose(y, [3 + 2 * normal(dtype, seed, offset + i) for i in range(75)], rtol, rtol)


@pytest.mark.parametrize(("seed", "offset"), POSITIONS)
@pytest.mark.parametrize("n", [0, 1, 2, 50])
def test_permutation_is_fisher_yates_of_the_reference(n, seed, offset):
    y = kernels.random_permutation(seed, offset, out=np.empty(n, np.int64))
    assert y.tolist() == permutation(n, seed, offset)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.999, 1 - 2**-17, 1.0])
@pytest.mark.parametrize("n", [71, 700])
@pytest.mark.parametrize("dtype", FLOATS)
def test_dropout_keeps_where_the_draw_reaches_p(dtype, n, p):
    x = np.random.default_rng(0).standard_normal(n).astype(dtype)
    threshold = math.floor(p * 2**16 + 0.5)
    for seed, offset in [(9, 6), *POSITIONS]:
        kept = np.array([draw(16, seed, offset + i, 4) >= threshold for i in range(n)])
        scale = dtype(1 / (1 - p)) if p < 1 else dtype(0)
        assert (kernels.dropout(x, p, seed, offset) == np.where(kept, x * scale, 0)).all()


# ---- what every one of them promises ----
def draw_all(n, seed=5, offset=11):
    """One array of each kind."""
    return [
        *(kernels.random_uniform(-1, 2, seed, offset, out=np.empty(n, dtype)) for dtype in FLOATS),
        *(kernels.random_normal(0, 1, seed, offset, out=np.empty(n, dtype)) for dtype in FLOATS),
        *(kernels.dropout(np.linspace(-3, 3, n, dtype=dtype), 0.3, seed, offset) for dtype in FLOATS),
        kernels.random_permutation(seed, offset, out=np.empty(n, np.int64)),
    ]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_same_bits_on_any_number_of_threads(count):
    before = nncore.get_num_threads()
    try:
        nncore.set_num_threads(1)
        serial = draw_all(100_003)
        nncore.set_num_threads(count)
        for expected, got in zip(serial, draw_all(100_003)):
            assert expected.tobytes() == got.tobytes()
    finally:
        nncore.set_num_threads(before)


@pytest.mark.parametrize("cut", [1, 15, 1024, 1999])
def test_a_number_depends_on_its_position_alone(cut):
    for whole, first, second in zip(draw_all(2000)[:4], draw_all(cut), draw_all(2000 - cut, offset=11 + cut)):
        assert whole.tobytes() == first.tobytes() + second.tobytes()


def test_dropout_in_place_and_backward_use_the_same_mask():
    x = np.arange(1, 3001, dtype=np.float32)
    y = kernels.dropout(x, 0.4, 1, 2)
    inplace = x.copy()
    kernels.dropout(inplace, 0.4, 1, 2, out=inplace)
    assert (inplace == y).all()
    assert ((kernels.dropout(np.ones_like(x), 0.4, 1, 2) != 0) == (y != 0)).all()


def test_dropout_of_everything_is_zero_and_of_nothing_is_a_copy():
    x = np.array([np.inf, np.nan, -0.0, 1.0], np.float32)
    assert kernels.dropout(x, 1.0, 0, 0).tobytes() == np.zeros(4, np.float32).tobytes()
    np.testing.assert_array_equal(kernels.dropout(x, 0.0, 0, 0), x)


@pytest.mark.parametrize("p", [-0.1, 1.1, np.nan])
def test_dropout_refuses_what_is_no_probability(p):
    with pytest.raises(ValueError, match="dropout: argument 'p'"):
        kernels.dropout(np.ones(3, np.float32), p, 0, 0)


@pytest.mark.parametrize("dtype", FLOATS)
def test_uniform_never_reaches_high(dtype):
    low, high = dtype(1), np.nextafter(dtype(1), dtype(2))  # only `low` is left
    y = kernels.random_uniform(low, high, 0, 0, out=np.empty(1000, dtype))
    assert (y == low).all()
    y = kernels.random_uniform(0, 1e-30, 3, 0, out=np.empty(100_000, dtype))
    assert (y < dtype(1e-30)).all()
    assert (y >= 0).all()


# ---- distributions: chances of failure below 1e-6, and the seed is fixed ----
@pytest.mark.parametrize("dtype", FLOATS)
def test_uniform_moments_and_neighbours(dtype):
    n = 1 << 18
    y = kernels.random_uniform(0, 1, 1, 0, out=np.empty(n, dtype)).astype(np.float64)
    assert abs(y.mean() - 1 / 2) < 5 * math.sqrt(1 / 12 / n)
    assert abs(y.var() - 1 / 12) < 5 * math.sqrt(1 / 180 / n)
    for lag in (1, 2, 4, 16, 32):
        assert abs(np.corrcoef(y[:-lag], y[lag:])[0, 1]) < 5 / math.sqrt(n)
    counts = np.bincount((y * 64).astype(int), minlength=64)
    assert ((counts - n / 64) ** 2).sum() / (n / 64) < 63 + 5 * math.sqrt(2 * 63)


@pytest.mark.parametrize("dtype", FLOATS)
def test_normal_moments_and_neighbours(dtype):
    n = 1 << 18
    y = kernels.random_normal(0, 1, 1, 0, out=np.empty(n, dtype)).astype(np.float64)
    for power, moment, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        assert abs((y**power).mean() - moment) < 5 * math.sqrt(variance / n)
    for lag in (1, 8, 16, 32):
        assert abs(np.corrcoef(y[:-lag], y[lag:])[0, 1]) < 5 / math.sqrt(n)
        assert abs(np.corrcoef(y[:-lag] ** 2, y[lag:] ** 2)[0, 1]) < 5 / math.sqrt(n)


def test_permutations_are_equally_likely():
    orders = [tuple(kernels.random_permutation(2, 4 * i, out=np.empty(4, np.int64))) for i in range(24_000)]
    counts = np.array([orders.count(order) for order in set(orders)])
    assert len(counts) == 24
    assert ((counts - 1000) ** 2).sum() / 1000 < 23 + 5 * math.sqrt(2 * 23)


def test_dropout_keeps_the_expectation():
    n = 1 << 18
    y = kernels.dropout(np.ones(n, np.float32), 0.25, 3, 0)
    assert abs(y.mean() - 1) < 5 * math.sqrt(0.25 / 0.75 / n)


# ---- generators ----
def test_next_draws_do_not_overlap():
    generator = nncore.Generator(4)
    first, second = nncore.rand(100, generator=generator), nncore.rand(100, generator=generator)
    whole = nncore.rand(1000, generator=nncore.Generator(4)).tolist()
    assert first.tolist() == whole[:100]
    assert not set(first.tolist()) & set(second.tolist())


def test_state_brings_the_same_numbers_back():
    nncore.manual_seed(12)
    nncore.randn(17)
    state = nncore.get_rng_state()
    first = (nncore.rand(5).tolist(), nncore.randn(5).tolist(), nncore.randperm(9).tolist())
    nncore.set_rng_state(state)
    assert first == (nncore.rand(5).tolist(), nncore.randn(5).tolist(), nncore.randperm(9).tolist())
