import pathlib
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import soundfile
from absl import flags
from absl.testing import flagsaver

from asd_jax import fetch
from asd_jax.data.clips import Clip
from asd_jax.data.download import records
from asd_jax.data.download.records import DATA_SETS, Archive, DataSet
from asd_jax.data.download.responses import Patience
from tests.data import server as bad
from tests.data.fetching import md5, mimii_zip


@pytest.fixture
def touch(tmp_path: pathlib.Path) -> Callable[[Iterable[str]], pathlib.Path]:
    """Makes empty files below a folder: a clip table reads names only."""

    def make(names: Iterable[str]) -> pathlib.Path:
        root = tmp_path / "root"
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return root

    return make


@pytest.fixture
def write_wav() -> Callable[..., Clip]:
    """Writes a recording and returns it as a training clip."""

    def write(path: pathlib.Path, wave: np.ndarray, rate: int = 1000, **options) -> Clip:
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, wave, rate, **options)
        return Clip(str(path), "fan", "00", "train", 0)

    return write


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with bad.serving() as server:
        yield server


@pytest.fixture
def command(server, tmp_path, monkeypatch):
    """Runs the command in this process; the folder is tmp_path/data."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["test"])
    patience = Patience(connect=2, read=0.5, attempts=2, sleep=lambda _: None)
    monkeypatch.setattr(records.Source, "__init__", _with(records.Source.__init__, patience))

    def run(name, **settings):
        settings = {"dir": str(tmp_path / "data"), "accept_licence": True, **settings}
        with flagsaver.flagsaver(**{"mirror": server.url, **settings}):
            return fetch.main(["fetch", name] if name else ["fetch"])

    return run


def _with(init, patience):
    return lambda self, mirror="": init(self, mirror, patience)


@pytest.fixture
def mimii(server, tmp_path, monkeypatch):
    """MIMII with small archives in place of its twelve, and the sounds in one of them."""
    small, sounds = [], {}
    for archive in DATA_SETS["mimii"].archives:
        content, sounds[archive.machine] = mimii_zip(tmp_path, archive.machine)
        server.files[f"/{archive.path}"] = content
        fields = {**vars(archive), "size": len(content), "md5": md5(content)}
        small.append(Archive(**fields))
    data = DataSet("mimii", "MIMII", "CC BY-SA 4.0", tuple(small))
    monkeypatch.setitem(DATA_SETS, "mimii", data)
    return sounds
