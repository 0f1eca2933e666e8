import gzip
import json
import pathlib

import jax
import jax.numpy as jnp
import pytest

from asd_jax.errors import UserError
from asd_jax.train import profile


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(profile, "_folder", None)  # put back afterwards
    profile.enable(str(tmp_path / "traces"))
    return tmp_path / "traces"


def traces(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(folder.rglob("*.trace.json.gz"))


@pytest.mark.parametrize(("total", "traced"), [(20, 3), (4, 3), (1, 1)])
def test_a_stage_leaves_one_trace_of_a_few_steps(folder, capsys, total, traced):
    def work(x):
        return jnp.sin(x) @ x

    step = jax.jit(work)
    x = jnp.eye(8)
    with profile.traced("toy", total) as trace:
        for _ in range(total):
            x = step(x)
            trace(x)
    (path,) = traces(folder / "toy")
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    modules = {event.get("args", {}).get("hlo_module") for event in events}
    assert "jit_work" in modules or total == 1
    assert f"{traced} steps are traced in {folder / 'toy'}" in capsys.readouterr().out


def test_a_stage_that_fails_ends_its_trace(folder):
    with pytest.raises(ValueError), profile.traced("toy", 3):
        raise ValueError
    with profile.traced("next", 1) as trace:  # the profiler is free again
        trace(jnp.ones(()))
    assert traces(folder / "next")


def test_nothing_happens_unasked(monkeypatch, tmp_path):
    monkeypatch.setattr(profile, "_folder", None)
    with profile.traced("toy", 3) as trace:
        trace(jnp.ones(()))
    assert not traces(tmp_path)


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--profile="):
        profile.enable(str(tmp_path / "file" / "below"))
