"""Phrases of sentences to a user."""

import pytest

from asd_jax.naming import cell, machine_name, machine_names, printable, text_of_cell


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


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@a", "'=1", "=\n", "\t=1", "-", "a", "\\x1b"]
)
def test_a_cell_is_no_formula_and_comes_back(text):
    shown = cell(text)
    assert text_of_cell(shown) == text
    assert shown[0] not in "=+@\t\r\n" and (shown == "-" or shown[0] != "-")


def test_what_a_terminal_obeys_is_shown_and_all_else_left():
    assert printable("a\x1b[2J\nb") == "a\\x1b[2J\\nb"
    assert printable("\u202e\udcff") == "\\u202e\\udcff"
    assert printable("Lüfter 風扇 +5 °C") == "Lüfter 風扇 +5 °C"


def test_a_space_that_does_not_break_is_a_space():
    assert printable("93\u00a0%\n") == "93 %\\n"
