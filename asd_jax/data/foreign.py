"""Recordings that libsndfile does not read, as phones make them: through ffmpeg, where it is.

ffmpeg is the program on the path, or that of the package imageio-ffmpeg (the extra `phone`).
"""

import contextlib
import functools
import importlib
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence

# The demuxer of each ending: ffmpeg must not guess, or a text file could name other files to read.
DEMUXERS = {
    **dict.fromkeys((".m4a", ".m4b", ".mp4", ".mov", ".3gp", ".3ga"), "mov"),
    **dict.fromkeys((".webm", ".weba", ".mka", ".mkv"), "matroska"),
    **dict.fromkeys((".amr", ".awb"), "amr"),
    **{".aac": "aac", ".wma": "asf", ".ac3": "ac3", ".wv": "wv", ".ape": "ape", ".spx": "ogg"},
}
# Of endings that libsndfile reads, but not with every encoding inside: an iPhone's AAC in CAF.
OTHERS = {".caf": "caf", ".oga": "ogg", ".ogg": "ogg", ".wav": "wav", ".wave": "wav"}
_PATIENCE = 60.0  # s that decoding may take, and
_SLOWEST = 1e5  # bytes a second beyond them


@functools.cache
def ffmpeg() -> str | None:
    """The program, or None."""
    if found := shutil.which("ffmpeg"):
        return found
    try:
        return importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        return None


def ending(name: str) -> str:
    """The ending of a file's name, lower-case with its dot."""
    return os.path.splitext(name)[1].lower()


def ignored(paths: Sequence[str]) -> str:
    """One sentence with the recordings among `paths` that need ffmpeg where it is not; else ''."""
    if ffmpeg():
        return ""
    kinds = Counter(kind for path in paths if (kind := ending(path)) in DEMUXERS)
    if not kinds:
        return ""
    counts = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    first = next(path for path in paths if ending(path) in DEMUXERS)
    return (
        f"Recordings are left out that need ffmpeg ({counts}, the first {first}): pip install "
        f"imageio-ffmpeg, or convert each by: ffmpeg -i FILE{ending(first)} FILE.wav"
    )


@contextlib.contextmanager
def converted(path: str, longest: float) -> Iterator[str]:
    """A temporary Wave64 file of a recording's sound, at its rate and with its channels.

    Args:
        path: of a file with an ending of `DEMUXERS` or `OTHERS`.
        longest: seconds of sound at most; a second more is converted, so that it shows.

    Raises:
        RuntimeError: with ffmpeg's reason, or because there is none.
    """
    program = ffmpeg()
    if program is None:
        kind = ending(path)
        raise RuntimeError(
            f"{kind} needs ffmpeg: pip install imageio-ffmpeg, or convert it by: "
            f"ffmpeg -i FILE{kind} FILE.wav"
        )
    with tempfile.TemporaryDirectory() as folder:
        target = os.path.join(folder, "sound.w64")
        call = [program, "-nostdin", "-v", "error", "-protocol_whitelist", "file"]
        call += ["-f", (DEMUXERS | OTHERS)[ending(path)], "-i", "file:" + os.path.abspath(path)]
        call += [
            "-map",
            "0:a:0",
            "-t",
            f"{longest + 1:g}",
            "-c:a",
            "pcm_s16le",
            "-f",
            "w64",
            target,
        ]
        limit = _PATIENCE + os.path.getsize(path) / _SLOWEST
        done = subprocess.run(call, capture_output=True, timeout=limit, check=False)
        if done.returncode:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason"]
            raise RuntimeError(lines[-1].split("] ")[-1].rstrip("."))
        yield target
