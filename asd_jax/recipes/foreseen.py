"""Programs that are compiled before the recordings are there.

How many synthetic machines there will be is known before they are written, which takes seconds in
which a processor stands still. Other data sets are looked at first.
"""

from collections.abc import Callable, Sequence

import jax
import numpy as np

from asd_jax.data.cache import WaveCache
from asd_jax.recipes import networks
from asd_jax.recipes.classes import by_machine
from asd_jax.recipes.corpus import Corpus
from asd_jax.recipes.settings import Ensemble
from asd_jax.recipes.stages import Plan, Run, Training, compile_ahead
from asd_jax.recipes.workdir import Workdir


def foresee(
    config: Ensemble, workdir: Workdir, plans: Sequence[Callable[[Run], Plan]]
) -> list[Training]:
    """The trainings of a run as its settings tell, their programs in the making; [] if unknown.

    Args:
        config: its settings.
        workdir: its folder.
        plans: of its stages.
    """
    data, machines = config.data, config.synthetic
    classes = len(machines.types) * len(machines.ids)
    told = data.layout == "synthetic" and not data.machines and data.classes != "clusters"
    # Several processes compile in the same order, and one of them alone writes the machines.
    if not told or classes < 2 or jax.process_count() > 1:
        return []
    clips = classes * max(machines.normal - machines.abnormal, machines.normal // 2)
    nets = networks.build(config, classes)
    run = Run(config, workdir, unheard(config, clips, classes), nets)
    trainings = [Training(run, plan(run)) for plan in plans]
    compile_ahead(run, trainings)
    return trainings


def taken(trainings: Sequence[Training], foreseen: Sequence[Training]) -> bool:
    """Gives trainings the programs of those foreseen, if these are the same programs."""
    wanted, there = ([own.about("step") for own in some] for some in (trainings, foreseen))
    if wanted != there:
        return False
    for own, other in zip(trainings, foreseen, strict=True):
        own.take(other)
    return True


def unheard(config: Ensemble, clips: int, classes: int) -> Corpus:
    """A corpus of so many clips that train, of so many machines; none can be read."""
    groups = tuple(("", str(number)) for number in range(classes))
    nothing = np.zeros(0, int)
    waves = WaveCache("", nothing, networks.clip_samples(config))
    machines = by_machine(groups, nothing)
    return Corpus((), waves, groups, nothing, machines, np.arange(clips), nothing, nothing, ())
