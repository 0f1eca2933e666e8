"""A third recipe takes a folder and a line: `tests/recipes/toy`, and its name in `RECIPES`."""

import numpy as np
import pytest
import soundfile

from asd_jax import recipes
from asd_jax.data.synthetic.settings import SyntheticMachines
from asd_jax.detector import load_detector
from asd_jax.live.recordings import score_paths
from asd_jax.naming import printable
from asd_jax.report.files import read_results, read_scores
from asd_jax.runs import packed
from asd_jax.runs import recipe as runs
from asd_jax.runs.cells import of_seeds
from asd_jax.runs.recipe import programs
from asd_jax.runs.settings import Data, as_config
from tests.recipes.toy.settings import MeanLevel

MACHINES = SyntheticMachines(types=("fan", "valve"), normal=24, abnormal=8, seconds=1.0)


@pytest.fixture(scope="module", autouse=True)
def line(tmp_path_factory):
    """The line in the table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(recipes.RECIPES, "toy", "tests.recipes.toy")
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


def values(seed=0):
    settings = MeanLevel(seed=seed, data=Data(clip_seconds=1.0), synthetic=MACHINES)
    return as_config(settings).to_dict()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, line):
    folder = tmp_path_factory.mktemp("toy")
    runs.run(values(), str(folder))
    return folder


def test_the_run_leaves_what_every_run_does(finished):
    names = {"config.json", "metrics.jsonl", "scores.csv", "results.json", "report.html"}
    assert names | {"detector", "checkpoints"} <= {p.name for p in finished.iterdir()}
    results = read_results(finished / "results.json")
    assert {(g["machine_type"], g["machine_id"]) for g in results["groups"]} == {
        (kind, number) for kind in MACHINES.types for number in ("00", "02")
    }
    assert "mean_log_mel" in results["references"]
    assert "Machine sound report" in (finished / "report.html").read_text(encoding="utf-8")


def test_its_network_learns(finished):
    losses = [e["loss"] for e in runs.Workdir(str(finished)).metrics_log().read() if "loss" in e]
    assert losses[-1] < 0.8 * losses[0]


def test_its_detector_scores_recordings_as_the_run_did(finished, tmp_path):
    rows = read_scores(finished / "scores.csv")
    detector = load_detector(str(finished / "detector"))
    rng = np.random.default_rng(0)
    noise = tmp_path / "fan" / "id_00" / "noise.wav"
    noise.parent.mkdir(parents=True)
    soundfile.write(noise, rng.uniform(-1, 1, 16000), 16000)
    found, unreadable = score_paths(detector, [str(noise)])
    assert not unreadable and found[0]["decision"] == 1
    assert found[0]["score"] > max(row["score"] for row in rows if row["label"] == 0)


def test_the_same_command_again_ends_at_once(finished, monkeypatch, capsys):
    monkeypatch.setattr(runs, "Trainer", None)
    assert runs.run(values(), str(finished)) == 0
    assert printable(read_results(finished / "results.json")["verdict"]) in capsys.readouterr().out


def test_seeds_of_it_train_side_by_side(finished, tmp_path):
    packed.run(of_seeds(values() | {"pack": 2}, str(tmp_path)))
    alone = [row["score"] for row in read_scores(finished / "scores.csv")]
    beside = [row["score"] for row in read_scores(tmp_path / "seed=0" / "scores.csv")]
    assert np.corrcoef(alone, beside)[0, 1] > 0.99
    assert read_results(tmp_path / "seed=1" / "results.json")["seed"] == 1


def test_its_steps_can_be_planned_without_recordings():
    (program,) = programs(values(), {"train": 64}, 4).values()
    assert program.name == "train" and program.batch["wave"].shape[1] == 16000
