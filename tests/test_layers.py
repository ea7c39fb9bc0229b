"""Layers: values against a few lines of NumPy, initial parameters, storage layout, options and errors."""

import math

import numpy as np
import pytest

import nncore
import nncore.nn.functional as F
from nncore import nn
from nncore.nn import init

rng = np.random.default_rng(0)


def tensor(*shape, dtype=np.float64):
    return nncore.from_numpy(rng.normal(size=shape).astype(dtype))


def double(layer):
    return layer.double()


# ---- linear ----
@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (0, 5)])
def test_linear(shape):
    layer = double(nn.Linear(5, 4))
    x = tensor(*shape)
    expected = x.numpy() @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-12, atol=1e-12)
    assert layer.weight.shape == (4, 5)
    assert layer.weight.array.T.flags.c_contiguous
    without = nn.Linear(5, 4, bias=False)
    assert without.bias is None
    assert list(without.state_dict()) == ["weight"]


def test_linear_gradient_lies_as_the_weight_does():
    layer = nn.Linear(5, 4)
    layer(tensor(3, 5, dtype=np.float32)).sum().backward()
    assert layer.weight.grad.array.strides == layer.weight.array.strides


def test_lazy_linear_becomes_a_linear():
    model = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(3, bias=False, dtype=np.float64))
    assert repr(model[0]) == "LazyLinear(in_features=0, out_features=4, bias=True)"
    compiled = nncore.compile(model)
    for ask in (lambda: list(model.parameters()), model.state_dict, lambda: compiled(nncore.ones(2, 5))):
        with pytest.raises(RuntimeError, match="LazyLinear: in_features is not known before the first input"):
            ask()
    nncore.manual_seed(0)
    first = model[0](tensor(2, 5, dtype=np.float32))
    nncore.manual_seed(0)
    again = nn.Linear(5, 4)
    assert type(model[0]) is nn.Linear
    assert first.shape == (2, 4)
    assert (model[0].weight.array == again.weight.array).all()
    assert model[2](tensor(7, 6)).shape == (7, 3)
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight"]


def test_shape_layers():
    x = tensor(2, 3, 4, 5)
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(0, 1)(x).shape == (6, 4, 5)
    assert nn.Unflatten(-1, (5, 1))(x).shape == (2, 3, 4, 5, 1)
    assert nn.Unflatten(1, (3, -1))(x).shape == (2, 3, 1, 4, 5)
    assert nn.Identity(3, unused=True)(x) is x


