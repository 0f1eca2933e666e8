"""The recordings that a config names: found or made, decoded, kept."""

import contextlib
import hashlib
import logging as std_logging
import os
from collections.abc import Iterator
from typing import Any

from absl import logging

from asd_jax.data import cache, clips, synthetic
from asd_jax.errors import UserError
from asd_jax.files import cache_folder, private_folder
from asd_jax.runs.settings import Data


def open_recordings(config: Any, *, progress: bool = True) -> cache.CachedClips:
    """Finds and decodes the recordings that `config.data` (or `config.synthetic`) names.

    Args:
        config: settings with the fields `data`, `synthetic` and `seed`, of any recipe.
        progress: show progress bars.

    Raises:
        UserError: no root, or no clips.
    """
    data = config.data
    root = synthetic_root(config.synthetic, data) if data.layout == "synthetic" else data.root
    if data.layout == "synthetic":
        write_synthetic(config, progress=progress)
    elif not root:
        raise UserError(
            "config.data.root is empty; say where the recordings lie: --config.data.root=DIR."
        )
    table = clips.read_clips(
        "mimii" if data.layout == "synthetic" else data.layout,
        root,
        machines=data.machines,
        snr=data.snr,
        split=data.split,
        use_additional=data.use_additional,
        seed=config.seed,
    )
    opened = cache.open_cache(table, _cache_directory(data, root), data, progress=progress)
    for path, reason in opened.unreadable:
        logging.warning("%s is left out: %s.", path, reason.rstrip("."))
    return opened


@contextlib.contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Collects what is logged as a warning meanwhile: the report repeats it."""
    found: list[str] = []
    handler = std_logging.Handler(std_logging.WARNING)
    handler.emit = lambda record: found.append(record.getMessage())
    logging.get_absl_logger().addHandler(handler)
    try:
        yield found
    finally:
        logging.get_absl_logger().removeHandler(handler)


def write_synthetic(config: Any, *, progress: bool = True) -> str:
    """Writes the synthetic machines of a config unless they are there; returns their folder."""
    root = synthetic_root(config.synthetic, config.data)
    if not config.data.root and not private_folder("synthetic", "No machines are written"):
        raise UserError("The user's cache cannot be used; name a folder by config.data.root.")
    synthetic.write_machines(root, config.synthetic, progress=progress)
    return root


def synthetic_root(settings: synthetic.SyntheticMachines, data: Data) -> str:
    """Where these synthetic machines lie: `data.root`, or a folder named after their settings."""
    digest = hashlib.sha256(repr((synthetic.VERSION, settings)).encode()).hexdigest()[:12]
    return data.root or os.path.join(cache_folder("synthetic"), digest)


def _cache_directory(data: Data, root: str) -> str:
    digest = hashlib.sha256(os.path.realpath(root).encode()).hexdigest()[:12]
    folder = data.cache or private_folder("waves", "The cache of decoded sound is not used")
    if folder is None:
        raise UserError("The user's cache cannot be used; name a folder by config.data.cache.")
    return os.path.join(folder, digest)
