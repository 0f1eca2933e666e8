"""Fetches chosen archives one after the other: download, check, unpack, delete.

So the disk holds one archive at a time besides what is unpacked (or another disk does), and every
step that is done stays done: the same call goes on after any interruption.
"""

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from asd_jax.data.download import transfer
from asd_jax.data.download.extract import DamagedArchiveError, unpack
from asd_jax.data.download.manifest import ARCHIVES, NAME, Manifest
from asd_jax.data.download.records import Archive, Source, TruthList
from asd_jax.errors import UserError
from asd_jax.files import existing, free_bytes, sync_all
from asd_jax.naming import size_text

# Unpacked bytes for each byte of zip: MIMII has 8 channels of 320 kB in about 1.95 MB; the others'
# single channels are packed to about 0.8 of their size.
_UNPACKED = {True: 0.18, False: 1.4}


def need_room(
    root: pathlib.Path, archives: Sequence[Archive], *, zips: pathlib.Path, keep: bool
) -> None:
    """Refuses what would not fit, before anything is downloaded.

    Args:
        root: where the recordings go.
        archives: what is to be fetched, one after the other.
        zips: where the zips lie, on the same disk or another.
        keep: they stay there.

    Raises:
        UserError: the largest moment, an archive beside what is unpacked, is more than is free.
    """
    zipped = unpacked = most_zipped = most = 0.0  # bytes more than now
    for archive in archives:
        target = zips / archive.name
        part = transfer.size_of(transfer.part_of(target))
        # Of an archive that lies there, some is unpacked perhaps; `unpack` asks again, exactly.
        missing = 0 if target.exists() else max(archive.size - part, 0)
        adds = 0.0 if target.exists() else archive.size * _UNPACKED[archive.mono]
        most_zipped = max(most_zipped, zipped + missing)
        most = max(most, zipped + unpacked + missing + adds)
        zipped += missing if keep else -part
        unpacked += adds
    if on_one_disk(root, zips):
        _refuse_full(root, most, "--dir")
    else:
        _refuse_full(zips, most_zipped, "--archives")
        _refuse_full(root, unpacked, "--dir")


def on_one_disk(one: pathlib.Path, other: pathlib.Path) -> bool:
    """Whether two folders, which need not exist yet, share their free bytes."""
    return existing(one).stat().st_dev == existing(other).stat().st_dev


def _refuse_full(folder: pathlib.Path, needed: float, flag: str) -> None:
    free = free_bytes(folder)
    if needed > free:
        raise UserError(
            f"This needs {size_text(needed)} in {folder} at its fullest, where {size_text(free)} "
            f"are free; make room, give another {flag}, or fetch fewer --machines at a time."
        )


def fetch_archive(
    archive: Archive,
    root: pathlib.Path,
    source: Source,
    manifest: Manifest,
    *,
    zips: pathlib.Path,
    keep: bool,
) -> None:
    """Downloads one archive to `zips`, unless it lies there, unpacks it and deletes it.

    Raises:
        UserError: it can't be had, is not the published one, is damaged, or the disk is full.
    """
    zipped = zips / archive.name
    checksum = f"md5:{archive.md5}" if archive.md5 else manifest.hash_of(archive.name)
    if not zipped.exists():
        with _bytes_bar(archive, transfer.size_of(transfer.part_of(zipped))) as bar:
            transfer.download(
                source.url(archive),
                zipped,
                size=archive.size,
                checksum=checksum,
                patience=source.patience,
                bar=bar,
            )
    elif not manifest.hash_of(archive.name) and not transfer.matches(zipped, checksum):
        raise UserError(f"{zipped} is not the published file; remove it and try again.")
    if not checksum:
        print(f"{archive.name}: no checksum is published; {NAME} holds its own.", file=sys.stderr)
    manifest.note(
        archive.name,
        hash=checksum or f"md5:{transfer.hash_of(zipped, 'md5')}",
        size=zipped.stat().st_size,
    )
    folders = _unpack(archive, zipped, root, manifest)
    sync_all()
    manifest.note(archive.name, folders=folders)
    if not keep:
        zipped.unlink()
        if zips == root / ARCHIVES and not any(zips.iterdir()):
            zipped.parent.rmdir()


def _unpack(
    archive: Archive, zipped: pathlib.Path, root: pathlib.Path, manifest: Manifest
) -> dict[str, int]:
    def bar(members: Sequence[Any]) -> Any:
        return _bar(members, desc=f"unpacking {archive.name}", unit="file")

    try:
        counts = unpack(
            zipped, root / archive.folder, archive.machine, mono=archive.mono, progress=bar
        )
    except DamagedArchiveError as error:
        zipped.unlink()
        if not archive.md5:  # what was pinned is the damage
            manifest.forget(archive.name)
        raise UserError(
            f"{error}; the archive was deleted, and the same command gets it anew."
        ) from error
    return {folder.relative_to(root).as_posix(): n for folder, n in sorted(counts.items())}


def fetch_list(truth: TruthList, root: pathlib.Path, source: Source) -> None:
    """Puts a list of labels into the root, where the readers of `data.layouts` look for it.

    Raises:
        UserError: it can't be had, or is not the published one.
    """
    target, checksum = root / truth.name, f"sha256:{truth.sha256}"
    if target.exists() and transfer.matches(target, checksum):
        return
    try:
        transfer.download(source.url(truth), target, checksum=checksum, patience=source.patience)
    finally:  # too small to be continued
        transfer.part_of(target).unlink(missing_ok=True)


def _bytes_bar(archive: Archive, begin: int) -> Any:
    return _bar(
        None,
        total=archive.size or None,
        initial=begin,
        desc=archive.name,
        unit="B",
        unit_scale=True,
        unit_divisor=1000,
    )


def _bar(work: Sequence[Any] | None, **settings: Any) -> Any:
    from tqdm import tqdm

    # In a log file a line now and then is enough.
    interval = 0.5 if sys.stderr.isatty() else 10.0
    return tqdm(work, mininterval=interval, dynamic_ncols=True, **settings)
