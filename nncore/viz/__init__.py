"""Pictures and tables of training and its outcome. matplotlib is imported when a picture is drawn, not before."""

from .confusion import format_confusion
from .history import plot_history

__all__ = ["format_confusion", "plot_history"]
