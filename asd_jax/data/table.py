"""One row of a clip table, and the little that is known of a table without decoding it."""

import dataclasses
import os
import unicodedata
from collections.abc import Sequence

NORMAL, ANOMALY, UNKNOWN = 0, 1, -1


@dataclasses.dataclass(frozen=True)
class Clip:
    """A recording, or a window of one, and what its name and folder say about it."""

    path: str
    machine_type: str
    machine_id: str
    split: str  # 'train' or 'test'; '' only while a layout leaves the choice to a split rule
    label: int  # NORMAL, ANOMALY or UNKNOWN
    domain: str = ""  # '', 'source' or 'target'
    snr: str = ""  # MIMII: '6', '0' or '-6' dB; '' where the folders don't say
    attributes: str = ""  # as written in the file name
    start: float = 0.0  # seconds into the recording
    windowed: bool = False
    seconds: float = 0.0  # length of the window; 0 for a whole recording
    quality: str = dataclasses.field(default="", compare=False)  # `data.quality.words`

    @property
    def name(self) -> str:
        """The path, with a media fragment (`path#t=10,20`, seconds) for a window."""
        if not self.windowed:
            return self.path
        return f"{self.path}#t={self.start:g},{self.start + self.seconds:g}"

    @property
    def group(self) -> tuple[str, str]:
        """The machine: `(machine_type, machine_id)`. One group is one scorer, one threshold."""
        return self.machine_type, self.machine_id


def recording_keys(clips: Sequence[Clip]) -> list[str]:
    """A name for each clip's recording that outlives a move of the data set, a string per clip.

    The name is the path below the folder that the clips of one machine (at one SNR) share, so
    windows of one recording have one key, and so have the three SNR versions of a MIMII recording:
    the same machine sound under different noise, which must never sit on both sides of a split.
    Unicode is composed, because macOS stores umlauts decomposed.
    """
    folders: dict[tuple[str, ...], list[str]] = {}
    for clip in clips:
        folders.setdefault((*clip.group, clip.snr), []).append(os.path.dirname(clip.path))
    shared = {key: _common_folder(names) for key, names in folders.items()}
    keys = []
    for clip in clips:
        below = os.path.relpath(clip.path, shared[(*clip.group, clip.snr)] or ".")
        keys.append("/".join([*clip.group, *unicodedata.normalize("NFC", below).split(os.sep)]))
    return keys


def _common_folder(folders: list[str]) -> str:
    try:
        return os.path.commonpath(set(folders))
    except ValueError:  # absolute and relative paths, or two drives: nothing is shared
        return ""
