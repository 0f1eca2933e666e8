"""Files on the disk: written in one step, locked, as plain JSON; and the folders of the cache."""

import contextlib
import errno
import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

from absl import logging


def cache_folder(name: str) -> str:
    """`$XDG_CACHE_HOME/asd_jax/<name>`, or the same under `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "asd_jax", name)


def private_folder(name: str) -> str | None:
    """A cache folder that only its owner can write, made if it is missing.

    A program that is read from a cache is run, so whoever can write there can run anything here.

    Returns:
        The folder, or None where it cannot be made, belongs to another user, or others can write
        to it; a warning then says so, and nothing is kept.
    """
    path = cache_folder(name)
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        found = os.stat(path)
    except OSError as error:
        logging.warning("No compiled programs are kept: %s (%s).", path, error.strerror)
        return None
    if found.st_uid != os.getuid() or found.st_mode & 0o022:
        logging.warning(
            "No compiled programs are kept: %s belongs to another user, or others can write to "
            "it; remove it, and the next run makes it anew.",
            path,
        )
        return None
    return path


@contextlib.contextmanager
def replacing(path: str | os.PathLike, *, sync: bool = True) -> Iterator[str]:
    """Gives a name beside `path` to write a file under, which takes its place in one step.

    A reader, and a crash, find the old file or the new one. Nothing is left of a failed write.

    Args:
        path: the file to write or to replace.
        sync: waits until the content is on the disk; not worth it for thousands of recordings.

    Raises:
        OSError: it cannot be written.
    """
    folder, name = os.path.split(os.fspath(path))
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.tmp")
    try:
        yield temporary
        if sync:
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)
        raise


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
    """Writes a file in one step; see `replacing`."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(data)


def write_json(path: str | os.PathLike, value: Any, *, indent: int | None = 2) -> None:
    """Writes strict JSON of `plain(value)` in one step, in the order of its keys."""
    text = json.dumps(plain(value), indent=indent, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def plain(value: Any) -> Any:
    """The value as strict JSON can hold it: NaN and infinity as None, arrays as lists.

    Raises:
        TypeError: JSON has no place for it.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if hasattr(value, "dtype"):  # a NumPy or JAX array or scalar
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    raise TypeError(f"{type(value).__name__} has no place in JSON")


@contextlib.contextmanager
def locked(path: str | os.PathLike, *, wait: bool = True) -> Iterator[None]:
    """Holds a lock on a file, which ends with the process however it ends.

    Raises:
        filelock.Timeout: another process holds it, and `wait` is False.
        OSError: the file cannot be opened.
    """
    import filelock

    lock = filelock.FileLock(path)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        if not wait:
            raise
        logging.info("Another process is at work in %s: waiting.", os.path.dirname(path))
        lock.acquire()
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
            raise
        logging.warning("%s can't be locked (%s): use it once at a time.", path, error)
    try:
        yield
    finally:
        lock.release()
