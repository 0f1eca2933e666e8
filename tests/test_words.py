"""Phrases of sentences to a user."""

import pytest

from asd_jax.words import machine_name, machine_names


@pytest.mark.parametrize(
    ("groups", "shown"),
    [
        ([("motor_1", "00"), ("motor_2", "00")], ["motor_1", "motor_2"]),
        ([("fan", "00"), ("fan", "02"), ("pump", "00")], ["fan 00", "fan 02", "pump"]),
        ([("fan", "02"), ("pump", "")], ["fan 02", "pump"]),  # only the invented ID is left out
        ([("", "00"), ("", "")], ["00", ""]),
    ],
)
def test_a_machine_is_named_without_an_id_that_tells_nothing_apart(groups, shown):
    assert machine_names(groups) == shown


def test_a_machine_that_is_unknown_is_named_all_the_same():
    assert machine_name(("fan", "04"), [("pump", "00")]) == "fan 04"
    assert machine_name(("fan", "00"), ()) == "fan"
