"""Runs a case: rounds of turns, one worker computing at a time, and what came of them.

Workers live as long as the case, and are stopped by a signal whenever it is not their turn. A fresh
process a measurement would compile a network again every time (half a minute of noise for the
others), and training itself is a long-lived process: its steady state is what is measured. What a
first step costs has cases of its own, with fresh processes.
"""

import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from tests.benchmarks import machine, summary
from tests.benchmarks.case import Case, Program
from tests.benchmarks.workers import Variant, Worker, started, wait_for_quiet

PEAKS = tuple(
    Variant(f"peak {library}", "tests.benchmarks.machine", {"library": library}, library == "torch")
    for library in ("numpy", "torch")
)
KINDS = ("sgemm", "copy")
Say = Callable[[str], None]


class Settings:
    """How to measure: rounds, threads, patience and the reference's interpreter."""

    def __init__(
        self,
        *,
        torch_python: str,
        rounds: int = 7,
        threads: int = 2,
        quick: bool = False,
        patience: float = 20.0,
        flags: Sequence[str] = (),
        only: str = "",
        variants: Sequence[str] = (),
        say: Say = lambda text: None,
    ) -> None:
        self.torch_python, self.rounds, self.threads = torch_python, rounds, threads
        self.quick, self.patience, self.flags = quick, patience, tuple(flags)
        self.only, self.variants, self.say = only, tuple(variants), say

    def chosen(self, case: Case) -> tuple[list[Program], list[Variant]]:
        """The programs and variants to measure."""
        programs = [p for p in case.programs if self.only in p.name]
        variants = list(case.variants)
        variants += [v for flag in self.flags for v in case.optional.get(flag, ())]
        if self.quick:
            programs = [p for p in programs if p.quick]
            variants = [v for v in variants if v.name in (case.ours, *case.quick)]
        if self.variants:
            variants = [v for v in variants if v.name in self.variants]
        if not self.torch_python:
            variants = [v for v in variants if not v.torch]
        return programs, variants


def measure(case: Case, settings: Settings) -> dict[str, Any]:
    """Everything that goes into the JSON: facts, every step's seconds, and the summary."""
    programs, variants = settings.chosen(case)
    if case.fresh:
        from tests.benchmarks.fresh import fresh_rounds

        found, peaks, checks = fresh_rounds(case, programs, variants, settings), {}, []
    else:
        found, peaks, checks = _in_turns(case, programs, variants, settings)
    report = {
        "title": case.title,
        "unit": case.unit,
        "ours": case.ours,
        "machine": machine.facts(),
        "rounds": settings.rounds,
        "threads": settings.threads,
        "peaks": peaks,
        "checks": checks,
        "programs": [_summary(case, program, found[program.name]) for program in programs],
    }
    report["notes"] = case.notes(report) if case.notes else []
    return report


def _in_turns(
    case: Case, programs: Sequence[Program], variants: Sequence[Variant], settings: Settings
) -> tuple[dict, dict, list[str]]:
    peaks = [v for v in PEAKS if settings.torch_python or not v.torch]
    options = {"torch_python": settings.torch_python, "threads": settings.threads}
    with (
        tempfile.TemporaryDirectory() as folder,
        started(variants, **options) as workers,
        started(peaks, **options) as limits,
    ):
        for limit in limits:
            for kind in KINDS:
                limit.prepare(kind, {"kind": kind}, "")
        found, results = _prepare(programs, workers, folder, settings)
        for number in range(settings.rounds):
            _round(number, programs, workers, found, settings)
            for limit in limits:
                for kind in KINDS:
                    turn = limit.turn(kind, 3)
                    found["peaks"][limit.variant.name][kind].append(turn["seconds"])
        checks = []
        for program in programs if case.check else ():
            checks += case.check(program.name, results[program.name])
    return found, _peaks(found.pop("peaks")), checks


def _prepare(
    programs: Sequence[Program], workers: Sequence[Worker], folder: str, settings: Settings
) -> tuple[dict, dict]:
    """Builds every program in every worker, one at a time."""
    import numpy as np

    found: dict = {"peaks": {v.name: {kind: [] for kind in KINDS} for v in PEAKS}}
    results: dict = {}
    for program in programs:
        found[program.name], results[program.name] = {}, {}
        for number, worker in enumerate(_doing(program, workers)):
            name = worker.variant.name
            save = pathlib.Path(folder) / f"{len(found)}_{number}.npz"
            ready = worker.prepare(program.name, program.options, str(save))
            settings.say(
                f"{program.name}: {name} is ready after {ready['built'] + ready['first']:.1f} s"
            )
            found[program.name][name] = {**ready, "turns": []}
            if "result" in ready:
                with np.load(save) as arrays:
                    results[program.name][name] = dict(arrays)
    return found, results


def _doing(program: Program, workers: Sequence[Worker]) -> list[Worker]:
    return [w for w in workers if not program.only or w.variant.name in program.only]


def _round(
    number: int,
    programs: Sequence[Program],
    workers: Sequence[Worker],
    found: dict,
    settings: Settings,
) -> None:
    """A turn of every worker at every program; each round begins with another worker."""
    for program in programs:
        doing = _doing(program, workers)
        first = number % len(doing)
        for worker in doing[first:] + doing[:first]:
            before = wait_for_quiet(settings.patience)
            turn = worker.turn(program.name, program.steps) | {"others_before": before}
            found[program.name][worker.variant.name]["turns"].append(turn)
        settings.say(f"round {number + 1} of {settings.rounds}: {program.name}")


def _peaks(found: dict) -> dict[str, Any]:
    """Best speeds of each library: GFLOP/s and GB/s (read and written)."""
    amount = {"sgemm": 2 * machine.SIZE**3, "copy": 2 * machine.BYTES}
    peaks = {}
    for name, kinds in found.items():
        for kind, rounds in kinds.items():
            if rounds:
                numbers = summary.summarise(rounds)
                speed = {key: amount[kind] / value / 1e9 for key, value in numbers.items()}
                peaks[f"{name} {kind}"] = speed
    return peaks


def _summary(case: Case, program: Program, found: dict) -> dict[str, Any]:
    values = {name: [turn["seconds"] for turn in data["turns"]] for name, data in found.items()}
    values = {name: rounds for name, rounds in values.items() if rounds}
    others = {name: [turn["others"] for turn in found[name]["turns"]] for name in values}
    # All variants do the same work, which only the reference counts.
    flops = max((data["about"].get("flops", 0) for data in found.values()), default=0)
    variants = {}
    for name in values:
        found[name]["about"]["flops"] = flops
        variants[name] = {**found[name], **summary.summarise(values[name])}
        if name != case.ours and case.ours in values:
            first, median, third = summary.quartiles(
                summary.ratios_of(values[case.ours], values[name])
            )
            variants[name]["ratio"] = {"median": median, "q1": first, "q3": third}
    return {
        "name": program.name,
        "clips": program.clips,
        "variants": variants,
        "comparisons": _comparisons(case, program, values, others),
    }


def _comparisons(case: Case, program: Program, values: dict, others: dict) -> list[dict[str, Any]]:
    """Ours against the best of each goal's variants."""
    found = []
    for goal in case.goals:
        if goal.programs in program.name:
            busy = (
                others if case.unit != "MB" else dict.fromkeys(others, (0.0,))
            )  # disturbs no size
            result = summary.compare(values, case.ours, goal.against, busy)
            if result:
                found.append({**result, "must": goal.must, "aim": goal.aim})
    return found
