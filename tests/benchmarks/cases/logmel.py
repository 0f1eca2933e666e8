"""The front end against a librosa loop in two processes, and against torch.stft."""

import numpy as np

from tests.benchmarks.case import Case, Goal, Program, Results
from tests.benchmarks.workers import Variant

OURS = "tests.benchmarks.ours.logmel"
LIBROSA = "tests.benchmarks.reference.librosa_logmel"
TORCH = "tests.benchmarks.reference.logmel"
ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def check(program: str, results: Results) -> list[str]:
    """How far the spectrograms are apart."""
    ours = results.get("ours", {}).get("level")
    if ours is None:
        return []
    apart = [
        f"{np.abs(ours - found['level']).max():.1e} dB from {name}"
        for name, found in results.items()
        if name != "ours"
    ]
    return [f"{program}: ours is at most {', '.join(apart)}."] if apart else []


CASE = Case(
    title="Log-mel, 32 clips of 10 s, 224 bands",
    programs=(
        Program("both channels", {"batch": 32, "channels": 2}, clips=32, quick=True),
        Program("power alone", {"batch": 32, "channels": 1}, clips=32),
    ),
    variants=(
        Variant("ours", OURS),
        Variant("ours, glibc's defaults", OURS, {"allocator": "default"}),
        Variant("librosa, 2 processes", LIBROSA, {"processes": 2}, environment=ALONE),
        Variant("torch.stft", TORCH, torch=True),
        Variant("torch.stft, glibc's defaults", TORCH, {"allocator": "default"}, torch=True),
    ),
    goals=(
        Goal(("librosa, 2 processes",), 3.0, 5.0),
        Goal(("torch.stft",), 1.5, 2.0),
    ),
    quick=("librosa, 2 processes", "torch.stft"),
    check=check,
)
