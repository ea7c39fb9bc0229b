"""Trains and predicts with the loops of fast.pyx, and looks whether Python gets the same numbers."""

import fast
import numpy as np

import nncore
import nncore.nn.functional as F
from nncore import nn, optim


def training_step():
    """A small classifier with seed 0, and its step as a compiled function."""
    nncore.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 4))
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    @nncore.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return model, step


def main():
    """Returns (final loss, whether Cython and Python agree)."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 32, 8)).astype(np.float32)
    y = x[:, :, :4].argmax(2)

    model, step = training_step()
    losses = np.empty(len(x), np.float32)
    losses[0] = step(x[0], y[0]).item()
    fast.train_each(step.step_for(x[1], y[1]), x[1:], y[1:], losses[1:])

    _, same_step = training_step()
    agree = np.array_equal(losses, [same_step(a, b).item() for a, b in zip(x, y, strict=True)])

    plan = nncore.Model(model).freeze(1)
    outputs = np.empty((32, 4), np.float32)
    fast.predict_each(plan, x[0], outputs)
    agree = agree and np.array_equal(outputs, np.concatenate([plan.run(row[None]) for row in x[0]]))
    return losses[-1], agree


if __name__ == "__main__":
    loss, agree = main()
    print(f"loss {loss:.4f}, Cython and Python {'agree' if agree else 'differ'}")
