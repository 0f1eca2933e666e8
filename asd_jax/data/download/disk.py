"""Room on the disk, and one sentence where it ends."""

import pathlib
from contextlib import AbstractContextManager

from asd_jax import files
from asd_jax.files import existing, free_bytes
from asd_jax.naming import size_text

__all__ = ["free_bytes", "on_one_disk", "size_text", "writing"]


def on_one_disk(one: pathlib.Path, other: pathlib.Path) -> bool:
    """Whether two folders, which need not exist yet, share their free bytes."""
    return existing(one).stat().st_dev == existing(other).stat().st_dev


def writing(folder: pathlib.Path) -> AbstractContextManager[None]:
    """Turns a disk that is full, or may not be written, into a UserError."""
    return files.writing(folder, "make room there or give another --dir; what is whole is kept")
