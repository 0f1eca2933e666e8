"""What the header of an uncompressed recording says of its sound, and what the file bears out.

libsndfile passes over headers that announce more than there is, and believes those that a recorder
never finished. Read here: RIFF and RF64/BW64 (EBU Tech 3306), Sony Wave64, AIFF and AIFF-C, CAF
(Apple Core Audio Format specification 1.0) and AU; RIFF and AU in both byte orders. Of Ogg (RFC
3533) and of MP3 with a Xing header, whether the end is there.
"""

import io
import os
import struct
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

_SIZE_UNKNOWN = 0x7FFFF000  # data sizes from here on are what programs write into a pipe
_NEVER = 2**62  # the same of 64 bits
_WRAP = 2**32  # a 32-bit size field starts again from 0
_STALE = 8192  # bytes behind the announced end that may be sound of a header that was filled in
_LARGEST_PAGE = 65307  # bytes of Ogg
_MOST_CHUNKS = 1000  # that are looked at for the one with the sound


class Sound(NamedTuple):
    """The bytes of the samples.

    Attributes:
        missing: bytes that the header announces and the file does not have.
        unfinished: the header says that there is none, or less than there is: it was never filled
            in, or not for the last time.
        wrapped: the announced size lost a multiple of 4 GB.
        repairs: (position, bytes) that make a header that libsndfile reads to the end.
    """

    available: int
    missing: int = 0
    unfinished: bool = False
    wrapped: bool = False
    repairs: tuple[tuple[int, bytes], ...] = ()


class _Chunk(NamedTuple):
    kind: bytes
    field: int  # where its size stands
    size: int
    begin: int  # where its content begins


def find_sound(file: BinaryIO) -> Sound | None:
    """The sound of a file by its header; None where it is not such a format or has no sound."""
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(40)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return _riff(file, head, end, ">" if head[:4] == b"RIFX" else "<")
    if head[:4] == b"riff" and head[24:28] == b"wave":
        chunk = _find(_chunks(file, 40, "<16sQ", pad=8, counted=24), b"data")
        if chunk is None:
            return None
        repairs = ((16, _little(end)), (chunk.field, _little(end - chunk.begin + 24)))
        sound = chunk if chunk.size < _NEVER else chunk._replace(size=-1)
        return _sound(file, sound, end, repairs, outer=struct.unpack("<Q", head[16:24])[0])
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _aiff(file, head, end)
    if head[:4] == b"caff":
        chunk = _find(_chunks(file, 8, ">4sq"), b"data")
        if chunk is None:
            return None
        begin = chunk.begin + 4  # after a count of edits
        sound = chunk._replace(begin=begin, size=chunk.size if chunk.size < 4 else chunk.size - 4)
        repairs = ((chunk.field, struct.pack(">q", max(end - chunk.begin, 0))),)
        found = _sound(file, sound, end, repairs)
        # libsndfile refuses one that is cut off, or whose length is open.
        return found._replace(repairs=repairs) if found.missing or chunk.size < 0 else found
    if head[:4] in (b".snd", b"dns.") and len(head) >= 12:
        begin, size = struct.unpack(">II" if head[:4] == b".snd" else "<II", head[4:12])
        chunk = _Chunk(b"data", 8, -1 if size == 0xFFFFFFFF else size, begin)
        return _sound(file, chunk, end, ((8, b"\xff" * 4),))
    return _ogg(file, end) if head[:4] == b"OggS" else _mpeg(file, head, end)


class Repaired:
    """A file with other bytes in a few places, as `soundfile` reads one that is not a path."""

    def __init__(
        self, file: io.BufferedIOBase | io.RawIOBase, repairs: tuple[tuple[int, bytes], ...]
    ):
        """Args: open for reading; see `Sound.repairs`."""
        self._file, self._repairs = file, repairs
        self.seek, self.tell = file.seek, file.tell

    def readinto(self, buffer: Any) -> int:
        """Fills the buffer from here on; the number of bytes that there were."""
        begin = self._file.tell()
        end = begin + self._file.readinto(buffer)
        for position, data in self._repairs:
            first, last = max(position, begin), min(position + len(data), end)
            if first < last:
                buffer[first - begin : last - begin] = data[first - position : last - position]
        return end - begin


def _sound(
    file: BinaryIO,
    chunk: _Chunk,
    end: int,
    repairs: tuple[tuple[int, bytes], ...],
    outer: int | None = None,
) -> Sound:
    """Args: the file; chunk of the sound; the file's length; repairs; what that should be."""
    available = max(end - chunk.begin, 0)
    if chunk.size < 0:
        return Sound(available)
    if chunk.size == 0 and available and outer != end:
        return Sound(available, unfinished=True, repairs=repairs)
    if available - chunk.size > _STALE and _goes_on(file, chunk.begin + chunk.size):
        return Sound(available, unfinished=True, repairs=repairs)
    return Sound(min(available, chunk.size), missing=max(chunk.size - available, 0))


