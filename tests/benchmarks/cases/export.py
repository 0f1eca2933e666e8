"""One 10-s recording to its scores: an exported file, the detector that it was made of, PyTorch."""

import numpy as np

from tests.benchmarks.case import Case, Goal, Program, Results
from tests.benchmarks.cases.scoring import TORCH
from tests.benchmarks.workers import Variant

OURS = "tests.benchmarks.ours.export"


def check(name: str, results: Results) -> list[str]:
    """How far the file is from the detector, of a score above 1 in size as a share of it."""
    if not {"onnx", "live"} <= set(results):
        return []
    found, live = results["onnx"]["score"], results["live"]["score"]
    away = float((np.abs(found - live) / np.maximum(1.0, np.abs(live))).max())
    return [f"{name}: largest difference between ONNX and the live detector {away:.1e}."]


CASE = Case(
    title="wav to score: ONNX in onnxruntime, the live detector, PyTorch; five branches",
    programs=(
        Program("one clip", {"clips": 1}, 20, quick=True, clips=1),
        Program("sixteen clips", {"clips": 16}, 4, clips=16),
    ),
    variants=(
        Variant("onnx", OURS, {"form": "onnx"}),
        Variant("live", OURS, {"form": "live"}),
        *TORCH,
    ),
    ours="onnx",
    goals=(Goal(tuple(v.name for v in TORCH), 1.0, 1.0, "one clip"),),
    quick=("live", *(v.name for v in TORCH)),
    check=check,
)
