"""What a run was made by and of: code, packages, machine, recordings; and a page without paths."""

import dataclasses
import datetime
import hashlib
import os
import platform
import subprocess
from collections.abc import Collection, Mapping, Sequence
from importlib import metadata
from typing import Any

import asd_jax
from asd_jax.data.table import Clip, recording_keys

SHOWN = ("jax", "jaxlib", "flax", "numpy", "scikit-learn", "librosa", "soundfile")


def made(run: Any, tested: Collection[str]) -> dict[str, Any]:
    """The entry `made` of results.json.

    Args:
        run: that has come to its end, see `asd_jax.runs.run.Run`.
        tested: the names of its test clips.
    """
    import jax

    devices = [device.device_kind for device in jax.devices()]
    clips = run.corpus.clips
    root = root_of(run.config)
    return {
        "run": os.path.basename(os.path.realpath(run.workdir.folder)),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "versions": {
            "asd_jax": asd_jax.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in SHOWN},
        },
        "devices": f"{len(devices)} x {', '.join(dict.fromkeys(devices))}",
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        "processes": jax.process_count(),
        "data": {
            "name": "synthetic machines" if _is_synthetic(run.config) else os.path.basename(root),
            "clips": len(clips),
            "digest": digest(clips, run.config),
            "tested": digest([clip for clip in clips if clip.name in tested], run.config),
        },
    }


def version(name: str) -> str:
    """The version of an installed package, or 'missing'."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def commit() -> str | None:
    """The commit of the clone that runs, with '-dirty' for one that was changed; else None."""
    clone = os.path.dirname(os.path.dirname(os.path.abspath(asd_jax.__file__)))
    if not os.path.exists(os.path.join(clone, ".git")):  # a wheel, perhaps in another's clone
        return None
    command = ["git", "-C", clone, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):  # no git, or another user's clone
        return None
    return done.stdout.strip() or None


def digest(clips: Sequence[Clip], config: Any) -> str:
    """Of the clips' names below their machine's folder and their files' sizes, in any order.

    Nothing is read: synthetic machines, whose files are of one size, count by their settings.
    """
    sizes = {path: _size(path) for path in {clip.path for clip in clips}}
    keys = recording_keys(clips)
    rows = sorted(
        (key, clip.snr, clip.start, clip.seconds, sizes[clip.path])
        for key, clip in zip(keys, clips, strict=True)
    )
    made_of = repr(config.synthetic) if _is_synthetic(config) else ""
    return hashlib.sha256(repr((made_of, rows)).encode("utf-8", "replace")).hexdigest()[:16]


def root_of(config: Any) -> str:
    """The folder of the recordings."""
    from asd_jax.runs.recordings import synthetic_root

    if _is_synthetic(config):
        return synthetic_root(config.synthetic, config.data)
    return config.data.root.rstrip("/")


def without_paths(value: Any, root: str) -> Any:
    """The value with every path below `root` from there on, and the user's folder as `~`.

    Args:
        value: text, or mappings, sequences and dataclasses of such.
        root: the folder of the recordings.
    """
    if isinstance(value, str):
        home = os.path.expanduser("~")
        if root:
            value = value.replace(root + os.sep, "").replace(root, os.path.basename(root))
        return value.replace(home, "~") if len(home) > 1 else value
    if isinstance(value, Mapping):
        return {key: without_paths(entry, root) for key, entry in value.items()}
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(without_paths(entry, root) for entry in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        given = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        kinds = str | Mapping | tuple
        shown = {n: without_paths(v, root) for n, v in given.items() if isinstance(v, kinds)}
        return dataclasses.replace(value, **shown)
    return value


def _is_synthetic(config: Any) -> bool:
    return config.data.layout == "synthetic"


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:  # gone since
        return -1
