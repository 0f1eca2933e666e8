"""The waveform network against the same layers in PyTorch, in the best layout."""

import functools

from tests.benchmarks import versus
from tests.benchmarks.case import Case, Goal

LAYOUTS = (versus.torch("Conv1d", "conv1d"), *versus.LAYOUTS)
REFERENCES = tuple(variant.name for variant in LAYOUTS)


_program = functools.partial(versus.program, "temporal")

CASE = Case(
    title="Waveform network, 160000 samples, 512 outputs",
    programs=(
        _program(16, train=True, steps=6, quick=True),
        _program(16, train=False, steps=12, quick=True),
        _program(128, train=True, steps=2),
        _program(128, train=False, steps=3),
    ),
    variants=(versus.ours(), *LAYOUTS, versus.BF16, *versus.DEFAULTS),
    goals=(
        Goal(REFERENCES, 1.3, 1.6, "training"),
        Goal(REFERENCES, 1.0, 1.3, "inference"),
    ),
    quick=REFERENCES,
    optional=versus.COMPILED,
    notes=versus.same_size,
)
