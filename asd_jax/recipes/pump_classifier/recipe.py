"""The supervised pump classifier, stage by stage (Sun 2025, EfficientNetV2 with improved CBAM).

wav -> picture -> pretrain (one noise level) -> finetune (best by validation) -> evaluate
"""

from asd_jax.recipes.pump_classifier import clips, evaluate, network, stages
from asd_jax.recipes.pump_classifier.settings import PumpClassifier
from asd_jax.runs.recipe import Recipe


def build(config: PumpClassifier, corpus: clips.LabelledCorpus) -> network.Networks:
    """The one network, whatever the clips."""
    return network.Networks(network.build(config))


RECIPE = Recipe(
    settings=PumpClassifier,
    stages=stages.STAGES,
    load=clips.load,
    build=build,
    run=stages.ClassifierRun,
    plans=stages.plans,
    initial=stages.initial_variables,
    shapes=stages.variable_shapes,
    conclude=evaluate.conclude,
    imagined=clips.imagined,
    counts=clips.counts,
)
