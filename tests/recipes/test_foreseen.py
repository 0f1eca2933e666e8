"""Programs compiled before the recordings are there: the right ones, or none."""

import dataclasses

import numpy as np
import pytest

from asd_jax.recipes import corpus, foreseen, networks, stages
from asd_jax.recipes.ensemble import STAGES
from asd_jax.recipes.settings import Ensemble, from_config
from asd_jax.recipes.workdir import Workdir
from tests.recipes import tiny
from tests.recipes.test_settings import get_config


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """Nothing is compiled, and the synthetic machines are written into a folder of the test's."""
    monkeypatch.setattr(networks, "build", tiny.build)
    monkeypatch.setattr(foreseen, "compile_ahead", lambda run, trainings: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Workdir(str(tmp_path / "run"))


def settings(**fields) -> Ensemble:
    config = get_config("ensemble", "smoke")
    for name, value in fields.items():
        config.update_from_flattened_dict({name: value})
    return from_config(Ensemble, config.to_dict())


def trainings(config, workdir, found):
    run = stages.Run(config, workdir, found, networks.build(config, len(found.classes.names)))
    return [stages.Training(run, plan(run)) for plan in STAGES]


def test_synthetic_machines_are_foreseen_as_they_are_found(workdir):
    config = settings()
    before = foreseen.foresee(config, workdir, STAGES)
    after = trainings(config, workdir, corpus.load(config, progress=False))
    assert [own.about("step") for own in before] == [own.about("step") for own in after]
    for number, own in enumerate(before):
        own._compiled, own._draw = f"step {number}", f"draw {number}"
    assert foreseen.taken(after, before)
    assert [own._compiled for own in after] == [f"step {number}" for number in range(4)]
    assert [own._draw for own in after] == [f"draw {number}" for number in range(4)]


def test_programs_of_other_machines_are_left(workdir):
    config = settings()
    before = foreseen.foresee(config, workdir, STAGES)
    others = foreseen.unheard(config, 40, 3)
    after = trainings(config, workdir, dataclasses.replace(others, fit=np.arange(40)))
    for own in before:
        own._compiled = "another"
    assert not foreseen.taken(after, before)
    assert not any(own._compiled for own in after)


@pytest.mark.parametrize(
    "fields",
    [
        {"data.layout": "mimii"},
        {"data.machines": ("fan",)},
        {"data.classes": "clusters"},
        {"synthetic.types": ("fan",), "synthetic.ids": ("id_00",)},
    ],
)
def test_what_has_to_be_looked_at_is_not_foreseen(workdir, fields):
    assert foreseen.foresee(settings(**fields), workdir, STAGES) == []
