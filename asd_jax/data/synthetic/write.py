"""Writes a set of synthetic machines as 16-bit wav files in MIMII's folders."""

import csv
import dataclasses
import json
import os
import pathlib
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Int16

from asd_jax.data.synthetic import render
from asd_jax.data.synthetic.settings import SyntheticMachines
from asd_jax.data.synthetic.version2 import render as render2
from asd_jax.errors import UserError
from asd_jax.files import replacing, sync_all, write_json

MARKER = "synthetic.json"
GROUND_TRUTH = "ground_truth.csv"
PHYSICS = {1: render, 2: render2}  # by version
ClipPlan = render.ClipPlan | render2.ClipPlan


def write_machines(
    root: str | os.PathLike[str], settings: SyntheticMachines, *, progress: bool = False
) -> None:
    """Writes a set: `root/<snr>_dB_<type>/<id>/{normal,abnormal}/00000000.wav`.

    Version 2 names severity and fault in the name: `abnormal/00000004_medium_rubbing.wav`.

    Beside it lie `synthetic.json` (settings, version, whether complete) and `ground_truth.csv`
    (what was drawn for each clip: for analysis only). A complete set with the same settings is left
    as it is; one that was interrupted is continued; the bytes depend on the settings alone.

    Args:
        root: Folder of the set; made if it is missing.
        settings: What to synthesise.
        progress: Show a progress bar.

    Raises:
        UserError: `root` holds a set of other settings or version, or other recordings.
    """
    folder = pathlib.Path(root)
    if _is_complete(folder, settings):
        return
    folder.mkdir(parents=True, exist_ok=True)
    _write_marker(folder, settings, complete=False)
    plans = list(_plans(settings))
    _write_ground_truth(folder / GROUND_TRUTH, plans)
    # Threads: the FFTs and the random numbers release the interpreter's lock, and nothing is shared
    # between clips, so the order in which they finish does not matter.
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        work = pool.map(lambda plan: _write_clip(folder, settings, plan), plans)
        if progress:
            from tqdm import tqdm

            work = tqdm(work, total=len(plans), desc=f"synthetic machines to {folder}")
        for _ in work:
            pass
    _write_marker(folder, settings, complete=True)


def clip_path(snr: int, plan: ClipPlan) -> pathlib.PurePath:
    """Path of a clip below the root of its set."""
    folder = pathlib.PurePath(f"{snr}_dB_{plan.machine_type}", plan.machine_id, plan.label)
    return folder / f"{plan.number:08d}{plan.suffix}.wav"


def _plans(settings: SyntheticMachines) -> Iterator[ClipPlan]:
    for machine_type in settings.types:
        for machine_id in settings.ids:
            for label, count in (("normal", settings.normal), ("abnormal", settings.abnormal)):
                for number in range(count):
                    yield PHYSICS[settings.version].plan_clip(
                        settings, machine_type, machine_id, label, number
                    )


def _write_clip(folder: pathlib.Path, settings: SyntheticMachines, plan: ClipPlan) -> None:
    missing = [snr for snr in settings.snr if not (folder / clip_path(snr, plan)).exists()]
    if not missing:
        return
    recording = PHYSICS[settings.version].render_clip(settings, plan)
    for snr in missing:
        path = folder / clip_path(snr, plan)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_wave(path, render.mix(recording, snr), settings.sample_rate)


def _write_wave(
    path: pathlib.Path, sound: Int16[np.ndarray, "samples channels"], sample_rate: int
) -> None:
    with replacing(path, sync=False) as part, wave.open(part, "wb") as file:
        file.setnchannels(sound.shape[1])
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(sound.astype("<i2").tobytes())


def _write_ground_truth(path: pathlib.Path, plans: list[ClipPlan]) -> None:
    with (
        replacing(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        head = ("machine_type", "machine_id", "label", "number", "fault", "severity")
        head += ("kind", "quantity") if plans and hasattr(plans[0], "kind") else ()
        writer.writerow((*head, "run", "placement", "scene", "unit"))
        for plan in plans:
            drawn = (plan.state, plan.placement, plan.scene, plan.unit)
            texts = [json.dumps(_plain(dataclasses.asdict(part))) for part in drawn]
            writer.writerow([getattr(plan, field) for field in head] + texts)


def _plain(value: object) -> object:
    """Python values that JSON knows: no NumPy numbers, no infinities (an absent sound is null)."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 6) if np.isfinite(value) else None
    return value


def _is_complete(folder: pathlib.Path, settings: SyntheticMachines) -> bool:
    """Whether the set is there; refuses a folder that holds anything else."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: name a folder for the synthetic machines.")
    marker = folder / MARKER
    if not marker.exists():
        if folder.is_dir() and any(folder.rglob("*.wav")):
            raise UserError(
                f"{folder} holds wav files but no {MARKER}: "
                "name an empty folder for the synthetic machines."
            )
        return False
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
        old = {**found["settings"], "version": found["version"]}
        complete = bool(found["complete"])
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{marker} is damaged: delete the folder {folder} or name another."
        ) from None
    new = {**_described(settings), "version": settings.version}
    differences = [
        f"{field} {old.get(field)!r} there and {new.get(field)!r} wished"
        for field in sorted(old.keys() | new.keys())
        if old.get(field) != new.get(field)
    ]
    if differences:
        raise UserError(
            f"{folder} holds synthetic machines of other settings ({'; '.join(differences)}): "
            "name another folder or delete this one."
        )
    return complete


def _described(settings: SyntheticMachines) -> dict[str, object]:
    values = json.loads(json.dumps(dataclasses.asdict(settings)))
    del values["version"]  # has a place of its own in the marker
    return values


def _write_marker(folder: pathlib.Path, settings: SyntheticMachines, *, complete: bool) -> None:
    if complete:
        sync_all()
    content = {"version": settings.version, "complete": complete, "settings": _described(settings)}
    write_json(folder / MARKER, content)
