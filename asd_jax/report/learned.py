"""What a detector has learned from and would hear: all that healthy recordings alone can tell."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asd_jax.report import media
from asd_jax.report.contents import MadeFault
from asd_jax.report.spectrogram import levels, sound_palette


def section(results: Mapping[str, Any], made: Sequence[MadeFault] = ()) -> dict[str, Any] | None:
    """What the page shows of the entry `learned` of results.json; None without it."""
    found = results.get("learned")
    if not found:
        return None
    rows = [
        (row["fault"], [(strength, f"{part} of {total}", part / total) for strength, part, total in
                        row["cells"]])
        for row in found["heard"]
    ]  # fmt: skip
    sentences, commands = found["sentences"], found["next"]
    return {"sentences": sentences, "heard": rows, "next": commands, "made": _made(made)}


def _made(made: Sequence[MadeFault]) -> list[dict[str, Any]]:
    """Pictures and sounds of made faults; one scale of colours and one of loudness for all."""
    if not made:
        return []
    low, high = np.quantile(made[0].spectrogram, [0.02, 0.999])
    high = max(high + 6.0, low + 12.0)  # so that what is added still finds room
    peak = max(int(np.abs(one.audio.astype(np.int32)).max(initial=1)) for one in made)
    found = []
    for one in made:
        shares = np.clip((np.nan_to_num(one.spectrogram, neginf=low) - low) / (high - low), 0, 1)
        found.append(
            {
                "fault": one.fault,
                "name": f"{one.fault}, {one.strength}" if one.fault else "the clip as it was",
                "heard": one.heard,
                "picture": media.png_uri(levels(shares)[::-1], sound_palette()),
                "audio": media.wav_uri(one.audio, one.sample_rate, peak=peak),
            }
        )
    return found


def at_a_glance(results: Mapping[str, Any]) -> list[str]:
    """How many of the strongest made faults it would hear, all kinds together."""
    rows = (results.get("learned") or {}).get("heard") or ()
    part, total = (sum(row["cells"][-1][k] for row in rows) for k in (1, 2))
    if not total:
        return []
    told = f"Of strong faults that the computer mixed into healthy clips it would hear {part} of "
    more = ": more healthy recordings, from other days, let it hear more"
    return [f"{told}{total}{more if 2 * part < total else ''}."]


def heard_sentences(results: Mapping[str, Any]) -> list[str]:
    """Of each kind of made fault, how often it would be heard at each strength."""
    found = results.get("learned") or {}
    told = []
    for row in found.get("heard", ()):
        cells = ", ".join(f"{part} of {total} at {how}" for how, part, total in row["cells"])
        told.append(f"{row['fault']}: {cells}")
    if not told:
        return []
    heard = "; ".join(told)
    return [f"Of faults that the computer mixed into healthy clips it would hear, {heard}."]
