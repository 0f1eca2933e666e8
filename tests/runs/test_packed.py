"""Whole runs side by side, on tiny networks: each is what it would be alone."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from asd_jax.errors import Interrupted, UserError
from asd_jax.recipes.ensemble import stages
from asd_jax.recipes.ensemble.pretext_labels import PretextLabels
from asd_jax.recipes.ensemble.recipe import RECIPE
from asd_jax.report.files import read_results, read_scores
from asd_jax.runs import cells, packed, seeds
from asd_jax.runs import recipe as runs
from asd_jax.runs.trainer import Trainer
from asd_jax.train import loop
from asd_jax.train.metrics_log import MetricsLog
from tests.recipes import tiny

STAGES = ("pretrain", "finetune", "temporal", "fusion")
PROJECT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def tiny_networks(tmp_path_factory):
    with tiny.in_place(tmp_path_factory):
        yield


def smoke(**changes):
    small = {f"{stage}__epochs": 1.0 for stage in STAGES}
    small |= {"data__clip_seconds": 1.0, "features__n_mels": 32, "scoring__bootstrap": 20}
    # Rates at which rounding stays rounding.
    small |= {f"{stage}__optimizer__learning_rate": 1e-4 for stage in STAGES[1:]}
    small |= {f"pretrain__{part}__learning_rate": 1e-4 for part in ("backbone", "auxiliary")}
    return tiny.resolved(**(small | changes))


def losses(folder):
    events = MetricsLog(str(folder / "metrics.jsonl")).read()
    return [(event["stage"], event["step"], event["loss"]) for event in events]


def assert_equal_runs(one, other):
    """Two runs of the same config, up to rounding."""
    ours, theirs = losses(one), losses(other)
    assert [event[:2] for event in ours] == [event[:2] for event in theirs]
    np.testing.assert_allclose(
        [event[2] for event in ours], [event[2] for event in theirs], rtol=1e-4
    )
    ours, theirs = (read_scores(folder / "scores.csv") for folder in (one, other))
    assert [row["path"] for row in ours] == [row["path"] for row in theirs]
    for name in (name for name in ours[0] if name.startswith("score")):
        before, after = (np.array([row[name] for row in rows]) for rows in (ours, theirs))
        assert np.abs(before - after).max() <= 2e-3 * before.std(), name
    same_config = (json.loads((folder / "config.json").read_text()) for folder in (one, other))
    assert next(same_config) == next(same_config)


def test_a_stage_of_a_pack_is_that_stage_alone(tmp_path):
    found = {}
    for kind in ("pack", "alone"):
        made = packed.open_runs(
            RECIPE, cells.of_seeds(smoke(pack=2).to_dict(), str(tmp_path / kind))
        )
        trainers = [Trainer(run, stages.temporal(run)) for run in made]
        keys = [RECIPE.stage_key(seed, "temporal") for seed in range(2)]
        known = [stages.initial_variables(run) for run in made]
        if kind == "pack":
            found[kind], diverged = packed.Pack(trainers).train(made, keys, known, {})
            assert not diverged
        else:
            of_each = zip(trainers, keys, known, strict=True)
            found[kind] = [trainer.train(*rest) for trainer, *rest in of_each]
    for seed in range(2):
        ours, theirs = (losses(tmp_path / kind / f"seed={seed}") for kind in found)
        assert [event[:2] for event in ours] == [event[:2] for event in theirs]
        np.testing.assert_allclose([x[2] for x in ours], [x[2] for x in theirs], rtol=1e-4)
        pairs = zip(*(jax.tree.leaves(tree[seed]) for tree in found.values()), strict=True)
        assert all(np.abs(a - b).max() < 1e-4 * max(1.0, np.abs(b).max()) for a, b in pairs)
    assert losses(tmp_path / "pack" / "seed=0")[0] != losses(tmp_path / "pack" / "seed=1")[0]


@pytest.mark.parametrize("recipe", ["ensemble", "pump_classifier"])
def test_only_unfinished_runs_are_made(recipe, tmp_path, monkeypatch, capsys):
    made = []
    monkeypatch.setattr(packed, "together", lambda _, own: made.extend(c.folder for c in own))
    monkeypatch.setattr(runs, "run", lambda values, folder: made.append(values["seed"]) or 0)
    both = cells.of_seeds({**tiny.resolved(recipe).to_dict(), "pack": 2}, str(tmp_path))
    assert packed.run(both) == 0 and made == [cell.folder for cell in both]
    (tmp_path / "seed=0").mkdir(exist_ok=True)
    (tmp_path / "seed=0" / "results.json").write_text("{}")
    assert packed.run(both) == 0 and made[2:] == [1]
    assert "1 of 2 runs are there already." in capsys.readouterr().out


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Seeds 0 and 1, and seed 1 alone."""
    folder = tmp_path_factory.mktemp("pair")
    assert seeds.run(smoke(pack=2).to_dict(), str(folder)) == 0
    runs.run(smoke(seed=1).to_dict(), str(folder / "alone"))
    return folder


