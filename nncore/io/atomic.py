"""Replace a file as a whole or not at all. What the bytes mean is not known here."""

import errno
import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], chunks: bytes | Iterable[bytes]) -> None:
    """Write ``chunks`` to ``path`` so that a reader sees the old file or the new one, never a part.

    The bytes go to a temporary file in the same folder, which is flushed to the disk, renamed over ``path``, and made
    durable by flushing the folder. After a crash or a power cut ``path`` holds either the old or the new bytes; after
    a normal return it holds the new ones. A symbolic link is followed; an existing file keeps its permissions.

    Args:
        path: file to create or replace.
        chunks: the bytes, or an iterable of byte strings that are written one after the other.

    Raises:
        OSError: the folder is missing or not writable, the disk is full, ...; names ``path``. The old file is intact
            and no temporary file is left behind.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.txt"
        >>> write_atomically(path, b"whole")
        >>> path.read_bytes(), os.listdir(path.parent)
        (b'whole', ['a.txt'])

    Reference: Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        try:
            with open(temporary, "xb") as file:
                for chunk in (chunks,) if isinstance(chunks, bytes) else chunks:
                    file.write(chunk)
                file.flush()
                if target.exists():
                    os.chmod(temporary, target.stat().st_mode & 0o7777)
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)
    except OSError as error:
        raise type(error)(error.errno, f"cannot write: {error.strerror}", os.fspath(path)) from error


def remove_temporaries(path: str | os.PathLike[str]) -> None:
    """Remove what writers of ``path`` that were killed half-way have left in its folder."""
    target = Path(os.path.realpath(path))
    for name in os.listdir(target.parent):
        if name.startswith(f".{target.name}.") and name.endswith(".tmp"):
            (target.parent / name).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # a folder cannot be opened there, and the rename is already durable
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot flush a folder
            raise
    finally:
        os.close(descriptor)
