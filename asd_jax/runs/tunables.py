"""The numbers of a run that its steps read from the state instead of having them baked in.

Runs that differ in nothing else share one compiled program, and can train side by side in it.
"""

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

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
    changed = {name: _with(getattr(config, name), values) for name, values in sections.items()}
    return _with(config, changed)


def unchecked(cls: type, **values: Any) -> Any:
    """The dataclass `cls` of these values without its own checks: no traced number can be checked.

    Args:
        cls: a frozen dataclass whose fields all have plain defaults.
        **values: of fields; the others have their defaults.
    """
    made = object.__new__(cls)
    for field in dataclasses.fields(cls):
        object.__setattr__(made, field.name, values.pop(field.name, field.default))
    if values:
        raise TypeError(f"{cls.__name__} has no field {', '.join(values)}")
    return made


def _with(settings: Any, values: Mapping[str, Any]) -> Any:
    """A copy with these values, unchecked like the above."""
    copied = copy.copy(settings)
    for name, value in values.items():
        object.__setattr__(copied, name, value)
    return copied


def _get(config: Ensemble, field: str) -> Any:
    section, name = field.split(".")
    return getattr(getattr(config, section), name)
