"""Compiled programs that are kept: the same results, no second compilation, and never others."""

import json
import os
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asd_jax import kept
from asd_jax.recipes.settings import Ensemble, Optimizer
from asd_jax.recipes.tunables import program_fields
from asd_jax.train import executable
from asd_jax.train.ahead import Ahead
from asd_jax.train.executable import Executable
from asd_jax.train.optimizer import make_optimizer
from asd_jax.train.sharding import data_mesh, replicated, sharded
from asd_jax.train.state import create_state
from asd_jax.train.step import compile_step, make_step


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where programs are kept."""
    path = tmp_path / "programs"
    monkeypatch.setattr(kept, "folder", lambda: str(path))
    return path


class Line:
    """A step that counts how often it is compiled."""

    def __init__(self, devices=8):
        self.made, self.mesh = 0, data_mesh(devices)
        self.batch = {"wave": jnp.ones((8, 3)), "label": jnp.arange(8, dtype=jnp.int32)}

    def state(self):
        variables = {"line": {"params": {"w": jnp.arange(3.0)}}}
        return create_state(jax.random.key(0), variables, self.optimizer)

    @property
    def optimizer(self):
        return make_optimizer({"line": Optimizer("sgd", 0.1, momentum=0.9)}, 10)

    def lower(self):
        self.made += 1

        def loss(params, state, batch, key):
            error = batch["wave"] @ params["line"]["w"] - batch["label"]
            return jnp.mean(error**2) + jax.random.uniform(key), (
                state.stats,
                {"most": error.max()},
            )

        step = compile_step(make_step(loss, self.optimizer), self.mesh)
        return step.lower(*jax.eval_shape(lambda: (self.state(), self.batch)))

    def run(self, about="line", steps=3):
        program = Executable(about, self.mesh, self.lower)
        step = program.get()
        program.keep()
        state = jax.device_put(self.state(), replicated(self.mesh))
        batch = jax.device_put(self.batch, sharded(self.mesh))
        for _ in range(steps):
            before = state
            state, metrics = step(state, batch)
        assert before.params["line"]["w"].is_deleted()  # donated, as a step's state is
        return state._replace(key=jax.random.key_data(state.key)), metrics


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_the_second_process_does_not_compile_and_computes_the_same(folder, devices):
    first, second = Line(devices), Line(devices)
    one, two = first.run(), second.run()
    assert (first.made, second.made) == (1, 0)
    assert jax.tree.structure(one) == jax.tree.structure(two)
    jax.tree.map(np.testing.assert_array_equal, one, two)


def test_devices_settings_code_and_processor_make_another_program(folder, monkeypatch):
    Line().run()

    def compiles(devices=8, about="line"):
        line = Line(devices)
        line.run(about)
        return line.made

    assert compiles(about="another") == 1
    assert compiles(devices=2) == 1
    with monkeypatch.context() as patch:
        patch.setattr(kept, "_sources", lambda: "other code")
        assert compiles() == 1
    with monkeypatch.context() as patch:
        patch.setattr(executable, "_machine", lambda: ["another processor"])
        assert compiles() == 1
    with jax.default_matmul_precision("bfloat16"):
        assert compiles() == 1
    assert compiles() == 0


def test_a_damaged_file_is_replaced_and_the_oldest_make_room(folder, monkeypatch):
    Line().run()
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    for damaged in (b"", b"nonsense", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        again, after = Line(), Line()
        again.run(), after.run()
        assert (again.made, after.made) == (1, 0)
    (folder / "a.stablehlo").write_bytes(b"of another kind: stays")
    monkeypatch.setattr(executable, "KEPT", 2)
    for number in range(3):
        Line().run(f"number {number}")
    assert len(list(folder.glob("*.executable"))) == 2
    assert (folder / "a.stablehlo").exists()


def test_without_a_folder_it_is_compiled(folder, monkeypatch):
    folder.write_text("a file is in the way")
    one, two = Line(), Line()
    np.testing.assert_array_equal(one.run()[1]["loss"], two.run()[1]["loss"])
    assert (one.made, two.made) == (1, 1)
    monkeypatch.setattr(kept, "folder", lambda: None)
    three = Line()
    three.run()
    assert three.made == 1


def test_it_is_written_after_it_is_handed_over(folder):
    line, ahead = Line(), Ahead()
    result = ahead.prepare(Executable("line", line.mesh, line.lower))
    wrote = ahead.submit(lambda: len(list(folder.iterdir())))
    ahead.close()
    assert result() is not None
    assert wrote() == 1
    assert line.made == 1


def test_seeds_and_rates_share_a_program_and_networks_do_not():
    def text(**changes):
        config = Ensemble(**changes)
        return json.dumps(program_fields(config), sort_keys=True)

    assert text() == text(seed=7)
    assert text() == text(save_seconds=1.0)
    assert "learning_rate" not in text()
    assert "encoder.width" in text()
    assert "augment.snr_db" not in text()  # read from the state
    assert "features.n_mels" in text()


TWO_CACHES = """
import jax, jax.numpy as jnp
from asd_jax import commands
commands.prepare_jax()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
from asd_jax.train.executable import Executable
from asd_jax.train.sharding import data_mesh

def draw(key):
    values = jax.random.uniform(key, (4000,))
    return [values[k * 100 : k * 100 + 64].reshape(8, 8) * k for k in range(40)], jnp.sort(values)

program = Executable("drawn", data_mesh(1), lambda: jax.jit(draw).lower(jax.random.key(0)))
drawn = program.get()
program.keep()
print(float(sum(part.sum() for part in drawn(jax.random.key(0))[0])))
"""


def test_what_jaxs_own_cache_had_is_not_written_again_and_runs(tmp_path):
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "XLA_FLAGS": ""}
    programs = tmp_path / "asd_jax" / "programs"

    def run():
        command = [sys.executable, "-c", TWO_CACHES]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout, programs.exists()

    first, kept_then = run()
    assert kept_then
    shutil.rmtree(programs)  # as code that changed would have it: JAX finds it, and we do not
    second, third = run(), run()
    assert second == third == (first, False)
