"""The recordings that a config names: found or made, decoded, kept."""

import contextlib
import hashlib
import logging as std_logging
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from absl import logging

from asd_jax.data import cache, clips, screening, synthetic
from asd_jax.data.layouts import folder
from asd_jax.data.layouts.files import files_below, is_audio
from asd_jax.errors import UserError
from asd_jax.files import cache_folder, private_folder
from asd_jax.naming import first_few, printable
from asd_jax.runs.settings import Data


def open_recordings(config: Any, *, progress: bool = True) -> cache.CachedClips:
    """Finds and decodes the recordings that `config.data` (or `config.synthetic`) names.

    Args:
        config: settings with the fields `data`, `synthetic` and `seed`, of any recipe.
        progress: show progress bars.

    Raises:
        UserError: no root, or no clips.
    """
    from asd_jax.train.processes import is_primary  # which brings jax
    from asd_jax.train.progress import show

    data = config.data
    root = synthetic_root(config.synthetic, data) if data.layout == "synthetic" else data.root
    if data.layout == "synthetic":
        write_synthetic(config, progress=progress)
    elif not root:
        raise UserError(
            "config.data.root is empty; say where the recordings lie: --config.data.root=DIR."
        )
    directory = _cache_directory(data, root)

    opened: Any = None

    def screen(found: list[clips.Clip]) -> list[clips.Clip]:
        nonlocal opened
        opened = cache.open_cache(found, directory, data, progress=progress)
        for path, reason in opened.unreadable:
            logging.warning("%s is left out: %s.", path, reason.rstrip("."))
        return screening.screen(found, opened)

    table = clips.read_clips(
        "mimii" if data.layout == "synthetic" else data.layout,
        root,
        machines=data.machines,
        snr=data.snr,
        split=data.split,
        use_additional=data.use_additional,
        seed=config.seed,
        normal=_listed(data.normal),
        abnormal=_listed(data.abnormal),
        screen=screen,
    )
    if is_primary():
        lines = [printable(f"Recordings in {root}:"), *clips.describe(table, root)]
        if data.layout == "folder" and not (data.normal or data.abnormal):
            lines += filter(None, [folder.hint(table, root)])
        show("\n".join(lines))
    return screening.audible(opened.under(table))


def listing(config: Any) -> dict[str, int]:
    """The size of each recording below `config.data.root`, by name; {} if there is none to say."""
    root = config.data.root
    if config.data.layout == "synthetic" or not os.path.isdir(root):
        return {}
    sizes = {}
    for file in files_below(pathlib.Path(root), say=False):
        if is_audio(file.name):
            with contextlib.suppress(OSError):  # deleted meanwhile
                sizes["/".join((*file.folders, file.name))] = os.path.getsize(file.path)
    return sizes


def news(config: Any, before: Mapping[str, int]) -> str:
    """Compares the recordings with an earlier `listing`: a sentence on changes, or ''."""
    now = listing(config) if before else {}
    if not now:
        return ""
    changes = {
        "new": [name for name in now if name not in before],
        "gone": [name for name in before if name not in now],
        "changed": [name for name in now if now[name] != before.get(name, now[name])],
    }
    listed = [
        f"{len(names)} {word} ({first_few(names, 2)})" for word, names in changes.items() if names
    ]
    if not listed:
        return ""
    return printable(
        f"Recordings in {config.data.root} since this run began: {', '.join(listed)}. The run "
        "is of those before; give another --workdir to learn from what is there now."
    )


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
    """Writes the synthetic machines of a config unless they are there; returns their folder.

    Raises:
        UserError: no folder is named, and the user's cache cannot be used.
    """
    root = synthetic_root(config.synthetic, config.data)
    if not config.data.root and not private_folder("synthetic", "No machines are written"):
        raise UserError("The user's cache cannot be used; name a folder by config.data.root.")
    synthetic.write_machines(root, config.synthetic, progress=progress)
    return root


def synthetic_root(settings: synthetic.SyntheticMachines, data: Data) -> str:
    """Returns the synthetic machines' folder: `data.root`, or one named after their settings."""
    digest = hashlib.sha256(repr((synthetic.VERSION, settings)).encode()).hexdigest()[:12]
    return data.root or os.path.join(cache_folder("synthetic"), digest)


def _listed(words: str) -> tuple[str, ...]:
    return tuple(word for part in words.split(",") if (word := part.strip()))


def _cache_directory(data: Data, root: str) -> str:
    digest = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:12]
    folder = data.cache or private_folder("waves", "The cache of decoded sound is not used")
    if folder is None:
        raise UserError("The user's cache cannot be used; name a folder by config.data.cache.")
    return os.path.join(folder, digest)
