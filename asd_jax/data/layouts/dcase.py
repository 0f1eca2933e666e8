"""DCASE Task 2 of 2020 to 2025 and MIMII DUE: `<type>/{train,test,...}/<telling name>.wav`.

Any folders may lie above the machine types (`dev_data/raw`, `eval_data/raw`, one per archive). The
evaluation sets carry no labels in their names; `ground_truth.py` finds them in the published lists.
"""

import functools
import os
import pathlib
import re
from collections.abc import Callable

from absl import logging

from asd_jax.data import foreign
from asd_jax.data.layouts.files import Found, Wanted, files_below, is_audio
from asd_jax.data.layouts.ground_truth import Truth, Truths, read_truths
from asd_jax.data.table import ANOMALY, NORMAL, UNKNOWN, Clip
from asd_jax.errors import UserError

_LABELS = {"normal": NORMAL, "anomaly": ANOMALY}
# 'test_rename' holds copies of the evaluation clips under labelled names (official baselines).
_FOLDERS = {"train": "train", "test": "test", "source_test": "test", "target_test": "test"}
_FOLDERS["test_rename"] = "test"

# 2020: [normal_|anomaly_]id_01_00000000
_ID_NAME = re.compile(r"(?:(?P<label>normal|anomaly)_)?id_(?P<id>\d+)_\d+")
# 2021 on: section_00_source_train_normal_0000_attributes; section_03_source_test_0000 and
# section_00_0005 where the label is to be found out
_SECTION_NAME = re.compile(
    r"section_(?P<id>\d+)(?:_(?P<domain>source|target))?(?:_(?P<split>train|test))?"
    r"(?:_(?P<label>normal|anomaly))?_\d+(?:_(?P<attributes>.+))?"
)

_EVALUATION_IDS_2020 = {
    "toycar": ("05", "06", "07"),
    "toyconveyor": ("04", "05", "06"),
}
_EVALUATION_TYPES = {
    "dcase2023": "bandsaw grinder shaker ToyDrone ToyNscale ToyTank Vacuum",
    "dcase2024": "3DPrinter AirCompressor Scanner ToyCircuit HoveringDrone HairDryer ToothBrush "
    "RoboticArm BrushlessMotor",
    "dcase2025": "ToyRCCar ToyPet HomeCamera AutoTrash Polisher ScrewFeeder BandSealer "
    "CoffeeGrinder",
}


def is_evaluation(layout: str, machine_type: str, machine_id: str) -> bool:
    """Whether a machine belongs to the challenge's evaluation set; else to development.

    The two sets get separate official scores. Development is IDs 00, 02, 04, 06 (ToyCar 01-04,
    ToyConveyor 01-03) in 2020, sections 00-02 in 2021, 2022 and MIMII DUE, other machine types
    later.
    """
    if layout == "dcase2020":
        return machine_id in _EVALUATION_IDS_2020.get(machine_type.lower(), ("01", "03", "05"))
    if layout in _EVALUATION_TYPES:
        return machine_type.lower() in _EVALUATION_TYPES[layout].lower().split()
    return machine_id >= "03"


def read_dcase(layout: str, root: pathlib.Path, wanted: Wanted) -> list[Clip]:
    """Reads one year's clips. Without `use_additional`, only the development machines'.

    Raises:
      UserError: no recording, or none in the expected place under the expected name.
    """
    files = files_below(root)
    name = _ID_NAME if layout == "dcase2020" else _SECTION_NAME
    clips = [c for file in files if (c := _clip(file, name, root.resolve().name))]
    if not clips:
        raise UserError(f"No recording in {root} looks like {layout}: {_expected(layout)}.")
    _say_strangers(files, clips, root)
    if sentence := foreign.ignored([file.path for file in files]):
        logging.warning("%s", sentence)
    clips = _without_copies(clips)
    clips = _development(layout, clips, root, wanted.use_additional)
    if any(clip.label == UNKNOWN for clip in clips):
        year = "2021" if layout == "mimii_due" else layout[-4:]
        clips = _labelled(clips, read_truths(files, root, year, functools.partial(_truth, name)))
    return clips


