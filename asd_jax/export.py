"""Writes a detector as one file: `python -m asd_jax.export --detector=RUN/detector --output=FILE`.

A waveform goes in; the score of every machine, its threshold and the decision come out. Front end,
networks, fusion, scorers and thresholds are inside. FILE ends in `.onnx` (onnxruntime), or in
`.stablehlo` or `.bin` (JAX alone). What was written is checked against the detector before it
takes its name; a file that differs is removed and the exit status is 1.
"""

import os
from collections.abc import Sequence
from typing import Any

from absl import flags

from asd_jax import commands
from asd_jax.errors import UserError

DETECTOR = flags.DEFINE_string("detector", None, "The folder `detector` of a finished run.")
OUTPUT = flags.DEFINE_string("output", None, "The file to write: .onnx, .stablehlo or .bin.")
PLATFORMS = flags.DEFINE_list(
    "platforms", ["cpu", "cuda", "tpu"], "Where a .stablehlo or .bin file will run."
)
MACHINE = flags.DEFINE_string("machine", None, "TYPE/ID of the only machine wanted; default: all.")
INPUT = flags.DEFINE_enum(
    "input", "float32", ["float32", "int16"], "Samples that go in: float32 in [-1, 1], or int16."
)
PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    ["float32", "float16", "int8"],
    "Of the stored weights; the file computes in float32.",
)
CHECK = flags.DEFINE_multi_string(
    "check", [], "Recordings or folders to check the file on; may be given several times."
)


def main(argv: Sequence[str]) -> int:
    """Writes and checks the file; 1 if it is refused."""
    suffix = _suffix(OUTPUT.value)
    if not DETECTOR.value:
        raise UserError("give a detector: --detector=RUN/detector.")
    from asd_jax.deploy import files

    files.check_packages(suffix)
    unknown = sorted(set(PLATFORMS.value) - set(files.PLATFORMS))
    if unknown or not PLATFORMS.value:
        raise UserError(
            f"--platforms={','.join(PLATFORMS.value)}: known are {', '.join(files.PLATFORMS)}."
        )
    return export(
        DETECTOR.value,
        OUTPUT.value,
        machine=MACHINE.value,
        kind=INPUT.value,
        precision=PRECISION.value,
        platforms=PLATFORMS.value,
        # Of the rest of the command line, so that a shell's wildcard works too.
        check=[*CHECK.value, *argv[1:]],
    )


def export(
    folder: str,
    output: str,
    *,
    machine: str | None = None,
    kind: str = "float32",
    precision: str = "float32",
    platforms: Sequence[str] = ("cpu", "cuda", "tpu"),
    check: Sequence[str] = (),
) -> int:
    """Writes the detector in `folder` to `output` and says how it compares; see the flags.

    Returns:
        0, or 1 if the file differed from the detector and was removed.

    Raises:
        UserError: what a flag names cannot be.
    """
    from asd_jax.deploy import files, program
    from asd_jax.deploy.check import generated_clips, read_clips
    from asd_jax.detector import load_detector
    from asd_jax.score import chosen_machine

    detector = load_detector(folder)
    group = chosen_machine(machine, detector.groups)
    clips = read_clips(detector, check) if check else generated_clips(detector)
    commands.prepare_jax()
    made = program.make_program(detector, machine=group, kind=kind, precision=precision)
    suffix = _suffix(output)
    temporary = f"{output[: -len(suffix)]}.unchecked{suffix}"
    try:
        os.makedirs(os.path.dirname(os.path.abspath(output)), exist_ok=True)
        files.write(temporary, made, platforms)
        print(f"{output}: {os.path.getsize(temporary) / 1e6:.1f} MB; {_contents(made)}")
        if not _checked(detector, made, temporary, clips, platforms):
            return 1
        os.replace(temporary, output)
    except OSError as error:
        raise UserError(f"--output={output}: {error.strerror or error}.") from error
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
    return 0


def _suffix(output: str | None) -> str:
    suffix = os.path.splitext(output or "")[1]
    if suffix not in (".onnx", ".stablehlo", ".bin"):
        raise UserError("give a file to write: --output=FILE.onnx, FILE.stablehlo or FILE.bin.")
    return suffix


def _contents(made: Any) -> str:
    about = made.about
    text = (
        f"{about['input']} [batch, {about['samples']}] at {about['sample_rate']} Hz in, "
        f"{len(about['machines'])} machine(s) out: {', '.join(about['machines'])}."
    )
    if about["left_out"]:
        text += f" Left out, as they have no weight: {', '.join(about['left_out'])}."
    return text


def _checked(detector: Any, made: Any, path: str, clips: Any, platforms: Sequence[str]) -> bool:
    """Prints how the file compares with the live detector; False if it is refused."""
    import jax

    from asd_jax.deploy import check, files

    here = {"gpu": "cuda"}.get(jax.default_backend(), jax.default_backend())
    if not path.endswith(".onnx") and here not in platforms:
        print(f"Not checked: it was written for {', '.join(platforms)}, and this machine is {here}.")
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


def _tell_auc(detector: Any, made: Any, clips: Any, live: Any, found: Any) -> None:
    from asd_jax.deploy import check

    before = check.mean_auc(detector, made, clips, live)
    after = check.mean_auc(detector, made, clips, found)
    if before and after:
        print(
            f"Mean AUC on {before[1]} labelled clips: {after[0]:.4f}; the live detector: "
            f"{before[0]:.4f}."
        )


if __name__ == "__main__":
    commands.run(main)
