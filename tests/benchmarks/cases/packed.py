"""Four runs as one program against the same four one after another."""

from tests.benchmarks.case import Case, Goal, Program
from tests.benchmarks.workers import Variant

OURS = "tests.benchmarks.ours.packed"

CASE = Case(
    title="a step of each of four runs, quickstart's size, batch 16 (fusion: 32)",
    programs=(
        Program("temporal", {"stage": "temporal"}, 3, quick=True, clips=4 * 16),
        Program("fusion", {"stage": "fusion"}, 6, quick=True, clips=4 * 32),
        Program("pretrain", {"stage": "pretrain"}, 1, clips=4 * 16, gib=6.0),
    ),
    variants=(
        Variant("side by side", OURS, {"form": "side by side"}),
        Variant("in turn", OURS, {"form": "in turn"}),
    ),
    ours="side by side",
    goals=(Goal(("in turn",)),),
    quick=("in turn",),
)
