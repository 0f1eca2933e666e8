"""How many clips and machines a config trains on, where the data set's size is known.

MIMII's counts are those of its publication; the others are those of their challenges. Folders and
additional data are counted by whoever has them: `--clips` and `--classes`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from asd_jax import recipes
from asd_jax.errors import UserError
from asd_jax.runs.settings import from_config

# Normal and abnormal clips of each machine at one noise level: IDs 00, 02, 04, 06.
MIMII = {
    "fan": ((1011, 407), (1016, 359), (1033, 348), (1015, 361)),
    "pump": ((1006, 143), (1005, 111), (702, 100), (1036, 102)),
    "slider": ((1068, 356), (1068, 267), (534, 178), (534, 89)),
    "valve": ((991, 119), (708, 120), (1000, 120), (992, 120)),
}
_YEAR_TYPES = ("bearing", "fan", "gearbox", "slider", "ToyCar", "ToyTrain", "valve")
_DUE = {name: (3, 3009) for name in ("fan", "pump", "slider", "valve")} | {"gearbox": (3, 3026)}
# Classes and normal training clips of each machine type of the development data.
OTHERS = {
    "dcase2020": {
        "fan": (4, 3675),
        "pump": (4, 3349),
        "slider": (4, 2804),
        "valve": (4, 3291),
        "ToyCar": (4, 4000),
        "ToyConveyor": (3, 3000),
    },
    "mimii_due": _DUE,
    "dcase2021": _DUE | {"ToyCar": (3, 3009), "ToyTrain": (3, 3009)},
    "dcase2022": dict.fromkeys(_YEAR_TYPES, (3, 3000)),
} | {f"dcase{year}": dict.fromkeys(_YEAR_TYPES, (1, 1000)) for year in (2023, 2024, 2025)}


@dataclasses.dataclass(frozen=True)
class Size:
    """The size of the data that a run trains on.

    Attributes:
        clips: that each stage goes through in an epoch; a stage that is left out has none.
        classes: machines to tell apart.
    """

    clips: dict[str, int]
    classes: int


def size_of(values: Mapping[str, Any], clips: int = 0, classes: int = 0) -> Size:
    """The size of a config's data, or what the flags give instead of it.

    Args:
        values: the resolved config.
        clips: that an epoch of every stage has; 0 for what is known.
        classes: 0 for what is known.

    Raises:
        UserError: the size of this data set is not known, and not given.
    """
    recipe = recipes.find(values["recipe"])
    machines = _machines(values)
    if not machines and not (clips and (classes or not recipe.identifies)):
        what = "--clips=N and --classes=N" if recipe.identifies else "--clips=N"
        raise UserError(f"the size of {values['data']['layout']!r} is not known; give {what}.")
    found = recipe.counts(from_config(recipe.settings, values), machines)
    return Size(dict.fromkeys(found, clips) if clips else found, classes or len(machines))


def _machines(values: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Normal and abnormal clips of each machine, over all noise levels; [] where not known.

    Of data sets that name their own test clips, the normal ones are those of the training part.
    """
    data, synthetic = values["data"], values["synthetic"]
    if data["layout"] == "synthetic":
        one = (synthetic["normal"], synthetic["abnormal"])
        number = len(synthetic["types"]) * len(synthetic["ids"])
        return _at_levels([one] * number, len(synthetic["snr"]))
    table: Mapping[str, Any] = MIMII
    if data["layout"] != "mimii":
        known = {} if data["use_additional"] else OTHERS.get(data["layout"], {})
        table = {name: ((total // n, 0),) * n for name, (n, total) in known.items()}
    chosen = data["machines"] or tuple(table)
    machines = [machine for name in chosen for machine in table.get(name, ())]
    return _at_levels(machines, len(data["snr"]) or 3 if data["layout"] == "mimii" else 1)


def _at_levels(machines: list[tuple[int, int]], levels: int) -> list[tuple[int, int]]:
    return [(normal * levels, abnormal * levels) for normal, abnormal in machines]
