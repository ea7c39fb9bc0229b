"""Autoencoder: digits through a bottleneck of a few numbers and back, compared with principal components.

    python examples/autoencoder.py

Nobody tells the network the labels: what it keeps of an image is what it needs to draw it again (autoencoder.png, if
matplotlib is there).
"""

from pathlib import Path

import numpy as np

import nncore
from nncore import datasets, nn, viz


class AutoEncoder(nn.Module):
    """64 pixels -> `code` numbers -> 64 pixels."""

    def __init__(self, code):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, code))
        self.decoder = nn.Sequential(nn.Linear(code, 96), nn.ReLU(), nn.Linear(96, 64), nn.Sigmoid())

    def forward(self, x):
        """The image as the code tells it."""
        return self.decoder(self.encoder(x))


def principal_error(train, test, code):
    """Mean squared error of the best linear code, from the singular vectors of the training images."""
    mean = train.mean(axis=0)
    directions = np.linalg.svd(train - mean, full_matrices=False)[2][:code]
    centred = test - mean
    return float(((centred - centred @ directions.T @ directions) ** 2).mean())


def main(code=8, epochs=80, samples=None, seed=0, out=Path(".")):
    """Train the autoencoder. Returns its error on the test images, that of principal components, and of the mean image."""
    nncore.manual_seed(seed)
    x, y = datasets.load_digits()
    x = (x[:samples] / 16.0).reshape(-1, 64)
    train, _, test, labels = datasets.train_test_split(x, y[:samples], 0.25, seed)

    model = nncore.Model(AutoEncoder(code))
    model.compile(nncore.optim.Adam(model.parameters(), lr=2e-3), "mse")
    model.fit(train, train, batch_size=32, epochs=epochs, verbose=0)  # the target is the input
    drawn = model.predict(test, verbose=0)
    errors = (
        float(((drawn - test) ** 2).mean()),
        principal_error(train, test, code),
        float(((test - train.mean(axis=0)) ** 2).mean()),
    )
    for name, error in zip(("autoencoder", "principal components", "mean image"), errors, strict=True):
        print(f"{name:>22}: mean squared error {error:.5f}")

    if out is not None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 2.4), layout="constrained")
        for column, axes in enumerate(figure.subplots(2, 10).T):
            for ax, image in zip(axes, (test[column], drawn[column]), strict=True):
                ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
                ax.set_axis_off()
        figure.suptitle(f"test images, and what {code} numbers tell of them", fontsize=9)
        figure.savefig(Path(out) / "autoencoder.png", dpi=120)
        ax = viz.plot_representation(model, test, labels, layer="encoder.2")
        ax.figure.savefig(Path(out) / "autoencoder_code.png")
    return errors


if __name__ == "__main__":
    main()
