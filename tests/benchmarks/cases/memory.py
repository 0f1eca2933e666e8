"""The most memory that training takes: GhostNetV2's step, against PyTorch's."""

import dataclasses
from typing import Any

from tests.benchmarks import versus
from tests.benchmarks.case import Case, Goal, Program

BATCHES = (16, 32, 128)
COMPILING = dataclasses.replace(
    versus.ours("ours, compiled anew"),
    environment={"JAX_ENABLE_COMPILATION_CACHE": "false"},
    rounds=1,
)


def _program(batch: int) -> Program:
    options = versus.network("ghostnetv2", batch, train=True)
    gib = 2 + 0.13 * batch
    return Program(f"training, batch {batch}", options, steps=2, quick=batch == 16, gib=gib)


def _smaller(name: str, **settings: Any) -> Program:
    """The paper's batch with what a config offers to need less; only ours has it."""
    options = versus.network("ghostnetv2", 128, train=True) | settings
    return Program(f"training, batch 128, {name}", options, steps=1, gib=8, only=("ours",))


CASE = Case(
    title="Peak resident memory of a process that trains GhostNetV2",
    programs=[
        *(_program(batch) for batch in BATCHES),
        _smaller("in 8 parts", parts=8),
        _smaller("in 4 parts", parts=4),
        _smaller("blocks computed again", rematerialise=True),
    ],
    variants=(
        dataclasses.replace(versus.ours(), warm=True),
        COMPILING,
        versus.ours("ours, glibc's defaults", allocator="default"),
        *versus.LAYOUTS,
        versus.BF16,
    ),
    goals=(Goal(versus.EAGER_F32, round(1 / 1.2, 3), 1.0),),
    quick=("torch channels_last",),
    fresh="peak_rss",
    unit="MB",
)
