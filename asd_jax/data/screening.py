"""Recordings that cannot be learned from, and data that contradict themselves.

Equal sound is found whatever its file is called and however it was stored: as decoded samples.
"""

from collections.abc import Sequence

import numpy as np
from absl import logging

from asd_jax.data import quality
from asd_jax.data.cache import CachedClips
from asd_jax.data.table import ANOMALY, NORMAL, Clip
from asd_jax.errors import UserError
from asd_jax.naming import first_few, printable


def screen(clips: Sequence[Clip], opened: CachedClips) -> list[Clip]:
    """The clips that can be used; says what it leaves out.

    Args:
      clips: whole recordings, before the split rule.
      opened: the same, decoded.

    Raises:
      UserError: most recordings hold no sound; one recording is both normal and abnormal, or both
        trained on and tested.
    """
    rows = opened.places
    dumb = {
        path: quality.no_sound(opened.clips[own[0]].quality)
        for path, own in rows.items()
        if all(quality.no_sound(opened.clips[k].quality) for k in own)
    }
    if dumb:
        path, why = next(iter(dumb.items()))
        say = f"{len(dumb)} of {len(rows)} recordings hold no sound, the first {path} ({why})"
        if 2 * len(dumb) > len(rows):
            raise UserError(
                f"{say}: is the microphone alive, and config.data.channel the right one?"
            )
        logging.warning("%s: they are left out.", say)
    kept = [clip for clip in clips if clip.path in rows and clip.path not in dumb]
    return _without_copies(kept, opened, rows)


def audible(opened: CachedClips) -> CachedClips:
    """Without the clips that hold no sound, as in the pauses of a long recording."""
    kept = [k for k, clip in enumerate(opened.clips) if not quality.no_sound(clip.quality)]
    return opened if len(kept) == len(opened) else opened.only(kept)


def _without_copies(
    clips: list[Clip], opened: CachedClips, rows: dict[str, list[int]]
) -> list[Clip]:
    alike: dict[tuple, list[Clip]] = {}
    for clip in clips:
        alike.setdefault((clip.group, opened.digests[clip.path]), []).append(clip)
    both, leaked, copies = [], [], []
    for same in alike.values():
        if len(same) > 1:
            first, *others = same
            sound = opened.waves.gather(rows[first.path])
            same = [first] + [
                clip
                for clip in others
                if np.array_equal(sound, opened.waves.gather(rows[clip.path]))
            ]
        pairs = [(one, other) for k, one in enumerate(same) for other in same[k + 1 :]]
        both += [pair for pair in pairs if {c.label for c in pair} == {NORMAL, ANOMALY}]
        leaked += [pair for pair in pairs if len({c.split == "test" for c in pair}) == 2]
        copies += [clip for clip in same[1:] if clip.split != "test"]
    _refuse("is in both normal and abnormal recordings", both)
    _refuse("is in both the training and the test", leaked)
    if copies:
        logging.warning(
            "%d recordings, the first %s, are copies of others: each sound counts once.",
            len(copies),
            copies[0].path,
        )
    dropped = {clip.path for clip in copies}
    return [clip for clip in clips if clip.path not in dropped]


def _refuse(what: str, pairs: list[tuple[Clip, Clip]]) -> None:
    if pairs:
        shown = [printable(f"{one.path} = {other.path}") for one, other in pairs]
        raise UserError(f"The same sound {what}: {first_few(shown, 3)}; remove one of each.")
