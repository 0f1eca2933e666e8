"""What a run would need of hardware that is not there, from compilers alone.

    python -m launch.plan --config=configs/ensemble.py:mimii --topology=v5e:4x4
    python -m launch.plan --config=configs/pump_classifier.py:mimii --topology=h100:8

Compiles the training step of every stage ahead of time for the topology and says, of each: memory a
chip, FLOPs, bytes, and whether it fits. It claims no speed. A batch that does not fit, or that the
chips cannot share, ends with status 2 and one sentence.

No recordings are needed: `--clips` and `--classes` say how many there are where the data set is not
a known one. The compilers, beside jax 0.10.2 (a TPU's step takes minutes, a GPU's seconds to
minutes; what was compiled once is kept in the cache folder):

    TPU: pip install -e ".[plan]"
    GPU: pip install --no-deps jax-cuda12-pjrt==0.10.2 jax-cuda12-plugin==0.10.2 \
             nvidia-cuda-nvcc-cu12

Topologies: v5e:2x4, v4:2x2x1, v5p:2x2x1, h100:8, a100:8, t4:1 and the like, one slice or one host.
"""

import shlex
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from asd_jax import commands, recipes
from asd_jax.errors import UserError
from asd_jax.main import read_config
from launch.planning.hardware import Topology, read_topology
from launch.planning.report import report
from launch.planning.sizes import Size, size_of
from launch.planning.stage import StagePlan, plan_stage

TOPOLOGY = flags.DEFINE_string("topology", None, "CHIP:SIZE, such as v5e:4x4 or h100:8.")
CLIPS = flags.DEFINE_integer(
    "clips", 0, "Clips that train; 0 for what is known of the data set.", lower_bound=0
)
CLASSES = flags.DEFINE_integer(
    "classes", 0, "Machines to tell apart; 0 for what is known.", lower_bound=0
)
ONLY = flags.DEFINE_list("stages", None, "Only these stages, by name.")
A_CHIP = flags.DEFINE_integer(
    "batch_per_chip",
    0,
    "Clips a chip in a batch, in place of the config's batch sizes.",
    lower_bound=0,
)


def main(argv: Sequence[str]) -> int:
    """Prints the report; 0 if every stage fits."""
    if len(argv) > 1:
        raise UserError(f"{argv[1]!r} is not a flag; settings are given as --config.FIELD=VALUE.")
    config = read_config()
    recipes.check(config.get("recipe", ""))
    if not TOPOLOGY.value:
        raise UserError("give a topology, for example --topology=v5e:4x4.")
    topology, values = read_topology(TOPOLOGY.value), config.to_dict()
    size = size_of(values, CLIPS.value, CLASSES.value)
    names = chosen(size, ONLY.value)
    for name in names:
        set_batch(values, name, topology, size, A_CHIP.value)
    plans = []
    for name in names:
        print(f"compiling {name} for {topology} ...", file=sys.stderr, flush=True)
        plans.append(plan_stage(values, name, topology, size))
    print(report(topology, plans, head(topology, size, plans)), end="")
    for plan in plans:
        if plan.too_large:
            raise UserError(refusal(plan, topology))
    return 0


def chosen(size: Size, only: Sequence[str] | None) -> list[str]:
    """The stages to plan, in their order.

    Raises:
        UserError: --stages names a stage that the recipe does not have.
    """
    for name in only or ():
        if name not in size.clips:
            raise UserError(f"--stages={name} is not a stage; there are {', '.join(size.clips)}.")
    return [name for name in size.clips if not only or name in only]


def set_batch(
    values: dict[str, Any], stage: str, topology: Topology, size: Size, a_chip: int
) -> None:
    """Puts the batch that is asked for into the settings, if the chips can share it.

    Raises:
        UserError: the chips cannot share such a batch.
    """
    if a_chip:
        values[stage]["batch_size"] = a_chip * topology.devices
    batch = min(values[stage]["batch_size"], size.clips[stage])
    if batch % topology.devices:
        raise UserError(
            f"stage {stage}: a batch of {batch} can't be shared by {topology.devices} chips; set "
            f"--config.{stage}.batch_size to a multiple of their number, or --batch_per_chip."
        )


def refusal(plan: StagePlan, topology: Topology) -> str:
    """The sentence for a batch that does not fit."""
    return (
        f"stage {plan.name}: a batch of {plan.batch} does not fit on {topology}: {plan.too_large}; "
        f"take more chips or a smaller --config.{plan.name}.batch_size."
    )


def head(topology: Topology, size: Size, plans: Sequence[StagePlan]) -> list[str]:
    """The first lines: the command, the data, the compilers."""
    wanted = ("jax", "libtpu") if topology.chip.platform == "tpu" else ("jax", "jax-cuda12-pjrt")
    versions = plans[0].versions if plans else {}
    clips = ", ".join(f"{name} {number}" for name, number in size.clips.items())
    return [
        f"$ {shlex.join(['python', '-m', 'launch.plan', *sys.argv[1:]])}",
        "",
        f"Plan for {topology}, compiled by "
        + ", ".join(f"{name} {versions[name]}" for name in wanted if name in versions),
        f"Clips an epoch: {clips}" + (f"; {size.classes} machines" if size.classes else ""),
    ]


if __name__ == "__main__":
    commands.run(main)
