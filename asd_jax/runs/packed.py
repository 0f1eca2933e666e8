"""Several runs side by side: of several seeds, or of settings that leave shapes alone.

Each stage trains all of them as one program over an axis of runs, which is shared out among the
devices. What comes between and after the stages each does by itself. A run leaves in its folder
what it would leave alone, up to rounding; so the same runs, or one of them, can go on in any way.
"""

import importlib
from collections.abc import Sequence

import jax

from asd_jax.errors import UserError
from asd_jax.runs.cells import Cell
from asd_jax.runs.settings import flatten
from asd_jax.runs.tunables import may_differ

# By the recipe, the modules that make a run alone (`run`) and several together (`together`).
ALONE = {"ensemble": "ensemble", "pump_classifier": "pump_classifier"}
TOGETHER = {"ensemble": "ensemble_packed", "pump_classifier": "classifier_packed"}


def run(cells: Sequence[Cell]) -> int:
    """Trains the runs together, and calibrates and evaluates each; finished ones are left alone.

    Raises:
        UserError: for anything that the user can mend. A run that diverges does not keep the others
            from their end; it is named after it.
        Interrupted: when asked to stop; everything up to the last step is saved.
    """
    check(cells)
    opened = [_recipe(ALONE, cell).open_workdir(cell.values, cell.folder) for cell in cells]
    left = [cell for cell, workdir in zip(cells, opened, strict=True) if not workdir.finished()]
    if len(left) < len(cells):
        print(f"{len(cells) - len(left)} of {len(cells)} runs are there already.", flush=True)
    if len(left) == 1:
        return _recipe(ALONE, left[0]).run(dict(left[0].values), left[0].folder)
    if left:
        _recipe(TOGETHER, left[0]).together(left)
    return 0


def _recipe(modules: dict[str, str], cell: Cell):
    return importlib.import_module(f"asd_jax.recipes.{modules[cell.values['recipe']]}")


def check(cells: Sequence[Cell]) -> None:
    """Raises UserError where runs cannot share a program."""
    if jax.process_count() > 1:
        raise UserError("config.pack is for one process; give each host runs of its own.")
    first, *others = (flatten(cell.values) for cell in cells)
    for other in others:
        for field in sorted(first.keys() | other.keys()):
            if first.get(field) != other.get(field) and not may_differ(field):
                raise UserError(
                    f"config.{field} is {first.get(field)!r} in one run and {other.get(field)!r} "
                    "in another; such runs cannot train as one program."
                )
