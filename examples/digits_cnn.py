"""Handwritten digits: a convolutional network reads them; its filters, what they find, and what it confuses.

    python examples/digits_cnn.py

Pictures, if matplotlib is there: digits_filters.png, digits_maps.png, digits_layer.png, digits_history.png.
"""

from pathlib import Path

import nncore
from nncore import datasets, viz
from nncore.keras import layers, models
from nncore.training import EarlyStopping, confusion_matrix


def main(epochs=20, samples=None, seed=0, out=Path(".")):
    """Train the network. Returns the share of the test images that it reads correctly."""
    nncore.manual_seed(seed)
    x, y = datasets.load_digits()
    x = (x[:samples] / 16.0)[..., None]
    x_train, y_train, x_test, y_test = datasets.train_test_split(x, y[:samples], 0.25, seed)

    model = models.Sequential(
        [
            layers.Conv2D(16, 3, padding="same", activation="relu", input_shape=(8, 8, 1)),
            layers.MaxPooling2D(2),  # tolerates small shifts, and leaves fewer inputs for the layers behind it
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.summary()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    stop = EarlyStopping("val_loss", patience=5, restore_best_weights=True)
    history = model.fit(
        x_train, y_train, batch_size=32, epochs=epochs, validation_data=(x_test, y_test), callbacks=[stop], verbose=0
    )
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"\n{accuracy:.1%} of {len(x_test)} test images after {len(history.epoch)} epochs\n")
    guesses = model.predict(x_test, verbose=0).argmax(axis=1)
    print(viz.format_confusion(confusion_matrix(y_test, guesses, 10)))

    if out is not None:
        pictures = {
            "filters": viz.plot_filters(model),
            "maps": viz.plot_feature_maps(model, x_test[0]),
            "layer": viz.plot_representation(model, x_test, y_test, layer="flatten"),
        }
        for name, ax in pictures.items():
            ax.figure.savefig(Path(out) / f"digits_{name}.png", dpi=100)
        viz.plot_history(history, Path(out) / "digits_history.png")
    return accuracy


if __name__ == "__main__":
    main()
