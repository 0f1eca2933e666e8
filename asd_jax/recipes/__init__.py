"""What can be run: a recipe is a folder here, and a line in `RECIPES`."""

import importlib
from typing import TYPE_CHECKING

from asd_jax.errors import UserError

if TYPE_CHECKING:
    from asd_jax.detector import Detector
    from asd_jax.runs.recipe import Recipe

# By the name in `config.recipe` the folder, in which recipe.py holds RECIPE, and
# detector.py DETECTOR.
RECIPES = {
    "ensemble": "asd_jax.recipes.ensemble",
    "pump_classifier": "asd_jax.recipes.pump_classifier",
}


def find(name: str) -> "Recipe":
    """The `runs.recipe.Recipe` of this name; raises UserError for an unknown one."""
    return importlib.import_module(f"{_folder(name)}.recipe").RECIPE


def detector_class(name: str) -> "type[Detector]":
    """Returns the class of the recipe's detectors, which reads their folders; as `find`."""
    return importlib.import_module(f"{_folder(name)}.detector").DETECTOR


def check(name: str) -> None:
    """Raises UserError for a recipe that is not known."""
    if name not in RECIPES:
        raise UserError(f"config.recipe is {name!r}; known are {', '.join(RECIPES)}.")


def _folder(name: str) -> str:
    check(name)
    return RECIPES[name]
