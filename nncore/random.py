"""Random numbers by counter: Philox4x32-10 (Salmon et al. 2011).

A number is a function of (seed, offset, position in the array) alone, so it does not depend on threads, and the whole
state is two integers.
"""

import os

import numpy as np

from nncore._core.capture import current, is_capturing, live, refuse

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
        refuse("seeding a generator", "seed it outside the function")
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
        if is_capturing():
            return self._live(offset)
        return self.seed, offset

    def _live(self, offset):
        """(seed, offset) as numbers that a replay renews: it draws on where the generator stands by then."""
        start, numbers = current().generators.setdefault(self, (offset, []))
        seed = live(self.seed, lambda: self.seed)
        offset = live(offset, lambda ahead=(offset - start) & MASK: self.offset + ahead & MASK, mask=MASK)
        numbers.append(offset.source)
        return seed, offset

    def drawn_in_capture(self, start, numbers):
        """Let the numbers of a capture, which began at offset `start`, move on with every step of a replay."""
        drawn = (self.offset - start) & MASK
        for number in numbers:
            number.stride = drawn

        def advance(steps):
            self.offset = (self.offset + steps * drawn) & MASK

        numbers[0].advance = advance

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