# ---- convolution and pooling ----
def conv2d_reference(x, weight, bias, stride, padding, dilation, groups):
    x = np.pad(x, [(0, 0), (0, 0), *((p, q) for p, q in padding)])
    (n, _, h, w), (o, i, kh, kw) = x.shape, weight.shape
    oh = (h - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (w - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((n, o, oh, ow))
    for out in range(o):
        first = out // (o // groups) * i
        for a in range(kh):
            for b in range(kw):
                rows = slice(a * dilation[0], a * dilation[0] + (oh - 1) * stride[0] + 1, stride[0])
                cols = slice(b * dilation[1], b * dilation[1] + (ow - 1) * stride[1] + 1, stride[1])
                y[:, out] += np.einsum("nchw,c->nhw", x[:, first : first + i, rows, cols], weight[out, :, a, b])
    return y + bias[:, None, None]


@pytest.mark.parametrize(
    ("options", "padding"),
    [
        ({"kernel_size": 3}, [(0, 0), (0, 0)]),
        ({"kernel_size": (2, 3), "stride": (2, 1), "padding": (1, 2)}, [(1, 1), (2, 2)]),
        ({"kernel_size": 3, "padding": 2, "dilation": (2, 1), "groups": 2}, [(2, 2), (2, 2)]),
        ({"kernel_size": 3, "padding": "valid", "stride": 2}, [(0, 0), (0, 0)]),
        ({"kernel_size": (3, 5), "padding": "same", "dilation": 2}, [(2, 2), (4, 4)]),
        ({"kernel_size": (2, 4), "padding": "same"}, [(0, 1), (1, 2)]),
        ({"kernel_size": (2, 3), "padding": "same", "dilation": (3, 1), "groups": 4}, [(1, 2), (1, 1)]),
    ],
)
def test_conv2d(options, padding):
    layer = double(nn.Conv2d(4, 8, **options))
    x = tensor(2, 4, 7, 8)
    expected = conv2d_reference(
        x.numpy(),
        layer.weight.detach().numpy(),
        layer.bias.detach().numpy(),
        layer.stride,
        padding,
        layer.dilation,
        layer.groups,
    )
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(layer(x[0]).detach().numpy(), expected[0], rtol=1e-12, atol=1e-12)
    assert layer.weight.array.transpose(2, 3, 1, 0).flags.c_contiguous


def test_conv2d_errors():
    for options, match in (
        ({"groups": 3}, "in_channels must be divisible by groups"),
        ({"groups": 4}, "out_channels must be divisible by groups"),
        ({"groups": 0}, "groups must be a positive integer"),
        ({"padding_mode": "mirror"}, "'padding_mode' is 'mirror', expected 'zeros' or 'reflect'"),
        ({"mode": "flip"}, "'mode' is 'flip', expected 'correlate' or 'convolve'"),
        ({"padding": "full"}, "Invalid padding string 'full'"),
        ({"padding": "same", "stride": 2}, "padding='same' is not supported for strided convolutions"),
    ):
        with pytest.raises(ValueError, match=match):
            nn.Conv2d(4, 6, 3, **options)
    with pytest.raises(ValueError, match="expected 1 with padding='same'"):
        F.conv2d(tensor(1, 1, 4, 4), tensor(1, 1, 2, 2), padding="same", stride=2)


def windows(x, kernel, stride):
    view = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(2, 3))
    return view[:, :, :: stride[0], :: stride[1]]


def test_pooling():
    x = tensor(2, 3, 6, 8)
    array = x.numpy()
    np.testing.assert_array_equal(nn.MaxPool2d(2)(x).numpy(), windows(array, (2, 2), (2, 2)).max((-1, -2)))
    np.testing.assert_array_equal(
        nn.MaxPool2d((3, 2), stride=1)(x).numpy(), windows(array, (3, 2), (1, 1)).max((-1, -2))
    )
    padded = np.pad(array, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
    np.testing.assert_array_equal(nn.MaxPool2d(3, 2, 1)(x).numpy(), windows(padded, (3, 3), (2, 2)).max((-1, -2)))
    np.testing.assert_allclose(nn.AvgPool2d(2)(x).numpy(), windows(array, (2, 2), (2, 2)).mean((-1, -2)), rtol=1e-12)
    padded = np.pad(array, [(0, 0), (0, 0), (1, 1), (1, 1)])
    expected = windows(padded, (3, 3), (2, 2))
    np.testing.assert_allclose(nn.AvgPool2d(3, 2, 1)(x).numpy(), expected.mean((-1, -2)), rtol=1e-12)
    counts = windows(np.pad(np.ones_like(array), [(0, 0), (0, 0), (1, 1), (1, 1)]), (3, 3), (2, 2)).sum((-1, -2))
    layer = nn.AvgPool2d(3, 2, 1, count_include_pad=False)
    np.testing.assert_allclose(layer(x).numpy(), expected.sum((-1, -2)) / counts, rtol=1e-12)
    assert nn.MaxPool2d(2)(x[0]).shape == (3, 3, 4)


def test_adaptive_pooling():
    x = tensor(2, 3, 6, 8)
    np.testing.assert_allclose(nn.AdaptiveAvgPool2d(1)(x).numpy()[..., 0, 0], x.numpy().mean((2, 3)), rtol=1e-12)
    expected = x.numpy().reshape(2, 3, 3, 2, 8).mean(3)
    np.testing.assert_allclose(nn.AdaptiveAvgPool2d((3, None))(x).numpy(), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="output_size"):
        nn.AdaptiveAvgPool2d(0)(x)


# ---- activations ----
@pytest.mark.parametrize(
    ("layer", "reference"),
    [
        (nn.ReLU(inplace=True), lambda x: np.maximum(x, 0)),
        (nn.ReLU6(), lambda x: np.clip(x, 0, 6)),
        (nn.LeakyReLU(0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
        (nn.ELU(1.5), lambda x: np.where(x > 0, x, 1.5 * np.expm1(x))),
        (nn.GELU(), lambda x: x * np.vectorize(lambda v: 0.5 * (1 + math.erf(v / math.sqrt(2))))(x)),
        (nn.GELU("tanh"), lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
        (nn.SiLU(), lambda x: x / (1 + np.exp(-x))),
        (nn.Sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
        (nn.Tanh(), np.tanh),
        (nn.Softplus(2.0), lambda x: np.log1p(np.exp(2 * x)) / 2),
        (nn.Hardtanh(-2, 0.5), lambda x: np.clip(x, -2, 0.5)),
        (nn.CELU(0.5), lambda x: np.where(x > 0, x, 0.5 * np.expm1(x / 0.5))),
        (nn.SELU(), lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x))),
        (nn.Mish(), lambda x: x * np.tanh(np.log1p(np.exp(x)))),
        (nn.Softsign(), lambda x: x / (1 + np.abs(x))),
        (nn.LogSigmoid(), lambda x: -np.log1p(np.exp(-x))),
        (nn.Hardsigmoid(), lambda x: np.clip(x + 3, 0, 6) / 6),
        (nn.Hardswish(), lambda x: x * np.clip(x + 3, 0, 6) / 6),
        (nn.Hardshrink(0.7), lambda x: np.where(np.abs(x) > 0.7, x, 0)),
        (nn.Softshrink(0.7), lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.7, 0)),
        (nn.Tanhshrink(), lambda x: x - np.tanh(x)),
        (nn.Threshold(0.1, 20.0), lambda x: np.where(x > 0.1, x, 20)),
        (nn.PReLU(), lambda x: np.where(x > 0, x, 0.25 * x)),
        (nn.Softmax(dim=1), lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
        (nn.LogSoftmax(dim=0), lambda x: x - np.log(np.exp(x).sum(0, keepdims=True))),
    ],
    ids=lambda value: repr(value) if isinstance(value, nn.Module) else "",
)
def test_activation(layer, reference):
    x = nncore.from_numpy(rng.uniform(-8, 8, (4, 9)))
    before = x.numpy().copy()
    np.testing.assert_allclose(layer(x).detach().numpy(), reference(before), rtol=1e-10, atol=1e-12)
    assert np.array_equal(x.numpy(), before)


ACTIVATIONS = [
    "CELU(0.5)",
    "SELU()",
    "Mish()",
    "Softsign()",
    "LogSigmoid()",
    "Hardsigmoid()",
    "Hardswish()",
    "Hardshrink(0.3)",
    "Softshrink(0.3)",
    "Tanhshrink()",
    "Threshold(0.1,2.0)",
    "GLU(1)",
    "PReLU(4)",
    "PReLU()",
]


@pytest.mark.parametrize("expression", ACTIVATIONS)
def test_activation_and_gradient_are_those_of_torch(expression):
    torch = pytest.importorskip("torch")
    x = rng.uniform(-5, 5, (3, 4, 6))
    x[0, 0, :5] = [0, 3, -3, 0.3, -0.3]
    dy = np.cos(np.arange(72)).reshape(3, 4, 6)
    ours, theirs = eval(f"nn.{expression}", {"nn": nn}), eval(f"nn.{expression}", {"nn": torch.nn}).double()
    assert repr(ours) == repr(theirs)
    ours = double(ours)
    a, b = nncore.from_numpy(x.copy()).requires_grad_(), torch.from_numpy(x).requires_grad_()
    y, expected = ours(a), theirs(b)
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-12, atol=1e-13)
    y.backward(nncore.from_numpy(dy[:, : y.shape[1]].copy()))
    expected.backward(torch.from_numpy(dy[:, : y.shape[1]].copy()))
    tolerance = 1e-7 if expression == "Hardsigmoid()" else 1e-12  # torch's 1/6 has float32's digits
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=tolerance, atol=1e-13)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-12)


def test_a_step_decides_and_teaches_nothing():
    """x = (1, 0, 1), w = (5, 2, 4), threshold 3: 6 >= 0, so go surfing."""
    x, w = nncore.tensor([1.0, 0.0, 1.0]), nncore.tensor([5.0, 2.0, 4.0], requires_grad=True)
    decision = nncore.heaviside((x * w).sum() - 3)
    assert decision.item() == 1.0
    with pytest.raises(RuntimeError, match="heaviside: the derivative is 0 wherever"):
        decision.backward()
    assert nncore.heaviside(nncore.tensor([-1.0, -0.0, float("nan")])).tolist()[:2] == [0.0, 1.0]
    assert nncore.isnan(nncore.heaviside(nncore.tensor([float("nan")]))).item()
    assert nncore.heaviside(nncore.zeros(2), nncore.tensor([0.5, 2.0])).tolist() == [0.5, 2.0]


def test_errors_of_activations():
    for call, match in (
        (lambda: F.celu(tensor(2), 0.0), "celu: argument 'alpha' is 0"),
        (lambda: F.softshrink(tensor(2), -1.0), "softshrink: argument 'lambd' is -1"),
        (lambda: F.glu(tensor(3)), r"glu: argument 'x' has shape \(3,\), expected an even size along dim -1"),
        (
            lambda: F.prelu(tensor(2, 3), tensor(2)),
            r"prelu: argument 'weight' has shape \(2,\), expected one slope or 3",
        ),
    ):
        with pytest.raises(ValueError, match=match):
            call()


def test_softmax_without_dim_warns():
    with pytest.warns(UserWarning, match="Implicit dimension choice for softmax"):
        np.testing.assert_allclose(nn.Softmax()(tensor(3, 4)).numpy().sum(1), 1)
    with pytest.warns(UserWarning, match="log_softmax"):
        assert F.log_softmax(tensor(3)).shape == (3,)
    assert F.softmax(nncore.tensor([1, 2]), 0, dtype=nncore.float64).dtype == nncore.float64


# ---- normalization, dropout ----
@pytest.mark.parametrize(
    ("layer_class", "shape"), [(nn.BatchNorm1d, (6, 3)), (nn.BatchNorm1d, (4, 3, 5)), (nn.BatchNorm2d, (2, 3, 4, 5))]
)
def test_batch_norm(layer_class, shape):
    layer = double(layer_class(3, momentum=0.3))
    with nncore.no_grad():
        layer.weight.copy_(tensor(3))
        layer.bias.copy_(tensor(3))
    x = tensor(*shape)
    axes = tuple(axis for axis in range(len(shape)) if axis != 1)
    column = (1, 3, *[1] * (len(shape) - 2))
    mean, var = x.numpy().mean(axes), x.numpy().var(axes)
    weight, bias = (p.detach().numpy().reshape(column) for p in (layer.weight, layer.bias))

    def normalized(mean, var):
        return (x.numpy() - mean.reshape(column)) / np.sqrt(var.reshape(column) + 1e-5) * weight + bias

    np.testing.assert_allclose(layer(x).detach().numpy(), normalized(mean, var), rtol=1e-10, atol=1e-12)
    count = x.numel() // 3
    running_mean, running_var = 0.3 * mean, 0.7 + 0.3 * var * count / (count - 1)
    np.testing.assert_allclose(layer.running_mean.numpy(), running_mean, rtol=1e-10)
    np.testing.assert_allclose(layer.running_var.numpy(), running_var, rtol=1e-10)
    assert layer.num_batches_tracked.item() == 1
    layer.eval()
    np.testing.assert_allclose(layer(x).detach().numpy(), normalized(running_mean, running_var), rtol=1e-10, atol=1e-12)
    assert layer.num_batches_tracked.item() == 1


def test_batch_norm_options():
    x = tensor(6, 3, dtype=np.float32)
    cumulative = nn.BatchNorm1d(3, momentum=None)
    for _ in range(2):
        cumulative(x)
    np.testing.assert_allclose(cumulative.running_mean.numpy(), x.numpy().mean(0), rtol=1e-5)
    bare = nn.BatchNorm1d(3, affine=False, track_running_stats=False).eval()
    assert list(bare.state_dict()) == []
    np.testing.assert_allclose(bare(x).numpy().mean(0), 0, atol=1e-6)
    assert nn.BatchNorm1d(3, bias=False).bias is None
    cumulative.reset_parameters()
    assert cumulative.num_batches_tracked.item() == 0
    assert cumulative.running_var.tolist() == [1.0] * 3
    with pytest.raises(ValueError, match=r"expected 2D or 3D input \(got 4D input\)"):
        cumulative(tensor(1, 3, 1, 1))
    with pytest.raises(ValueError, match=r"expected 4D input"):
        nn.BatchNorm2d(3)(x)


def test_layer_norm():
    x = tensor(4, 3, 5)
    layer = double(nn.LayerNorm((3, 5)))
    array = x.numpy().reshape(4, 15)
    expected = (array - array.mean(1, keepdims=True)) / np.sqrt(array.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(layer(x).detach().numpy().reshape(4, 15), expected, rtol=1e-10)
    assert layer.weight.shape == (3, 5)
    assert nn.LayerNorm(5, bias=False).bias is None
    assert nn.LayerNorm(5, elementwise_affine=False).weight is None


def test_dropout():
    x = nncore.ones(10000)
    layer = nn.Dropout(0.25)
    nncore.manual_seed(1)
    y = layer(x).numpy()
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.02
    nncore.manual_seed(1)
    assert np.array_equal(layer(x).numpy(), y)
    assert not np.array_equal(layer(x).numpy(), y)
    assert np.array_equal(layer.eval()(x).numpy(), x.numpy())
    assert not nn.Dropout(1.0)(x).numpy().any()
    with pytest.raises(ValueError, match=r"between 0 and 1, but got 1\.5"):
        nn.Dropout(1.5)


# ---- embedding ----
def test_embedding():
    layer = nn.Embedding(5, 3, padding_idx=-2)
    assert layer.padding_idx == 3
    assert layer.weight[3].tolist() == [0.0] * 3
    index = nncore.tensor([[1, 3], [1, 0]])
    y = layer(index)
    assert y.shape == (2, 2, 3)
    np.testing.assert_array_equal(y.detach().numpy(), layer.weight.detach().numpy()[index.numpy()])
    y.sum().backward()
    assert layer.weight.grad[:, 0].tolist() == [1.0, 2.0, 0.0, 0.0, 0.0]
    table = nncore.ones(4, 2)
    frozen = nn.Embedding.from_pretrained(table)
    assert not frozen.weight.requires_grad
    assert frozen.weight.array is table.array
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad
    with pytest.raises(ValueError, match="within num_embeddings=5"):
        nn.Embedding(5, 3, padding_idx=5)
    with pytest.raises(ValueError, match="'max_norm' is 1"):
        nn.Embedding(5, 3, max_norm=1)
    with pytest.raises(ValueError, match="does not match"):
        nn.Embedding(5, 3, _weight=table)
    with pytest.raises(ValueError, match="2-dimensional"):
        nn.Embedding.from_pretrained(nncore.ones(3))
    with pytest.raises(ValueError, match="5"):
        layer(nncore.tensor([5]))


# ---- losses ----
def reduced(losses, reduction):
    return {"mean": np.mean, "sum": np.sum, "none": lambda x: x}[reduction](losses)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_of_two_arrays(reduction):
    x, t = tensor(4, 3), tensor(4, 3)
    d = x.numpy() - t.numpy()
    p, q = nncore.from_numpy(rng.uniform(0.01, 0.99, (4, 3))), nncore.from_numpy(rng.uniform(0, 1, (4, 3)))
    weight, positive = tensor(3).abs(), tensor(3).abs()
    bce = -(q.numpy() * np.log(p.numpy()) + (1 - q.numpy()) * np.log(1 - p.numpy()))
    s = 1 / (1 + np.exp(-x.numpy()))
    logits = -(positive.numpy() * q.numpy() * np.log(s) + (1 - q.numpy()) * np.log(1 - s))
    cases = [
        (nn.MSELoss(reduction=reduction), x, t, d**2),
        (nn.L1Loss(reduction=reduction), x, t, abs(d)),
        (nn.SmoothL1Loss(reduction=reduction, beta=0.5), x, t, np.where(abs(d) < 0.5, d**2, abs(d) - 0.25)),
        (nn.HuberLoss(reduction, 0.7), x, t, np.where(abs(d) < 0.7, d**2 / 2, 0.7 * (abs(d) - 0.35))),
        (nn.BCELoss(reduction=reduction), p, q, bce),
        (nn.BCELoss(weight, reduction=reduction), p, q, bce * weight.numpy()),
        (nn.BCEWithLogitsLoss(reduction=reduction, pos_weight=positive), x, q, logits),
    ]
    for loss, *arguments, losses in cases:
        result = loss(*arguments).numpy()
        np.testing.assert_allclose(result, reduced(losses, reduction), rtol=1e-10, err_msg=repr(loss))
        assert np.shape(result) == np.shape(reduced(losses, reduction))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_class_losses(reduction):
    x, target = tensor(5, 4), nncore.tensor([0, 3, -100, 1, 3])
    weight = tensor(4).abs()
    log_p = x.numpy() - np.log(np.exp(x.numpy()).sum(1, keepdims=True))
    t = target.numpy()
    counted = t != -100
    rows = np.where(counted, weight.numpy()[t * counted], 0)
    losses = -log_p[np.arange(5), t * counted] * rows
    expected = losses.sum() / rows.sum() if reduction == "mean" else reduced(losses, reduction)
    ce = nn.CrossEntropyLoss(weight, reduction=reduction)
    np.testing.assert_allclose(ce(x, target).numpy(), expected, rtol=1e-10)
    nll = nn.NLLLoss(weight, reduction=reduction)
    np.testing.assert_allclose(nll(nncore.from_numpy(log_p), target).numpy(), expected, rtol=1e-10)
    assert list(ce.state_dict()) == ["weight"]
    probabilities = F.softmax(tensor(5, 4), dim=1)
    soft = -(probabilities.numpy() * log_p).sum(1)
    loss = nn.CrossEntropyLoss(reduction=reduction)
    np.testing.assert_allclose(loss(x, probabilities).numpy(), reduced(soft, reduction), rtol=1e-10)
    smooth = -0.9 * log_p[np.arange(5), t * counted] - 0.1 * log_p.mean(1)
    loss = nn.CrossEntropyLoss(label_smoothing=0.1, reduction=reduction, ignore_index=-1)
    smoothed = loss(x, nncore.tensor(t * counted)).numpy()
    np.testing.assert_allclose(smoothed, reduced(smooth, reduction), rtol=1e-10)


def test_older_words_for_reduction():
    assert nn.MSELoss(size_average=False).reduction == "sum"
    assert nn.MSELoss(reduce=False).reduction == "none"
    assert nn.MSELoss(True, True, "sum").reduction == "mean"
    assert F.l1_loss(nncore.ones(3), nncore.zeros(3), size_average=False).item() == 3.0
    with pytest.raises(ValueError, match="reduction"):
        nn.MSELoss(reduction="median")(nncore.ones(3), nncore.zeros(3))


# ---- initial parameters ----
@pytest.mark.parametrize(
    ("make", "bound"),
    [
        (lambda: nn.Linear(400, 50), 1 / 20),
        (lambda: nn.Conv2d(16, 32, 5), 1 / 20),
        (lambda: nn.Conv2d(32, 32, 5, groups=2), 1 / 20),
    ],
)
def test_default_initialization(make, bound):
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for weight and bias, as in torch."""
    nncore.manual_seed(0)
    layer = make()
    weight = layer.weight.detach().numpy()
    assert abs(weight).max() <= bound
    assert weight.std() == pytest.approx(bound / math.sqrt(3), rel=0.03)
    assert abs(layer.bias.detach().numpy()).max() <= bound
    assert len(np.unique(weight)) > weight.size * 0.9
    nncore.manual_seed(0)
    assert np.array_equal(make().weight.detach().numpy(), weight)


def test_values_do_not_depend_on_the_layout():
    drawn = init.uniform_(nncore.empty(4, 5), generator=nncore.Generator(3))
    transposed = init.uniform_(nncore.from_numpy(np.empty((5, 4), np.float32).T), generator=nncore.Generator(3))
    assert np.array_equal(drawn.numpy(), transposed.numpy())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("fill", "std", "bound"),
    [
        (lambda w: init.uniform_(w, -2, 4), 6 / math.sqrt(12), None),
        (lambda w: init.normal_(w, 1.0, 0.5), 0.5, None),
        (lambda w: init.trunc_normal_(w), 0.8796, 2.0),
        (lambda w: init.xavier_uniform_(w, gain=2.0), 2 * math.sqrt(2 / 300), 2 * math.sqrt(6 / 300)),
        (init.xavier_normal_, math.sqrt(2 / 300), None),
        (lambda w: init.kaiming_uniform_(w, nonlinearity="relu"), math.sqrt(2 / 100), math.sqrt(6 / 100)),
        (lambda w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="tanh"), 5 / 3 / math.sqrt(200), None),
    ],
)
def test_random_fills(fill, std, bound, dtype):
    weight = nncore.from_numpy(np.empty((100, 200), dtype).T)
    assert fill(weight) is weight
    assert weight.numpy().std() == pytest.approx(std, rel=0.03)
    if bound is not None:
        assert abs(weight.numpy()).max() <= bound
        assert abs(weight.numpy()).max() > bound * 0.98


def test_fixed_fills():
    weight = nn.Parameter(nncore.empty(2, 3))
    assert init.ones_(weight).tolist() == [[1.0] * 3] * 2
    assert init.zeros_(weight).tolist() == [[0.0] * 3] * 2
    assert init.constant_(weight, 0.5).tolist() == [[0.5] * 3] * 2
    assert init.eye_(weight).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    assert weight.requires_grad
    assert weight.is_leaf


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (6, 2, 3)])
def test_orthogonal(shape):
    weight = init.orthogonal_(nncore.empty(*shape, dtype=nncore.float64), gain=2.0).numpy().reshape(shape[0], -1)
    product = weight @ weight.T if weight.shape[0] <= weight.shape[1] else weight.T @ weight
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "groups"), [((3, 5, 3), 1), ((6, 2, 3, 4), 2), ((4, 4, 1, 1), 1), ((2, 3, 3, 3, 3), 1)]
)
def test_dirac_keeps_channels(shape, groups):
    torch = pytest.importorskip("torch")
    weight = init.dirac_(nncore.empty(*shape), groups)
    np.testing.assert_array_equal(weight.numpy(), torch.nn.init.dirac_(torch.empty(*shape), groups).numpy())


def test_sparse_has_so_many_zeros_in_every_column():
    weight = init.sparse_(nncore.empty(400, 50), 0.301, std=0.5).numpy()
    assert ((weight == 0).sum(axis=0) == 121).all()
    assert weight[weight != 0].std() == pytest.approx(0.5, rel=0.02)
    assert len({tuple(column) for column in (weight == 0).T}) == 50
    generators = [nncore.Generator(1), nncore.Generator(1)]
    once, again = (init.sparse_(nncore.empty(9, 4), 0.5, generator=generator) for generator in generators)
    assert nncore.equal(once, again)


def test_gains():
    assert init.calculate_gain("linear") == init.calculate_gain("sigmoid") == 1
    assert init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)
    assert init.calculate_gain("leaky_relu") == math.sqrt(2 / (1 + 0.01**2))
    assert init.calculate_gain("selu") == 0.75
    for call, match in (
        (lambda: init.calculate_gain("step"), "Unsupported nonlinearity step"),
        (lambda: init.calculate_gain("leaky_relu", "x"), "not a valid number"),
        (lambda: init.kaiming_uniform_(nncore.empty(2, 2), mode="fan"), "Mode fan not supported"),
        (lambda: init.xavier_normal_(nncore.empty(2)), "fewer than 2 dimensions"),
        (lambda: init.orthogonal_(nncore.empty(2)), "2 or more dimensions"),
        (lambda: init.eye_(nncore.empty(2)), "2 dimensions"),
        (lambda: init.dirac_(nncore.empty(2, 2)), "3, 4, or 5 dimensions"),
        (lambda: init.dirac_(nncore.empty(3, 2, 1), 2), "divisible by groups"),
        (lambda: init.sparse_(nncore.empty(2), 0.5), "2 dimensions"),
        (lambda: init.sparse_(nncore.empty(2, 2), 1.5), "'sparsity' is 1.5"),
        (lambda: init.trunc_normal_(nncore.empty(2), a=50, b=60), "less than a thousandth"),
    ):
        with pytest.raises(ValueError, match=match):
            call()


def test_dtype_and_device():
    assert nn.Linear(2, 2, dtype=nncore.float64).bias.dtype == nncore.float64
    assert nn.BatchNorm1d(2, device="cpu", dtype=nncore.float64).running_mean.dtype == nncore.float64
    nncore.set_default_dtype(nncore.float64)
    try:
        assert nn.Conv2d(1, 1, 1).weight.dtype == nncore.float64
    finally:
        nncore.set_default_dtype(nncore.float32)
    with pytest.raises(RuntimeError, match="'cuda:0' is not available"):
        nn.Linear(2, 2, device="cuda:0")
