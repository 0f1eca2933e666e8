"""From a detector's folder to one checked file."""

import os
from collections.abc import Sequence

import jax

from asd_jax import commands
from asd_jax.deploy import check, files, program, suffix_of
from asd_jax.detector import Detector, load_detector
from asd_jax.errors import UserError, WriteError
from asd_jax.files import check_writable, place, why
from asd_jax.live.recordings import chosen_machine
from asd_jax.naming import machine_names


def export(
    folder: str,
    output: str,
    *,
    machine: str | None = None,
    kind: str = "float32",
    precision: str = "float32",
    platforms: Sequence[str] = ("cpu", "cuda", "tpu"),
    recordings: Sequence[str] = (),
) -> int:
    """Writes the detector in `folder` to `output` and says how it compares; see `asd_jax.export`.

    Returns:
        0, or 1 if the file differed from the detector and was removed.

    Raises:
        UserError: what a flag names cannot be.
    """
    suffix = suffix_of(output)
    files.check_packages(suffix)
    unknown = sorted(set(platforms) - set(files.PLATFORMS))
    if unknown or not platforms:
        known = ", ".join(files.PLATFORMS)
        raise UserError(f"--platforms={','.join(platforms)}: known are {known}.")
    try:
        os.makedirs(os.path.dirname(os.path.abspath(output)), exist_ok=True)
        check_writable(output)
    except OSError as error:
        raise UserError(f"--output={output}: {why(error, output)}.") from error
    detector = load_detector(folder)
    group = chosen_machine(machine, detector.groups)
    clips = (
        check.read_clips(detector, recordings) if recordings else check.generated_clips(detector)
    )
    commands.prepare_jax()
    made = program.make_program(detector, machine=group, kind=kind, precision=precision)
    # Not `files.replacing`: what does not pass the check is not an error, and its suffix is read.
    temporary = f"{output[: -len(suffix)]}.unchecked{suffix}"
    try:
        files.write(temporary, made, platforms)
        print(f"{output}: {os.path.getsize(temporary) / 1e6:.1f} MB; {_contents(made)}")
        if not _checked(detector, made, temporary, clips, platforms):
            return 1
        place(temporary, output)
    except OSError as error:
        raise WriteError(f"--output={output}: {why(error, output)}.") from error
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
    return 0


def _contents(made: program.Program) -> str:
    about = made.about
    groups = [(*name.split("/", 1), "")[:2] for name in about["machines"]]
    machines = "1 machine" if len(groups) == 1 else f"{len(groups)} machines"
    text = (
        f"{about['input']} [batch, {about['samples']}] at {about['sample_rate']} Hz in, "
        f"{machines} out: {', '.join(machine_names(groups))}."
    )
    if about["left_out"]:
        text += f" Left out, as they have no weight: {', '.join(about['left_out'])}."
    return text


def _checked(
    detector: Detector,
    made: program.Program,
    path: str,
    clips: check.Clips,
    platforms: Sequence[str],
) -> bool:
    """Prints how the file compares with the live detector; False if it is refused."""
    here = {"gpu": "cuda"}.get(jax.default_backend(), jax.default_backend())
    if not path.endswith(".onnx") and here not in platforms:
        print(f"Not checked: it is for {', '.join(platforms)}, and this machine is {here}.")
        return True
    reader, _ = files.read(path)
    live = check.live_scores(detector, made, clips.waves)
    found = check.file_scores(reader, made, clips.waves)
    exact = made.about["precision"] == "float32"
    wanted = live if exact else check.traced_scores(made, clips.waves)
    away = check.difference(found, wanted)
    what = "the detector" if exact else f"the detector with {made.about['precision']} weights"
    print(f"Largest difference to {what}: {away:.2g}, on {len(clips.names)} clips.")
    if not away <= check.LIMIT:
        print(f"Refused: more than {check.LIMIT:g}. The file was removed.")
        return False
    if not exact:
        print(f"Largest difference to the full weights: {check.difference(found, live):.2g}.")
    _tell_auc(detector, made, clips, live, found)
    ours, theirs = check.latency(detector, reader, made, clips.waves[:1])
    print(f"One clip: {ours:.1f} ms; the live detector: {theirs:.1f} ms (medians, in turns).")
    return True


def _tell_auc(
    detector: Detector,
    made: program.Program,
    clips: check.Clips,
    live: check.ScoreTable,
    found: check.ScoreTable,
) -> None:
    before = check.mean_auc(detector, made, clips, live)
    after = check.mean_auc(detector, made, clips, found)
    if before and after:
        print(
            f"Mean AUC on {before[1]} labelled clips: {after[0]:.4f}; the live detector: "
            f"{before[0]:.4f}."
        )
