"""Files on the disk: written in one step, locked, as plain JSON; and the folders of the cache."""

import contextlib
import errno
import json
import math
import os
import pathlib
import re
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from typing import Any

from absl import logging

from asd_jax.errors import UserError, WriteError
from asd_jax.naming import size_text

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def cache_folder(name: str) -> str:
    """Returns `$XDG_CACHE_HOME/asd_jax/<name>`, or the same under `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "asd_jax", name)


def private_folder(name: str, lost: str = "No compiled programs are kept") -> str | None:
    """A cache folder that only its owner can write, made if it is missing.

    A program that is read from a cache is run, so whoever can write there can run anything here;
    and whoever can write recordings or weights there decides what a detector learns.

    Args:
        name: of the folder below `asd_jax` in the user's cache.
        lost: what it means that there is none, the beginning of a sentence.

    Returns:
        The folder, or None where it cannot be made, belongs to another user, or others can write
        to it; a warning then says so, and nothing is kept.
    """
    path = cache_folder(name)
    for folder in (os.path.dirname(path), path):
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            found = os.stat(folder)
        except OSError as error:
            logging.warning("%s: %s (%s).", lost, folder, error.strerror)
            return None
        if found.st_uid != os.getuid() or found.st_mode & 0o022:
            logging.warning(
                "%s: %s belongs to another user, or others can write to it; remove it, and the "
                "next run makes it anew.",
                lost,
                folder,
            )
            return None
    return path


def refuse_url(field: str, path: str | os.PathLike) -> None:
    """Raises UserError for an address such as gs://bucket/folder in place of a folder."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", os.fspath(path)):
        raise UserError(
            f"{field} is the address {os.fspath(path)}; it takes a folder of this machine, so "
            "mount or copy that first."
        )


def free_bytes(folder: str | os.PathLike) -> int:
    """Free bytes where `folder` lies or will lie."""
    return shutil.disk_usage(existing(folder)).free


def existing(folder: str | os.PathLike) -> pathlib.Path:
    """The folder, or the nearest one above it that is there."""
    path = pathlib.Path(folder).absolute()
    while not path.exists():
        path = path.parent
    return path


def why(error: OSError, path: str | os.PathLike = "", needs: int = 0) -> str:
    """Explains an OSError in a few words, with the room that lacks if it is that.

    Args:
        error: as the system raised it.
        path: the file or folder, if the error does not name it.
        needs: bytes that were to be written, 0 if unknown.
    """
    if error.errno not in _NO_ROOM:
        return (error.strerror or str(error) or type(error).__name__).rstrip(".")
    needs = needs or getattr(error, "needs", 0)
    parts = [f"{size_text(needs)} needed"] * bool(needs)
    if where := path or error.filename:
        with contextlib.suppress(OSError):
            parts.append(f"{size_text(free_bytes(where))} free")
    full = "the file is too long" if error.errno == errno.EFBIG else "the disk is full"
    return ", ".join([full, *parts])


@contextlib.contextmanager
def writing(path: str | os.PathLike, remedy: str, *, needs: int = 0) -> Iterator[None]:
    """Turns whatever keeps a file or folder from being written into one sentence.

    Args:
        path: the file or folder.
        remedy: what the user can do, the end of the sentence.
        needs: bytes that are to be written, 0 if unknown.

    Raises:
        WriteError: in place of an OSError of the block.
    """
    try:
        yield
    except OSError as error:
        reason = why(error, path, needs)
        raise WriteError(f"{os.fspath(path)} can't be written ({reason}); {remedy}.") from error


def place(temporary: str | os.PathLike, path: str | os.PathLike, *, sync: bool = True) -> None:
    """Gives a file that is wholly written its name: the one way in which a file gets one.

    Its content has reached the disk before, else a power cut could leave the name of a whole file
    on an empty one; and its name has after.
    """
    if sync:
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
    os.replace(temporary, path)
    if sync:
        with contextlib.suppress(OSError):  # no folder can be opened on Windows, or over some nets
            folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


@contextlib.contextmanager
def replacing(path: str | os.PathLike, *, sync: bool = True, needs: int = 0) -> Iterator[str]:
    """Gives a name beside `path` to write a file under, which takes its place in one step.

    A reader, and a crash, find the old file or the new one. Nothing is left of a failed write. A
    link stays and its target is replaced; a device or a pipe is written to, never replaced.

    Args:
        path: the file to write or to replace.
        sync: waits until the content is on the disk; not worth it for thousands of recordings.
        needs: bytes that will be written, 0 if unknown.

    Raises:
        OSError: it cannot be written; with the file's name, and `needs` as an attribute.
    """
    path = os.path.realpath(path) if os.path.islink(path) else os.fspath(path)
    try:
        if _is_special(path):
            yield path
            return
        temporary = _temporary(path)
        try:
            yield temporary
            place(temporary, path, sync=sync)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.remove(temporary)
            raise
    except OSError as error:
        error.filename = error.filename or path
        vars(error)["needs"] = needs
        raise


def check_writable(path: str | os.PathLike) -> None:
    """Raises OSError where `path` could not be written, before the work that it is to hold."""
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    path = os.path.realpath(path) if os.path.islink(path) else os.fspath(path)
    if not _is_special(path):
        try:
            open(_temporary(path), "wb").close()
        except OSError as error:
            error.filename = path
            raise
        os.remove(_temporary(path))


def sync_all() -> None:
    """Waits until all that was written is on the disk, before a note that says so."""
    if hasattr(os, "sync"):
        os.sync()


def remove_leftovers(folder: str | os.PathLike, *, older: float = 0.0) -> None:
    """Removes what writes that were killed have left in a folder that no other process uses.

    Args:
        folder: may be absent.
        older: seconds; where another process may be at work all the same, more than a write takes.
    """
    for path in pathlib.Path(folder).glob(".*.*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime >= older:
                path.unlink()


def _temporary(path: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{os.getpid()}.tmp")


def _is_special(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
    """Writes a file in one step; see `replacing`."""
    with replacing(path, needs=len(data)) as temporary, open(temporary, "wb") as file:
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
    _acquire(lock, path, wait)
    try:
        yield
    finally:
        lock.release()


def hold(path: str | os.PathLike) -> Any:
    """A lock on a file, held while anything refers to what is returned.

    One process may hold it several times over, unlike `locked`.

    Raises:
        filelock.Timeout: another process holds it.
        OSError: the file cannot be opened.
    """
    import filelock

    lock = filelock.FileLock(os.path.realpath(path), is_singleton=True, thread_local=False)
    _acquire(lock, path, wait=False)
    return lock


def _acquire(lock: Any, path: str | os.PathLike, wait: bool) -> None:
    import filelock

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
