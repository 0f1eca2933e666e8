"""One 10-s recording to its scores: exported files, the detector they were made of, PyTorch."""

import numpy as np

from tests.benchmarks.case import Case, Goal, Program, Results
from tests.benchmarks.cases.scoring import TORCH
from tests.benchmarks.workers import Variant

OURS = "tests.benchmarks.ours.export"


def check(name: str, results: Results) -> list[str]:
    """How far the file is from the detector, of a score above 1 in size as a share of it."""
    if "live" not in results:
        return []
    live, said = results["live"]["score"], []
    for form in sorted(set(results) & {"onnx", "float16", "int8"}):
        away = np.abs(results[form]["score"] - live) / np.maximum(1.0, np.abs(live))
        said.append(f"{name}: largest difference of {form} to the live detector {away.max():.1e}.")
    return said


CASE = Case(
    title="wav to score: ONNX in onnxruntime, the live detector, PyTorch; five branches",
    programs=(
        Program("one clip", {"clips": 1}, 20, quick=True, clips=1),
        Program("sixteen clips", {"clips": 16}, 4, clips=16),
    ),
    variants=(
        Variant("onnx", OURS, {"form": "onnx"}),
        Variant("float16", OURS, {"form": "onnx", "precision": "float16"}),
        Variant("int8", OURS, {"form": "onnx", "precision": "int8"}),
        Variant("live", OURS, {"form": "live"}),
        *TORCH,
    ),
    ours="onnx",
    goals=(Goal(tuple(v.name for v in TORCH), 1.0, 1.0, "one clip"),),
    quick=("live", *(v.name for v in TORCH)),
    check=check,
)
