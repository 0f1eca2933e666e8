"""A zip of recordings into folders, file by file, so that any interruption is gone on from.

A file that bears its name is whole. Recordings of eight microphones are reduced to the first one in
memory: they never lie on the disk.
"""

import collections
import contextlib
import errno
import io
import lzma
import pathlib
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from asd_jax.data.download.transfer import writing
from asd_jax.errors import UserError, detail
from asd_jax.files import free_bytes, replacing
from asd_jax.naming import printable, size_text

_SPARE = 64 << 20  # for folders and what else writes there
# What zipfile, and the decoders below it, raise on bytes that are no archive.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)
_LONGEST = 1 << 30  # bytes of a recording that is reduced in memory; MIMII's have 2.6 MB


class DamagedArchiveError(UserError):
    """An archive that can't be unpacked: it came damaged, or it is not an archive."""


class _Member(NamedTuple):
    info: zipfile.ZipInfo
    target: pathlib.Path


def unpack(
    archive: pathlib.Path,
    into: pathlib.Path,
    machine: str,
    *,
    mono: bool = False,
    progress: Any = None,
) -> dict[pathlib.Path, int]:
    """Unpacks the recordings of one machine type to `into/<machine>/...`.

    Args:
        archive: the zip.
        into: the folder; what lies there whole from an earlier run is kept.
        machine: the machine type; folders of the zip above one of that name are left out.
        mono: keep the first channel of each recording only.
        progress: wraps the sequence of members, as tqdm does.

    Returns:
        how many files of the archive lie in each folder.

    Raises:
        DamagedArchiveError: it is not a zip, or a member is broken.
        UserError: a member would leave the folder; the disk is full.
    """
    with _opened(archive) as zipped:
        members = list(_members(zipped, archive, into, machine))
        todo = [member for member in members if not _is_whole(member, mono)]
        _need_room(archive, into, todo, mono)
        with writing(into):
            for member in progress(todo) if progress else todo:
                _write(zipped, member, mono, archive)
    return dict(collections.Counter(member.target.parent for member in members))


@contextlib.contextmanager
def _opened(archive: pathlib.Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(archive) as zipped:
            yield zipped
    except _DAMAGE as error:
        raise _damaged(archive, error) from error
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise _damaged(archive, error) from error


def _damaged(archive: pathlib.Path, error: Exception) -> DamagedArchiveError:
    return DamagedArchiveError(f"{archive} is damaged or no zip ({detail(error)})")


def _members(
    zipped: zipfile.ZipFile, archive: pathlib.Path, into: pathlib.Path, machine: str
) -> Iterator[_Member]:
    for info in zipped.infolist():
        path = info.filename.replace("\\", "/")
        parts = tuple(part for part in path.split("/") if part not in ("", "."))
        strange = path.startswith("/") or ".." in parts or ":" in path
        if strange or stat.S_ISLNK(info.external_attr >> 16):
            raise UserError(
                f"{archive} holds {info.filename!r}, which leads out of its folder: it is no "
                "archive to trust, and nothing of it was unpacked."
            )
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
        if info.is_dir() or path.endswith("/") or hidden or not parts:
            continue
        below = parts[parts.index(machine) + 1 :] if machine in parts[:-1] else parts
        yield _Member(info, into.joinpath(machine, *below))


def _kept_bytes(info: zipfile.ZipInfo, mono: bool) -> int:
    """Returns the most bytes that a member takes on the disk."""
    return info.file_size // 8 + 64 if mono and _is_wav(info) else info.file_size


def _is_wav(info: zipfile.ZipInfo) -> bool:
    return info.filename.lower().endswith(".wav")


def _is_whole(member: _Member, mono: bool) -> bool:
    if not member.target.is_file():
        return False
    size = member.target.stat().st_size
    if mono and _is_wav(member.info):
        # Files get their names when they are whole, but a power cut may leave one empty. The
        # headers of the eight-channel files take a few hundred bytes at most.
        return size >= (member.info.file_size - 4096) // 8 and size > 0
    return size == member.info.file_size


def _need_room(archive: pathlib.Path, into: pathlib.Path, todo: list[_Member], mono: bool) -> None:
    needed = sum(_kept_bytes(member.info, mono) for member in todo) + _SPARE * bool(todo)
    free = free_bytes(into)
    if needed > free:
        raise UserError(
            f"{archive.name} unpacks to {size_text(needed)} in {into}, where {size_text(free)} are "
            "free; make room there, and the same command goes on."
        )


def _write(zipped: zipfile.ZipFile, member: _Member, mono: bool, archive: pathlib.Path) -> None:
    target = member.target
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target, sync=False) as part, _seekable(archive, zipped, member) as source:
        if mono and _is_wav(member.info):
            data = source.read(_LONGEST + 1)
            if len(data) > _LONGEST:
                raise _damaged(archive, ValueError(f"{member.info.filename!r} is too long"))
            _write_first_channel(
                data, pathlib.Path(part), f"{printable(member.info.filename)} of {archive}"
            )
        else:
            with open(part, "wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)


def _seekable(archive: pathlib.Path, zipped: zipfile.ZipFile, member: _Member) -> Any:
    """A member to read; errors of its place in the archive are not taken for errors of the disk."""
    try:
        return zipped.open(member.info)
    except OSError as error:
        raise _damaged(archive, error) from error


def _write_first_channel(data: bytes, part: pathlib.Path, name: str) -> None:
    """Writes channel 0 of a wav as 16-bit PCM; the samples stay as they are."""
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            samples = file.read(dtype="int16", always_2d=True)
            rate = file.samplerate
    except (soundfile.SoundFileError, MemoryError, ValueError, RuntimeError, TypeError) as error:
        raise DamagedArchiveError(f"{name} is not a recording ({detail(error)})") from error
    wav = io.BytesIO()  # libsndfile would not tell a full disk from a broken recording
    soundfile.write(wav, samples[:, 0], rate, subtype="PCM_16", format="WAV")
    part.write_bytes(wav.getbuffer())
