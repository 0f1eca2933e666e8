"""Runs that are to train as one program: which configs, in which folders. No jax here."""

import dataclasses
import difflib
import json
import os
from collections.abc import Mapping
from typing import Any

from asd_jax.errors import UserError
from asd_jax.runs.settings import flatten


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run: its resolved config, nested plain values, and its folder."""

    values: Mapping[str, Any]
    folder: str


def of_seeds(values: Mapping[str, Any], folder: str) -> list[Cell]:
    """A run for each of `values["pack"]` seeds; alone, it would have the same config."""
    seeds = range(values["seed"], values["seed"] + values["pack"])
    return [
        Cell({**values, "seed": seed, "pack": 1}, os.path.join(folder, f"seed={seed}"))
        for seed in seeds
    ]


def parse(text: str, config: Any, folder: str) -> list[Cell]:
    """The runs that `--cells` names.

    Args:
        text: JSON: by the name of each run's folder its fields that differ from the config, such
            as `{"a": {"seed": 1, "finetune.margin": 0.1}, "b": {"seed": 2}}`.
        config: the `ConfigDict` of all.
        folder: in which theirs lie.

    Raises:
        UserError: no such JSON, or no such field, or a value of the wrong type.
    """
    try:
        runs = json.loads(text)
    except ValueError as error:
        raise UserError(f"--cells is no JSON ({error}).") from error
    if not isinstance(runs, dict) or not all(isinstance(own, dict) for own in runs.values()):
        raise UserError('--cells takes runs by their folders, {"a": {"seed": 1}, "b": {...}}.')
    return [
        Cell(_changed(config, name, fields), os.path.join(folder, name))
        for name, fields in runs.items()
    ]


def _changed(config: Any, name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    own = config.copy_and_resolve_references()
    known = flatten(own.to_dict())
    for field, value in fields.items():
        if field not in known:  # which the update would add
            near = difflib.get_close_matches(field, known, 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UserError(f"--cells, {name}: there is no field {field}.{hint}")
        try:
            own.update_from_flattened_dict({field: tuple(value) if type(value) is list else value})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"--cells, {name}: {field}={value!r} does not fit: {error}") from error
    return {**own.to_dict(), "pack": 1}
