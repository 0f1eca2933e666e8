"""Compiled programs of a training, kept in the cache folder.

JAX's own cache keeps what the compiler made, and finds it by the program: that has to be traced and
lowered first, six seconds of Python for GhostNetV2's step, while the processors stand still or
another stage trains. Here a program is found by what it is made of. Only a process that also keeps
what it compiles (`commands.prepare_jax`) keeps these; see `asd_jax.kept`, which knows of the code
in this package, and of no function that a script put in the place of another.
"""

import collections
import functools
import os
import pickle
import platform
import threading
from collections.abc import Callable
from typing import Any

import jax
from absl import logging
from jax.sharding import Mesh

from asd_jax import kept, memory

KEPT = 32  # programs, up to 18 MB each; the oldest make room
_SUFFIX = ".executable"

# How many programs each thread has found in JAX's own cache.
_found: collections.Counter[int] = collections.Counter()


def _count(event: str, **_: Any) -> None:
    if event == "/jax/compilation_cache/cache_hits":
        _found[threading.get_ident()] += 1


jax.monitoring.register_event_listener(_count)


class Executable:
    """A program for the devices of a mesh, made once and found again by what it is made of."""

    def __init__(self, about: Any, mesh: Mesh, lower: Callable[[], Any]) -> None:
        """Nothing is made or read yet.

        Args:
            about: JSON; with other values, or other devices, `lower` makes another program.
            mesh: the devices that it runs on.
            lower: traces: a `jax.stages.Lowered`.
        """
        self._about, self._devices, self._lower = about, list(mesh.devices.flat), lower
        self._lowered: Any = None
        self._made: Any = None

    def lower(self) -> None:
        """Traces the program, unless the folder has it; `get` then has only to compile it."""
        if self._path is None or not os.path.exists(self._path):
            self._lowered = self._lower()

    def get(self) -> Any:
        """The program, from the folder if it is there."""
        program = _read(self._path, self._devices) if self._path else None
        if program is None:
            lowered = self._lowered or self._lower()
            here = threading.get_ident()
            before = _found[here]
            program = lowered.compile()
            # XLA does not write all of a program that it has read itself: read again it would fail
            # at its first call, for functions that are not there (jaxlib 0.10, 0.12).
            self._made = program if _found[here] == before else None
        self._lowered = None
        memory.give_back()
        return program

    def keep(self) -> None:
        """Writes what `get` had to compile into the folder; seconds, in which a stage can train."""
        program, self._made = self._made, None
        if program is None or self._path is None:
            return
        from jax.experimental import serialize_executable

        try:
            kept.write(self._path, pickle.dumps(serialize_executable.serialize(program)), KEPT)
        except Exception as error:  # no room, or a program that this platform cannot write
            logging.debug("A compiled program is not kept: %s", error)

    @functools.cached_property
    def _path(self) -> str | None:
        """Where it is kept; None for nowhere."""
        folder = kept.folder()
        # A part of a run of several processes would wait for one that compiles anew.
        if folder is None or jax.process_count() > 1:
            return None
        devices = [device.id for device in self._devices]
        name = kept.fingerprint(self._about, devices, jax.device_count(), _machine())
        return os.path.join(folder, name + _SUFFIX)


def _read(path: str, devices: list[Any]) -> Any:
    """The program in a file, or None."""
    from jax.experimental import serialize_executable

    try:
        with open(path, "rb") as file:
            written = pickle.load(file)
        return serialize_executable.deserialize_and_load(*written, execution_devices=devices)
    except FileNotFoundError:
        return None
    except Exception as error:  # damaged: whatever pickle or the runtime stumble over
        logging.debug("A compiled program cannot be read: %s", error)
        return None


@functools.cache
def _machine() -> list[str]:
    """What the compiler looked at, besides the program: processor, runtime and flags."""
    features = platform.processor()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            features = next((line for line in file if line.startswith(("flags", "Features"))), "")
    except OSError:  # no Linux
        pass
    version = jax.devices()[0].client.platform_version
    return [platform.machine(), features, version, os.environ.get("XLA_FLAGS", "")]
