"""Attentions inside our own EfficientNetV2-S: the improved CBAM against squeeze-and-excitation."""

from tests.benchmarks import versus
from tests.benchmarks.case import Case, Goal, Program

SIMAM = versus.ours("SimAM-CBAM", attention="simam_cbam")
OTHERS = (
    versus.ours("SE", attention="se"),
    versus.ours("no attention", attention="none"),
    versus.ours("CBAM", attention="cbam"),
)


def _program(name: str, steps: int, *, train: bool, quick: bool = False) -> Program:
    options = versus.network("efficientnetv2_s", 8, train=train)
    return Program(f"{name}, batch 8", options, steps, quick, clips=8)


CASE = Case(
    title="EfficientNetV2-S, 3 x 224 x 224: attention",
    programs=(
        _program("training", 2, train=True, quick=True),
        _program("inference", 4, train=False),
    ),
    variants=(SIMAM, *OTHERS),
    ours="SimAM-CBAM",
    goals=(Goal(("SE",), 0.9, 1.0),),
    quick=("SE",),
)
