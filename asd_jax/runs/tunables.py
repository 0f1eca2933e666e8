"""The numbers of a run that its steps read from the state instead of having them baked in.

Runs that differ in nothing else share one compiled program, and can train side by side in it.
"""

from collections.abc import Mapping
from typing import Any

from asd_jax.bounds import traced
from asd_jax.recipes.ensemble.settings import Ensemble

# Of the losses and the augmentations. The optimizers' rates are in `asd_jax.train.optimizer`.
FIELDS = (
    "arcface.scale",
    "arcface.margin",
    "augment.probability",
    "augment.shift_frames",
    "augment.semitones",
    "augment.fade_share",
    "augment.snr_db",
    "augment.mix_probability",
    "augment.mix_ratio",
    "pretrain.identification",
    "finetune.margin",
    "finetune.scale",
    "finetune.alpha",
    "finetune.beta",
    "finetune.identification",
)


def may_differ(field: str) -> bool:
    """Whether runs that differ in this field, such as `finetune.margin`, can share a program.

    What is done with the trained networks may differ as well: each run does that by itself.
    """
    rates = field.endswith((".learning_rate", ".weight_decay"))
    numbers = field in ("seed", "labels.smoothing", *FIELDS)
    after = field.startswith(("scoring.", "decision.")) and field != "scoring.branches"
    return rates or numbers or after


def collect(config: Ensemble) -> dict[str, float]:
    """The numbers by their names; of a pair two, `augment.semitones.0` and `.1`."""
    found = {}
    for field in FIELDS:
        value = _get(config, field)
        if isinstance(value, tuple):
            found |= {f"{field}.{k}": number for k, number in enumerate(value)}
        else:
            found[field] = value
    return found


def tuned(config: Ensemble, scalars: Mapping[str, Any]) -> Ensemble:
    """The config with these scalars, which may be traced, in the place of its numbers."""
    sections: dict[str, dict[str, Any]] = {}
    for field in FIELDS:
        section, name = field.split(".")
        value = _get(config, field)
        if isinstance(value, tuple):
            value = tuple(scalars[f"{field}.{k}"] for k in range(len(value)))
        else:
            value = scalars[field]
        sections.setdefault(section, {})[name] = value
    changed = {name: traced(getattr(config, name), **values) for name, values in sections.items()}
    return traced(config, **changed)


def _get(config: Ensemble, field: str) -> Any:
    section, name = field.split(".")
    return getattr(getattr(config, section), name)
