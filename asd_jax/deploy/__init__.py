"""A detector as one file for other programs: waveform in, scores and decisions out.

Here the kinds of files, by the ends of their names: no jax.
"""

import os

from asd_jax.errors import UserError

SUFFIXES = (".onnx", ".stablehlo", ".bin")


def suffix_of(path: str | None) -> str:
    """The suffix of a file to write; raises UserError where it is none of `SUFFIXES`."""
    suffix = os.path.splitext(path or "")[1]
    if suffix not in SUFFIXES:
        raise UserError("give a file to write: --output=FILE.onnx, FILE.stablehlo or FILE.bin.")
    return suffix
