"""Gets a public data set: `python -m asd_jax.fetch NAME [--dir=DIR]`, checked and unpacked.

    mimii                        100 GB of zips; --snr and --machines choose, one SNR by default
    dcase2020 ... dcase2025      --parts chooses dev (the default), additional, test, truth
    mimii_due                    likewise

An interrupted fetch goes on with the same command. `--check=DIR` says how much of it is there.
"""

import os
import pathlib
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from asd_jax import commands
from asd_jax.errors import UserError

DIR = flags.DEFINE_string("dir", None, "Where the data set goes; default data/NAME.")
MACHINES = flags.DEFINE_list("machines", [], "Machine types, such as fan,pump; default all.")
SNR = flags.DEFINE_list("snr", [], "MIMII: noise levels of -6,0,6 in dB; default 0.")
PARTS = flags.DEFINE_list(
    "parts", [], "DCASE, MIMII DUE: of dev,additional,test,truth, or all; default dev."
)
CHECK = flags.DEFINE_multi_string(
    "check",
    [],
    "Says how complete a data set in this folder is, that was fetched.",
    allow_override=True,
)
ACCEPT = flags.DEFINE_bool("accept_licence", False, "Accepts the data set's licence.")
ARCHIVES = flags.DEFINE_string(
    "archives",
    None,
    "Folder for the zips while they are needed, such as a local disk where --dir is a mounted "
    "drive; default DIR/archives.",
)
KEEP = flags.DEFINE_bool("keep_archives", False, "Keeps the zips when they are unpacked.")
MIRROR = flags.DEFINE_string(
    "mirror",
    os.environ.get("ASD_JAX_MIRROR", ""),
    "Address that stands for https://zenodo.org and https://raw.githubusercontent.com, with the "
    "same paths below; the default is $ASD_JAX_MIRROR.",
)


def main(argv: Sequence[str]) -> int:
    """Fetches the data set `argv[1]`, or checks a folder."""
    if CHECK.value:
        return max([check_folder(pathlib.Path(root).expanduser()) for root in CHECK.value])
    from asd_jax.data.download.records import DATA_SETS, Source

    if len(argv) != 2 or argv[1] not in DATA_SETS:
        given = " ".join(argv[1:]) or "nothing"
        raise UserError(f"give one data set of {', '.join(DATA_SETS)}, not {given}.")
    data = DATA_SETS[argv[1]]
    root = pathlib.Path(DIR.value or os.path.join("data", data.name)).expanduser()
    fetch(data, root, Source(MIRROR.value))
    return 0


def chosen_parts(data: Any) -> list[str]:
    """Returns the parts that --snr and --parts ask for, as `records.choose`; empty for all.

    Raises:
        UserError: the data set is not chosen from by such a flag.
    """
    if data.name == "mimii":
        if PARTS.value:
            raise UserError("--parts is not for mimii; it is chosen from by --snr and --machines.")
        return SNR.value or ["0"]
    if SNR.value:
        raise UserError(f"--snr is for mimii only; {data.name} is chosen from by --parts.")
    return [] if "all" in PARTS.value else PARTS.value or ["dev"]


def fetch(data: Any, root: pathlib.Path, source: Any) -> None:
    """Fetches what the flags choose of a data set into `root`.

    Args:
        data: `records.DataSet`.
        root: the folder; what is there already is not fetched again.
        source: `records.Source`.

    Raises:
        UserError: the folder holds another data set.
    """
    from asd_jax.data.download import job, manifest, records

    parts = chosen_parts(data)
    archives, lists = records.choose(data, parts=parts, machines=MACHINES.value)
    notes = manifest.Manifest(root)
    if notes.data not in ("", data.name):
        raise UserError(f"{root} holds {notes.data}; give {data.name} another --dir.")
    if notes.licence != data.licence:
        records.accept_licence(data, accepted=ACCEPT.value)
    zips = pathlib.Path(ARCHIVES.value or root / manifest.ARCHIVES).expanduser()
    with manifest.alone_in(root):
        notes = manifest.Manifest(root)
        notes.begin(data.name, data.licence)
        todo = [archive for archive in archives if not notes.done(archive.name)]
        todo = records.complete_facts(todo, source)
        job.need_room(root, todo, zips=zips, keep=KEEP.value)
        say_plan(root, todo, len(archives))
        for truth in lists:
            job.fetch_list(truth, root, source)
        for archive in todo:
            job.fetch_archive(archive, root, source, notes, zips=zips, keep=KEEP.value)
    print(f"{data.title} is in {root}. To train and evaluate:\n  {training(data, root, parts)}")


def say_plan(root: pathlib.Path, todo: Sequence[Any], total: int) -> None:
    """Prints how much is to be downloaded."""
    from asd_jax.files import free_bytes
    from asd_jax.naming import size_text

    known = [archive.size for archive in todo if archive.size]
    size = size_text(sum(known)) if len(known) == len(todo) else "of a size not yet known"
    if todo:
        print(
            f"{len(todo)} of {total} archives to get, {size}; {size_text(free_bytes(root))} are "
            f"free in {root}.",
            file=sys.stderr,
        )


def training(data: Any, root: pathlib.Path, parts: Sequence[str]) -> str:
    """The command that trains on what was fetched."""
    command = f"python -m asd_jax.main --config=configs/ensemble.py:{data.name}"
    command += f" --config.data.root={shlex.quote(str(root))}"
    if data.name == "mimii" and list(parts) != ["0"]:
        levels = ", ".join(repr(level) for level in parts)
        command += f' --config.data.snr="({levels},)"'
    if data.name != "mimii" and ("additional" in parts or not parts):
        command += " --config.data.use_additional"
    return command


def check_folder(root: pathlib.Path) -> int:
    """Prints what lies in a folder; 1 if something in it is incomplete."""
    from asd_jax.data.download.manifest import check

    lines, whole = check(root)
    print("\n".join(lines))
    return 0 if whole else 1


if __name__ == "__main__":
    commands.run(main)
