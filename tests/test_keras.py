"""The Keras face: names, defaults and numbers of Keras 3, on objects that are nn.Modules.

Numbers that Keras gave (3.15.1, PyTorch backend) stand in the tables below; everything else is computed here.
"""

import copy
import math
import pickle

import numpy as np
import pytest

import nncore
from nncore import keras, nn
from nncore.keras import activations, initializers, layers, losses, models, optimizers, regularizers, utils


def wave(*shape, phase=0.0):
    """Numbers that look random and need no generator."""
    return np.sin(np.arange(math.prod(shape)) * 1.7 + phase).reshape(shape).astype(np.float32)


X = wave(50, 6)
Y = np.eye(3)[np.arange(50) * 7 % 3]

# Loss of four epochs, and the last validation loss, of the network in `trained_like_keras`.
KERAS_LOSSES = {
    "SGD()": [1.41878, 1.40001, 1.38311, 1.36668, 1.34723],
    "SGD(0.05, momentum=0.9)": [1.42599, 1.26737, 1.21406, 1.21972, 1.43027],
    "SGD(0.05, momentum=0.9, nesterov=True)": [1.43799, 1.27736, 1.22309, 1.22095, 1.43338],
    "SGD(0.05, weight_decay=0.1)": [1.42343, 1.34576, 1.29282, 1.26161, 1.32873],
    "SGD(0.05, clipnorm=0.1)": [1.4168, 1.40548, 1.39476, 1.38471, 1.35312],
    "SGD(0.05, global_clipnorm=0.1)": [1.41726, 1.41078, 1.40463, 1.39865, 1.35199],
    "SGD(0.05, clipvalue=0.01)": [1.41758, 1.4134, 1.40942, 1.4055, 1.34983],
    "Adam(0.01)": [1.41285, 1.30077, 1.23751, 1.20386, 1.36919],
    "Adam(0.01, epsilon=1e-2)": [1.41614, 1.36119, 1.31464, 1.27568, 1.34405],
    "Adam(0.01, amsgrad=True)": [1.41285, 1.30077, 1.23752, 1.20386, 1.36919],
    "AdamW(0.01)": [1.41282, 1.30067, 1.23739, 1.20373, 1.36885],
}


def small_net():
    net = models.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(8, activation="relu", kernel_regularizer="l2", activity_regularizer="l1"),
            layers.BatchNormalization(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    kernel, second = wave(6, 8) / 2, wave(8, 3, phase=4) / 2
    gamma, beta = 1 + wave(8, phase=2) / 4, wave(8, phase=3) / 4
    first_bias, last_bias = wave(8, phase=1) / 4, wave(3, phase=5) / 4
    net.set_weights([kernel, first_bias, gamma, beta, np.zeros(8), np.ones(8), second, last_bias])
    return net


@pytest.mark.parametrize("optimizer", KERAS_LOSSES)
def test_training_gives_the_losses_of_keras(optimizer):
    net = small_net()
    net.compile(eval(f"optimizers.{optimizer}"), "categorical_crossentropy", metrics=["accuracy"])
    history = net.fit(X, Y, batch_size=16, epochs=4, shuffle=False, verbose=0, validation_split=0.2).history
    np.testing.assert_allclose([*history["loss"], history["val_loss"][-1]], KERAS_LOSSES[optimizer], rtol=3e-5)


IMAGE = wave(1, 5, 6, 2)
KERAS_LAYERS = [
    (
        layers.Conv2D(2, 3, padding="same", strides=2, activation="elu"),
        [wave(3, 3, 2, 2, phase=1), wave(2, phase=2)],
        (1, 3, 3, 2),
        [-0.14427, 0.19863, -0.27697, -0.31931, 1.13888, -0.56583, 2.79746, -0.79629],
        13.7483,
    ),
    (
        layers.Conv2D(2, (2, 3), dilation_rate=2, padding="same", groups=2),
        [wave(2, 3, 1, 2, phase=1), wave(2, phase=2)],
        (1, 5, 6, 2),
        [1.14358, -0.90936, 0.58673, -0.149, 0.31975, -0.92228, 1.43042, -0.10306],
        43.2742,
    ),
    (
        layers.MaxPooling2D(3, 2, padding="same"),
        [],
        (1, 3, 3, 2),
        [0.99979, 0.99166, 0.87927, 0.79849, 0.85916, 0.9856, 0.99979, 0.94043],
        16.5534,
    ),
    (
        layers.BatchNormalization(),
        [wave(2), wave(2, phase=1), wave(2, phase=2), 1 + wave(2, phase=3) ** 2],
        (1, 5, 6, 2),
        [0.84147, 1.49405, 0.84147, 0.14977, 0.84147, 1.35862, 0.84147, 0.36548],
        49.5266,
    ),
    (
        layers.LayerNormalization(),
        [wave(2), wave(2, phase=1)],
        (1, 5, 6, 2),
        [0.84147, 1.41703, 0.84147, -0.5599, 0.84147, 1.39831, 0.84147, 1.21168],
        53.7615,
    ),
    (layers.GlobalAveragePooling2D(), [], (1, 2), [-0.01853, 0.0151], 0.0336),
]


def test_normalization_is_measured():
    x = (wave(40, 3) * [1, 100, 0] + [5, -3, 7]).astype(np.float32)
    layer = layers.Normalization()
    assert not layer.built
    layer.adapt(x)
    mean, variance = x.astype(np.float64).mean(0), x.astype(np.float64).var(0)
    np.testing.assert_allclose(layer.get_weights(), [mean, variance], rtol=1e-6, atol=1e-9)
    y = layer(x).numpy()
    np.testing.assert_allclose(
        y[:, :2], ((x - mean) / np.sqrt(np.maximum(variance, 1e-14)))[:, :2], rtol=1e-4, atol=1e-5
    )
    assert np.abs(y[:, 2]).max() == 0
    batches = layers.Normalization()
    batches.adapt((x[i : i + 7], None) for i in range(0, 40, 7))
    np.testing.assert_allclose(batches.get_weights(), layer.get_weights(), rtol=1e-6)
    back = layers.Normalization(mean=mean, variance=variance, invert=True)
    np.testing.assert_allclose(back(y).numpy(), x, rtol=1e-5, atol=1e-4)
    images = np.random.default_rng(0).normal(2, 3, (5, 4, 6, 3))
    for axis, others in ((-1, (0, 1, 2)), ((1, 3), (0, 2)), (None, (0, 1, 2, 3))):
        layer = layers.Normalization(axis=axis, dtype="float64")
        layer.adapt(images)
        assert layer.mean.shape == images.mean(axis=others).shape
        y = layer(images).numpy()
        np.testing.assert_allclose(y.mean(axis=others), 0, atol=1e-12)
        np.testing.assert_allclose(y.std(axis=others), 1, rtol=1e-12)
        again = layers.Normalization.from_config(layer.get_config())
        again.set_weights(layer.get_weights())
        np.testing.assert_array_equal(again(images).numpy(), y)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: layers.Normalization(mean=1.0), "expected both arguments 'mean' and 'variance'"),
        (lambda: layers.Normalization(axis=0)(X), "'axis' is 0, but 'x' has 2 axes"),
        (
            lambda: layers.Normalization(mean=[1.0, 2.0], variance=[1.0, 1.0])(wave(4, 3)),
            r"'mean' has shape \(2,\), expected \(3,\)",
        ),
        (lambda: layers.Normalization().adapt(np.zeros((0, 3))), "holds no samples"),
        (lambda: layers.Normalization().adapt(np.full((2, 3), np.nan)), "holds NaN"),
    ],
)
def test_normalization_errors(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_normalization_in_a_model_is_saved_and_replayed(tmp_path):
    x = (100 + 10 * wave(64, 6)).astype(np.float32)
    first = layers.Normalization(input_shape=(6,))
    first.adapt(x)
    net = models.Sequential([first, layers.Dense(3, activation="softmax")])
    net.compile("adam", "categorical_crossentropy")
    y = np.eye(3)[np.arange(64) % 3]
    net.fit(x, y, epochs=2, verbose=0)
    assert net.replay.reason is None
    net.save(tmp_path / "net.safetensors")
    loaded = models.load_model(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), net.predict(x, verbose=0))


