"""A training run as one file, so that a run that was stopped goes on with the same bits as one that was not.

Model, optimizer, schedule, random numbers and epoch belong together; they are written in one file whose renaming is
the one moment at which the new checkpoint replaces the old.
"""

import os
from typing import Any

from .. import random
from .atomic import remove_temporaries
from .saving import check_state, load, save

_KEYS = {"model", "optimizer", "scheduler", "random", "epoch", "extra"}


def save_checkpoint(
    path: str | os.PathLike[str],
    model: Any,
    optimizer: Any = None,
    scheduler: Any = None,
    epoch: int = 0,
    **extra: Any,
) -> None:
    """Write everything that the next epoch depends on, atomically.

    Args:
        path: file to create or replace; temporary files of earlier writers that were killed are removed.
        model: a Module.
        optimizer: its state_dict is saved. Default: none.
        scheduler: its state_dict is saved. Default: none.
        epoch: number of epochs that are done.
        **extra: further values (see ``nncore.save``) that ``load_checkpoint`` returns.

    Raises:
        TypeError: a state holds something that a file cannot.
        OSError: the file cannot be written; an older checkpoint is intact.

    Example:
        >>> import os, tempfile
        >>> from nncore import nn, optim
        >>> path = os.path.join(tempfile.mkdtemp(), "checkpoint.safetensors")
        >>> model = nn.Linear(3, 1)
        >>> optimizer = optim.Adam(model.parameters())
        >>> save_checkpoint(path, model, optimizer, epoch=2, best=0.5)
        >>> load_checkpoint(path, model, optimizer)
        {'epoch': 2, 'best': 0.5}
    """
    content = {
        "model": model.state_dict(),
        "optimizer": _state(optimizer),
        "scheduler": _state(scheduler),
        "random": random.get_rng_state(),
        "epoch": epoch,
        "extra": extra,
    }
    save(content, path)
    remove_temporaries(path)


def load_checkpoint(
    path: str | os.PathLike[str], model: Any, optimizer: Any = None, scheduler: Any = None
) -> dict[str, Any]:
    """Bring a model, an optimizer, a schedule and the random numbers back to where ``save_checkpoint`` saw them.

    Args:
        path: what ``save_checkpoint`` wrote.
        model: a Module of the same architecture.
        optimizer: of the same class and with the same parameter groups; None leaves the saved one unread.
        scheduler: of the same class; None leaves the saved one unread.

    Returns:
        ``epoch`` and the extra values.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is damaged, is no checkpoint, or does not fit. Nothing is changed then.
    """
    content = load(path)
    if not isinstance(content, dict) or content.keys() != _KEYS:
        raise ValueError(f"{os.fspath(path)}: is no checkpoint")
    check_state(model, content["model"], path)
    for name, target in (("optimizer", optimizer), ("scheduler", scheduler)):
        saved = content[name] or {"class": None, "state": {}}
        if target is not None and saved["class"] != type(target).__name__:
            raise ValueError(f"{os.fspath(path)}: holds the {name} {saved['class']}, expected {type(target).__name__}")
        if target is not None and saved["state"].keys() != target.state_dict().keys():
            raise ValueError(f"{os.fspath(path)}: the state of the {name} has other entries than {saved['class']}")
    if optimizer is not None:
        try:
            optimizer.load_state_dict(content["optimizer"]["state"])  # checks, then changes
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from None
    if scheduler is not None:
        scheduler.load_state_dict(content["scheduler"]["state"])
    model.load_state_dict(content["model"])
    random.set_rng_state(content["random"])
    return {"epoch": content["epoch"], **content["extra"]}


def _state(part: Any) -> dict[str, Any] | None:
    return None if part is None else {"class": type(part).__name__, "state": part.state_dict()}
