"""Attentions inside our own EfficientNetV2-S: the improved CBAM against squeeze-and-excitation."""

from tests.benchmarks import versus
from tests.benchmarks.case import Case, Goal, Program

SIMAM = versus.ours("SimAM-CBAM", attention="simam_cbam")
OTHERS = (
    versus.ours("SE", attention="se"),
    versus.ours("no attention", attention="none"),
    versus.ours("CBAM", attention="cbam"),
)

CASE = Case(
    title="EfficientNetV2-S, 3 x 224 x 224: attention",
    programs=(
        Program("training, batch 8", versus.network("efficientnetv2_s", 8, train=True), 2, True, 8),
        Program(
            "inference, batch 8", versus.network("efficientnetv2_s", 8, train=False), 4, clips=8
        ),
    ),
    variants=(SIMAM, *OTHERS),
    ours="SimAM-CBAM",
    goals=(Goal(("SE",), 0.9, 1.0),),
    quick=("SE",),
)
