"""The classifier's settings: what the config files make of them, and what is refused."""

import dataclasses

import pytest

from asd_jax.errors import UserError
from asd_jax.recipes.pump_classifier.settings import PumpClassifier
from asd_jax.runs.settings import from_config
from tests.recipes import tiny
from tests.runs.test_settings import get_config


def settings(**changes):
    values = tiny.resolved("pump_classifier", "smoke", **changes)
    return from_config(PumpClassifier, values.to_dict())


@pytest.mark.parametrize(
    ("argument", "message"), [("mimii,folder", "one data set"), ("mnist", "mnist is not known")]
)
def test_a_wrong_argument_is_one_sentence(argument, message):
    with pytest.raises(UserError, match=message):
        get_config("pump_classifier", argument)


@pytest.mark.parametrize(
    "argument", ["", "quickstart", "mimii", "mimii,literal", "mimii,full", "folder"]
)
def test_every_argument_makes_valid_settings(argument):
    made = from_config(PumpClassifier, get_config("pump_classifier", argument).to_dict())
    assert dataclasses.asdict(made)["protocol"] == (
        "literal" if "literal" in argument else "recommended"
    )


def test_literal_keeps_the_printed_network_schedule_and_decision():
    made = get_config("pump_classifier", "mimii,literal").to_dict()
    plain = dataclasses.asdict(PumpClassifier())
    for section in ("finetune", "network", "decision", "synthetic"):
        printed = {**plain[section], **({"simam": "sun"} if section == "network" else {})}
        assert made[section] == printed, section
    assert made["pretrain"] == {**plain["pretrain"], "clips": "all"}
    assert made["features"] == {**plain["features"], "render": "magma"}
    full = get_config("pump_classifier", "mimii,full").to_dict()
    assert full["finetune"]["epochs"] == 200 and full["features"]["size"] == 224
    assert full["network"]["width"] == 1.0 and full["network"]["head"] == "rows"


def test_the_quickstart_tests_enough_recordings():
    made = get_config("pump_classifier", "").to_dict()
    machine = made["synthetic"]
    shares = made["split"]["shares"]
    counts = [round(shares[2] * machine[kind]) for kind in ("normal", "abnormal")]
    assert sum(counts) * len(machine["ids"]) >= 150


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split__shares": (0.5, 0.2, 0.2)}, "split.shares"),
        ({"features__normalise": "batch"}, "features.normalise"),
        ({"decision__false_alarm_rate": 1.0}, "decision.false_alarm_rate"),
        ({"decision__method": "eer"}, "decision.method"),
        ({"decision__calibrate": "isotonic"}, "decision.calibrate"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        settings(**changes)
