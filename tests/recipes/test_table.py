"""The table of recipes: every line of it leads to a whole one."""

import pytest

from asd_jax import recipes
from asd_jax.detector import Detector
from asd_jax.errors import UserError
from asd_jax.runs.recipe import Recipe


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_line_leads_to_a_recipe_of_that_name_and_to_its_detector(name):
    recipe = recipes.find(name)
    assert isinstance(recipe, Recipe) and recipe.settings().recipe == name
    assert issubclass(recipes.detector_class(name), Detector)


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_detector_answers_all_that_commands_ask(name):
    assert not recipes.detector_class(name).__abstractmethods__


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    for ask in (recipes.check, recipes.find, recipes.detector_class):
        with pytest.raises(UserError, match="'ensembel'; known are ensemble, pump_classifier"):
            ask("ensembel")
