"""Each logger gets what metrics.jsonl gets; one that fails stops nothing."""

import csv
import glob
import os
import pathlib
import sys
import types

import pytest

from asd_jax.errors import UserError
from asd_jax.train import metrics_log
from asd_jax.train.metrics_log import MetricsLog

CONFIG = {"seed": 3, "scoring.scorer": "knn"}


@pytest.fixture(autouse=True)
def none_after():
    yield
    metrics_log.enable([])


def logged(folder, names, upto=(3, 5)):
    """A log of two stages; the second is stopped after step 5 and goes on after step 3."""
    metrics_log.enable(names)
    folder.mkdir(exist_ok=True)
    book = MetricsLog(
        str(folder / "metrics.jsonl"), also=metrics_log.of(str(folder), lambda: CONFIG)
    )
    book.rewind("first", 0)
    for step in (1, 2):
        book.log("first", step, loss=1.0 / step)
    book.rewind("second", 0)
    for step in (1, 3, 5):
        book.log("second", step, loss=float(step), speed=None, note="x")
    book.rewind("second", 3)
    book.log("second", 4, loss=9.0)
    metrics_log.of(str(folder), dict).close()
    return book.read()


def events(folder, stage):
    """Step and value of each loss in the event files of a stage, and steps that were purged."""
    from tensorboardX.proto import event_pb2

    found = []
    for path in sorted(glob.glob(os.path.join(folder, "tensorboard", stage, "events*"))):
        data = pathlib.Path(path).read_bytes()
        while data:  # length, its checksum, the event, its checksum
            size = int.from_bytes(data[:8], "little")
            event = event_pb2.Event.FromString(data[12 : 12 + size])
            data = data[16 + size :]
            found += [(event.step, v.tag, v.simple_value) for v in event.summary.value]
            if event.session_log.status == event_pb2.SessionLog.START:
                found = [entry for entry in found if entry[0] < event.step]
    return found


def test_csv_has_what_the_log_has_and_what_comes_again_once(tmp_path):
    expected = [
        [e["stage"], str(e["step"]), "loss", f"{e['loss']:.9g}"]
        for e in logged(tmp_path / "run", ["csv"])
    ]
    rows = list(csv.reader((tmp_path / "run" / "metrics.csv").open(encoding="utf-8")))
    assert rows == [["stage", "step", "name", "value"], *expected] and len(rows) == 6


def test_event_files_need_no_tensorflow_and_forget_what_comes_again(tmp_path):
    pytest.importorskip("tensorboardX")
    logged(tmp_path / "run", ["tensorboard"])
    assert events(tmp_path / "run", "first") == [(1, "loss", 1.0), (2, "loss", 0.5)]
    assert events(tmp_path / "run", "second") == [
        (1, "loss", 1.0),
        (3, "loss", 3.0),
        (4, "loss", 9.0),
    ]
    assert "tensorflow" not in sys.modules


class Services(types.SimpleNamespace):
    """Both packages, as far as they are used."""

    def __init__(self):
        super().__init__(called=[])

    def init(self, **options):
        self.called.append(("init", options))
        return types.SimpleNamespace(
            log=lambda values: self.called.append(("log", values)),
            finish=lambda: self.called.append(("finish",)),
        )

    def __getattr__(self, name):
        return lambda *args, **more: self._client(name, *args, **more)

    def _client(self, name, *arguments, **more):
        self.called.append((name, *arguments, *more.values()))
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id="r1"), experiment_id="e1")


def test_wandb_is_told_each_event_and_the_end(tmp_path, monkeypatch):
    there = Services()
    monkeypatch.setattr(metrics_log.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setitem(sys.modules, "wandb", there)
    logged(tmp_path / "run", ["wandb"])
    (_, options), *told, end = there.called
    assert options["name"] == "run" and options["config"] == CONFIG
    assert told[0] == ("log", {"first/step": 1, "first/loss": 1.0})
    assert told[-1] == ("log", {"second/step": 4, "second/loss": 9.0}) and len(told) == 6
    assert end == ("finish",)


def test_mlflow_is_told_each_event_and_the_end(tmp_path, monkeypatch):
    there = Services()
    monkeypatch.setattr(metrics_log.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setitem(sys.modules, "mlflow", types.SimpleNamespace(MlflowClient=lambda: there))
    logged(tmp_path / "run", ["mlflow"])
    assert ("create_run", "e1", "run") in there.called
    assert ("log_param", "r1", "scoring.scorer", "knn") in there.called
    assert ("log_metric", "r1", "second/loss", 9.0, 4) in there.called
    assert there.called[-1] == ("set_terminated", "r1")


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_the_packages_themselves_take_it_without_a_network(tmp_path, monkeypatch, name):
    pytest.importorskip(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # its database needs more packages
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setattr(metrics_log.logging, "warning", lambda *said: pytest.fail(str(said)))
    logged(tmp_path / "run", [name])
    if name == "wandb":
        assert glob.glob(str(tmp_path / "run" / "wandb" / "offline-run-*" / "*.wandb"))
        return
    from mlflow import MlflowClient

    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("asd_jax").experiment_id])
    assert run.data.metrics["second/loss"] == 9.0 and run.info.status == "FINISHED"
    assert run.data.params == {"seed": "3", "scoring.scorer": "knn"}


def test_a_logger_that_fails_is_left_out_and_the_log_goes_on(tmp_path, monkeypatch):
    class Gone(metrics_log.Csv):
        def log(self, stage, step, values):
            raise ConnectionError("no route to host")

    monkeypatch.setitem(metrics_log.LOGGERS, "gone", (Gone, ""))
    found = logged(tmp_path / "run", ["gone", "csv"])
    rows = (tmp_path / "run" / "metrics.csv").read_text("utf-8").splitlines()
    assert len(rows) == 1 + len(found) == 6


def test_what_cannot_be_is_said_at_once():
    with pytest.raises(UserError, match="no logger; there are csv, tensorboard"):
        metrics_log.enable(["excel"])


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(metrics_log.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'asd_jax\[tensorboard\]'"):
        metrics_log.enable(["csv", "tensorboard"])
