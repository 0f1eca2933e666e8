"""What was found, as text."""

import textwrap
from collections import defaultdict
from collections.abc import Iterable

from launch.planning.collectives import PURPOSES, Collective
from launch.planning.hardware import USABLE, Topology
from launch.planning.stage import StagePlan

HONEST = (
    "Nothing here has run. Memory and collectives are the compiler's own. The step time is a\n"
    "lower bound for the program as compiled (the roofline), no claim of speed: it knows no\n"
    "latencies, no launches, no waiting for data."
)


def report(topology: Topology, plans: Iterable[StagePlan], head: Iterable[str]) -> str:
    """The whole report."""
    plans = list(plans)
    parts = ["\n".join([*head, "", HONEST]), hardware(topology)]
    parts += [stage(topology, plan) for plan in plans]
    return "\n\n".join([*parts, total(topology, plans)]) + "\n"


def hardware(topology: Topology) -> str:
    """The figures that the bounds rest on."""
    chip = topology.chip
    rates = ", ".join(f"{kind} {rate / 1e12:g}" for kind, rate in chip.peak.items())
    return (
        f"Hardware: {topology.devices} x {chip.title}, each of which has {gib(chip.memory)} for "
        f"a program,\n  {chip.bandwidth / 1e9:g} GB/s of memory, {chip.link / 1e9:g} GB/s to send "
        f"to others, and {rates} TFLOP/s\n  (sources: launch/planning/hardware.py)"
    )


def stage(topology: Topology, plan: StagePlan) -> str:
    """The paragraphs of one stage."""
    share = plan.batch // topology.devices
    lines = [
        f"== {plan.name}: a batch of {plan.batch}, {share} a chip; {plan.total_steps} steps ==",
        "",
    ]
    if plan.too_large:
        lines += [f"  DOES NOT FIT: {plan.too_large}"]
    if plan.memory:
        lines += [*memory(topology, plan), "", *work(plan), "", *collective_lines(plan), ""]
        lines += bounds(topology, plan)
    return "\n".join([*lines, *largest(plan)])


def memory(topology: Topology, plan: StagePlan) -> list[str]:
    """Memory a chip."""
    sizes = plan.memory
    lines = [
        "  memory a chip",
        f"    arguments     {mib(sizes['argument'])}   state and batch",
        f"    outputs       {mib(sizes['output'])}   of which in place of arguments "
        f"{mib(sizes['alias']).strip()}",
        f"    temporaries   {mib(sizes['temp'])}",
        f"    program       {mib(sizes['generated_code'])}",
        f"    peak          {mib(sizes['peak'])}   by the compiler",
        f"    next batch    {mib(plan.batch_bytes)}   read ahead while this one is in use",
        f"    clips         {mib(plan.clips_bytes)}   that lie on the chip (data.on_device)",
        f"    needed        {mib(plan.needed)}   {plan.needed / topology.chip.memory:.1%} of "
        f"{gib(topology.chip.memory)}",
    ]
    if topology.chip.platform == "gpu":
        lines.append("    (what is left is for CUDA's context and cuDNN's workspaces)")
        if 0.75 < USABLE * plan.needed / topology.chip.memory <= USABLE:
            lines.append("    JAX takes 75 % by default: set XLA_PYTHON_CLIENT_MEM_FRACTION=.95")
    return lines


def work(plan: StagePlan) -> list[str]:
    """Operations and bytes."""
    lines = ["  work a chip and step"]
    lines.append(f"    FLOPs         {plan.flops / 1e9:10.3f} G   before optimisation")
    if "flops" in plan.cost:
        flops = plan.cost["flops"]
        lines.append(f"                  {flops / 1e9:10.3f} G   as compiled, by the compiler")
    if "bytes accessed" in plan.cost:
        moved = plan.cost["bytes accessed"]
        lines.append(f"    bytes         {moved / 1e9:10.3f} GB  accessed, by the compiler")
    lines.append(f"    memory bytes  {plan.traffic / 1e9:10.3f} GB  to and from the device memory")
    for found in plan.operations:
        kind = {"dot_general": "product"}.get(found["kind"], found["kind"])
        precision = "" if found["precision"] == "DEFAULT" else f" at {found['precision']} precision"
        lines.append(f"    {found['number']:6d} x {kind} {found['types']}{precision}")
    return lines


