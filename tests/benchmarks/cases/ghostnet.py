"""GhostNetV2 against timm's: a step on spectrograms that are already on the device."""

from tests.benchmarks import versus
from tests.benchmarks.case import Case, Program


def _program(batch: int, *, train: bool, steps: int, must: float, aim: float, **options):
    name = f"{'training' if train else 'inference'}, batch {batch}"
    made = versus.network("ghostnetv2", batch, train=train)
    return Program(name, made, steps, clips=batch, must=must, aim=aim, **options)


CASE = Case(
    title="GhostNetV2 1.0x, 2 x 224 x 313, 512 outputs",
    programs=(
        _program(16, train=True, steps=3, must=1.0, aim=1.3, quick=True),
        _program(16, train=False, steps=6, must=1.3, aim=1.6, quick=True),
        _program(32, train=True, steps=2, must=1.0, aim=1.3),
        _program(32, train=False, steps=3, must=1.3, aim=1.6),
    ),
    variants=(versus.ours(), *versus.LAYOUTS, versus.BF16, *versus.DEFAULTS),
    against=versus.EAGER_F32,
    quick=("torch channels_last",),
    optional=versus.COMPILED,
    notes=versus.same_size,
)
