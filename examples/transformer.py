"""Character transformer: reads the documentation of nncore one character at a time, and then writes on.

    python examples/transformer.py

The network is the one that language models are made of: characters and their places as vectors, layers of attention
that may look back but not ahead, and a guess for every next character. The text is the docstrings of this package.
"""

import importlib
import inspect
import pkgutil
import re

import numpy as np

import nncore
from nncore import nn


class CharTransformer(nn.Module):
    """(batch, steps) of characters -> (batch, steps, vocabulary) logits for the characters after them."""

    def __init__(self, vocabulary, steps, width=64, heads=4, layers=2):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.position = nn.PositionalEncoding(width, dropout=0.0, max_len=steps, batch_first=True)
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width))
        self.head = nn.Linear(width, vocabulary)

    def forward(self, characters):
        """Guess every next character from those up to it."""
        x = self.position(self.embedding(characters))
        return self.head(self.layers(x, is_causal=True))


def documentation(characters):
    """What the modules of nncore say of themselves, as one text."""
    parts = []
    for found in pkgutil.walk_packages(nncore.__path__, "nncore."):
        if "__main__" not in found.name and "viz" not in found.name:
            module = importlib.import_module(found.name)
            things = [thing for thing in vars(module).values() if getattr(thing, "__module__", None) == found.name]
            parts += [doc for thing in (module, *things) if (doc := inspect.getdoc(thing))]
    return re.sub(" +", " ", "\n\n".join(parts))[:characters]


def write_on(model, codes, start, count, steps, temperature=0.7):
    """Draw `count` characters, one after the other, each from the guess for the one after what is there."""
    text = list(start)
    rng = np.random.default_rng(0)
    plan = model.freeze(np.zeros((1, steps), np.int64))
    for _ in range(count):
        seen = text[-steps:]
        x = np.zeros((1, steps), np.int64)  # what comes after the last character cannot change its guess
        x[0, : len(seen)] = [codes.index(character) for character in seen]
        logits = plan.run(x)[0, len(seen) - 1] / temperature
        p = np.exp(logits - logits.max())
        text.append(codes[rng.choice(len(codes), p=p / p.sum())])
    return "".join(text)


def main(characters=200_000, steps=64, batch=32, epochs=12, width=64, count=400, seed=0):
    """Train on nine tenths of the text. Returns the losses per character on the rest, of the network and of counting pairs."""
    nncore.manual_seed(seed)
    text = documentation(characters)
    codes = sorted(set(text))
    numbers = np.searchsorted(codes, list(text))
    windows = numbers[: len(numbers) // (steps + 1) * (steps + 1)].reshape(-1, steps + 1)
    train, test = windows[: 9 * len(windows) // 10], windows[9 * len(windows) // 10 :]

    model = nncore.Model(CharTransformer(len(codes), steps, width))
    model.compile(
        nncore.optim.AdamW(model.parameters(), lr=2e-3),
        lambda y, logits: nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten()),
    )
    model.fit(train[:, :-1], train[:, 1:], batch_size=batch, epochs=epochs)
    loss = model.evaluate(test[:, :-1], test[:, 1:], verbose=0)

    pairs = np.ones((len(codes), len(codes)))  # how often a character follows another
    np.add.at(pairs, (train[:, :-1], train[:, 1:]), 1)
    of_pairs = float(-np.log(pairs / pairs.sum(1, keepdims=True))[test[:, :-1], test[:, 1:]].mean())
    print(
        f"nats per character on unseen text: transformer {loss:.3f}, pairs counted {of_pairs:.3f}, at random {np.log(len(codes)):.3f}"
    )
    print(write_on(model, codes, "Args:\n", count, steps))
    return loss, of_pairs


if __name__ == "__main__":
    main()
