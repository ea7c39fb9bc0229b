"""Overfitting, and what L1, L2, dropout and early stopping do about it.

    python examples/overfitting.py

A network that is far too large learns 60 noisy points by heart: the loss of fresh points rises while that of its own falls.
Each remedy gets the same points; two thousand fresh ones tell what was learned (overfitting.png, if matplotlib is there).
"""

from pathlib import Path

import numpy as np

import nncore
from nncore import datasets, viz
from nncore.keras import layers, models, regularizers
from nncore.training import EarlyStopping

WIDTH = 128


def network(regularizer=None, dropout=0.0):
    """Two hidden layers, and one logit for yes or no."""
    hidden = {"activation": "relu", "kernel_regularizer": regularizer}
    return models.Sequential(
        [
            layers.Dense(WIDTH, input_shape=(2,), **hidden),
            layers.Dropout(dropout),
            layers.Dense(WIDTH, **hidden),
            layers.Dropout(dropout),
            layers.Dense(1),
        ]
    )


def loss_of(model, x, y):
    """Mean cross-entropy, without penalties."""
    logits = model.predict(x, batch_size="full", verbose=0)[:, 0].astype(np.float64)
    return float(np.logaddexp(0, np.where(y == 1, -logits, logits)).mean())


def main(epochs=400, points=60, seed=0, out=Path(".")):
    """Train with each remedy. Returns {name: (training loss, test loss, share of weights that are 0)}."""
    x, y = datasets.moons(points, noise=0.35, seed=seed)
    held_out = datasets.moons(points, noise=0.35, seed=seed + 1)  # early stopping looks at these
    x_test, y_test = datasets.moons(2000, noise=0.35, seed=seed + 2)
    remedies = {
        "nothing": {},
        "L1": {"regularizer": regularizers.L1(0.4, proximal=True)},
        "L2": {"regularizer": regularizers.L2(1e-2)},
        "dropout": {"dropout": 0.5},
        "early stopping": {},
    }
    results, trained = {}, {}
    print(f"{'':>15}  training loss  test loss  test accuracy  weights at 0  epochs")
    for name, options in remedies.items():
        nncore.manual_seed(seed)
        model = trained[name] = network(**options)
        model.compile(
            nncore.keras.optimizers.Adam(0.003), nncore.keras.losses.BinaryCrossentropy(from_logits=True), ["accuracy"]
        )
        stop = [EarlyStopping("val_loss", patience=15, restore_best_weights=True)] if name == "early stopping" else []
        history = model.fit(x, y, batch_size=20, epochs=epochs, validation_data=held_out, callbacks=stop, verbose=0)
        train, test = loss_of(model, x, y), loss_of(model, x_test, y_test)
        accuracy = model.evaluate(x_test, y_test, batch_size=2000, verbose=0)[1]
        weights = np.concatenate([w.ravel() for w in model.get_weights() if w.ndim == 2])
        results[name] = train, test, float((weights == 0).mean())
        row = f"{name:>15} {train:14.3f} {test:10.3f} {accuracy:14.1%} {results[name][2]:13.1%}"
        print(f"{row} {len(history.epoch):7}")
    if out is not None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(3.2 * len(trained), 3), layout="constrained")
        for ax, (name, model) in zip(figure.subplots(1, len(trained)), trained.items(), strict=True):
            viz.plot_decision_boundary(model, x, y, ax=ax)
            ax.get_legend().remove()
            ax.set_title(f"{name}: test loss {results[name][1]:.2f}", fontsize=9)
        figure.savefig(Path(out) / "overfitting.png", dpi=110)
    return results


if __name__ == "__main__":
    main()
