"""Layers of series and images: repr, state, values and gradients of torch; flipped kernels; layouts; dropped channels."""

import numpy as np
import pytest

import nncore
import nncore.nn.functional as F
from nncore import nn

rng = np.random.default_rng(0)


def tensor(*shape, dtype=np.float64):
    return nncore.from_numpy(rng.normal(size=shape).astype(dtype))


LAYERS = {
    "Conv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2)": (2, 4, 11),
    "Conv1d(4, 6, 4, padding='same', padding_mode='circular')": (2, 4, 11),
    "Conv1d(4, 6, 3, padding=2, padding_mode='replicate', bias=False)": (4, 11),
    "Conv2d(2, 4, (3, 2), padding=(1, 2), padding_mode='reflect')": (2, 2, 5, 6),
    "Conv2d(2, 4, 3, padding='same', dilation=2, padding_mode='circular')": (2, 2, 5, 6),
    "Conv2d(4, 8, 3, groups=4, padding_mode='replicate', padding='valid')": (2, 4, 5, 6),
    "ConvTranspose1d(4, 6, 3, stride=2, padding=1, output_padding=1)": (2, 4, 5),
    "ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2)": (2, 4, 5, 6),
    "ConvTranspose2d(4, 4, (2, 3), (3, 1), 1, (0, 2), groups=4, bias=False, dilation=(1, 3))": (2, 4, 5, 6),
    "ConvTranspose2d(4, 2, 3, 2, 2, 3, dilation=4)": (4, 5, 6),
    "ConstantPad1d(2, 1.5)": (2, 3, 5),
    "ConstantPad2d((1, 0, 2, 1), -1.0)": (2, 3, 5, 4),
    "ZeroPad1d((0, 2))": (2, 3, 5),
    "ZeroPad2d(1)": (2, 3, 5, 4),
    "ReflectionPad1d((3, 1))": (3, 5),
    "ReflectionPad2d((1, 2, 3, 0))": (2, 3, 5, 4),
    "ReplicationPad1d(7)": (2, 3, 5),
    "ReplicationPad2d((5, 2, 0, 6))": (2, 3, 5, 4),
    "CircularPad1d((2, 5))": (2, 3, 5),
    "CircularPad2d((1, 2, 5, 0))": (2, 3, 5, 4),
    "MaxPool1d(3, 2, 1, ceil_mode=True)": (2, 3, 8),
    "AvgPool1d(3, 2, 1, True, False)": (2, 3, 8),
    "AdaptiveAvgPool1d(3)": (2, 3, 8),
    "AdaptiveMaxPool1d(3)": (2, 3, 8),
    "AdaptiveMaxPool2d((3, None))": (2, 3, 8, 5),
    "Upsample(scale_factor=2)": (2, 3, 4, 5),
    "Upsample((7, 3), mode='nearest-exact')": (2, 3, 4, 5),
    "Upsample(scale_factor=(1.5, 0.7), mode='bilinear')": (2, 3, 4, 5),
    "Upsample(scale_factor=2.3, mode='bilinear', recompute_scale_factor=True)": (2, 3, 4, 5),
    "Upsample((7, 9), mode='bilinear', align_corners=True)": (2, 3, 4, 5),
    "Upsample(9, mode='bicubic')": (2, 3, 4, 5),
    "Upsample(9, mode='linear', align_corners=True)": (2, 3, 4),
    "PixelShuffle(2)": (2, 8, 3, 4),
    "PixelUnshuffle(2)": (2, 2, 6, 4),
    "GroupNorm(2, 6)": (3, 6, 4, 5),
    "GroupNorm(3, 6, 1e-3, bias=False)": (3, 6, 7),
    "GroupNorm(1, 6, affine=False)": (3, 6),
    "InstanceNorm1d(3, affine=True)": (2, 3, 7),
    "InstanceNorm1d(3)": (3, 7),
    "InstanceNorm2d(3, affine=True, track_running_stats=True, momentum=0.3)": (2, 3, 4, 5),
    "RMSNorm(5)": (2, 3, 5),
    "RMSNorm((3, 5), eps=1e-3, elementwise_affine=False)": (2, 3, 5),
}


