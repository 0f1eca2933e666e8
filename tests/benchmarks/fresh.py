"""Measurements that need a process of their own: what a start costs, and the most memory held."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

from tests.benchmarks import machine
from tests.benchmarks.case import Case, Program
from tests.benchmarks.workers import Variant, started, wait_for_quiet


def fresh_rounds(
    case: Case, programs: Sequence[Program], variants: Sequence[Variant], settings: Any
) -> dict[str, dict[str, Any]]:
    """One process for each round of each variant of each program.

    A variant that uses the compilation cache first runs once uncounted, and leaves its programs
    there.
    """
    found: dict[str, dict[str, Any]] = {}
    for program in programs:
        found[program.name] = {}
        free = machine.available_memory() / 2**30
        if free < program.gib:
            settings.say(f"{program.name}: left out, {free:.0f} of {program.gib:g} GiB are free")
            continue
        doing = [v for v in variants if not program.only or v.name in program.only]
        for variant in doing:
            if variant.warm:
                warming = dataclasses.replace(program, options=program.warming or program.options)
                _once(case, warming, variant, settings)
        for number in range(settings.rounds):
            first = number % max(1, len(doing))
            for variant in doing[first:] + doing[:first]:
                if variant.rounds and number >= variant.rounds:
                    continue
                one = _once(case, program, variant, settings)
                kept = found[program.name].setdefault(
                    variant.name, {"about": one.pop("about"), "turns": []}
                )
                kept["turns"].append(one)
            settings.say(f"round {number + 1} of {settings.rounds}: {program.name}")
    return found


def _once(case: Case, program: Program, variant: Variant, settings: Any) -> dict[str, Any]:
    before = wait_for_quiet(settings.patience)
    busy, begin = machine.cpu_seconds(), time.monotonic()
    options = {"torch_python": settings.torch_python, "threads": settings.threads}
    with started([variant], **options) as (worker,):
        ready = worker.prepare(program.name, program.options, "")
        seconds = time.monotonic() - begin
        own = worker.spent()
        turn = worker.turn(program.name, program.steps) if case.fresh == "peak_rss" else {}
    wall = time.monotonic() - begin
    used = (machine.cpu_seconds()[0] - busy[0] - own - turn.get("cpu", 0) * (wall - seconds)) / wall
    return {
        "seconds": [turn["peak_rss"] if case.fresh == "peak_rss" else seconds],
        "imports": ready["imports"],
        "built": ready["built"],
        "first": ready["first"],
        "about": ready["about"],
        "others_before": before,
        "others": round(max(0.0, used), 3),
    }
