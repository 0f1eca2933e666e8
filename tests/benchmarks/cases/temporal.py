"""The waveform network against the same layers in PyTorch, in the best layout."""

from tests.benchmarks import versus
from tests.benchmarks.case import Case, Program

LAYOUTS = (versus.torch("Conv1d", "conv1d"), *versus.LAYOUTS)


def _program(batch: int, *, train: bool, must: float, aim: float, **options):
    name = f"{'training' if train else 'inference'}, batch {batch}"
    made = versus.network("temporal", batch, train=train)
    return Program(name, made, clips=batch, must=must, aim=aim, **options)


CASE = Case(
    title="Waveform network, 160000 samples, 512 outputs",
    programs=(
        _program(16, train=True, steps=6, must=1.3, aim=1.6, quick=True),
        _program(16, train=False, steps=12, must=1.0, aim=1.3, quick=True),
        _program(128, train=True, steps=2, must=1.3, aim=1.6),
        _program(128, train=False, steps=3, must=1.0, aim=1.3),
    ),
    variants=(versus.ours(), *LAYOUTS, versus.BF16, *versus.DEFAULTS),
    against=tuple(variant.name for variant in LAYOUTS),
    quick=tuple(variant.name for variant in LAYOUTS),
    optional=versus.COMPILED,
    notes=versus.same_size,
)
