"""nncore.utils: torch.utils' place for what is not a tensor."""

from nncore.utils import data

__all__ = ["data"]
