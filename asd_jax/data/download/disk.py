"""Room on the disk, and one sentence where it ends."""

import contextlib
import errno
import pathlib
import shutil
from collections.abc import Iterator

from asd_jax.errors import UserError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def free_bytes(folder: pathlib.Path) -> int:
    """Free bytes where `folder` lies or will lie."""
    return shutil.disk_usage(_existing(folder)).free


def on_one_disk(one: pathlib.Path, other: pathlib.Path) -> bool:
    """Whether two folders, which need not exist yet, share their free bytes."""
    return _existing(one).stat().st_dev == _existing(other).stat().st_dev


def _existing(folder: pathlib.Path) -> pathlib.Path:
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def size_text(size: float) -> str:
    """Bytes for people: '10.4 GB', '350 MB'."""
    for unit, scale, digits in (("GB", 1e9, 1), ("MB", 1e6, 0), ("kB", 1e3, 0)):
        if size >= scale:
            return f"{size / scale:.{digits}f} {unit}"
    return f"{size:.0f} bytes"


@contextlib.contextmanager
def writing(folder: pathlib.Path) -> Iterator[None]:
    """Turns a disk that is full, or may not be written, into a UserError."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            what = "the disk is full (or the file too long for it); what is whole is kept"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            what = error.strerror
        else:
            raise
        raise UserError(
            f"{folder} can't be written ({what}); make room there or give another --dir."
        ) from error
