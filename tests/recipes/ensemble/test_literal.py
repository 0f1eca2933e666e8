"""The paper as printed: what the config sets, and a whole run of it."""

import numpy as np
import pytest

from asd_jax.recipes.ensemble import clips as corpus
from asd_jax.recipes.ensemble.settings import Ensemble
from asd_jax.report.files import read_results
from asd_jax.runs import recipe as runs
from asd_jax.runs.settings import from_config
from tests.recipes import tiny
from tests.recipes.ensemble.test_recipe import smoke


@pytest.fixture(scope="module", autouse=True)
def tiny_networks(tmp_path_factory):
    with tiny.in_place(tmp_path_factory):
        yield


@pytest.mark.parametrize("argument", ["smoke", "smoke,literal"])
def test_all_normals_train_as_printed_and_a_part_of_them_calibrates(argument):
    clips = corpus.load(from_config(Ensemble, smoke(argument)), progress=False)
    rows = clips.training
    assert len(rows) == len(set(rows)) and set(clips.held_out) <= set(rows)
    printed = argument == "smoke,literal"
    assert (set(clips.fit) == set(rows)) == printed
    assert bool(set(clips.fit) & set(clips.held_out)) == printed
    assert any("All normal clips train" in note for note in clips.notes) == printed


def test_no_network_has_more_batch_norms_than_the_tables():
    config = from_config(Ensemble, smoke("smoke,literal"))
    assert not config.encoder.embedding_norm and not config.temporal.embedding_norm
    assert (config.scoring.covariance, config.augment.pitch) == ("literal", "tempo")
    assert config.pretrain.auxiliary.weight_decay == 0.0
    assert config.pretrain.backbone.schedule == "constant"


@pytest.mark.slow
def test_a_literal_run_says_what_it_is(tmp_path):
    runs.run(smoke("smoke,literal"), str(tmp_path))
    results = read_results(tmp_path / "results.json")
    assert results["protocol"]["name"] == "literal"
    assert results["identification"]["accuracy"] is None
    assert any("pretrain.epochs" in said for said in results["protocol"]["deviations"])
    assert any("stride 128" in said for said in results["protocol"]["readings"])
    assert all(np.isfinite(group["auc"]) for group in results["groups"])
    assert "Where this run departs" in (tmp_path / "report.html").read_text(encoding="utf-8")
