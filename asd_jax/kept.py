"""Programs that are kept in the cache folder, so that a later process need not make them again.

A program is found by all that it was made of (`fingerprint`), so one of other code or of other
versions is never used. Whatever cannot be read, written or kept is made as if there were no folder.
Programs are code: like JAX's own cache of compiled ones beside it, the folder is to be trusted as
its owner is.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
from typing import Any

import jax

import asd_jax
from asd_jax import commands, target
from asd_jax.report.files import plain, write_whole

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")


def folder() -> str | None:
    """Where programs are kept, or None where nothing compiled is kept either."""
    config = jax.config
    if not (config.jax_compilation_cache_dir and config.jax_enable_compilation_cache):
        return None
    return commands.cache_folder("programs")


def fingerprint(*about: Any) -> str:
    """Tells apart any two programs that may differ.

    Args:
        *about: JSON. What the program was made of, besides code, versions and platform.
    """
    described = [
        {name: importlib.metadata.version(name) for name in _PACKAGES},
        _sources(),
        [target.platform(), target.form(), jax.default_backend(), jax.devices()[0].device_kind],
        [jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision],
        plain(about),
    ]
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def write(path: str, data: bytes, at_most: int) -> None:
    """Writes a program into the folder, where the oldest with its suffix make room.

    Raises:
        OSError: it cannot be written.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_whole(path, data)
    with os.scandir(os.path.dirname(path)) as found:
        programs = sorted(
            (entry for entry in found if entry.name.endswith(os.path.splitext(path)[1])),
            key=lambda entry: entry.stat().st_mtime,
        )
    for entry in programs[:-at_most]:
        with contextlib.suppress(FileNotFoundError):  # another process makes room too
            os.remove(entry.path)


@functools.cache
def _sources() -> str:
    """A digest of this package's code, whose version stands still while it is worked on."""
    digest = hashlib.sha256()
    root = os.path.dirname(os.path.abspath(asd_jax.__file__))
    for below, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".py"):
                with open(os.path.join(below, name), "rb") as file:
                    digest.update(f"{name} {hashlib.sha256(file.read()).hexdigest()} ".encode())
    return digest.hexdigest()
