"""Pictures of networks and their training, and tables of the outcome. matplotlib is imported when a picture is drawn.

A function with `ax=` draws on those Axes and returns them, or makes a figure of its own, which is `ax.figure`.
"""

from .activations import plot_activation, plot_activations
from .boundary import plot_decision_boundary
from .composition import plot_composition
from .confusion import format_confusion
from .descent import descent_path, plot_descent, plot_lr_finder, plot_weight_path
from .history import plot_history
from .images import plot_feature_maps, plot_filters
from .network import layers_svg, network_svg, plot_layers, plot_network
from .representation import plot_representation, principal_components

__all__ = [
    "descent_path",
    "format_confusion",
    "layers_svg",
    "network_svg",
    "plot_activation",
    "plot_activations",
    "plot_composition",
    "plot_decision_boundary",
    "plot_descent",
    "plot_feature_maps",
    "plot_filters",
    "plot_history",
    "plot_layers",
    "plot_lr_finder",
    "plot_network",
    "plot_representation",
    "plot_weight_path",
    "principal_components",
]
