"""Random numbers by counter: Philox4x32-10 (Salmon et al. 2011).

A number is a function of (seed, offset, position in the array) alone, so it does not depend on threads, and the whole
state is two integers.
"""

import os

import numpy as np

MASK = (1 << 63) - 1


class Generator:
    """A stream of random numbers.

    Args:
        seed: any integer; taken modulo 2**63. Default: 0.

    Example:
        >>> import nncore
        >>> generator = nncore.Generator(7)
        >>> a = nncore.rand(2, generator=generator)
        >>> b = nncore.rand(2, generator=generator.manual_seed(7))
        >>> nncore.equal(a, b)
        True
    """

    def __init__(self, seed=0):
        self.manual_seed(seed)

    def manual_seed(self, seed):
        """Start the stream of `seed` again. Returns the generator."""
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise TypeError(f"manual_seed: argument 'seed' is {seed!r}, expected an integer")
        self.seed, self.offset = int(seed) & MASK, 0
        return self

    def seed_from_system(self):
        """Start a stream that nobody can foresee. Returns its seed."""
        return self.manual_seed(int.from_bytes(os.urandom(8), "little")).seed

    def initial_seed(self):
        """The seed."""
        return self.seed

    def next_offset(self, n):
        """Reserve n positions of the stream. Returns (seed, offset of the first)."""
        offset = self.offset
        self.offset = (offset + int(n) + 3 & ~3) & MASK  # whole Philox blocks of four words
        return self.seed, offset

    def get_state(self):
        """The state: {"seed": int, "offset": int}."""
        return {"seed": self.seed, "offset": self.offset}

    def set_state(self, state):
        """Go back to a state that get_state gave."""
        if set(state) != {"seed", "offset"}:
            raise ValueError(f"set_state: argument 'state' has keys {sorted(state)}, expected 'offset' and 'seed'")
        self.manual_seed(state["seed"])
        self.offset = int(state["offset"]) & MASK


default_generator = Generator()


def manual_seed(seed):
    """Seed the default generator. Returns it.

    Args:
        seed: any integer.

    Example:
        >>> import nncore
        >>> generator = nncore.manual_seed(0)
        >>> generator.initial_seed()
        0
    """
    return default_generator.manual_seed(seed)


def get_rng_state():
    """State of the default generator: {"seed": int, "offset": int}."""
    return default_generator.get_state()


def set_rng_state(state):
    """Put the default generator in a state that get_rng_state gave."""
    default_generator.set_state(state)
