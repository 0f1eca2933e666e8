"""MIMII (Purohit et al., DCASE 2019; record 3384388): `<type>/id_XX/{normal,abnormal}/*.wav`.

Around that, people keep the three noise levels apart in their own ways: `6_dB_fan/fan/...`,
`6_dB_fan/id_00/...`, `6_dB/fan/...`, `min6dB/fan/...` (the official baseline), or not at all.
"""

import pathlib
import re

from absl import logging

from asd_jax.data.layouts.files import Found, Wanted, audio_files
from asd_jax.data.table import ANOMALY, NORMAL, Clip
from asd_jax.errors import UserError

_LEVEL = re.compile(r"(-6|min6|minus6|0|6|\+6)_?dB(?:[_-](.+))?", re.IGNORECASE)
_SNR = {"-6": "-6", "min6": "-6", "minus6": "-6", "0": "0", "6": "6", "+6": "6"}
_LABELS = {"normal": NORMAL, "abnormal": ANOMALY}
_EXPECTED = "<type>/id_XX/{normal,abnormal}/*.wav, as the MIMII archives unpack"


def read_mimii(root: pathlib.Path, wanted: Wanted) -> list[Clip]:
    """Reads MIMII at any of its noise levels; `split` stays open, for a split rule to fill.

    Raises:
      UserError: no clip is in the expected place, or none has the wanted SNR.
    """
    for level in wanted.snr:
        if level not in ("6", "0", "-6"):
            raise UserError(f"config.data.snr names {level!r}; MIMII has '6', '0' and '-6'.")
    names = (root.resolve().parent.name, root.resolve().name)
    clips = [c for c in (_clip(file, names) for file in audio_files(root)) if c]
    if not clips:
        raise UserError(f"No recording in {root} lies where MIMII has it: {_EXPECTED}.")
    return _of_levels(clips, wanted.snr, root)


def _clip(file: Found, root_names: tuple[str, str]) -> Clip | None:
    folders = (*root_names, *file.folders)
    if len(folders) < 4 or folders[-1].lower() not in _LABELS:
        return None
    machine_id = re.fullmatch(r"id_(\w+)", folders[-2], re.IGNORECASE)
    if not machine_id:
        return None
    machine_type, snr = folders[-3], ""
    for name in folders[:-2]:
        if level := _LEVEL.fullmatch(name):
            snr = _SNR[level[1].lower()]
    if level := _LEVEL.fullmatch(machine_type):
        machine_type = level[2] or machine_type
    label = _LABELS[folders[-1].lower()]
    return Clip(file.path, machine_type, machine_id[1], "", label, snr=snr)


def _of_levels(clips: list[Clip], wanted: tuple[str, ...], root: pathlib.Path) -> list[Clip]:
    if not wanted:
        return clips
    kept = [clip for clip in clips if clip.snr in wanted or not clip.snr]
    if not kept:
        present = ", ".join(sorted({clip.snr for clip in clips}))
        raise UserError(f"{root} holds MIMII at {present} dB, not at {', '.join(wanted)} dB.")
    if any(not clip.snr for clip in kept):
        logging.warning(
            "No folder name in or above %s tells the SNR (such as 6_dB_fan or min6dB): the clips "
            "are taken as they are.",
            root,
        )
    return kept
