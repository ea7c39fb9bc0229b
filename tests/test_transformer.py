"""MultiheadAttention, the encoder of the transformer and its positions: the numbers of torch, masks, options, errors."""

import math

import numpy as np
import pytest

import nncore
from nncore import nn


def draw(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def twins(name, *args, **options):
    """The layer of torch and ours with its weights, in float64."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(*args, **options, dtype=torch.float64)
    ours = getattr(nn, name)(*args, **options, dtype=nncore.float64)
    return torch, theirs, loaded(ours, theirs)


def loaded(ours, theirs):
    state = theirs.state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == {
        key: value.shape for key, value in ours.state_dict().items()
    }
    ours.load_state_dict({key: value.numpy() for key, value in state.items()})
    return ours


def close(got, expected):
    np.testing.assert_allclose(got.detach().numpy(), expected.detach().numpy(), 1e-9, 1e-11)


def same_gradients(ours, theirs, inputs, their_inputs):
    for mine, other in zip(inputs, their_inputs, strict=True):
        close(mine.grad, other.grad)
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), 1e-9, 1e-10, err_msg=name)


# ---- MultiheadAttention ----
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize(
    "options",
    [{}, {"batch_first": True}, {"bias": False}, {"kdim": 5, "vdim": 7, "batch_first": True}],
    ids=["plain", "batch_first", "no bias", "kdim"],
)
def test_multihead_attention(options, need_weights):
    torch, theirs, ours = twins("MultiheadAttention", 12, 3, **options)
    batch_first = options.get("batch_first", False)
    arrays = []
    for length, size in ((4, 12), (6, options.get("kdim", 12)), (6, options.get("vdim", 12))):
        array = draw(2, length, size, seed=len(arrays))
        arrays.append(array if batch_first else array.transpose(1, 0, 2))
    inputs = [nncore.tensor(a).requires_grad_() for a in arrays]
    their_inputs = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, weights = ours(*inputs, need_weights=need_weights)
    expected, their_weights = theirs(*their_inputs, need_weights=need_weights)
    close(y, expected)
    assert (weights is None) == (their_weights is None)
    if need_weights:
        close(weights, their_weights)
    dy = draw(*expected.shape, seed=9)
    y.backward(nncore.tensor(dy))
    expected.backward(torch.tensor(dy))
    same_gradients(ours, theirs, inputs, their_inputs)


def test_masks_of_multihead_attention():
    torch, theirs, ours = twins("MultiheadAttention", 8, 2, batch_first=True)
    x = draw(3, 5, 8)
    padding = np.zeros((3, 5), bool)
    padding[1, 3:] = padding[2, 1:] = True
    earlier = np.tri(5, dtype=bool)
    added = draw(5, 5, seed=1)
    each = draw(6, 5, 5, seed=2)
    floats = np.where(padding, -np.inf, 0.0)
    for options in (
        {"key_padding_mask": padding},
        {"key_padding_mask": floats, "attn_mask": added},
        {"attn_mask": ~earlier},
        {"attn_mask": ~earlier, "key_padding_mask": padding},
        {"attn_mask": each},
        {"attn_mask": ~earlier, "is_causal": True},
    ):
        tensors = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        ours_options = {k: nncore.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        query = torch.tensor(x)
        expected, their_weights = theirs(query, query, query, average_attn_weights=False, **tensors)
        query = nncore.tensor(x)
        for need in (True, False):
            y, weights = ours(query, query, query, need_weights=need, average_attn_weights=False, **ours_options)
            close(y, expected)
        assert weights is None
        close(ours(query, query, query, average_attn_weights=False, **ours_options)[1], their_weights)
    causal = ours(query, query, query, need_weights=False, is_causal=True)[0]
    masked = ours(query, query, query, need_weights=False, attn_mask=nncore.tensor(~earlier))[0]
    np.testing.assert_allclose(causal.detach().numpy(), masked.detach().numpy(), 1e-12, 1e-14)
    mixed = ours(query, query, query, key_padding_mask=nncore.tensor(padding), attn_mask=nncore.tensor(added))[0]
    apart = ours(query, query, query, key_padding_mask=nncore.tensor(floats), attn_mask=nncore.tensor(added))[0]
    np.testing.assert_allclose(mixed.detach().numpy(), apart.detach().numpy(), 1e-12, 1e-14)


def test_who_sees_nothing():
    """As in torch: NaN where the weights are wanted, the bias of out_proj where not."""
    _, _, ours = twins("MultiheadAttention", 8, 2, batch_first=True)
    x, padding = nncore.tensor(draw(2, 3, 8)), nncore.tensor([[False] * 3, [True] * 3])
    with_weights, weights = ours(x, x, x, key_padding_mask=padding)
    assert np.isnan(with_weights[1].detach().numpy()).all()
    assert np.isnan(weights[1].detach().numpy()).all()
    assert np.isfinite(with_weights[0].detach().numpy()).all()
    without, _ = ours(x, x, x, key_padding_mask=padding, need_weights=False)
    assert np.array_equal(without[1].detach().numpy(), np.tile(ours.out_proj.bias.detach().numpy(), (3, 1)))


def test_without_a_batch():
    torch, theirs, ours = twins("MultiheadAttention", 8, 4)
    query, key = draw(4, 8), draw(6, 8)
    expected, their_weights = theirs(*map(torch.tensor, (query, key, key)))
    y, weights = ours(*map(nncore.tensor, (query, key, key)))
    close(y, expected)
    close(weights, their_weights)
    close(ours(*map(nncore.tensor, (query, key, key)), need_weights=False)[0], expected)


def test_dropout_of_weights():
    layer = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)
    x = nncore.tensor(draw(4, 20, 8, dtype=np.float32))
    _, weights = layer(x, x, x, average_attn_weights=False)
    zeros = (weights.detach().numpy() == 0).mean()
    assert 0.45 < zeros < 0.55
    first, second = (layer(x, x, x, need_weights=False)[0].detach().numpy() for _ in range(2))
    assert not np.array_equal(first, second)
    layer.eval()
    assert not (layer(x, x, x)[1].detach().numpy() == 0).any()
    assert np.array_equal(*(layer(x, x, x, need_weights=False)[0].detach().numpy() for _ in range(2)))


def test_initial_weights():
    """Xavier's uniform distribution over all three projections together, biases of 0, as in torch."""
    nncore.manual_seed(0)
    layer = nn.MultiheadAttention(64, 4)
    weight = layer.in_proj_weight.detach().numpy()
    bound = math.sqrt(6 / (4 * 64))
    assert abs(weight).max() <= bound
    assert weight.std() == pytest.approx(bound / math.sqrt(3), rel=0.03)
    assert not layer.in_proj_bias.detach().numpy().any()
    assert not layer.out_proj.bias.detach().numpy().any()
    assert repr(layer).startswith("MultiheadAttention(\n  64, 4, dropout=0.0, batch_first=False")
    other = nn.MultiheadAttention(64, 4, kdim=3)
    assert other.in_proj_weight is None
    assert other.k_proj_weight.shape == (64, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.MultiheadAttention(8, 3), ValueError, "'num_heads' is 3, expected a divisor of embed_dim=8"),
        (lambda: nn.MultiheadAttention(8, 2, dropout=2.0), ValueError, "'dropout' is 2.0"),
        (lambda: nn.MultiheadAttention(8, 2, add_bias_kv=True), ValueError, "'add_bias_kv' is True, expected False"),
        (lambda: nn.MultiheadAttention(8, 2)(*[nncore.ones(2, 3, 7)] * 3), ValueError, r"'query' has shape \(2, 3, 7\)"),
        (
            lambda: nn.MultiheadAttention(8, 2)(nncore.ones(2, 3, 8), *[nncore.ones(5, 4, 8)] * 2),
            ValueError,
            r"'key' has shape \(5, 4, 8\), which does not fit 'query' of shape \(2, 3, 8\)",
        ),
        (
            lambda: nn.MultiheadAttention(8, 2)(*[nncore.ones(2, 3, 8)] * 3, attn_mask=nncore.ones(2, 3)),
            ValueError,
            r"'attn_mask' has shape \(2, 3\), expected \(2, 2\) or \(6, 2, 2\)",
        ),
        (
            lambda: nn.MultiheadAttention(8, 2)(*[nncore.ones(2, 3, 8)] * 3, key_padding_mask=nncore.zeros(3, 2).long()),
            TypeError,
            "'key_padding_mask' has dtype int64, expected bool or a float",
        ),
        (lambda: nn.TransformerEncoderLayer(8, 2, activation="tanh"), ValueError, "'activation' is 'tanh'"),
        (lambda: nn.TransformerEncoder(nn.Identity(), -1), ValueError, "'num_layers' is -1"),
        (lambda: nn.PositionalEncoding(4, max_len=3)(nncore.ones(4, 1, 4)), ValueError, r"\(4, 1, 4\), .* L <= 3"),
    ],
)  # fmt: skip
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---- the encoder ----
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder(activation, norm_first):
    options = {"dropout": 0.0, "activation": activation, "norm_first": norm_first, "batch_first": activation == "gelu"}
    torch, layer, our_layer = twins("TransformerEncoderLayer", 12, 3, 20, **options)
    theirs = torch.nn.TransformerEncoder(
        layer, 2, torch.nn.LayerNorm(12, dtype=torch.float64), enable_nested_tensor=False
    )
    ours = loaded(nn.TransformerEncoder(our_layer, 2, nn.LayerNorm(12, dtype=nncore.float64)), theirs)
    x, hidden = draw(5, 5, 12), ~np.tri(5, dtype=bool)
    mine, other = nncore.tensor(x).requires_grad_(), torch.tensor(x, requires_grad=True)
    y, expected = ours(mine, nncore.tensor(hidden)), theirs(other, torch.tensor(hidden))
    close(y, expected)
    close(ours(mine, is_causal=True), expected)
    y.backward(nncore.tensor(draw(5, 5, 12, seed=1)))
    expected.backward(torch.tensor(draw(5, 5, 12, seed=1)))
    same_gradients(ours, theirs, [mine], [other])
    padding = np.zeros((5, 5), bool)
    padding[1, 2:] = True
    theirs.train()
    close(
        ours(mine, src_key_padding_mask=nncore.tensor(padding)),
        theirs(other, src_key_padding_mask=torch.tensor(padding)),
    )


