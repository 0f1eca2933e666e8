"""What was found, as text."""

from collections.abc import Iterable

from launch.planning.hardware import USABLE, Topology
from launch.planning.stage import StagePlan

HONEST = "Nothing here has run: memory and FLOPs are the compiler's own, and say nothing of speed."


def report(topology: Topology, plans: Iterable[StagePlan], head: Iterable[str]) -> str:
    """The whole report."""
    chip = topology.chip
    room = f"{topology.devices} x {chip.title}, each of which has {gib(chip.memory)} for a program"
    parts = ["\n".join([*head, room, "", HONEST]), *(stage(topology, plan) for plan in plans)]
    return "\n\n".join(parts) + "\n"


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
        lines += [*memory(topology, plan), "", *work(plan)]
        lines += ["", f"  compiled in {plan.seconds:.0f} s"]
    return "\n".join(lines)


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
    return lines


def mib(number: float) -> str:
    """In MiB, in a column."""
    return f"{number / 2**20:10.1f} MiB"


def gib(number: float) -> str:
    """In GiB."""
    return f"{number / 2**30:.2f} GiB"
