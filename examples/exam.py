"""Exam pass or fail: one neuron learns from hours, talent, previous knowledge and the name; the name comes out as useless.

    python examples/exam.py

A table of the weights while they are learned, and the neuron as a picture (exam.svg).
"""

from pathlib import Path

import numpy as np

import nncore
from nncore import datasets, nn, optim, viz

FEATURES = ["hours", "talent", "previous", "name"]


def main(students=3000, epochs=60, seed=0, out=Path(".")):
    """Train the neuron. Returns its weights after each epoch, shape (epochs + 1, 4), and its accuracy."""
    nncore.manual_seed(seed)
    x, y = datasets.exam(students, seed=seed)
    neuron = nn.Linear(4, 1)
    model = nncore.Model(neuron)
    model.compile(optim.Adam(model.parameters(), lr=0.05), nn.BCEWithLogitsLoss(), metrics=["accuracy"])

    weights = [neuron.weight.detach().numpy()[0].copy()]
    note = nncore.training.LambdaCallback(
        on_epoch_end=lambda epoch, logs: weights.append(neuron.weight.detach().numpy()[0].copy())
    )
    # 1 random weights, 2 forward, 3 loss, 4 backward, 5 update, 6 again: fit does 2 to 6 for every batch.
    history = model.fit(x, y[:, None].astype(np.float32), epochs=epochs, callbacks=[note], verbose=0)

    print(f"{'epoch':>6}" + "".join(f"{name:>10}" for name in FEATURES) + f"{'loss':>10}")
    for epoch in sorted({0, *np.geomspace(1, epochs, 6).astype(int)}):
        loss = f"{history.history['loss'][epoch - 1]:10.4f}" if epoch else ""
        print(f"{epoch:6}" + "".join(f"{weight:10.3f}" for weight in weights[epoch]) + loss)
    share = abs(weights[-1][3]) / np.abs(weights[-1]).max()
    print(f"the weight of the name is {share:.1%} of the largest")
    accuracy = float(((model.predict(x, verbose=0)[:, 0] > 0) == y).mean())
    print(f"accuracy {accuracy:.1%}; bias {neuron.bias.item():.3f}, which shifts the sum up or down")

    print("\nOne step for the first student, with all its numbers:")
    step = nn.Sequential(neuron, nn.Sigmoid())
    nncore.explain(step, x[0], [float(y[0])], loss="bce", lr=0.05, digits=4)
    if out is not None:
        viz.network_svg(step, Path(out) / "exam.svg", inputs=FEATURES, outputs=["pass"])
    return np.array(weights), accuracy


if __name__ == "__main__":
    main()
