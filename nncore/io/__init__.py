"""Files: models, weights, nested values and checkpoints, as safetensors with checksums. No file can run code."""

from .atomic import write_atomically
from .checkpoint import load_checkpoint, save_checkpoint
from .saving import load, load_model, load_weights, save, save_model

__all__ = [
    "load",
    "load_checkpoint",
    "load_model",
    "load_weights",
    "save",
    "save_checkpoint",
    "save_model",
    "write_atomically",
]