def _expected(layout: str) -> str:
    name = "normal_id_XX_NNNNNNNN.wav"
    if layout != "dcase2020":
        name = "section_SS_{source,target}_{train,test}_{normal,anomaly}_NNNN[_attributes].wav"
    return f"<type>/{{train,test}}/{name} was expected"


def _clip(file: Found, name: re.Pattern, root_name: str) -> Clip | None:
    folders = (root_name, *file.folders)
    stem = os.path.splitext(file.name)[0]
    match = name.fullmatch(stem)
    if not is_audio(file.name) or not match or len(folders) < 2:
        return None
    split = _FOLDERS.get(folders[-1].lower())
    if split is None:
        return None
    parsed = match.groupdict()
    label = _LABELS.get(parsed["label"] or "", UNKNOWN)
    domain = parsed.get("domain") or folders[-1].lower().partition("_test")[0]
    return Clip(
        file.path,
        folders[-2],
        parsed["id"],
        split,
        label,
        domain=domain if domain in ("source", "target") else "",
        attributes=parsed.get("attributes") or "",
    )


def _truth(name: re.Pattern, labelled_name: str) -> Truth | None:
    """Parses a labelled name of any year: lists write it with and without '.wav'."""
    match = name.fullmatch(labelled_name.removesuffix(".wav"))
    if not match or not match["label"]:
        return None
    parsed = match.groupdict()
    return Truth(
        _LABELS[parsed["label"]], parsed.get("domain") or "", parsed.get("attributes") or ""
    )


def _without_copies(clips: list[Clip]) -> list[Clip]:
    """Leaves out the unlabelled clips of a test folder that has labelled copies beside it."""
    renamed = {
        os.path.dirname(os.path.dirname(clip.path))
        for clip in clips
        if os.path.basename(os.path.dirname(clip.path)).lower() == "test_rename"
    }
    return [
        clip
        for clip in clips
        if clip.label != UNKNOWN or os.path.dirname(os.path.dirname(clip.path)) not in renamed
    ]


def _development(
    layout: str, clips: list[Clip], root: pathlib.Path, use_additional: bool
) -> list[Clip]:
    if use_additional:
        return clips
    kept = [clip for clip in clips if not is_evaluation(layout, *clip.group)]
    if not kept:
        logging.info("%s holds no development machine: its evaluation machines are read.", root)
        return clips
    if len(kept) < len(clips):
        logging.info(
            "%d clips of evaluation machines in %s are left out (config.data.use_additional).",
            len(clips) - len(kept),
            root,
        )
    return kept


def _labelled(clips: list[Clip], truths: Truths) -> list[Clip]:
    known = []
    for clip in clips:
        key = (clip.machine_type.lower(), pathlib.Path(clip.path).stem.lower())
        truth = truths.get(key, Truth())
        if clip.label == UNKNOWN and clip.split == "test" and truth != Truth():
            fields = {**vars(clip), "label": truth.label, "attributes": truth.attributes}
            clip = Clip(**{**fields, "domain": clip.domain or truth.domain})
        known.append(clip)
    unknown = [clip for clip in known if clip.label == UNKNOWN]
    if unknown:
        logging.warning(
            "%d test clips, the first %s, have no label: they are scored but not evaluated. Put "
            "the challenge's eval_data_list.csv beside the data to label them.",
            len(unknown),
            unknown[0].path,
        )
    return known


def _say_strangers(files: list[Found], clips: list[Clip], root: pathlib.Path) -> None:
    read = {clip.path for clip in clips}
    rest = [f for f in files if is_audio(f.name) and f.path not in read]
    if rest:
        logging.warning(
            "%d recordings in %s, the first %s, are not named or placed as in the challenge: they "
            "are left out.",
            len(rest),
            root,
            rest[0].path,
        )


LAYOUTS: dict[str, Callable[[pathlib.Path, Wanted], list[Clip]]] = {
    layout: functools.partial(read_dcase, layout)
    for layout in (
        "dcase2020",
        "mimii_due",
        "dcase2021",
        "dcase2022",
        "dcase2023",
        "dcase2024",
        "dcase2025",
    )
}
