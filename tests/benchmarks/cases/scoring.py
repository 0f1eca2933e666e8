"""One 10-s recording, from the file to its score, by a detector that is warm."""

from tests.benchmarks.case import Case, Goal, Program
from tests.benchmarks.workers import Variant

OURS, THEIRS = "tests.benchmarks.ours.scoring", "tests.benchmarks.reference.scoring"
TORCH = tuple(
    Variant(f"torch {name}", THEIRS, {"layout": layout}, torch=True)
    for name, layout in (("NCHW", "nchw"), ("channels_last", "channels_last"))
)

CASE = Case(
    title="wav to score, the ensemble of five branches, four machines",
    programs=(
        Program("one clip", {"clips": 1}, 20, quick=True, clips=1),
        Program("sixteen clips", {"clips": 16}, 4, clips=16),
    ),
    variants=(Variant("ours", OURS), *TORCH),
    goals=(Goal(tuple(v.name for v in TORCH), 1.0, 1.5, "one clip"),),
    quick=tuple(v.name for v in TORCH),
)
