"""What a benchmark is: variants that do the same programs, and whom ours is compared with."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.benchmarks.workers import Variant

Results = Mapping[str, Mapping[str, Any]]  # of each variant, what `Work.result` returned


@dataclasses.dataclass(frozen=True)
class Program:
    """One thing to measure.

    Attributes:
        name: for the table.
        options: what `build` is told.
        steps: timed steps of a turn.
        quick: is part of `--quick`.
        clips: of one step, for the speed that is shown.
        only: names of the variants that do it; () for all.
        gib: memory that one process may take; where there is less it is left out.
        warming: what `build` is told in the uncounted run that fills the cache; None for `options`.
    """

    name: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    steps: int = 3
    quick: bool = False
    clips: int = 0
    only: tuple[str, ...] = ()
    gib: float = 0.0
    warming: dict[str, Any] | None = None


@dataclasses.dataclass(frozen=True)
class Goal:
    """Whom ours is to be compared with, and how far ahead it should be.

    Attributes:
        against: names of variants; the best of them counts.
        must: the ratio that the project promises.
        aim: the ratio that it wants.
        programs: a part of the names of the programs meant.
    """

    against: tuple[str, ...]
    must: float | None = None
    aim: float | None = None
    programs: str = ""


@dataclasses.dataclass(frozen=True)
class Case:
    """A benchmark.

    Attributes:
        title: for the table.
        programs: what is measured.
        variants: who does it.
        ours: the variant that all others are compared with.
        goals: the comparisons.
        quick: the variants of `--quick`.
        optional: variants that a flag asks for, by the flag's name.
        check: sentences on whether the sides computed the same.
        notes: sentences from the finished numbers, see `harness.measure`.
        fresh: a process for every measurement, instead of workers that take turns; 'first' measures
            the seconds to the end of the first step, 'peak_rss' the most memory.
        unit: of the table.
    """

    title: str
    programs: Sequence[Program]
    variants: Sequence[Variant]
    ours: str = "ours"
    goals: Sequence[Goal] = ()
    quick: Sequence[str] = ()
    optional: Mapping[str, Sequence[Variant]] = dataclasses.field(default_factory=dict)
    check: Callable[[str, Results], list[str]] | None = None
    notes: Callable[[dict[str, Any]], list[str]] | None = None
    fresh: str = ""
    unit: str = "ms"