@pytest.mark.parametrize(
    ("layer", "weights", "shape", "first", "total"), KERAS_LAYERS, ids=lambda v: getattr(v, "name", "")
)
def test_layers_give_the_numbers_of_keras(layer, weights, shape, first, total):
    layer.eval()
    layer(IMAGE)
    layer.set_weights(weights)
    y = layer(IMAGE).detach().numpy()
    assert y.shape == shape == (1, *layer.compute_output_shape((None, 5, 6, 2))[1:])
    np.testing.assert_allclose(y.ravel()[:8], first, atol=2e-5)
    assert np.abs(y).sum() == pytest.approx(total, abs=1e-3)
    for given, kept in zip(weights, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(given, kept)


# ---- images, by definition ----
def windows(x, size, stride, dilation=1):
    """(out height, out width) lists of what each window of a "same"-padded image holds; None where it sticks out."""
    starts = []
    for n, k, s in zip(x.shape[:2], size, stride, strict=True):
        total = max((math.ceil(n / s) - 1) * s + dilation * (k - 1) + 1 - n, 0)
        starts.append([i * s - total // 2 for i in range(math.ceil(n / s))])
    inside = [
        [
            [
                x[i + a * dilation, j + b * dilation]
                for a in range(size[0])
                for b in range(size[1])
                if 0 <= i + a * dilation < x.shape[0] and 0 <= j + b * dilation < x.shape[1]
            ]
            for j in starts[1]
        ]
        for i in starts[0]
    ]
    return inside


@pytest.mark.parametrize("size", [(2, 2), (3, 3), (3, 2)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (2, 1)])
@pytest.mark.parametrize("channels", ["channels_last", "channels_first"])
def test_pooling_same(size, stride, channels):
    x = wave(2, 7, 6, 3)
    given = x if channels == "channels_last" else x.transpose(0, 3, 1, 2)
    for kind, fold in ((layers.MaxPooling2D, np.max), (layers.AveragePooling2D, np.mean)):
        y = kind(size, stride, "same", data_format=channels)(given).numpy()
        y = y if channels == "channels_last" else y.transpose(0, 2, 3, 1)
        for sample in range(2):
            expected = [[fold(w, axis=0) for w in row] for row in windows(x[sample], size, stride)]
            np.testing.assert_allclose(y[sample], expected, rtol=1e-5, atol=1e-6)


def test_convolution_takes_both_orders_of_axes():
    x = wave(2, 7, 6, 3)
    last = layers.Conv2D(4, 3, activation="tanh")
    first = layers.Conv2D(4, 3, activation="tanh", data_format="channels_first")
    y = last(x).detach().numpy()
    first(x.transpose(0, 3, 1, 2))
    first.set_weights(last.get_weights())
    assert np.array_equal(first(x.transpose(0, 3, 1, 2)).detach().numpy().transpose(0, 2, 3, 1), y)
    assert last.get_weights()[0].shape == (3, 3, 3, 4)
    assert last.weight.shape == (4, 3, 3, 3)
    same = nn.Conv2d(3, 4, 3)
    same.load_state_dict(last.state_dict())
    assert np.array_equal(
        same(nncore.from_numpy(x.transpose(0, 3, 1, 2))).tanh().detach().numpy().transpose(0, 2, 3, 1), y
    )


def test_global_pooling():
    x = wave(2, 4, 5, 3)
    for kind, fold in ((layers.GlobalAveragePooling2D, np.mean), (layers.GlobalMaxPooling2D, np.max)):
        np.testing.assert_allclose(kind()(x).numpy(), fold(x, axis=(1, 2)), rtol=1e-5, atol=1e-6)
        assert kind(keepdims=True)(x).shape == (2, 1, 1, 3)
        first = kind(data_format="channels_first")(x.transpose(0, 3, 1, 2))
        np.testing.assert_allclose(first.numpy(), fold(x, axis=(1, 2)), rtol=1e-5, atol=1e-6)


def test_moving_statistics_follow_keras():
    x = wave(8, 3)
    layer = layers.BatchNormalization(momentum=0.9)
    y = layer(x, training=True).detach().numpy()
    np.testing.assert_allclose(y, (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * x.mean(0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.9 + 0.1 * x.var(0), rtol=1e-5)
    layer.trainable = False
    before = layer.get_weights()
    layer(x, training=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True))


# ---- shapes that are found out ----
DEFERRED = [layers.Dense(4), layers.Dense(4, use_bias=False), layers.BatchNormalization(), layers.LayerNormalization()]


@pytest.mark.parametrize("layer", DEFERRED, ids=lambda layer: layer.name)
def test_a_layer_is_built_by_its_first_input(layer):
    layer = copy.deepcopy(layer)
    assert not layer.built
    assert layer.weights == []
    assert layer(wave(2, 5)).shape[0] == 2
    assert layer.built
    assert layer.input_shape == (5,)
    given = type(layer)(**{**layer.get_config(), "input_shape": (5,)})
    assert given.built
    assert [w.shape for w in given.weights] == [w.shape for w in layer.weights]


def test_shapes_reach_a_sequential_in_four_ways():
    def chain(*first, **options):
        return [*first, layers.Dense(4, activation="relu", **options), nn.ReLU(), layers.Dense(2)]

    by_input = models.Sequential(chain(keras.Input(shape=(3,))))
    by_argument = models.Sequential(chain(input_shape=(3,)))
    by_dimension = models.Sequential(chain(input_dim=3))
    by_build = models.Sequential(chain())
    assert not by_build.built
    assert by_build.output_shape is None
    by_build.build((None, 3))
    by_data = models.Sequential(chain())
    by_data(wave(7, 3))
    for model in (by_input, by_argument, by_dimension, by_build, by_data):
        assert model.built
        assert (model.input_shape, model.output_shape) == ((None, 3), (None, 2))
        assert model.count_params() == 26


def test_fit_builds():
    nncore.manual_seed(0)
    model = models.Sequential([layers.Dense(4, activation="tanh"), layers.Dropout(0.1), layers.Dense(3)])
    model.compile(optimizers.Adam(0.01), losses.CategoricalCrossentropy(from_logits=True))
    history = model.fit(X, Y, epochs=20, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert model.optimizer.bound
    with pytest.raises(ValueError, match=r"linear: argument|expected"):
        model.predict(wave(2, 7))


def test_add_and_pop():
    model = models.Sequential(name="net")
    model.add(layers.Input((3,)))
    model.add(layers.Dense(4))
    assert model.output_shape == (None, 4)
    model.add(layers.Dense(5))
    assert model.output_shape == (None, 5)
    assert [layer.name for layer in model.layers] == ["dense", "dense_1"]
    assert model.pop().name == "dense_1"
    assert model.output_shape == (None, 4)
    assert model.get_layer("dense") is model.get_layer(index=0)
    with pytest.raises(ValueError, match="get_layer: there is no layer 'nope'"):
        model.get_layer("nope")
    with pytest.raises(ValueError, match="an Input can only come first"):
        model.add(layers.Input((3,)))
    with pytest.raises(TypeError, match="Sequential: got a int, expected a layer"):
        model.add(3)
    with pytest.raises(ValueError, match="is already in the model"):
        model.add(model.layers[0])


# ---- one object, both styles ----
def test_a_keras_layer_is_a_module():
    net = nn.Sequential(layers.Dense(8, activation="relu", input_shape=(6,)), nn.Linear(8, 3))
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    optimizer = nncore.optim.SGD(net.parameters(), lr=0.1)
    x, labels = nncore.from_numpy(X), nncore.from_numpy(Y.argmax(axis=1))
    values = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(net(x), labels)
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < values[0]


def test_dense_is_linear():
    dense = layers.Dense(8, input_shape=(6,))
    linear = nn.Linear(6, 8)
    linear.load_state_dict(dense.state_dict())
    assert np.array_equal(dense(X).detach().numpy(), linear(nncore.from_numpy(X)).detach().numpy())
    np.testing.assert_array_equal(dense.kernel.numpy(), dense.weight.detach().numpy().T)
    assert dense.kernel.numpy().flags.c_contiguous


def test_modules_of_both_styles_in_one_sequential(tmp_path):
    nncore.manual_seed(0)
    model = models.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.BatchNormalization(),
            layers.Flatten(),
            nn.Linear(64, 8),
            nn.ReLU(),
            layers.Dropout(0.2),
            layers.Dense(3, activation="softmax", kernel_regularizer=regularizers.L2(1e-3)),
        ]
    )
    images = wave(30, 8, 8, 1)
    labels = np.arange(30) % 3
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(images, labels, epochs=20, verbose=0).history
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    model.save(tmp_path / "model.safetensors")
    loaded = models.load_model(tmp_path / "model.safetensors")
    assert type(loaded) is models.Sequential
    assert np.array_equal(loaded.predict(images), model.predict(images))
    assert loaded.layers[-1].kernel_regularizer == regularizers.L2(1e-3)
    lines = []
    loaded.summary(print_fn=lines.append)
    assert lines[4].split() == ["conv2d", "(Conv2D)", "(None,", "8,", "8,", "4)", "40"]
    assert lines[6].startswith("batch_normalization (BatchNormalization)")
    assert max(map(len, lines)) == 80


class Residual(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.hidden = layers.Dense(units, activation="relu")
        self.drop = layers.Dropout(0.5)
        self.back = layers.Dense(6)
        self.add = layers.Add()
        self.join = layers.Concatenate()

    def call(self, x, training=False):
        h = self.drop(self.hidden(x), training=training)
        return self.join([self.add([x, self.back(h)]), x])


def test_a_model_with_call():
    nncore.manual_seed(0)
    model = Residual(16)
    assert model(X).shape == (50, 12)
    assert np.array_equal(model(X).detach().numpy(), model(X).detach().numpy())
    assert not np.array_equal(model(X, training=True).detach().numpy(), model(X).detach().numpy())
    assert not model.training
    model.compile("adam", "mse")
    losses_ = model.fit(X, np.concatenate([X * 2, X], axis=1), epochs=30, verbose=0).history["loss"]
    assert losses_[-1] < losses_[0]
    assert model.count_params() == 6 * 16 + 16 + 16 * 6 + 6
    assert [layer.name for layer in model.layers] == ["dense", "dropout", "dense", "add", "concatenate"]


class Scale(layers.Layer):
    def __init__(self, start=1.0, **common):
        super().__init__(**common)
        self.start = start

    def build(self, input_shape):
        self.scale = self.add_weight((input_shape[-1],), initializers.Constant(self.start), regularizer="l2")
        self.count = self.add_weight((), "zeros", trainable=False)

    def call(self, x):
        self.add_loss(x.sum() * 0.5)
        return x * self.scale


def test_a_layer_of_ones_own():
    layer = Scale(2.0, name="mine")
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(layer(x).detach().numpy(), 2 * x)
    assert [value.item() for value in layer.losses] == pytest.approx([0.01 * 4 * 3, 3.0])
    assert [p.requires_grad for p in layer.parameters()] == [True, False]
    assert layer.get_config() == {"start": 2.0, "name": "mine", "input_shape": (3,)}
    model = models.Sequential([layer])
    model.compile("sgd", "mse")
    assert model.evaluate(x, 2 * x) == pytest.approx(0.12 + 3.0)
    with pytest.raises(NotImplementedError, match="Layer does not define call"):
        layers.Layer()(x)


def test_a_keras_model_starts_in_evaluation_mode():
    model = models.Sequential([layers.Dropout(0.5)])
    x = np.ones((4, 50), np.float32)
    assert (model(x).numpy() == 1).all()
    assert (model(x, training=True).numpy() == 0).any()
    model.train()
    assert (model(x).numpy() == 0).any()
    assert (model(x, training=False).numpy() == 1).all()
    assert model.training
    assert layers.Dropout(0.5).training


def test_trainable():
    model = models.Sequential([layers.Dense(4, input_shape=(6,)), layers.Dense(3)])
    model.layers[0].trainable = False
    assert len(model.trainable_weights) == 2
    before = model.get_weights()
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    after = model.get_weights()
    assert [np.array_equal(a, b) for a, b in zip(before, after, strict=True)] == [True, True, False, False]
    assert layers.Dense(4, trainable=False, input_shape=(6,)).trainable_weights == []


def test_set_weights_refuses_what_does_not_fit():
    model = models.Sequential([layers.Dense(4, input_shape=(6,)), layers.Dense(3)])
    before = model.get_weights()
    with pytest.raises(ValueError, match="set_weights: argument 'weights' has 3 arrays, expected 4"):
        model.set_weights(before[:3])
    with pytest.raises(ValueError, match=r"set_weights: array 2 has shape \(3, 4\), expected \(4, 3\)"):
        model.set_weights([before[0] + 1, before[1], before[2].T, before[3]])
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"])
def test_models_can_be_copied(copied):
    model = models.Sequential(
        [layers.Dense(4, activation="relu", input_shape=(6,)), layers.Dense(3, activation="softmax")]
    )
    model.compile("adam", "categorical_crossentropy")
    model.fit(X, Y, verbose=0)
    other = copied(model)
    assert np.array_equal(other.predict(X), model.predict(X))
    other.fit(X, Y, verbose=0)
    assert not np.array_equal(other.get_weights()[0], model.get_weights()[0])


def test_config_round_trip():
    model = models.Sequential(
        [
            layers.Conv2D(
                4, 3, kernel_initializer=initializers.HeNormal(seed=3), activation="silu", input_shape=(6, 6, 1)
            ),
            layers.AveragePooling2D(),
            layers.Reshape((2, -1)),
            layers.Permute((2, 1)),
            layers.Activation("tanh"),
            layers.LeakyReLU(0.2),
            layers.ELU(),
            layers.ReLU(6.0),
            layers.Softmax(),
            layers.Dense(2, bias_regularizer=regularizers.L1L2(0.1, 0.2), trainable=False),
        ]
    )
    again = models.Sequential.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    again.set_weights(model.get_weights())
    assert np.array_equal(again.predict(wave(2, 6, 6, 1)), model.predict(wave(2, 6, 6, 1)))


# ---- shapes and mistakes of layers ----
def test_reshaping():
    x = wave(2, 3, 4)
    np.testing.assert_array_equal(layers.Flatten()(x).numpy(), x.reshape(2, 12))
    np.testing.assert_array_equal(layers.Reshape((-1, 2))(x).numpy(), x.reshape(2, 6, 2))
    np.testing.assert_array_equal(layers.Permute((2, 1))(x).numpy(), x.transpose(0, 2, 1))
    assert layers.Flatten()(wave(0, 3, 4)).shape == (0, 12)
    assert layers.Reshape((3, -1))(wave(0, 6)).shape == (0, 3, 2)


def test_embedding():
    layer = layers.Embedding(10, 4)
    ids = np.array([[1, 9], [0, 1]], np.int32)
    np.testing.assert_array_equal(layer(ids).detach().numpy(), layer.get_weights()[0][ids])
    model = models.Sequential([layer, layers.Flatten(), layers.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    model.fit(np.arange(20).reshape(10, 2) % 10, np.arange(10) % 2, epochs=2, verbose=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Dense(0), "Dense: argument 'units' is 0, expected an int > 0"),
        (lambda: layers.Dense(2.5), "Dense: argument 'units' is 2.5"),
        (lambda: layers.Dense(2, activation="rleu"), "activation: 'rleu' is unknown, expected one of celu"),
        (lambda: layers.Dense(2, kernel_initializer="golrot"), "initializer: 'golrot' is unknown"),
        (lambda: layers.Dense(2, kernel_regularizer="l3"), "regularizer: 'l3' is unknown"),
        (lambda: layers.Dropout(1.5), r"Dropout: argument 'rate' is 1.5, expected a number in \[0, 1\]"),
        (lambda: layers.Conv2D(3, 2, groups=2), "Conv2D: argument 'filters' is 3, expected a multiple of groups=2"),
        (lambda: layers.Conv2D(3, (1, 2, 3)), "Conv2D: argument 'kernel_size' is"),
        (lambda: layers.Conv2D(3, 2, padding="causal"), "Conv2D: argument 'padding' is 'causal'"),
        (lambda: layers.MaxPooling2D(0), "MaxPooling2D: argument 'pool_size' is"),
        (lambda: layers.MaxPooling2D(data_format="NHWC"), "MaxPooling2D: argument 'data_format' is 'NHWC'"),
        (lambda: layers.Conv2D(2, 3)(wave(2, 3)), "Conv2D: argument 'x' has 2 axes, expected 4"),
        (lambda: layers.MaxPooling2D()(wave(2, 3)), r"MaxPooling2D: argument 'x' has shape \(2, 3\), expected 4 axes"),
        (lambda: layers.Dense(2)(wave(3)), "Dense: argument 'x' has 1 axis, expected at least 2"),
        (lambda: layers.BatchNormalization(axis=3)(wave(2, 3)), "BatchNormalization: argument 'axis' is 3"),
        (lambda: layers.LayerNormalization(axis=1)(wave(2, 3, 4)), "LayerNormalization: argument 'axis' is 1"),
        (lambda: layers.Reshape((4, -1))(wave(2, 6)), r"Reshape: argument 'x' has shape \(2, 6\), which does not fit"),
        (lambda: layers.Permute((1, 3)), r"Permute: argument 'dims' is \(1, 3\)"),
        (lambda: keras.Input((None, 3)), r"Input: argument 'shape' is \(None, 3\), expected integers"),
        (lambda: optimizers.Adam(-1.0), "Adam: argument 'learning_rate' is -1.0, expected a number >= 0"),
        (lambda: optimizers.SGD(clipnorm=1, clipvalue=1), "SGD: expected at most one of the arguments 'clipnorm'"),
        (lambda: losses.BinaryCrossentropy(label_smoothing=2), "BinaryCrossentropy: argument 'label_smoothing' is 2"),
        (lambda: losses.MeanSquaredError("average"), "MeanSquaredError: argument 'reduction' is 'average'"),
        (lambda: regularizers.L2(-1), "L2: argument 'l2' is -1, expected a number >= 0"),
        (lambda: initializers.VarianceScaling(0.0), "VarianceScaling: argument 'scale' is 0.0"),
        (lambda: initializers.VarianceScaling(mode="fan"), "VarianceScaling: argument 'mode' is 'fan'"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_input_is_no_tensor():
    with pytest.raises(TypeError, match="a layer was called with an Input, which holds no data"):
        layers.Dense(2)(keras.Input((3,)))


# ---- losses ----
def cross_entropies():
    p = np.abs(wave(7, 5)) + 0.05
    p /= p.sum(axis=1, keepdims=True)
    labels = np.arange(7) % 5
    return np.log(p), p, labels, np.eye(5)[labels], -np.log(p[np.arange(7), labels])


@pytest.mark.parametrize("weight", [None, np.arange(7.0)], ids=["plain", "weighted"])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "none"])
def test_categorical_cross_entropies(weight, reduction):
    logits, p, labels, one_hot, each = cross_entropies()
    weighted = each if weight is None else each * weight
    expected = {"sum_over_batch_size": weighted.mean(), "sum": weighted.sum(), "none": weighted}[reduction]
    for from_logits, given in ((True, logits), (False, p), (False, 3 * p)):
        for kind, y in (
            (losses.CategoricalCrossentropy, one_hot),
            (losses.SparseCategoricalCrossentropy, labels),
            (losses.SparseCategoricalCrossentropy, labels[:, None]),
        ):
            value = kind(from_logits=from_logits, reduction=reduction)(y, given.astype(np.float32), weight)
            np.testing.assert_allclose(value.numpy(), expected, rtol=1e-5)


def test_label_smoothing_and_ignored_class():
    logits, p, labels, one_hot, each = cross_entropies()
    smooth = one_hot * 0.8 + 0.2 / 5
    expected = -(smooth * np.log(p)).sum(axis=1).mean()
    for from_logits, given in ((True, logits), (False, p)):
        loss = losses.CategoricalCrossentropy(from_logits=from_logits, label_smoothing=0.2)
        assert loss(one_hot, given).item() == pytest.approx(expected, rel=1e-5)
    loss = losses.SparseCategoricalCrossentropy(ignore_class=2)
    kept = labels != 2
    assert loss(labels, p).item() == pytest.approx(each[kept].mean(), rel=1e-5)
    weight = np.arange(7.0)
    assert loss(labels, p, weight).item() == pytest.approx((each * weight)[kept].sum() / kept.sum(), rel=1e-5)


def test_binary_cross_entropy():
    z = wave(6, 3) * 3
    p, y = 1 / (1 + np.exp(-z)), (wave(6, 3, phase=1) > 0).astype(np.float32)
    each = -(y * np.log(p) + (1 - y) * np.log(1 - p))
    assert losses.BinaryCrossentropy()(y, p).item() == pytest.approx(each.mean(), rel=1e-5)
    assert losses.BinaryCrossentropy(from_logits=True)(y, z).item() == pytest.approx(each.mean(), rel=1e-5)
    np.testing.assert_allclose(losses.binary_crossentropy(y, p).numpy(), each.mean(axis=1), rtol=1e-5)
    smooth = y * 0.9 + 0.05
    each = -(smooth * np.log(p) + (1 - smooth) * np.log(1 - p))
    assert losses.BinaryCrossentropy(label_smoothing=0.1)(y, p).item() == pytest.approx(each.mean(), rel=1e-5)


def test_regression_losses():
    a, b = wave(6, 3), 3 * wave(6, 3, phase=2)
    e = np.abs(a - b)
    for function, each in (
        (losses.mean_squared_error, e**2),
        (losses.mean_absolute_error, e),
        (losses.huber, np.where(e <= 1, e**2 / 2, e - 0.5)),
    ):
        np.testing.assert_allclose(function(a, b).numpy(), each.mean(axis=1), rtol=1e-5)
        assert losses.get(function)(a, b).item() == pytest.approx(each.mean(), rel=1e-5)
        assert losses.get(function.__name__)(a, b).item() == pytest.approx(each.mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("activation", "loss", "y"),
    [
        ("softmax", "categorical_crossentropy", [[1.0, 0.0]]),
        ("softmax", "sparse_categorical_crossentropy", [0]),
        ("sigmoid", "binary_crossentropy", [[1.0, 1.0]]),
    ],
)
@pytest.mark.parametrize("as_layer", [True, False])
def test_a_confident_mistake_has_its_loss_and_its_gradient(activation, loss, y, as_layer):
    tail = [layers.Activation(activation)] if as_layer else []
    dense = layers.Dense(2, activation=None if as_layer else activation, use_bias=False, input_shape=(1,))
    model = models.Sequential([dense, *tail])
    model.set_weights([np.array([[-100.0, 100.0 if activation == "softmax" else -100.0]])])
    model.compile(optimizers.SGD(1.0), loss)
    before = model.train_on_batch(np.ones((1, 1)), np.array(y))
    assert before == pytest.approx(200.0 if activation == "softmax" else 100.0)
    change = model.get_weights()[0][0] - [-100, 100 if activation == "softmax" else -100]
    np.testing.assert_allclose(change, [1, -1] if activation == "softmax" else [0.5, 0.5], rtol=1e-5)


def test_losses_say_which_labels_they_want():
    p = np.full((4, 3), 1 / 3)
    with pytest.raises(ValueError, match="integer class labels want 'sparse_categorical_crossentropy'"):
        losses.CategoricalCrossentropy()(np.zeros(4, int), p)
    with pytest.raises(ValueError, match="integer class labels want 'sparse_categorical_crossentropy'"):
        losses.CategoricalCrossentropy()(np.zeros((4, 1), int), p)
    with pytest.raises(ValueError, match="one-hot labels want 'categorical_crossentropy'"):
        losses.SparseCategoricalCrossentropy()(np.eye(3)[[0, 1, 2, 0]], p)
    with pytest.raises(ValueError, match=r"loss: argument 'sample_weight' has shape \(3,\), expected \(4,\)"):
        losses.MeanSquaredError()(p, p, np.ones(3))


# ---- optimizers ----
def test_defaults_of_the_optimizers():
    names = ("rmsprop", "adam", "adamw", "adamax", "nadam", "adagrad", "adadelta", "lion")
    for name, rate in (("sgd", 0.01), *((name, 0.001) for name in names)):
        assert optimizers.get(name).learning_rate == rate
    parameter = nn.Parameter(nncore.zeros(1))
    adam = optimizers.Adam()
    adam.bind([parameter])
    assert isinstance(adam, nncore.optim.Optimizer)
    adam.learning_rate = 0.5
    assert adam.param_groups[0]["lr"] == 0.5
    with pytest.raises(RuntimeError, match="Adam: has no parameters yet"):
        optimizers.Adam().step()
    with pytest.raises(TypeError, match="argument 'learning_rate' is function, expected a number"):
        optimizers.Adam(lambda: 0.1)


def test_rmsprop():
    parameter = nn.Parameter(nncore.tensor([1.0]))
    optimizer = optimizers.RMSprop(0.1, rho=0.8, epsilon=1e-3)
    optimizer.bind([parameter])
    value, mean = 1.0, 0.0
    for gradient in (0.5, -0.25, 2.0):
        parameter.grad = nncore.tensor([gradient])
        optimizer.step()
        mean = 0.8 * mean + 0.2 * gradient**2
        value -= 0.1 * gradient / (math.sqrt(mean) + 1e-3)
    assert parameter.item() == pytest.approx(value, rel=1e-5)


ADAPTIVE = [("Adamax", 1e-4), ("Nadam", 1e-5), ("Adagrad", 1e-4), ("Adadelta", 1e-5), ("Lion", 1e-6)]


@pytest.mark.filterwarnings("ignore")  # those of Keras over torch
@pytest.mark.parametrize(("name", "tolerance"), ADAPTIVE)
def test_steps_of_keras(name, tolerance):
    """Twelve steps; Adamax and Adagrad have their epsilon in another place, which the tolerance is for."""
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(3, 4)).astype(np.float32), rng.normal(size=(12, 3, 4)).astype(np.float32)
    variable, parameter = keras.Variable(start), nn.Parameter(start.copy())
    theirs = getattr(keras.optimizers, name)(learning_rate=0.1, weight_decay=0.05)
    ours = getattr(optimizers, name)(learning_rate=0.1, weight_decay=0.05)
    ours.bind([parameter])
    for gradient in gradients:
        theirs.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        parameter.grad = nncore.tensor(gradient)
        ours.step()
        np.testing.assert_allclose(
            parameter.array, keras.ops.convert_to_numpy(variable), rtol=tolerance, atol=tolerance
        )


def test_a_momentum_of_keras_has_the_learning_rate_inside():
    parameter = nn.Parameter(nncore.tensor([0.0]))
    optimizer = optimizers.SGD(1.0, momentum=0.5)
    optimizer.bind([parameter])
    value = velocity = 0.0
    for rate in (1.0, 0.1, 0.1):
        optimizer.learning_rate = rate
        parameter.grad = nncore.tensor([1.0])
        optimizer.step()
        velocity = 0.5 * velocity - rate
        value += velocity
    assert parameter.item() == pytest.approx(value, rel=1e-6)


# ---- initializers, activations, utils ----
@pytest.mark.parametrize(
    ("name", "variance", "limit"),
    [
        ("glorot_uniform", 2 / 500, math.sqrt(6 / 500)),
        ("glorot_normal", 2 / 500, 2 * math.sqrt(2 / 500) / 0.8796),
        ("he_uniform", 2 / 200, math.sqrt(6 / 200)),
        ("he_normal", 2 / 200, 2 * math.sqrt(2 / 200) / 0.8796),
        ("lecun_uniform", 1 / 200, math.sqrt(3 / 200)),
        ("lecun_normal", 1 / 200, 2 * math.sqrt(1 / 200) / 0.8796),
        ("random_normal", 0.05**2, math.inf),
        ("random_uniform", 0.05**2 / 3, 0.05),
        ("truncated_normal", (0.05 * 0.8796) ** 2, 0.1),
        ("variance_scaling", 1 / 200, 2 * math.sqrt(1 / 200) / 0.8796),
    ],
)
def test_initializers(name, variance, limit):
    nncore.manual_seed(0)
    x = initializers.get(name)((200, 300)).numpy()
    assert x.var() == pytest.approx(variance, rel=0.03)
    assert abs(x.mean()) < 3 * math.sqrt(variance / x.size)
    assert np.abs(x).max() <= limit * (1 + 1e-4)
    assert np.abs(x).max() > 0.9 * limit or limit == math.inf
    seeded = type(initializers.get(name))(seed=1)
    assert np.array_equal(seeded((3, 4)).numpy(), seeded((3, 4)).numpy())


def test_orthogonal_kernels():
    for shape in ((6, 4), (4, 6), (3, 3, 2, 5), (1, 1, 2, 5)):
        kernel = initializers.Orthogonal(gain=2.0, seed=3)(shape).numpy().reshape(-1, shape[-1])
        product = kernel.T @ kernel if len(kernel) >= shape[-1] else kernel @ kernel.T
        np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5)
    assert initializers.get("orthogonal") == initializers.Orthogonal()
    with pytest.raises(ValueError, match="Orthogonal: argument 'shape'"):
        initializers.Orthogonal()((3,))


def test_fans_of_a_convolution():
    assert initializers.fans((3, 3, 8, 16)) == (72, 144)
    np.testing.assert_array_equal(initializers.get("identity")((2, 3)).numpy(), np.eye(2, 3))
    np.testing.assert_array_equal(initializers.get(None)((2,)).numpy(), [0, 0])
    np.testing.assert_array_equal(initializers.get(lambda shape, dtype=None: nncore.ones(*shape))((2,)).numpy(), [1, 1])


X_ACTIVATION = np.linspace(-4, 4, 33)
REFERENCES = {
    "celu": np.where(X_ACTIVATION > 0, X_ACTIVATION, np.expm1(X_ACTIVATION)),
    "elu": np.where(X_ACTIVATION > 0, X_ACTIVATION, np.expm1(X_ACTIVATION)),
    "exponential": np.exp(X_ACTIVATION),
    "hard_shrink": np.where(np.abs(X_ACTIVATION) > 0.5, X_ACTIVATION, 0),
    "hard_silu": X_ACTIVATION * np.clip(X_ACTIVATION / 6 + 0.5, 0, 1),
    "hard_swish": X_ACTIVATION * np.clip(X_ACTIVATION / 6 + 0.5, 0, 1),
    "hard_tanh": np.clip(X_ACTIVATION, -1, 1),
    "heaviside": np.heaviside(X_ACTIVATION, 1),
    "hard_sigmoid": np.clip(X_ACTIVATION / 6 + 0.5, 0, 1),
    "leaky_relu": np.where(X_ACTIVATION > 0, X_ACTIVATION, 0.2 * X_ACTIVATION),
    "linear": X_ACTIVATION,
    "log_sigmoid": -np.log1p(np.exp(-X_ACTIVATION)),
    "mish": X_ACTIVATION * np.tanh(np.log1p(np.exp(X_ACTIVATION))),
    "log_softmax": X_ACTIVATION - np.log(np.exp(X_ACTIVATION).sum()),
    "relu": np.maximum(X_ACTIVATION, 0),
    "relu6": np.clip(X_ACTIVATION, 0, 6),
    "selu": 1.05070098 * np.where(X_ACTIVATION > 0, X_ACTIVATION, 1.67326324 * np.expm1(X_ACTIVATION)),
    "sigmoid": 1 / (1 + np.exp(-X_ACTIVATION)),
    "silu": X_ACTIVATION / (1 + np.exp(-X_ACTIVATION)),
    "soft_shrink": np.sign(X_ACTIVATION) * np.maximum(np.abs(X_ACTIVATION) - 0.5, 0),
    "softmax": np.exp(X_ACTIVATION) / np.exp(X_ACTIVATION).sum(),
    "softplus": np.log1p(np.exp(X_ACTIVATION)),
    "softsign": X_ACTIVATION / (1 + np.abs(X_ACTIVATION)),
    "step": np.heaviside(X_ACTIVATION, 1),
    "swish": X_ACTIVATION / (1 + np.exp(-X_ACTIVATION)),
    "tanh": np.tanh(X_ACTIVATION),
    "tanh_shrink": X_ACTIVATION - np.tanh(X_ACTIVATION),
    "gelu": X_ACTIVATION * np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in X_ACTIVATION]),
}


def test_every_activation_has_a_reference():
    assert activations.ACTIVATIONS.keys() - {"glu"} == REFERENCES.keys()  # glu halves its input


@pytest.mark.parametrize("name", REFERENCES)
def test_activations(name):
    x = nncore.tensor(X_ACTIVATION, dtype=nncore.float64)
    np.testing.assert_allclose(activations.get(name)(x).numpy(), REFERENCES[name], rtol=1e-8, atol=1e-12)
    fused = layers.Dense(1, activation=name, kernel_initializer="ones", dtype="float64")
    column = fused(X_ACTIVATION[:, None]).detach().numpy()[:, 0]
    if "softmax" not in name:
        np.testing.assert_allclose(column, REFERENCES[name], rtol=1e-8, atol=1e-12)


def test_derivatives_of_activations():
    """The formulas of the seeds: s' = s (1 - s), tanh' = 1 - tanh^2, relu' = 1 where x > 0."""
    x = nncore.tensor(X_ACTIVATION, dtype=nncore.float64)
    s = REFERENCES["sigmoid"]
    for name, slope in {
        "sigmoid": s * (1 - s),
        "tanh": 1 - REFERENCES["tanh"] ** 2,
        "relu": np.where(X_ACTIVATION > 0, 1.0, 0.0),
        "softplus": s,
        "linear": np.ones_like(X_ACTIVATION),
    }.items():
        found = activations.d(name)(x)
        np.testing.assert_allclose(found.numpy(), slope, rtol=1e-12, atol=1e-15)
        assert not found.requires_grad
    assert activations.d(nn.Sigmoid())(0.0).item() == 0.25
    with pytest.raises(RuntimeError, match="heaviside: the derivative is 0"):
        activations.d("step")(x)
    with pytest.raises(ValueError, match="d: softmax is no function of one number"):
        activations.d("softmax")
    with pytest.raises(ValueError, match="derivative: the function gives shape"):
        nncore.autograd.derivative(lambda x: x.sum())(x)


def test_relu_with_all_arguments():
    y = layers.ReLU(max_value=2.0, negative_slope=0.1, threshold=1.0)(X_ACTIVATION).numpy()
    expected = np.where(X_ACTIVATION > 1, np.minimum(X_ACTIVATION, 2), 0.1 * (X_ACTIVATION - 1))
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-7)


def test_a_module_as_activation():
    layer = layers.Dense(3, activation=nn.Softplus(), input_shape=(6,))
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert (layer(X).detach().numpy() > 0).all()


def test_utils():
    np.testing.assert_array_equal(utils.to_categorical([[1], [0]], 3), [[0, 1, 0], [1, 0, 0]])
    utils.set_random_seed(5)
    first = layers.Dense(3, input_shape=(2,)).get_weights()[0]
    utils.set_random_seed(5)
    assert np.array_equal(layers.Dense(3, input_shape=(2,)).get_weights()[0], first)
