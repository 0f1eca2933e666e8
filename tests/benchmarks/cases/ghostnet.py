"""GhostNetV2 against timm's: a step on spectrograms that are already on the device."""

import functools

from tests.benchmarks import versus
from tests.benchmarks.case import Case, Goal

_program = functools.partial(versus.program, "ghostnetv2")
REFERENCES = versus.EAGER_F32

CASE = Case(
    title="GhostNetV2 1.0x, 2 x 224 x 313, 512 outputs",
    programs=(
        _program(16, train=True, steps=3, quick=True),
        _program(16, train=False, steps=6, quick=True),
        _program(32, train=True, steps=2),
        _program(32, train=False, steps=3),
    ),
    variants=(versus.ours(), *versus.LAYOUTS, versus.BF16, *versus.DEFAULTS),
    goals=(
        Goal(REFERENCES, 1.0, 1.3, "training"),
        Goal(REFERENCES, 1.3, 1.6, "inference"),
    ),
    quick=("torch channels_last",),
    optional=versus.COMPILED,
    notes=versus.same_size,
)