def _goes_on(file: BinaryIO, end: int) -> bool:
    """Whether sound goes on at its announced end: there is no chunk, no tag and no empty space."""
    file.seek(end + end % 2)
    found = file.read(4)
    return any(found) and not all(ord(" ") < letter < 127 for letter in found[:3])


def _riff(file: BinaryIO, head: bytes, end: int, order: str) -> Sound | None:
    """Args: the file; its first bytes; its length; the byte order of its numbers, as in struct."""
    chunks = list(_chunks(file, 12, order + "4sI", pad=2, last=b"data"))
    chunk = _find(chunks, b"data")
    if chunk is None:
        return None
    outer = struct.unpack(order + "I", head[4:8])[0] + 8
    wide = next((c for c in chunks if c.kind == b"ds64" and c.size >= 16), None)
    if head[:2] != b"RI" and wide:
        file.seek(wide.begin)
        outer, size = struct.unpack("<QQ", file.read(16))
        repairs = ((wide.begin, _little(end - 8) + _little(max(end - chunk.begin, 0))),)
        return _sound(file, chunk._replace(size=size), end, repairs, outer + 8)
    available = end - chunk.begin
    # With these, libsndfile takes all that follows for sound.
    sizes = (8, 0) if order == "<" else (min(end - 8, _WRAP - 1), min(available, _WRAP - 1))
    outer_field, field = (struct.pack(order + "I", size) for size in sizes)
    repairs = ((4, outer_field), (chunk.field, field))
    if available - chunk.size >= _WRAP:
        whole = chunk.size + (available - chunk.size) // _WRAP * _WRAP
        return Sound(whole, wrapped=True, repairs=repairs)
    if chunk.size >= _SIZE_UNKNOWN and chunk.size > available:
        return Sound(available)
    return _sound(file, chunk, end, repairs, outer)


def _aiff(file: BinaryIO, head: bytes, end: int) -> Sound | None:
    chunks = list(_chunks(file, 12, ">4sI", pad=2, last=b"SSND"))
    chunk = _find(chunks, b"SSND")
    about = next((c for c in chunks if c.kind == b"COMM" and c.size >= 8), None)
    if chunk is None or about is None:
        return None
    file.seek(about.begin)
    channels, frames, bits = struct.unpack(">hIh", file.read(8))
    frame = max(channels, 1) * max((bits + 7) // 8, 1)
    begin = chunk.begin + 8  # after an offset and a block size
    count = max(end - begin, 0) // frame
    repairs = (
        (about.begin + 2, struct.pack(">I", min(count, 0xFFFFFFFF))),
        (chunk.field, struct.pack(">I", min(8 + count * frame, 0xFFFFFFFF))),
    )
    sound = chunk._replace(begin=begin, size=max(chunk.size - 8, 0) if frames else 0)
    return _sound(file, sound, end, repairs, struct.unpack(">I", head[4:8])[0] + 8)


def _ogg(file: BinaryIO, end: int) -> Sound | None:
    """Whether the last page of an Ogg file is whole."""
    begin = max(end - _LARGEST_PAGE, 0)
    file.seek(begin)
    data = file.read(_LARGEST_PAGE)
    page = data[data.rfind(b"OggS") :]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return Sound(end, missing=1 + len(page)) if page[:4] == b"OggS" else None
    size = 27 + page[26] + sum(page[27 : 27 + page[26]])
    return Sound(end, missing=max(size - len(page), 0))


def _mpeg(file: BinaryIO, head: bytes, end: int) -> Sound | None:
    """What the Xing header in the first frame of an MP3 says, behind a tag (ID3v2) if need be."""
    begin = 0
    if head[:3] == b"ID3" and len(head) > 10:
        begin = 10 + sum((head[6 + k] & 127) << 7 * (3 - k) for k in range(4))
    file.seek(begin)
    frame = file.read(200)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if frame[:1] != b"\xff" or at < 0 or len(frame) < at + 16 or frame[at + 7] & 3 != 3:
        return None
    (size,) = struct.unpack(">I", frame[at + 12 : at + 16])
    return Sound(end - begin, missing=max(begin + size - end, 0))


def _chunks(
    file: BinaryIO, at: int, header: str, *, pad: int = 1, last: bytes = b"data", counted: int = 0
) -> Iterator[_Chunk]:
    """Chunks with a name and a size, to the one named `last`.

    Args:
        file: open for reading.
        at: where the first chunk begins.
        header: name and size, as in struct.
        pad: chunks begin at multiples of so many bytes after the first.
        last: four letters.
        counted: bytes of the header that the size counts too.
    """
    width = struct.calcsize(header)
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        found = file.read(width)
        if len(found) < width:
            return
        name, size = struct.unpack(header, found)
        size = max(size - counted, 0) if counted else size
        yield _Chunk(name[:4], at + len(name), size, at + width)
        if name[:4] == last or size < 0:
            return
        at += width + size + -size % pad


def _find(chunks: Iterable[_Chunk], kind: bytes) -> _Chunk | None:
    return next((chunk for chunk in chunks if chunk.kind == kind), None)


def _little(number: int) -> bytes:
    return struct.pack("<Q", number)
