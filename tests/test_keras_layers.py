"""Keras's layers of series and images, merges and wrappers: the numbers that Keras gave (3.15.1; JAX and PyTorch agree)."""

import math

import numpy as np
import pytest

import nncore
from nncore import keras, nn
from nncore.keras import layers, models


def wave(*shape, phase=0.0):
    """Numbers that look random and need no generator."""
    return np.sin(np.arange(math.prod(shape)) * 1.7 + phase).reshape(shape).astype(np.float32)


IMAGE, SERIES = wave(1, 5, 6, 2), wave(2, 7, 3)
# layer @ input: shape of the output, its first numbers, the sum of its absolute values. Weight i is wave(..., phase=i + 1).
KERAS = {
    "Conv1D(2, 3, strides=2, padding='same', activation='elu') @ SERIES": ((2, 4, 2), [1.37047, -0.53228, 0.46842, -0.76822, 1.53227, 0.60816], 11.9229),
    "Conv1D(4, 2, dilation_rate=2, padding='causal') @ SERIES": ((2, 7, 4), [1.09236, -1.3051, -0.75605, 1.49993, 0.08812, -0.86595], 39.2648),
    "Conv1D(3, 3, groups=3) @ SERIES": ((2, 5, 3), [1.76325, 0.18495, 0.17917, -0.13074, -1.25073, -1.7305], 32.9511),
    "Conv2DTranspose(3, 3) @ IMAGE": ((1, 7, 8, 3), [1.33311, -0.71048, -0.84729, 0.62334, -0.67141, -0.21305], 354.9585),
    "Conv2DTranspose(3, 3, strides=2, padding='same') @ IMAGE": ((1, 10, 12, 3), [1.33311, -0.71048, -0.84729, 1.23404, -1.08324, -0.02746], 443.4431),
    "Conv2DTranspose(3, (2, 4), strides=(2, 3), padding='same', activation='tanh') @ IMAGE": ((1, 10, 18, 3), [0.87001, -0.61098, -0.68965, 0.84375, -0.7944, -0.02745], 308.8099),
    "Conv2DTranspose(3, 2, strides=3) @ IMAGE": ((1, 15, 18, 3), [1.33311, -0.71048, -0.84729, 1.23404, -1.08324, -0.02746], 630.5302),
    "Conv2DTranspose(3, 2, strides=3, padding='same') @ IMAGE": ((1, 15, 18, 3), [1.33311, -0.71048, -0.84729, 1.23404, -1.08324, -0.02746], 630.5302),
    "Conv2DTranspose(3, 3, strides=2, padding='same', output_padding=0) @ IMAGE": ((1, 9, 11, 3), [0.44935, -0.30966, -0.73854, -0.30458, 0.87764, -2.28038], 378.8999),
    "Conv2DTranspose(3, 4, strides=2, padding='same', output_padding=1) @ IMAGE": ((1, 9, 11, 3), [0.62295, -0.01038, -1.49084, 2.41694, -1.9374, 0.44125], 419.6938),
    "Conv2DTranspose(3, 3, strides=2, output_padding=1) @ IMAGE": ((1, 12, 14, 3), [1.33311, -0.71048, -0.84729, 1.23404, -1.08324, -0.02746], 561.1108),
    "Conv2DTranspose(3, (3, 2), dilation_rate=2, padding='same') @ IMAGE": ((1, 5, 6, 3), [2.17933, -1.72992, 0.27768, 0.31013, 0.43501, -2.03922], 93.6529),
    "Conv2DTranspose(3, (5, 1), strides=2, padding='same', use_bias=False) @ IMAGE": ((1, 10, 12, 3), [0.32474, -0.5534, 0.74531, 0.0, 0.0, 0.0], 53.1281),
    "Conv1DTranspose(2, 4, strides=3, padding='same') @ SERIES": ((2, 21, 2), [1.57629, 0.47959, 1.00539, -1.46662, 0.10504, -0.20103], 93.1232),
    "DepthwiseConv2D(3, depth_multiplier=2, padding='same', activation='relu') @ IMAGE": ((1, 5, 6, 4), [0.90989, 0.0, 0.0, 0.81899, 0.02549, 0.0], 57.843),
    "DepthwiseConv2D((2, 3), strides=2) @ IMAGE": ((1, 2, 2, 2), [-0.86299, -0.67348, 0.93896, -1.41281, 2.80946, -0.44875], 8.4752),
    "SeparableConv2D(3, 3, padding='same', depth_multiplier=2, strides=2) @ IMAGE": ((1, 3, 3, 3), [-1.66656, -0.68441, 1.84292, -1.42551, -1.51369, 1.81557], 35.5075),
    "MaxPooling1D(3, 2, padding='same') @ SERIES": ((2, 4, 3), [0.0, 0.99166, 0.79849, 0.39674, 0.49411, 0.85916], 14.4323),
    "AveragePooling1D(3, 2, padding='same') @ SERIES": ((2, 4, 3), [-0.46291, 0.74289, 0.27147, -0.40965, -0.36181, 0.50288], 10.7502),
    "AveragePooling1D(2) @ SERIES": ((2, 3, 3), [-0.46291, 0.74289, 0.27147, -0.15157, -0.78977, 0.35508], 9.8383),
    "GlobalAveragePooling1D() @ SERIES": ((2, 3), [-0.08549, 0.20717, 0.03211, -0.14443, -0.13999, 0.1805], 0.7897),
    "GlobalMaxPooling1D(keepdims=True) @ SERIES": ((2, 1, 3), [0.99979, 0.99166, 0.85916, 0.94043, 0.9494, 0.9856], 5.7261),
    "ZeroPadding1D((1, 2)) @ SERIES": ((2, 10, 3), [0.0, 0.0, 0.0, 0.0, 0.99166, -0.25554], 26.2961),
    "ZeroPadding2D(((1, 0), (2, 3))) @ IMAGE": ((1, 6, 11, 2), [0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 37.8104),
    "ZeroPadding2D((2, 1)) @ IMAGE": ((1, 9, 8, 2), [0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 37.8104),
    "Cropping1D((2, 1)) @ SERIES": ((2, 4, 3), [-0.69987, -0.61814, 0.85916, 0.39674, -0.9614, -0.149], 15.5862),
    "Cropping2D(((1, 0), (2, 1))) @ IMAGE": ((1, 4, 3, 2), [0.87927, -0.58564, -0.72836, 0.77333, 0.52908, -0.90967], 16.5559),
    "UpSampling1D(3) @ SERIES": ((2, 21, 3), [0.0, 0.99166, -0.25554, 0.0, 0.99166, -0.25554], 78.8884),
    "UpSampling2D((2, 3)) @ IMAGE": ((1, 10, 18, 2), [0.0, 0.99166, 0.0, 0.99166, 0.0, 0.99166], 226.8624),
    "UpSampling2D((2, 3), interpolation='bilinear') @ IMAGE": ((1, 10, 18, 2), [0.0, 0.99166, 0.0, 0.99166, -0.08518, 0.3525], 120.7537),
    "GroupNormalization(2) @ IMAGE": ((1, 5, 6, 2), [0.93185, 0.05611, 0.62076, -1.09439, 1.53337, -0.0598], 46.0217),
    "GroupNormalization(-1) @ wave(2, 7, 4)": ((2, 7, 4), [-0.3132, 0.06904, -1.41409, 1.01429, 0.79891, -0.04107], 45.8108),
    "RMSNormalization() @ SERIES": ((2, 7, 3), [0.0, 0.71683, 0.41129, -1.02327, 0.27738, -0.99805], 27.0807),
    "PReLU(shared_axes=[1, 2]) @ IMAGE": ((1, 5, 6, 2), [0.0, 0.99166, -0.21503, -0.39567, 0.49411, 0.79849], 30.8891),
    "PReLU() @ SERIES": ((2, 7, 3), [0.0, 0.99166, 0.24317, 0.16865, 0.49411, 0.79849], 22.1226),
    "Rescaling(2.0, offset=-1.0) @ SERIES": ((2, 7, 3), [-1.0, 0.98333, -1.51108, -2.85163, -0.01177, 0.59697], 59.5371),
    "Rescaling([1.0, 2.0, 3.0], offset=[0.0, 1.0, 2.0]) @ SERIES": ((2, 7, 3), [0.0, 2.98333, 1.23338, -0.92581, 1.98823, 4.39546], 65.5134),
    "Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 1.0, 9.0]) @ SERIES": ((2, 7, 3), [-0.5, -1.00834, -1.08518, -0.96291, -1.50589, -0.73384], 48.8383),
    "Normalization(axis=None, mean=1.0, variance=4.0, invert=True) @ SERIES": ((2, 7, 3), [1.0, 2.98333, 0.48892, -0.85163, 1.98823, 2.59697], 60.5094),
    "RepeatVector(3) @ wave(2, 3)": ((2, 3, 3), [0.0, 0.99166, -0.25554, 0.0, 0.99166, -0.25554], 10.3969),
    "TimeDistributed(layers.Dense(2, activation='tanh')) @ SERIES": ((2, 7, 2), [-0.28171, -0.5988, 0.42794, -0.79153, 0.94322, -0.65323], 15.0758),
    "TimeDistributed(layers.Conv2D(2, 3)) @ wave(2, 3, 5, 4, 2)": ((2, 3, 3, 2, 2), [-0.75915, -0.997, 2.2723, 0.275, 0.89623, -1.95632], 86.6923),
    "Subtract() @ [SERIES, SERIES ** 2]": ((2, 7, 3), [0.0, 0.00827, -0.32084, -1.78295, 0.24997, 0.16091], 25.9308),
    "Multiply() @ [SERIES, SERIES ** 2, SERIES + 1]": ((2, 7, 3), [0.0, 1.94228, -0.01242, -0.05887, 0.18025, 0.91561], 17.9751),
    "Average() @ [SERIES, SERIES ** 2]": ((2, 7, 3), [0.0, 0.98753, -0.09512, -0.03434, 0.36913, 0.71803], 13.3307),
    "Maximum() @ [SERIES, SERIES ** 2]": ((2, 7, 3), [0.0, 0.99166, 0.0653, 0.85713, 0.49411, 0.79849], 23.4812),
    "Minimum() @ [SERIES, SERIES ** 2, SERIES + 1]": ((2, 7, 3), [0.0, 0.9834, -0.25554, -0.92581, 0.24415, 0.63758], 23.4973),
    "Dot(axes=1) @ [SERIES, SERIES[:, :, :2] ** 2]": ((2, 3, 2), [-0.41465, -0.27294, 0.38444, 1.11203, 0.31558, -0.01361], 5.5391),
    "Dot(axes=(2, 1)) @ [SERIES, wave(2, 3, 4)]": ((2, 7, 4), [0.27044, 0.69045, -0.44836, -0.57491, 0.93018, -0.20676], 31.2204),
    "Dot(axes=-1, normalize=True) @ [wave(3, 4), wave(3, 4, phase=1)]": ((3, 1), [0.44752, 0.48105, 0.56966], 1.4982),
    "Dot(axes=(2, 3)) @ [SERIES, wave(2, 5, 4, 3)]": ((2, 7, 5, 4), [1.0487, 0.28595, -0.83254, -0.91531, 0.1406, 1.0216], 270.3705),
}  # fmt: skip


@pytest.mark.parametrize("row", KERAS)
def test_layer_gives_the_numbers_of_keras(row):
    expression, _, x = row.partition(" @ ")
    x, (shape, first, total) = eval(x), KERAS[row]
    layer = eval(f"layers.{expression}").eval()
    layer(x)
    if "Normalization(mean" not in row and "Normalization(axis" not in row:
        weights = [wave(*w.shape, phase=i + 1) for i, w in enumerate(layer.get_weights())]
        layer.set_weights(weights)
        for given, kept in zip(weights, layer.get_weights(), strict=True):
            np.testing.assert_array_equal(given, kept)
    y = layer(x).detach().numpy()
    assert y.shape == shape
    np.testing.assert_allclose(y.ravel()[:6], first, atol=3e-5)
    assert np.abs(y).sum() == pytest.approx(total, abs=2e-3)


@pytest.mark.parametrize("row", KERAS)
def test_layer_replays(row):
    """The bits of eager, of other numbers than those that were captured."""
    expression, _, x = row.partition(" @ ")
    x = eval(x)
    layer = eval(f"layers.{expression}").eval()
    inputs = [nncore.tensor(array) for array in (x if isinstance(x, list) else [x])]
    forward = nncore.compile(
        nncore.no_grad()(lambda *inputs: layer(list(inputs) if isinstance(x, list) else inputs[0]))
    )
    layer(x)
    for scale in (1.0, -0.5, 0.25):
        scaled = [array * scale for array in inputs]
        expected = layer(scaled if isinstance(x, list) else scaled[0]).detach().numpy()
        assert forward(*scaled).numpy().tobytes() == expected.tobytes()
    assert len(forward.programs) == 1


@pytest.mark.parametrize("row", [row for row in KERAS if "2D" in row and "Global" not in row])
def test_channels_first_is_the_same(row):
    expression, _, x = row.partition(" @ ")
    if "TimeDistributed" in row:
        return
    x = eval(x)
    last = eval(f"layers.{expression}").eval()
    first = eval(f"layers.{expression[:-1]}, data_format='channels_first')").eval()
    y = last(x).detach().numpy()
    first(x.transpose(0, 3, 1, 2))
    first.set_weights(last.get_weights())
    assert np.array_equal(first(x.transpose(0, 3, 1, 2)).detach().numpy().transpose(0, 2, 3, 1), y)


LIKE_TORCH = {
    "Conv1D(4, 3)": "Conv1d(3, 4, 3)",
    "Conv1DTranspose(4, 3, 2)": "ConvTranspose1d(3, 4, 3, 2)",
    "Conv2DTranspose(4, 3, 2)": "ConvTranspose2d(3, 4, 3, 2)",
    "DepthwiseConv2D(3, depth_multiplier=2)": "Conv2d(3, 6, 3, groups=3)",
    "RMSNormalization()": "RMSNorm(3, eps=1e-6)",
}


@pytest.mark.parametrize("expression", LIKE_TORCH)
def test_the_same_parameters_serve_both_faces(expression):
    ours, theirs = eval(f"layers.{expression}"), eval(f"nn.{LIKE_TORCH[expression]}")
    x = wave(2, *[6] * (2 if "2D" in expression else 1), 3)
    y = ours(x)
    theirs.load_state_dict(ours.state_dict())
    images = x if "RMS" in expression else np.moveaxis(x, -1, 1)
    other = theirs(nncore.from_numpy(images)).detach().numpy()
    assert np.array_equal(y.detach().numpy(), other if "RMS" in expression else np.moveaxis(other, 1, -1))


def test_one_bias_for_a_layer():
    """Lesson 3 of the seeds has one bias for each layer."""
    layer = layers.Dense(4, activation="relu", bias_mode="layer", input_shape=(3,))
    assert [w.shape for w in layer.get_weights()] == [(3, 4), (1,)]
    layer.set_weights([wave(3, 4), np.array([0.25])])
    x = wave(5, 3)
    y = layer(x)
    np.testing.assert_allclose(y.detach().numpy(), np.maximum(x @ wave(3, 4) + 0.25, 0), rtol=1e-5, atol=1e-6)
    y.sum().backward()
    assert layer.bias.grad.tolist() == [(y.detach().numpy() > 0).sum()]
    again = layers.Dense.from_config(layer.get_config())
    assert again.bias_mode == "layer"
    assert layers.Dense(4, use_bias=False, bias_mode="layer")(x).shape == (5, 4)


def test_constraints_hold_the_kernels_of_keras():
    """Filters as Keras has them: (height, width, in, multiplier); the norm of each is 1 after a step."""
    nncore.manual_seed(0)
    model = models.Sequential(
        [
            layers.Input((6, 6, 2)),
            layers.SeparableConv2D(3, 3, depth_multiplier=2, depthwise_constraint=keras.constraints.UnitNorm((0, 1))),
            layers.DepthwiseConv2D(2, depth_multiplier=2, depthwise_constraint="non_neg"),
            layers.Conv2DTranspose(
                2, 2, kernel_constraint=keras.constraints.UnitNorm((0, 1, 3)), bias_constraint="non_neg"
            ),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    model.fit(wave(8, 6, 6, 2), wave(8, 1), epochs=2, verbose=0)
    weights = model.get_weights()
    np.testing.assert_allclose(np.square(weights[0]).sum((0, 1)), np.ones((2, 2)), rtol=1e-5)
    assert (weights[3] >= 0).all()
    np.testing.assert_allclose(np.square(weights[5]).sum((0, 1, 3)), np.ones(2), rtol=1e-5)
    assert (weights[6] >= 0).all()


def test_true_convolution():
    kernel = wave(3, 3, 2, 4)
    flipped, plain = layers.Conv2D(4, 3, mode="convolve"), layers.Conv2D(4, 3)
    flipped(IMAGE), plain(IMAGE)
    flipped.set_weights([kernel, np.zeros(4)])
    plain.set_weights([kernel[::-1, ::-1], np.zeros(4)])
    assert np.array_equal(flipped(IMAGE).detach().numpy(), plain(IMAGE).detach().numpy())


def test_dropout_layers():
    x = np.ones((50, 4, 40), np.float32)
    dropped = layers.SpatialDropout1D(0.4)(x, training=True).numpy()
    assert (dropped == dropped[:, :1]).all()
    assert (dropped[:, 0] == 0).mean() == pytest.approx(0.4, abs=0.04)
    images = layers.SpatialDropout2D(0.4)(x[:, None], training=True).numpy()
    assert (images == images[:, :1, :1]).all()
    assert layers.Dropout(0.25, scale="test")(x, training=False).numpy().ravel()[0] == 0.75
    assert set(np.unique(layers.Dropout(0.25, scale="test")(x, training=True).numpy())) == {0.0, 1.0}


def test_configurations_make_the_same_layers():
    model = models.Sequential(
        [
            layers.Input((8, 8, 2)),
            layers.Rescaling(0.5, 0.1),
            layers.Normalization(mean=[0.1, 0.2], variance=[1.0, 2.0]),
            layers.ZeroPadding2D(((1, 0), (2, 1))),
            layers.Cropping2D(((0, 1), (1, 2))),
            layers.SeparableConv2D(4, 3, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
            layers.GroupNormalization(2),
            layers.PReLU(shared_axes=(1, 2)),
            layers.Conv2DTranspose(3, 3, strides=2, padding="same"),
            layers.UpSampling2D(2, interpolation="bilinear"),
            layers.SpatialDropout2D(0.1),
            layers.Reshape((-1, 3)),
            layers.TimeDistributed(layers.Dense(4, activation="tanh")),
            layers.Conv1D(3, 4, strides=4, padding="causal"),
            layers.RMSNormalization(),
            layers.MaxPooling1D(4),
            layers.Conv1DTranspose(2, 3),
            layers.GlobalAveragePooling1D(),
            layers.RepeatVector(2),
            layers.Flatten(),
            layers.Dense(2, bias_mode="layer"),
        ]
    )
    again = models.Sequential.from_config(model.get_config())
    x = wave(2, 8, 8, 2)
    again(x)
    again.set_weights(model.get_weights())
    assert np.array_equal(again.predict(x), model.predict(x))
    assert repr(again) == repr(model)


def test_a_model_of_these_layers_trains_and_is_saved(tmp_path):
    nncore.manual_seed(0)
    images, labels = wave(30, 8, 8, 1), np.arange(30) % 3
    model = models.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.DepthwiseConv2D(3, depth_multiplier=4, padding="same"),
            layers.GroupNormalization(2),
            layers.PReLU(shared_axes=(1, 2)),
            layers.SeparableConv2D(8, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2DTranspose(4, 2, strides=2, activation="relu"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(3, bias_mode="layer"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = model.fit(images, labels, epochs=25, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]
    assert model.replay.reason is None
    model.save(tmp_path / "model.safetensors")
    loaded = models.load_model(tmp_path / "model.safetensors")
    assert np.array_equal(loaded.predict(images), model.predict(images))


def test_a_function_is_not_saved(tmp_path):
    model = models.Sequential([layers.Input((3,)), layers.Lambda(nncore.square), layers.Dense(2)])
    assert model(wave(2, 3)).shape == (2, 2)
    model.save(tmp_path / "model.safetensors")
    with pytest.raises((ValueError, TypeError), match="the argument 'function' is a"):
        models.load_model(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Conv1D(2, (1, 2)), "Conv1D: argument 'kernel_size' is (1, 2), expected an integer"),
        (lambda: layers.Conv1D(2, 3, padding="full"), "Conv1D: argument 'padding' is 'full', expected 'valid' or 'same' or 'causal'"),
        (lambda: layers.Conv1D(2, 3)(IMAGE), "Conv1D: argument 'x' has 4 axes, expected 3"),
        (lambda: layers.Conv2D(2, 3, mode="flip"), "Conv2D: argument 'mode' is 'flip'"),
        (lambda: layers.Conv2DTranspose(2, 3, 2, output_padding=2), "Conv2DTranspose: argument 'output_padding' is 2, expected less"),
        (lambda: layers.DepthwiseConv2D(3, depth_multiplier=0), "DepthwiseConv2D: argument 'depth_multiplier' is 0"),
        (lambda: layers.MaxPooling1D((2, 2)), "MaxPooling1D: argument 'pool_size' is (2, 2), expected an integer"),
        (lambda: layers.GlobalMaxPooling1D()(IMAGE), "GlobalMaxPooling1D: argument 'x' has shape (1, 5, 6, 2), expected 3 axes"),
        (lambda: layers.ZeroPadding2D((1, 2, 3)), "ZeroPadding2D: argument 'padding' is (1, 2, 3)"),
        (lambda: layers.ZeroPadding1D(-1), "ZeroPadding1D: argument 'padding' is -1"),
        (lambda: layers.Cropping2D(3)(IMAGE), "Cropping2D: argument 'cropping' is 3, which leaves nothing of (5, 6)"),
        (lambda: layers.UpSampling2D(0), "UpSampling2D: argument 'size' is"),
        (lambda: layers.UpSampling2D(2, interpolation="lanczos5"), "UpSampling2D: argument 'interpolation' is 'lanczos5'"),
        (lambda: layers.GroupNormalization(3)(wave(2, 4)), "GroupNormalization: argument 'groups' is 3, expected a divisor of 4"),
        (lambda: layers.GroupNormalization(2, axis=0)(wave(2, 4)), "GroupNormalization: argument 'axis' is 0"),
        (lambda: layers.RMSNormalization(axis=1)(SERIES), "RMSNormalization: argument 'axis' is 1, expected the last"),
        (lambda: layers.PReLU(shared_axes=[0])(SERIES), "PReLU: argument 'shared_axes' is (0,)"),
        (lambda: layers.SpatialDropout2D(2.0), "SpatialDropout2D: argument 'rate' is 2.0"),
        (lambda: layers.Dropout(0.5, scale="no"), "Dropout: argument 'scale' is 'no'"),
        (lambda: layers.Dense(2, bias_mode="none"), "Dense: argument 'bias_mode' is 'none'"),
        (lambda: layers.RepeatVector(2)(SERIES), "RepeatVector: argument 'x' has shape (2, 7, 3)"),
        (lambda: layers.TimeDistributed(nn.Linear(3, 2))(wave(2, 3)), "TimeDistributed: argument 'x' has shape (2, 3)"),
        (lambda: layers.Subtract()([SERIES]), "Subtract: got 1 input, expected a list of 2"),
        (lambda: layers.Multiply()(SERIES), "Multiply: got one input, expected a list of at least 1"),
        (lambda: layers.Dot(0)([SERIES, SERIES]), "Dot: argument 'axes' is 0"),
        (lambda: layers.Dot(1)([SERIES, SERIES[:, :5]]), "Dot: the inputs have shapes (2, 7, 3) and (2, 5, 3)"),
    ],
)  # fmt: skip
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value).startswith(message)


def test_wrong_types_are_named():
    with pytest.raises(TypeError, match="TimeDistributed: argument 'layer' is a function, expected a layer"):
        layers.TimeDistributed(lambda x: x)
    with pytest.raises(TypeError, match="Lambda: argument 'function' is a str, expected a function"):
        layers.Lambda("relu")