def test_encoder_options():
    layer = nn.TransformerEncoderLayer(8, 2, 16, bias=False, activation=nn.functional.silu)
    assert layer.linear1.bias is None
    assert layer.norm1.bias is None
    assert layer.self_attn.in_proj_bias is None
    encoder = nn.TransformerEncoder(layer, 2)
    assert np.array_equal(*(part.linear1.weight.detach().numpy() for part in encoder.layers))
    assert encoder.layers[0].linear1.weight is not encoder.layers[1].linear1.weight
    x = nncore.tensor(draw(5, 3, 8, dtype=np.float32))
    assert not np.array_equal(*(layer(x).detach().numpy() for _ in range(2)))
    layer.eval()
    assert np.array_equal(*(layer(x).detach().numpy() for _ in range(2)))


# ---- positions ----
@pytest.mark.parametrize("d_model", [6, 7])
def test_positional_encoding(d_model):
    layer = nn.PositionalEncoding(d_model, dropout=0.0, max_len=50, dtype=nncore.float64)
    table = layer.pe.numpy()
    assert table.shape == (50, 1, d_model)
    for i, k in np.ndindex(50, d_model):
        angle = i / 10000 ** (k // 2 * 2 / d_model)
        assert table[i, 0, k] == pytest.approx(math.cos(angle) if k % 2 else math.sin(angle), abs=1e-12)
    x = nncore.tensor(draw(9, 2, d_model))
    np.testing.assert_array_equal(layer(x).numpy(), x.numpy() + table[:9])
    first = nn.PositionalEncoding(d_model, 0.0, 50, batch_first=True, dtype=nncore.float64)
    np.testing.assert_array_equal(first(x.transpose(0, 1)).numpy(), layer(x).numpy().transpose(1, 0, 2))
    assert (nn.PositionalEncoding(d_model, dropout=0.5)(nncore.ones(40, 3, d_model)).numpy() == 0).any()
    assert list(layer.state_dict()) == ["pe"]


def test_split_and_unbind_write_one_gradient():
    """Parts that nobody uses get zeros, also where another part is used twice."""
    x = nncore.tensor(draw(4, 6)).requires_grad_()
    first, _, last = x.split([1, 2, 3], 1)
    (first.sum() + (last * last).sum()).backward()
    np.testing.assert_array_equal(
        x.grad.numpy(), np.hstack([np.ones((4, 1)), np.zeros((4, 2)), 2 * x.detach().numpy()[:, 3:]])
    )
    y = nncore.tensor(draw(3)).requires_grad_()
    a, _, c = y.unbind()
    (a * c).backward()
    np.testing.assert_array_equal(y.grad.numpy(), [y.detach().numpy()[2], 0, y.detach().numpy()[0]])
