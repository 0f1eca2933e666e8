"""Folders of the cache: where they lie, and which of them may hold programs."""

import os

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
