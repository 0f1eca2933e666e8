"""The alarm is raised and cleared by several windows, not by one."""

import pytest

from asd_jax.errors import UserError
from asd_jax.live.alarm import Alarm, Alarms, Rule


def states(rule, decisions):
    alarm = Alarm(rule)
    return "".join({"raised": "R", "cleared": "C", "": "."}[alarm.update(d)] for d in decisions)


@pytest.mark.parametrize(
    ("rule", "decisions", "expected"),
    [
        (Rule(2, 3, 3), [0, 1, 0, 0, 1, 0, 0], "......."),  # single windows never
        (Rule(2, 3, 3), [0, 1, 0, 1, 0, 0, 0, 0], "...R..C."),
        (Rule(2, 3, 3), [1, 1, 1, 0, 0, 1, 0, 0, 0], ".R......C"),
        (Rule(1, 1, 1), [0, 1, 1, 0, 1], ".R.CR"),
        (Rule(2, 3, 1), [1, 1, 0, 1, 1], ".RC.R"),  # windows before the clearing count no more
        (Rule(2, 2, 2), [1, -1, 1, 0, -1, 0], "..R..C"),  # one without a threshold says nothing
        (Rule(3, 3, 2), [1, 0, 1, 0, 1, 0, 1, 0], "........"),  # flapping
    ],
)
def test_raised_and_cleared(rule, decisions, expected):
    assert states(rule, decisions) == expected


def test_each_machine_has_its_own():
    alarms = Alarms(Rule(2, 2, 1))
    rows = [
        {"machine_type": "fan", "machine_id": name, "decision": 1} for name in ("a", "b", "a", "b")
    ]
    assert [alarms.update(row)["alarm"] for row in rows] == [False, False, True, True]


def test_rules_from_flags():
    assert Rule.parse("2/5", 4) == Rule(2, 5, 4)
    assert Rule.parse("2", 1) == Rule(2, 2, 1)
    for bad in ("3/2", "0/2", "a", "1/2/3", ""):
        with pytest.raises(UserError, match="--alarm_after"):
            Rule.parse(bad, 1)
    with pytest.raises(UserError, match="--clear_after"):
        Rule.parse("2/3", 0)
