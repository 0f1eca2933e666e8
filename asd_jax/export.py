"""Writes a detector as one file: `python -m asd_jax.export --detector=RUN/detector --output=FILE`.

A waveform goes in; the score of every machine, its threshold and the decision come out. Front end,
networks, fusion, scorers and thresholds are inside. FILE ends in `.onnx` (onnxruntime), or in
`.stablehlo` or `.bin` (JAX alone). What was written is checked against the detector before it
takes its name; a file that differs is removed and the exit status is 1.
"""

from collections.abc import Sequence

from absl import flags

from asd_jax import commands
from asd_jax.errors import UserError

DETECTOR = flags.DEFINE_string(
    "detector", None, "The folder `detector` of a finished run.", allow_override=True
)
OUTPUT: flags.FlagHolder = flags.DEFINE_string(
    "output", None, "The file to write: .onnx, .stablehlo or .bin.", allow_override=True
)
PLATFORMS = flags.DEFINE_list(
    "platforms", ["cpu", "cuda", "tpu"], "Where a .stablehlo or .bin file will run."
)
MACHINE = flags.DEFINE_string(
    "machine", None, "TYPE/ID of the only machine wanted; default: all.", allow_override=True
)
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
    "check",
    [],
    "Recordings or folders to check the file on; may be given several times.",
    allow_override=True,
)


def main(argv: Sequence[str]) -> int:
    """Writes and checks the file; 1 if it is refused."""
    from asd_jax.deploy import suffix_of

    suffix_of(OUTPUT.value)
    if not DETECTOR.value:
        raise UserError("give a detector: --detector=RUN/detector.")
    from asd_jax.deploy.export import export

    return export(
        DETECTOR.value,
        OUTPUT.value,
        machine=MACHINE.value,
        kind=INPUT.value,
        precision=PRECISION.value,
        platforms=PLATFORMS.value,
        # Of the rest of the command line, so that a shell's wildcard works too.
        recordings=[*CHECK.value, *argv[1:]],
    )


if __name__ == "__main__":
    commands.run(main)