@pytest.mark.parametrize("expression", LAYERS)
def test_layer_is_that_of_torch(expression):
    torch = pytest.importorskip("torch")
    theirs = eval(f"nn.{expression}", {"nn": torch.nn}).double()
    ours = eval(f"nn.{expression}", {"nn": nn}).double()
    assert repr(ours) == repr(theirs)
    with torch.no_grad():
        for p in theirs.parameters():
            p.add_(torch.from_numpy(rng.uniform(-0.3, 0.3, tuple(p.shape))))
    ours.load_state_dict({name: value.numpy().copy() for name, value in theirs.state_dict().items()})
    x = rng.standard_normal(LAYERS[expression])
    a, b = nncore.from_numpy(x.copy()).requires_grad_(), torch.from_numpy(x).requires_grad_()
    y, expected = ours(a), theirs(b)
    assert y.shape == tuple(expected.shape)
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-11)
    dy = np.cos(np.arange(y.numel())).reshape(y.shape)
    y.backward(nncore.from_numpy(dy))
    expected.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-9, atol=1e-11)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-9, atol=1e-11)
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name].numpy(), value.numpy(), rtol=1e-12, err_msg=name)
    still = ours.eval()(a).detach().numpy()
    np.testing.assert_allclose(still, theirs.eval()(b).detach().numpy(), rtol=1e-9, atol=1e-11)


# ---- convolution ----
def test_true_convolution_flips_the_kernel():
    """(f*g)[m, n] = sum over i, j of f[i, j] g[m - i, n - j], the formula of the seeds; and SciPy's."""
    image, kernel = rng.standard_normal((7, 8)), rng.standard_normal((3, 2))
    full = np.zeros((9, 9))
    for m, n in np.ndindex(9, 9):
        for i, j in np.ndindex(3, 2):
            if 0 <= m - i < 7 and 0 <= n - j < 8:
                full[m, n] += kernel[i, j] * image[m - i, n - j]
    x, weight = nncore.from_numpy(image[None, None]), nncore.from_numpy(kernel[None, None].copy())
    found = F.conv2d(x, weight, padding=(2, 1), mode="convolve").numpy()[0, 0]
    np.testing.assert_allclose(found, full, rtol=1e-12, atol=1e-14)
    series = F.conv1d(x[:, :, 0], weight[:, :, :, 0], padding=2, mode="convolve").numpy()[0, 0]
    np.testing.assert_allclose(series, np.convolve(image[0], kernel[:, 0]), rtol=1e-12, atol=1e-14)
    layer = nn.Conv2d(1, 1, (3, 2), mode="convolve", bias=False).double()
    layer.load_state_dict({"weight": kernel[None, None]})
    np.testing.assert_allclose(layer(x).detach().numpy()[0, 0], full[2:-2, 1:-1], rtol=1e-12)
    assert repr(layer).endswith("bias=False, mode='convolve')")
    signal = pytest.importorskip("scipy.signal")
    np.testing.assert_allclose(found, signal.convolve2d(image, kernel), rtol=1e-12, atol=1e-14)
    plain = F.conv2d(x, weight).numpy()[0, 0]
    np.testing.assert_allclose(plain, signal.correlate2d(image, kernel, mode="valid"), rtol=1e-12, atol=1e-14)


def test_output_size_of_a_transposed_convolution():
    layer = nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1)
    x = tensor(1, 3, 5, 6, dtype=np.float32)
    for size in ((9, 11), (10, 12), (9, 12)):
        assert layer(x, output_size=size).shape == (1, 2, *size)
    down = nn.Conv2d(2, 3, 3, stride=2, padding=1)
    image = tensor(1, 2, 10, 12, dtype=np.float32)
    assert layer(down(image), output_size=image.shape).shape == image.shape
    with pytest.raises(ValueError, match=r"'output_size' is \(11, 11\), expected \[9, 11\] to \[10, 12\]"):
        layer(x, output_size=(11, 11))
    with pytest.raises(ValueError, match="'padding_mode' is 'circular', expected 'zeros'"):
        nn.ConvTranspose2d(3, 2, 3, padding_mode="circular")
    with pytest.raises(TypeError, match="'padding' is 'same', expected one or two integers"):
        nn.ConvTranspose2d(3, 2, 3, padding="same")


