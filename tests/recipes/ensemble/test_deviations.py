"""Where a run departs from the paper is said, field by field."""

import dataclasses

import pytest

from asd_jax.recipes.ensemble import settings
from asd_jax.recipes.ensemble.deviations import PRINTED, deviations, readings
from asd_jax.runs.settings import flatten
from tests.runs.test_settings import ensemble


def test_every_printed_number_is_a_setting():
    assert PRINTED.keys() <= flatten(dataclasses.asdict(settings.Ensemble())).keys()


@pytest.mark.parametrize("data", ["mimii", "dcase2020", "mimii_due"])
def test_literal_on_the_papers_data_departs_in_nothing_that_is_printed(data):
    assert deviations(ensemble(f"{data},literal")) == []


def test_literal_on_a_short_schedule_departs_in_its_length_alone():
    found = deviations(ensemble("quickstart,literal"))
    assert any("config.pretrain.epochs is 15; the paper has 50." in said for said in found)
    fields = ("epochs", "batch_size", "n_mels", "encoder.width")
    assert found and all(any(field in said for field in fields) for said in found)


def test_recommended_says_what_it_changes():
    told = " ".join(deviations(ensemble("mimii")))
    for what in ("Eq. 6", "BatchNorm that Table 1", "held-out normals", "eq. 9 adds raw", "tempo"):
        assert what in told


def test_one_changed_number_is_one_sentence():
    printed = ensemble("mimii,literal")
    augment = dataclasses.replace(printed.augment, mix_ratio=0.3)
    found = deviations(dataclasses.replace(printed, augment=augment))
    assert found == ["config.augment.mix_ratio is 0.3; the paper has 0.4."]


def test_what_the_paper_leaves_open_is_said_with_what_was_taken():
    told = " ".join(readings(ensemble("mimii,literal")))
    for what in ("stride 128", "30 and 0.7", "24x24", "0.001 added"):
        assert what in told
