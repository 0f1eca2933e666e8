"""EfficientNetV2-S with squeeze-and-excitation against timm's."""

import functools

from tests.benchmarks import versus
from tests.benchmarks.case import Case, Goal

_program = functools.partial(versus.program, "efficientnetv2_s")
REFERENCES = versus.EAGER_F32

CASE = Case(
    title="EfficientNetV2-S, 3 x 224 x 224, one logit",
    programs=(
        _program(8, train=True, steps=2, quick=True),
        _program(8, train=False, steps=4, quick=True),
        _program(32, train=True, steps=1),
        _program(32, train=False, steps=2),
    ),
    variants=(versus.ours(), *versus.LAYOUTS, versus.BF16, *versus.DEFAULTS),
    goals=(
        Goal(REFERENCES, 1.0, 1.2, "training"),
        Goal(REFERENCES, 1.0, 1.2, "inference"),
    ),
    quick=("torch channels_last",),
    optional=versus.COMPILED,
    notes=versus.same_size,
)