@pytest.mark.slow
def test_a_run_of_a_pack_is_that_run_alone(pair):
    assert_equal_runs(pair / "seed=1", pair / "alone")
    assert len({losses(pair / f"seed={seed}")[0][2] for seed in range(2)}) == 2
    notes = read_results(pair / "seed=1" / "results.json")["notes"]
    assert any("side by side with 1 others" in note for note in notes)


@pytest.mark.slow
def test_mean_and_deviation_over_the_seeds(pair):
    summary = json.loads((pair / "seeds.json").read_text())
    found = [read_results(pair / f"seed={k}" / "results.json")["mean"]["auc"] for k in range(2)]
    assert summary["mean"]["auc"] == pytest.approx([np.mean(found), np.std(found, ddof=1)])
    assert summary["seeds"] == [0, 1] and len(summary["groups"]) == 4


@pytest.mark.slow
def test_a_finished_pack_ends_at_once_and_a_larger_one_makes_the_rest(pair, capsys, monkeypatch):
    seeds.run(smoke(pack=2).to_dict(), str(pair))
    assert "2 of 2 runs are there already." in capsys.readouterr().out
    made = []
    monkeypatch.setattr(runs, "run", lambda values, folder: made.append(values["seed"]) or 0)
    cells_ = cells.of_seeds(smoke(pack=3).to_dict(), str(pair))
    assert packed.run(cells_) == 0 and made == [2]


@pytest.mark.slow
def test_a_run_of_another_pack_is_the_same(pair, tmp_path):
    """Seed 1 beside other settings."""
    config = smoke()
    text = '{"1": {"seed": 1}, "other": {"finetune.margin": 0.5, "augment.snr_db": [0, 9]}}'
    assert packed.run(cells.parse(text, config, str(tmp_path))) == 0
    ours, theirs = losses(tmp_path / "1"), losses(pair / "seed=1")
    np.testing.assert_allclose([x[2] for x in ours], [x[2] for x in theirs], rtol=1e-4)
    other, theirs = losses(tmp_path / "other"), losses(pair / "seed=0")
    assert abs(other[-1][2] / theirs[-1][2] - 1) > 1e-3


@pytest.mark.slow
def test_stopped_and_taken_up_again_it_ends_in_the_same_bytes(pair, tmp_path, monkeypatch):
    original, stopped = loop._run, []

    def stop(stage, state, begin, keeper, *rest):
        if stage.name == "temporal" and not stopped:
            stopped.append(True)
            monkeypatch.setattr(loop, "_run", original)
            with pytest.raises(RuntimeError):
                original(_broken(stage), state, begin, keeper, 0.0, *rest[1:])
            raise Interrupted("Stopped.")
        return original(stage, state, begin, keeper, *rest)

    monkeypatch.setattr(loop, "_run", stop)
    with pytest.raises(Interrupted):
        seeds.run(smoke(pack=2).to_dict(), str(tmp_path))
    seeds.run(smoke(pack=2).to_dict(), str(tmp_path))
    for seed in range(2):
        ours, theirs = (path / f"seed={seed}" / "scores.csv" for path in (tmp_path, pair))
        assert ours.read_bytes() == theirs.read_bytes()


def _broken(stage):
    """A stage whose batches end after two steps: the power is gone."""

    def batches(begin):
        inner = stage.batches(begin)

        class Two:
            def __enter__(self):
                def two():
                    yield next(inner)
                    yield next(inner)
                    raise RuntimeError("no power")

                return two()

            def __exit__(self, *_):
                inner.close()

        return Two()

    return dataclasses.replace(stage, batches=batches)


