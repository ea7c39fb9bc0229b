"""For learning how networks learn: one training step with all its numbers."""

from .chain_rule import Explanation, explain

__all__ = ["Explanation", "explain"]