def test_a_transposed_convolution_is_the_gradient_of_a_convolution():
    """The same bits as conv2d's dx; and <conv(x), y> = <x, conv_transpose(y)>."""
    x, weight = tensor(2, 4, 9, 8).requires_grad_(), tensor(6, 2, 3, 3)
    options = {"stride": (2, 1), "padding": (1, 0), "groups": 2}
    y = F.conv2d(x, weight, **options)
    dy = tensor(*y.shape)
    y.backward(dy)
    transposed = F.conv_transpose2d(dy, weight, output_padding=0, **options)
    assert np.array_equal(transposed.array, x.grad.array)
    assert (y.detach() * dy).sum().item() == pytest.approx((x.detach() * transposed).sum().item(), rel=1e-12)


@pytest.mark.parametrize("expression", ["Conv1d(2, 3, 3)", "ConvTranspose1d(2, 3, 3)", "ConvTranspose2d(2, 3, (3, 2))"])
def test_gradients_lie_as_the_weights_do(expression):
    layer = eval(f"nn.{expression}")
    layer(tensor(2, 2, *[6] * (layer.weight.ndim - 2), dtype=np.float32)).sum().backward()
    assert layer.weight.grad.array.strides == layer.weight.array.strides


# ---- layouts ----
@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), nn.ZeroPad2d(1), nn.ReplicationPad2d(1), nn.CircularPad2d(1),
        nn.ConvTranspose2d(3, 4, 2, stride=2), nn.MaxPool2d(2, ceil_mode=True), nn.AdaptiveAvgPool2d(4),
        nn.AdaptiveMaxPool2d(4), nn.Upsample(scale_factor=2), nn.PReLU(3), nn.Mish(), nn.Dropout2d(0.3),
    ],
    ids=repr,
)  # fmt: skip
def test_images_stay_channels_last(layer):
    x = nncore.from_numpy(np.ones((2, 6, 7, 3), np.float32).transpose(0, 3, 1, 2)).requires_grad_()
    y = layer(x)
    assert y.array.transpose(0, 2, 3, 1).flags.c_contiguous
    y.backward(y.detach())
    assert x.grad.array.transpose(0, 2, 3, 1).flags.c_contiguous


# ---- dropout ----
def test_dropout_that_scales_when_tested():
    """The seeds' form: x or 0 in training, x (1 - p) in evaluation; the expectations agree."""
    x = nncore.ones(20000)
    first, inverted = nn.Dropout(0.25, scale="test"), nn.Dropout(0.25)
    y = first(x).numpy()
    assert set(np.unique(y)) == {0.0, 1.0}
    assert y.mean() == pytest.approx(first.eval()(x).numpy().mean(), abs=0.01)
    assert first(x).numpy()[0] == 0.75
    assert inverted(x).numpy().mean() == pytest.approx(inverted.eval()(x).numpy().mean(), abs=0.015)
    assert np.array_equal(nn.Dropout(0.0, scale="test")(x).numpy(), x.numpy())
    assert repr(first) == "Dropout(p=0.25, inplace=False, scale='test')"
    z = nncore.ones(50).requires_grad_()
    kept = first.train()(z)
    kept.sum().backward()
    assert z.grad.tolist() == kept.tolist()
    with pytest.raises(ValueError, match="'scale' is 'never', expected 'train' or 'test'"):
        nn.Dropout(0.5, scale="never")


@pytest.mark.parametrize(("layer", "shape"), [(nn.Dropout1d(0.3), (40, 50, 4)), (nn.Dropout2d(0.3), (40, 50, 2, 3))])
def test_dropout_of_channels(layer, shape):
    x = nncore.ones(*shape).requires_grad_()
    y = layer(x)
    channels = y.array.reshape(2000, -1)
    assert (channels == channels[:, :1]).all()
    assert set(np.unique(channels)) == {0.0, np.float32(1 / 0.7)}
    assert (channels == 0).mean() == pytest.approx(0.3, abs=0.04)
    y.sum().backward()
    assert np.array_equal(x.grad.array, y.array)
    assert layer.eval()(x) is x
    assert nn.Dropout1d(1.0)(nncore.full((2, 3), float("inf"))).tolist() == [[0.0] * 3] * 2


# ---- options that are there for torch's signatures only ----
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.AvgPool2d(2, divisor_override=3),
        lambda: nn.AdaptiveMaxPool1d(2, return_indices=True),
        lambda: nn.AdaptiveMaxPool2d(2, True),
        lambda: F.interpolate(tensor(1, 1, 4, 4), 2, antialias=True),
    ],
)
def test_options_that_are_not_there(make):
    with pytest.raises(ValueError, match="the only value supported"):
        make()
