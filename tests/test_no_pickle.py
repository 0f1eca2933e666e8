"""Nothing is unpickled: not by the product's own lines, nor by the libraries that it reads with."""

import ast
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

import asd_jax
from asd_jax.data.cache import WaveSettings, open_cache
from asd_jax.data.clips import Clip
from asd_jax.detector_folder import read_arrays, read_folder, write_folder
from asd_jax.models.pretrained import load_safetensors
from asd_jax.train.checkpoint import Checkpoints

PRODUCT = pathlib.Path(asd_jax.__file__).parent
MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "torch"}
RUNS_TEXT = {"eval", "exec", "__import__"}


def offences(text):
    """Lines that unpickle, or run what they read."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {(node.module or "").split(".")[0]}
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            safe = any(
                k.arg == "allow_pickle" and ast.unparse(k.value) == "False" for k in node.keywords
            )
            loads = called in ("np.load", "numpy.load", "np.lib.format.read_array", "yaml.load")
            names = {"pickle"} if loads and not safe else set()
            names |= {"pickle"} if called in RUNS_TEXT or "read_pickle" in called else set()
        else:
            continue
        if names & MODULES:
            yield node.lineno


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
        "import torch.serialization",
    ],
)
def test_what_is_looked_for_is_found(line):
    assert list(offences(line)) == [1]


def test_no_line_of_the_product_unpickles():
    found = {
        str(path.relative_to(PRODUCT)): lines
        for path in PRODUCT.rglob("*.py")
        if (lines := list(offences(path.read_text("utf-8"))))
    }
    assert found == {}


SEEN: list[str] = []
LISTENING = [False]


def listen(event, arguments):
    if LISTENING[0] and event in ("pickle.find_class", "marshal.loads", "marshal.load"):
        SEEN.append(f"{event} {arguments!r}"[:200])


@pytest.fixture
def seen():
    if "listen" not in SEEN:  # a hook stays as long as the process
        sys.addaudithook(listen)
        SEEN.append("listen")
    del SEEN[1:]
    yield SEEN
    LISTENING[0] = False


def listened(seen, function):
    """What is unpickled while a function runs, for the second time: imports read their bytecode."""
    function()
    LISTENING[0] = True
    function()
    LISTENING[0] = False
    return seen[1:]


def test_unpickling_would_be_seen(seen):
    import collections
    import pickle

    data = pickle.dumps(collections.OrderedDict())
    assert listened(seen, lambda: pickle.loads(data))


def test_no_library_unpickles_what_the_product_reads(seen, tmp_path):
    import safetensors.numpy
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.zeros(1000), 1000)
    clip = Clip(str(tmp_path / "a.wav"), "fan", "00", "train", 0)
    write_folder(str(tmp_path / "detector"), {"recipe": "x"}, {"a": np.ones(3), "b": np.ones(0)})
    safetensors.numpy.save_file({"a": np.ones(3)}, tmp_path / "a.safetensors")
    np.savez(tmp_path / "features.npz", clips=np.array("a"))
    with Checkpoints(str(tmp_path / "checkpoints")) as checkpoints:
        checkpoints.save(1, {"a": jnp.ones(3)})
    settings = {
        "jax_compilation_cache_dir": str(tmp_path / "xla"),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": 0,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # a test before this one may have opened another

    numbers = jnp.ones(5)

    def read():
        # A function of its own each time: found in the folder, not in this process.
        jax.jit(lambda x: x * 3 + 1)(numbers).block_until_ready()
        open_cache([clip], tmp_path / "cache", WaveSettings(sample_rate=1000, clip_seconds=1.0))
        read_folder(str(tmp_path / "detector"))
        read_arrays((tmp_path / "features.npz").read_bytes())
        load_safetensors(tmp_path / "a.safetensors")
        with Checkpoints(str(tmp_path / "checkpoints")) as checkpoints:
            checkpoints.restore(checkpoints.newest_whole(), {"a": jnp.ones(3)})

    try:
        assert listened(seen, read) == []
        assert list((tmp_path / "xla").iterdir())
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