def collective_lines(plan: StagePlan) -> list[str]:
    """How many of each kind, for what, and why."""
    if not plan.collectives:
        return ["  no collectives"]
    lines = [
        f"  collectives a step ({plan.batch_norms} BatchNorm layers)",
        "    number: operations of the program, each of which may join several values; bytes: of",
        "    what is reduced, or of what a chip has afterwards",
        f"    {'':41}number  values           bytes",
    ]
    rows = grouped(plan.collectives)
    for purpose, why in PURPOSES.items():
        for kind, (number, values, moved) in rows.get(purpose, {}).items():
            lines.append(f"    {purpose:22}{kind:19}{number:6d}{values:8d}{moved:16,d}")
        if purpose in rows:
            lines += textwrap.wrap(why, 96, initial_indent=6 * " ", subsequent_indent=6 * " ")
    number = sum(row[0] for kinds in rows.values() for row in kinds.values())
    moved = sum(one.bytes * one.times for one in plan.collectives)
    lines.append(f"    {'together':41}{number:6d}{len(plan.collectives):8d}{moved:16,d}")
    return lines


def grouped(collectives: Iterable[Collective]) -> dict[str, dict[str, tuple[int, int, int]]]:
    """Instructions, values and bytes by purpose and kind.

    An instruction that joins values of several purposes counts for the one with the most bytes.
    """
    by_name: dict[str, list[Collective]] = defaultdict(list)
    for one in collectives:
        by_name[one.name].append(one)
    rows: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0, 0]))
    for parts in by_name.values():
        weights: dict[str, int] = defaultdict(int)
        for one in parts:
            weights[one.purpose] += one.bytes
            row = rows[one.purpose][one.kind]
            row[1] += one.times
            row[2] += one.bytes * one.times
        main = max(weights, key=weights.get)
        rows[main][parts[0].kind][0] += parts[0].times
    return {p: {k: tuple(row) for k, row in kinds.items()} for p, kinds in rows.items()}


def bounds(topology: Topology, plan: StagePlan) -> list[str]:
    """The roofline, and what it makes of the stage."""
    times = plan.roofline
    hours = times.step * plan.total_steps * topology.chips / 3600
    return [
        "  at best (lower bound)",
        f"    compute {ms(times.compute)}, memory {ms(times.memory)}, links {ms(times.links)}: "
        f"a step takes at least {ms(times.step)} ({times.bound})",
        f"    {plan.total_steps} steps: at least {hours:.3g} chip-hours",
        f"  compiled in {plan.seconds:.0f} s",
    ]


def largest(plan: StagePlan) -> list[str]:
    """The largest batch that fits."""
    found = plan.largest
    if not found:
        return []
    if not found.fits:
        return ["", f"  largest batch a chip: below {found.fails}"]
    if not found.fails:
        return ["", f"  largest batch a chip: {found.fits} fits, no larger one was tried"]
    return ["", f"  largest batch a chip: {found.fits} fits, {found.fails} does not"]


def total(topology: Topology, plans: Iterable[StagePlan]) -> str:
    """The sum over the stages."""
    seconds = sum(plan.roofline.step * plan.total_steps for plan in plans if plan.roofline)
    return (
        f"Together: at least {seconds * topology.chips / 3600:.3g} chip-hours for one run's "
        "training steps, and no promise to be near it."
    )


def mib(number: float) -> str:
    """In MiB, in a column."""
    return f"{number / 2**20:10.1f} MiB"


def gib(number: float) -> str:
    """In GiB."""
    return f"{number / 2**30:.2f} GiB"


def ms(seconds: float) -> str:
    """In milliseconds."""
    return f"{1e3 * seconds:.3g} ms"
