"""Pictures and tables of training and its outcome. matplotlib is imported when a picture is drawn, not before."""

from .confusion import confusion_matrix, format_confusion
from .history import plot_history

__all__ = ["confusion_matrix", "format_confusion", "plot_history"]
