"""Masks of Keras's layers: steps that do not count, against the same steps left out."""

import numpy as np
import pytest

import nncore
from nncore import keras
from nncore.keras import layers

MASK = np.array([[0, 0, 1, 1, 1], [1, 0, 1, 0, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], bool)
X = np.random.default_rng(0).normal(size=(*MASK.shape, 3)).astype(np.float32)
RECURRENT = [layers.SimpleRNN, layers.LSTM, layers.GRU]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("kind", RECURRENT)
def test_recurrent_layers_pass_over_steps(kind, backwards):
    layer = kind(4, return_sequences=True, return_state=True, go_backwards=backwards)
    y, *states = (t.detach().numpy() for t in layer(X, mask=MASK))
    for row, mask in enumerate(MASK):
        short, *ends = (t.detach().numpy()[0] for t in layer(X[row : row + 1, mask])) if mask.any() else (None,)
        for state, end in zip(states, ends):
            np.testing.assert_array_equal(state[row], end)
        last, at = np.zeros(4, np.float32), 0
        for t, counts in enumerate(mask[::-1] if backwards else mask):
            if counts:
                last, at = short[at], at + 1
            np.testing.assert_array_equal(y[row, t], last)


@pytest.mark.parametrize("kind", RECURRENT)
def test_gradients_are_those_of_the_steps_that_count(kind):
    layer = kind(4)
    x = nncore.tensor(X, requires_grad=True)
    layer(x, mask=MASK).sum().backward()
    parameters = [p.grad.numpy().copy() for p in layer.parameters()]
    layer.zero_grad()
    expected = np.zeros_like(X)
    for row, mask in enumerate(MASK):
        if mask.any():
            short = nncore.tensor(X[row : row + 1, mask], requires_grad=True)
            layer(short).sum().backward()
            expected[row, mask] = short.grad.numpy()[0]
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-5, atol=1e-6)
    for p, gradient in zip(layer.parameters(), parameters):
        np.testing.assert_allclose(gradient, p.grad.numpy(), rtol=1e-4, atol=1e-5)


def test_the_mask_goes_from_layer_to_layer():
    x = np.where(MASK[:, :, None], X, 0).astype(np.float32)
    inner = [layers.Dense(4, activation="tanh"), layers.Dropout(0.5), layers.LayerNormalization()]
    model = keras.Sequential(
        [layers.Masking(), *inner, layers.Bidirectional(layers.GRU(3, return_sequences=True)), layers.LSTM(2)]
    )
    y = model(x).detach().numpy()
    for row, mask in enumerate(MASK):
        if mask.any():
            np.testing.assert_allclose(
                y[row : row + 1], model(x[row : row + 1, mask]).detach().numpy(), rtol=1e-5, atol=1e-6
            )


@pytest.mark.parametrize("channels", ["channels_last", "channels_first"])
def test_means_leave_steps_out(channels):
    x = X if channels == "channels_last" else X.transpose(0, 2, 1)
    y = layers.GlobalAveragePooling1D(channels)(x, mask=MASK).numpy()
    expected = [X[row, mask].mean(0) if mask.any() else np.zeros(3) for row, mask in enumerate(MASK)]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def text_model(**options):
    nncore.manual_seed(0)
    model = keras.Sequential(
        [layers.Embedding(11, 6, mask_zero=True), layers.LSTM(8), layers.Dense(1, activation="sigmoid")]
    )
    model.compile(optimizer=keras.optimizers.Adam(0.02), loss="binary_crossentropy", metrics=["accuracy"], **options)
    return model


@pytest.mark.parametrize("padding", ["pre", "post"])
def test_a_model_of_padded_text_gives_what_the_text_gives(padding):
    rng = np.random.default_rng(1)
    rows = [rng.integers(1, 11, n).tolist() for n in rng.integers(1, 9, 40)]
    x = nncore.data.pad_sequences(rows, maxlen=9, padding=padding)
    y = np.array([[row[-1] > 5] for row in rows], np.float32)
    losses = []
    for eagerly in (True, False):
        model = text_model(run_eagerly=eagerly)
        losses.append(model.fit(x, y, epochs=30, batch_size=10, shuffle=False, verbose=0).history["loss"])
    assert losses[0] == losses[1]
    assert losses[0][-1] < 0.5 * losses[0][0]
    alone = [model.predict(np.array([row]), verbose=0)[0] for row in rows]
    np.testing.assert_allclose(model.predict(x, verbose=0), alone, rtol=1e-5, atol=1e-6)
    assert model.layers[0].get_config()["mask_zero"] is True


def test_what_does_not_take_a_mask_says_so():
    model = keras.Sequential([layers.Masking(), layers.Conv1D(2, 3), layers.LSTM(2)])
    with pytest.warns(UserWarning, match="Conv1D: the mask of the input ends here"):
        model(X)
    tagger = keras.Sequential([layers.Embedding(11, 6, mask_zero=True), layers.Dense(1)])
    tagger.compile(loss="mse")
    with pytest.raises(ValueError, match="argument 'y_pred' has the mask of a Masking or Embedding layer"):
        tagger.fit(np.ones((4, 5), np.int64), np.ones((4, 5, 1), np.float32), verbose=0)
    with pytest.raises(
        ValueError, match=r"LSTM: argument 'mask' has dtype bool and shape \(2, 5\), expected bool and \(5, 5\)"
    ):
        layers.LSTM(2)(X, mask=MASK[:2])
    with pytest.raises(ValueError, match=r"GlobalAveragePooling1D: argument 'mask' has dtype int64 and shape \(5, 5\)"):
        layers.GlobalAveragePooling1D()(X, mask=MASK.astype(np.int64))
    with pytest.raises(ValueError, match="LSTM: arguments 'lengths' and 'mask' are both given"):
        layers.LSTM(2)(X, mask=MASK, lengths=np.ones(5, np.int64))