@pytest.mark.slow
def test_one_that_diverges_is_named_and_the_others_come_to_their_end(tmp_path):
    text = '{"good": {"seed": 1}, "bad": {"temporal.optimizer.learning_rate": 1e30}, "too": {}}'
    with pytest.raises(UserError, match=r"temporal diverged.* That was in .*bad\.$"):
        packed.run(cells.parse(text, smoke(), str(tmp_path)))
    done = {name: (tmp_path / name / "results.json").exists() for name in ("good", "bad", "too")}
    assert done == {"good": True, "bad": False, "too": True}


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["temporal", "fusion"])
def test_four_seeds_of_the_real_networks_after_an_epoch(stage, tmp_path):
    """At a small rate: at that of the config, one rounding of the weights moves the loss by 1e-3.

    The updates, which a small rate would hide in the losses, point the same way.
    """
    answer = subprocess.run(
        [sys.executable, "-m", "tests.runs.packed_epoch", stage, "1e-6", str(tmp_path)],
        cwd=PROJECT,
        env={**os.environ, "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert answer.returncode == 0, answer.stderr
    for seed, found in enumerate(json.loads(answer.stdout.splitlines()[-1])):
        away = np.abs(np.divide(found["packed"], found["alone"]) - 1)
        moved = np.abs(np.divide(found["moved"], found["alone"]) - 1)
        print(f"{stage}, seed {seed}: {away}, one rounding {moved}, update {found['update']}")
        assert len(away) > 1 and away.max() < 1e-4
        assert found["update"] > 0.98


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": {}, "b": {"finetune.epochs": 3.0}}', r"config.finetune.epochs is 1.0 in one run"),
        ('{"a": {}, "b": {"data.hold_out": 0.3}}', "cannot train as one program"),
        ('{"a": {"finetune.margn": 1}}', "no field finetune.margn. Did you mean finetune.margin"),
        ('{"a": {"seed": "x"}}', "--cells, a: seed='x' does not fit"),
        ('["a"]', "--cells takes runs by their folders"),
        ('{"a"', "--cells is no JSON"),
    ],
)
def test_what_cannot_be_packed_is_one_sentence(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        packed.check(cells.parse(text, smoke(), str(tmp_path)))


def test_runs_of_as_many_machines_but_other_classes_cannot_share_networks(tmp_path):
    config, classes = smoke().to_dict(), iter((("a", "b"), ("a", "b", "c")))

    def load(config):
        made = PretextLabels("clusters", next(classes), np.zeros(0, int))
        return dataclasses.replace(RECIPE.imagined(config, 1), pretext_labels=made)

    recipe = dataclasses.replace(RECIPE, load=load, adjust=lambda config, clips: (config, clips))
    with pytest.raises(UserError, match="different machines"):
        packed.open_runs(recipe, cells.of_seeds({**config, "pack": 2}, str(tmp_path)))


@pytest.mark.slow
def test_classifiers_side_by_side_are_those_alone(tmp_path):
    changes = {"features__size": 32, "pretrain__epochs": 1.0, "finetune__epochs": 2.0}
    config = tiny.resolved("pump_classifier", "smoke", **changes)
    values = config.to_dict()
    assert packed.run(cells.of_seeds({**values, "pack": 2}, str(tmp_path))) == 0
    runs.run({**values, "seed": 1}, str(tmp_path / "alone"))
    ours, theirs = losses_of(tmp_path / "seed=1"), losses_of(tmp_path / "alone")
    assert [event[:2] for event in ours] == [event[:2] for event in theirs]
    np.testing.assert_allclose([x[2] for x in ours], [x[2] for x in theirs], rtol=1e-4)
    ours, theirs = (read_scores(tmp_path / n / "scores.csv") for n in ("seed=1", "alone"))
    np.testing.assert_allclose(
        [row["score"] for row in ours], [row["score"] for row in theirs], atol=1e-3
    )


def losses_of(folder):
    """Of steps and validations."""
    events = MetricsLog(str(folder / "metrics.jsonl")).read()
    return [(e["stage"], e["step"], e.get("loss", e.get("validation_loss"))) for e in events]
