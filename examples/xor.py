"""XOR: one neuron cannot tell the four corners apart, a hidden layer can.

    python examples/xor.py

The outputs of both networks, and the regions into which they part the plane (xor.png, if matplotlib is there).
"""

from pathlib import Path

import numpy as np

import nncore
from nncore import datasets, nn, optim, viz


def train(network, epochs):
    """Fit a network to the four corners. Returns its outputs, probabilities of a 1."""
    x, y = datasets.xor()
    model = nncore.Model(network)
    model.compile(optim.Adam(model.parameters(), lr=0.05), nn.BCEWithLogitsLoss())
    model.fit(x, y[:, None].astype(np.float32), batch_size=4, epochs=epochs, verbose=0)
    return 1 / (1 + np.exp(-model.predict(x, verbose=0)[:, 0]))


def main(epochs=400, hidden=4, seed=0, out=Path(".")):
    """Train both networks. Returns how many corners each of them gets right."""
    x, y = datasets.xor()
    nncore.manual_seed(seed)
    networks = {
        "one neuron": nn.Sequential(nn.Linear(2, 1)),
        f"{hidden} hidden neurons": nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, 1)),
    }
    right = []
    for name, network in networks.items():
        outputs = train(network, epochs)
        right.append(int(((outputs > 0.5) == y).sum()))
        print(f"{name}: {right[-1]} of 4 right")
        for corner, wanted, output in zip(x.astype(int), y, outputs, strict=True):
            print(f"  {corner[0]} xor {corner[1]} = {wanted}, output {output:.3f}")
    if out is not None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 3.6), layout="constrained")
        for ax, (name, network) in zip(figure.subplots(1, 2), networks.items(), strict=True):
            viz.plot_decision_boundary(network, x, y, ax=ax).set_title(name)
        figure.savefig(Path(out) / "xor.png", dpi=120)
    return right


if __name__ == "__main__":
    main()
