"""Programs of a detector as they were traced, kept in the cache folder: tracing takes seconds.

Only a process that also keeps what it compiles (`commands.prepare_jax`) keeps these. A program is
found by all that it was made of, so one of other code or of other versions is never used. Whatever
cannot be read, written or kept is made as if there were no folder.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax

import asd_jax
from asd_jax import target
from asd_jax.errors import UserError, detail
from asd_jax.files import plain, private_folder, write_bytes

KEPT = 100  # programs; the oldest make room
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")
_SUFFIX = ".stablehlo"


class CachedProgram:
    """`traced(waves)` is `make()(arrays, waves)`, compiled for each shape of waves.

    `make` is called, and what it makes is traced, only for a shape that is not in the folder.
    """

    def __init__(
        self, make: Callable[[], Callable[[Any, Any], Any]], arrays: Any, about: Mapping[str, Any]
    ) -> None:
        """Takes what makes the function, its first argument, and the settings that it depends on.

        Args:
            make: makes a pure function whose results are arrays in tuples, lists and dicts.
            arrays: moved to the device once.
            about: JSON; with other values `make` makes another function.
        """
        leaves, self._tree = jax.tree.flatten(arrays)
        self._leaves, self._about = jax.device_put(leaves), plain(about)
        self._make = functools.cache(make)
        self._compiled: dict[Any, Callable] = {}

    def __call__(self, waves: Any) -> Any:
        """The results for a batch of waves; raises UserError where the arrays do not fit them."""
        shape = (waves.shape, str(waves.dtype))
        if shape in self._compiled:
            return self._compiled[shape](self._leaves, waves)
        try:
            program = self._program(jax.ShapeDtypeStruct(waves.shape, waves.dtype))
            found = program(self._leaves, waves)
        except (UserError, MemoryError, jax.errors.JaxRuntimeError):
            raise
        except Exception as error:  # of a network or a scorer, which are given these arrays
            raise UserError(
                f"The detector's arrays do not fit its settings ({detail(error, 300)}); make it "
                "again by repeating the run's command."
            ) from error
        self._compiled[shape] = program
        return found

    def _run(self, leaves: list[Any], waves: Any) -> Any:
        return self._make()(jax.tree.unflatten(self._tree, leaves), waves)

    def _program(self, waves: jax.ShapeDtypeStruct) -> Callable:
        """The jitted function of the leaves and of waves of this shape."""
        folder = _folder()
        if folder is None:
            return jax.jit(self._run)
        path = os.path.join(folder, self._key(waves) + _SUFFIX)
        exported = _read(path) or self._write(path, waves)
        return jax.jit(exported.call if exported else self._run)

    def _key(self, waves: jax.ShapeDtypeStruct) -> str:
        """Tells apart any two programs that may differ."""
        arrays = [(leaf.shape, str(leaf.dtype)) for leaf in (*self._leaves, waves)]
        return _fingerprint(self._about, str(self._tree), arrays)

    def _write(self, path: str, waves: jax.ShapeDtypeStruct) -> Any:
        """Traces, keeps and returns the program; None where it can't be kept."""
        import jax.export

        shapes = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in self._leaves]
        try:
            data = jax.export.export(jax.jit(self._run))(shapes, waves).serialize()
            write_bytes(path, bytes(data))
            _make_room(os.path.dirname(path))
        except (ImportError, OSError, ValueError, NotImplementedError):
            # No flatbuffers, no room, or an operation that jax does not promise to keep.
            return None
        # As later processes read it, so that theirs is the program which is compiled now.
        return jax.export.deserialize(data)


def _read(path: str) -> Any:
    """The program in a file, or None."""
    import jax.export

    try:
        with open(path, "rb") as file:
            return jax.export.deserialize(bytearray(file.read()))
    except Exception:  # damaged: flatbuffers raises whatever it stumbles over
        return None


def _make_room(folder: str) -> None:
    with os.scandir(folder) as found:
        programs = sorted(found, key=lambda entry: entry.stat().st_mtime)
    for entry in programs[:-KEPT]:
        with contextlib.suppress(FileNotFoundError):  # another process makes room too
            os.remove(entry.path)


def _folder() -> str | None:
    """Returns the folder of programs; None where nothing compiled is kept either."""
    config: Any = jax.config  # makes its fields at run time
    if not (config.jax_compilation_cache_dir and config.jax_enable_compilation_cache):
        return None
    return private_folder("programs")


def _fingerprint(*about: Any) -> str:
    """Tells apart any two programs that may differ in code, versions, platform or `about`."""
    config: Any = jax.config
    described = [
        {name: importlib.metadata.version(name) for name in _PACKAGES},
        _sources(),
        [target.platform(), target.form(), jax.default_backend(), jax.devices()[0].device_kind],
        [config.jax_enable_x64, config.jax_default_matmul_precision],
        plain(about),
    ]
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


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
