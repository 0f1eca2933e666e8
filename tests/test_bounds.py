"""Every number of both recipes has bounds, and what lies outside is refused in one sentence."""

import dataclasses
import math
from typing import Annotated, Literal

import pytest

from asd_jax.bounds import Among, Checked, FieldError, Within, fault, inside, kinds, traced
from asd_jax.errors import UserError
from asd_jax.recipes.ensemble.settings import Ensemble
from asd_jax.recipes.pump_classifier.settings import PumpClassifier
from asd_jax.runs.settings import as_config, flatten, from_config

TRIED = (-1, 0, math.nan, math.inf, -math.inf, 1e30, 10**30)


def is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def numbers_of(recipe):
    """Every number of the default tree, those in tuples too: (field, place in its tuple)."""
    for field, value in flatten(as_config(recipe()).to_dict()).items():
        if is_number(value):
            yield field, None
        elif isinstance(value, tuple):
            yield from ((field, place) for place, item in enumerate(value) if is_number(item))


def bounds_of(recipe, field):
    """The rules that the annotation of a field declares."""
    kind = recipe
    for name in field.split("."):
        kind = kinds(kind)[name]
    found, kinds_left = [], [kind]
    while kinds_left:
        kind = kinds_left.pop()
        found += [rule for rule in getattr(kind, "__metadata__", ())]
        kinds_left += [part for part in getattr(kind, "__args__", ()) if part is not Ellipsis]
    return found


def changed(recipe, field, place, value):
    """The default tree with one number in another's place."""
    values = as_config(recipe()).to_dict()
    *parents, leaf = field.split(".")
    part = values
    for name in parents:
        part = part[name]
    if place is None:
        part[leaf] = value
    else:
        part[leaf] = tuple(value if i == place else item for i, item in enumerate(part[leaf]))
    return values


CASES = [
    pytest.param(recipe, field, place, id=f"{recipe.__name__}.{field}[{place}]")
    for recipe in (Ensemble, PumpClassifier)
    for field, place in numbers_of(recipe)
]


def test_the_walk_finds_the_numbers():
    assert len(CASES) > 120


@pytest.mark.parametrize(("recipe", "field", "place"), CASES)
def test_a_number_is_within_declared_bounds_or_refused_in_one_sentence(recipe, field, place):
    rules = bounds_of(recipe, field)
    assert rules, f"{field} declares no bounds"
    for value in TRIED:
        allowed = any(
            value in rule.names if isinstance(rule, Among) else not rule.fault(float, value)
            for rule in rules
        )
        try:
            from_config(recipe, changed(recipe, field, place, value))
        except UserError as error:
            said = str(error)
            assert said.startswith("config.") and said.endswith(".") and "\n" not in said
            if not allowed:
                assert said.startswith(f"config.{field} is ") and "; it must" in said
        else:
            assert allowed, f"{field} takes {value}"
            assert value in (-1, 0), f"{field} takes {value}"


@pytest.mark.parametrize("recipe", [Ensemble, PumpClassifier])
def test_text_flags_and_groups_take_nothing_else(recipe):
    for field, value in flatten(as_config(recipe()).to_dict()).items():
        if isinstance(value, str | bool | tuple):
            with pytest.raises(UserError, match=rf"^config\.{field} is 3\.5; it must"):
                from_config(recipe, changed(recipe, field, None, 3.5))
    for field in (f.name for f in dataclasses.fields(recipe)):
        if dataclasses.is_dataclass(getattr(recipe, field)):
            with pytest.raises(UserError, match=rf"^config\.{field} is 3; it must"):
                from_config(recipe, {field: 3})


@dataclasses.dataclass(frozen=True)
class Part(Checked):
    share: Annotated[float, Within(0, 1, above=True)] = 0.5
    pair: tuple[Annotated[int, Within(0, 9)], Annotated[int, Within(0, 9)]] = (1, 2)
    names: tuple[Literal["a", "b"], ...] = ()
    most: Annotated[float, Within(0, 1)] | None = None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"share": 0}, r"Part\.share is 0; it must be above 0 and at most 1\."),
        ({"share": "1"}, r"Part\.share is '1'; it must be a number\."),
        ({"share": True}, r"must be a number"),
        ({"pair": (1, 2.5)}, r"Part\.pair is \(1, 2\.5\); it must be a whole number, each entry\."),
        ({"pair": (1, 2, 3)}, r"must have 2 entries"),
        ({"pair": [1, 2]}, r"must be a tuple"),
        ({"names": ("a", "c")}, r"must be one of 'a', 'b', each entry"),
        ({"most": 2.0}, r"must be at least 0 and at most 1"),
    ],
)
def test_what_cannot_be_is_named(change, said):
    with pytest.raises(FieldError, match=said):
        Part(**change)


def test_what_can_be_is_taken():
    assert Part(share=1, pair=(0, 9), names=("b", "a", "a"), most=None).share == 1
    assert Part(most=1.0).most == 1.0


def test_a_field_without_bounds_is_an_error_of_its_class():
    @dataclasses.dataclass(frozen=True)
    class Open(Checked):
        rate: float = 1.0

    with pytest.raises(TypeError, match="which values can be"):
        Open()
    with pytest.raises(TypeError, match="which values can be"):
        fault(dict, {})


def test_a_field_is_named_by_its_place_in_the_tree():
    with (
        pytest.raises(FieldError, match=r"^config\.part\.share is -1;"),
        inside("config"),
        inside("Tree.part"),
    ):
        Part(share=-1)


def test_bounds_hold_where_a_subclass_changes_the_default():
    @dataclasses.dataclass(frozen=True)
    class Other(Part):
        share: Annotated[float, Within(0, 1)] = 0.0

    assert Other().share == 0.0
    with pytest.raises(FieldError, match="pair"):
        Other(pair=(1, 10))


def test_traced_numbers_are_not_checked_and_leave_the_original():
    part = Part()
    assert traced(part, share=7.0).share == 7.0
    assert part.share == 0.5
