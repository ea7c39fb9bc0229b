"""Universal approximation: the more hidden neurons a layer has, the closer it comes to a curve.

    python examples/approximation.py

Each hidden neuron adds one S-shaped step, flipped, moved and stretched by its weights; the sum of them becomes the curve
(approximation.png, if matplotlib is there).

Reference: Hornik, Stinchcombe and White, "Multilayer feedforward networks are universal approximators", 1989.
"""

from pathlib import Path

import numpy as np

import nncore
from nncore import nn, optim


def curve(x):
    """What is to be approximated."""
    return np.sin(3 * x) + 0.4 * np.cos(9 * x)


def fit(width, epochs, x, y):
    """A network with one hidden layer. Returns the Model."""
    model = nncore.Model(nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, 1)))
    slopes, places = np.random.default_rng(width).normal(0, 4, width), np.linspace(-1.5, 1.5, width)
    model.load_state_dict({"0.weight": slopes[:, None], "0.bias": -slopes * places}, strict=False)  # steps everywhere
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    model.compile(optimizer, "mse")
    lower = nncore.training.LambdaCallback(on_epoch_end=lambda epoch, logs: scheduler.step())
    model.fit(x, y, batch_size=64, epochs=epochs, callbacks=[lower], verbose=0)
    return model


def main(widths=(2, 4, 8, 16, 64), epochs=1000, seed=0, out=Path(".")):
    """Fit every width. Returns the largest errors."""
    x = np.linspace(-1.5, 1.5, 256, dtype=np.float32).reshape(-1, 1)
    y = curve(x)
    found, errors = {}, []
    for width in widths:
        nncore.manual_seed(seed)
        found[width] = fit(width, epochs, x, y).predict(x, verbose=0)
        errors.append(float(np.abs(found[width] - y).max()))
        print(
            f"{width:4} hidden neurons: mean squared error {((found[width] - y) ** 2).mean():.5f}, largest {errors[-1]:.3f}"
        )
    if out is not None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(2.4 * len(widths), 2.6), layout="constrained")
        panels = figure.subplots(1, len(widths), sharey=True, squeeze=False)[0]
        for ax, (width, output) in zip(panels, found.items(), strict=True):
            ax.plot(x, y, color="#BBBBBB", linewidth=3, label="curve")
            ax.plot(x, output, color="#0072B2", label="network")
            ax.set_title(f"{width} neurons", fontsize=9)
        panels[0].legend(frameon=False, fontsize=8)
        figure.savefig(Path(out) / "approximation.png", dpi=120)
    return errors


if __name__ == "__main__":
    main()
