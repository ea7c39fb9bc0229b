"""Shall I go surfing? A perceptron decides with given weights, then learns weights of its own from the eight possible days.

    python examples/surfing.py

The decision of every day, the mistakes of every round of Rosenblatt's rule, and the learned neuron as a picture (surfing.svg).
"""

from pathlib import Path

import nncore
from nncore import datasets, nn, viz

QUESTIONS = ["good waves", "empty line-up", "no sharks"]


def table(neuron, days):
    """A line for each day: the answers, the weighted sum with the bias, and the decision."""
    sums = neuron.weighted_sum(nncore.from_numpy(days)).numpy()[:, 0]
    decisions = neuron(nncore.from_numpy(days)).numpy()[:, 0]
    print("   ".join([*QUESTIONS, "sum", "go?"]))
    for day, total, go in zip(days, sums, decisions, strict=True):
        cells = [f"{answer:>{len(question)}.0f}" for answer, question in zip(day, QUESTIONS, strict=True)]
        print("   ".join([*cells, f"{total:3.0f}", "yes" if go else " no"]))
    return decisions


def main(rounds=20, out=Path(".")):
    """Decide and learn. Returns the decisions of the given neuron, those of the learned one, and its mistakes by round."""
    days, answers = datasets.surfing()
    print("A neuron that fires when 5 x waves + 2 x line-up + 4 x no sharks reaches the threshold 3:")
    given = table(nn.Perceptron(3, threshold=3, weight=[5, 2, 4]), days)

    learner = nn.Perceptron(3)  # weights and bias 0
    mistakes = learner.fit(days, answers, epochs=rounds)
    print(f"\nLearned from the eight days, by mistakes in each round {mistakes}:")
    learned = table(learner, days)
    weights = ", ".join(f"{weight:g}" for weight in learner.weight.numpy()[0])
    print(f"weights {weights}, threshold {-learner.bias.item():g}")
    if out is not None:
        viz.network_svg(learner, Path(out) / "surfing.svg", inputs=QUESTIONS, outputs=["go"])
    return given, learned, mistakes


if __name__ == "__main__":
    main()
