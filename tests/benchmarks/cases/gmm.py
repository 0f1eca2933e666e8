"""A Gaussian mixture with full covariances against scikit-learn's: same start, same iterations."""

import numpy as np

from tests.benchmarks.case import Case, Goal, Program, Results
from tests.benchmarks.workers import Variant

OURS, THEIRS = "tests.benchmarks.ours.gmm", "tests.benchmarks.reference.gmm"
SAME = {"components": 2, "reg_covar": 1e-3, "iterations": 30}


def _program(name: str, clips: int, dim: int, *, score: bool, steps: int, quick: bool = False):
    options = {"clips": clips, "dim": dim, "score": score, **SAME}
    return Program(f"{name}, {clips} x {dim}", options, steps, quick)


def check(program: str, results: Results) -> list[str]:
    """How far parameters and scores are apart, as shares of their spread."""
    if len(results) < 2:
        return []
    ours, others = results["ours"], {k: v for k, v in results.items() if k != "ours"}
    sentences = []
    for name, theirs in others.items():
        apart = [
            f"{key} {np.abs(ours[key] - theirs[key]).max() / np.abs(theirs[key]).max():.1e}"
            for key in ("weights", "means", "precisions", "score")
        ]
        sentences.append(
            f"{program}: largest difference from {name}, as a share of the largest value: "
            f"{', '.join(apart)}."
        )
    return sentences


CASE = Case(
    title="Gaussian mixture, 2 components, 30 iterations",
    programs=(
        _program("fit", 6000, 128, score=False, steps=1, quick=True),
        _program("score", 6000, 128, score=True, steps=20, quick=True),
        _program("fit", 1000, 128, score=False, steps=3),
        _program("score", 1000, 128, score=True, steps=50),
    ),
    variants=(
        Variant("ours", OURS),
        Variant("scikit-learn", THEIRS, {"dtype": "float64"}),
        Variant("scikit-learn float32", THEIRS, {"dtype": "float32"}),
    ),
    goals=(Goal(("scikit-learn", "scikit-learn float32"), 2.0, 3.0),),
    quick=("scikit-learn",),
    check=check,
)
