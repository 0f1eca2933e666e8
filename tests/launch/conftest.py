"""A small sweep on a stand-in for the public command, in this process and in any other."""

import os
import pathlib

import pytest

PROJECT = pathlib.Path(__file__).resolve().parents[2]

FILE = """
CONFIG = "configs/pump_classifier.py"
TITLE = "A table"
METRICS = {"accuracy": "classification.accuracy"}
PAPER = {"a": {"accuracy": "0.9603 ± 0.25"}, "b": {"accuracy": "0.9527"}}
REFERENCE = "a"
PUBLISHED = ("a", "b", 270)

def sweep():
    for seed in (0, 1):
        for row in ("a", "b"):
            yield {"row": row, "network.attention": row, "seed": seed}
"""

# Takes the place of `python -m asd_jax.main`: notes its starts and leaves what a run leaves. Files
# beside it say what goes wrong.
PROGRAM = """
import json, os, signal, subprocess, sys, time
flags = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:])
if "cells" in flags:  # one after another stands in for side by side
    for name, fields in json.loads(flags.pop("cells")).items():
        own = {**flags, "workdir": os.path.join(flags["workdir"], name)}
        own |= {f"config.{field}": str(value) for field, value in fields.items()}
        words = [f"--{name}={value}" for name, value in own.items()]
        status = subprocess.call([sys.executable, "-m", "asd_jax.main", *words])
        if status:
            sys.exit(status)
    sys.exit(0)
folder, seed = flags["workdir"], int(flags["config.seed"])
row = flags["config.network.attention"]
os.makedirs(folder, exist_ok=True)
note = lambda name, text: open(os.path.join(folder, name), "a").write(text)
stopped = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: stopped.append(number))
note("starts", f"{time.time()}\\n")
note("pid", f"{os.getpid()}\\n")
note("device", os.environ.get("CUDA_VISIBLE_DEVICES") or "all" + "\\n")
if row == "b" and seed == 1:
    if os.path.exists("broken"):
        sys.exit("out of paper")
    if os.path.exists("wrong"):
        print("error: there is no such network.", file=sys.stderr)
        sys.exit(2)
    if os.path.exists("killed"):
        os.remove("killed")
        os.kill(os.getpid(), signal.SIGKILL)
while os.path.exists("slow") and seed == 1 and not stopped:
    time.sleep(0.02)
if stopped:
    note("saved", f"{len(stopped)}\\n")
    sys.exit(130)
accuracy = 0.9 - 0.1 * "abcdef".index(row) + 0.02 * seed
results = {"classification": {"accuracy": accuracy}}
json.dump(results, open(os.path.join(folder, "results.json"), "w"))
"""

# Python runs this before anything else, in every process that finds it.
STAND_IN = """
import os, runpy, sys
if sys.orig_argv[1:3] == ["-m", "asd_jax.main"]:
    sys.argv, code = ["program.py", *sys.orig_argv[3:]], 0
    try:
        runpy.run_path("program.py", run_name="__main__")
    except SystemExit as end:
        code = end.code
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stderr.flush()
    os._exit(1 if isinstance(code, str) else code)
"""


class Folder(type(pathlib.Path())):
    """The folder that a test runs sweeps in."""

    def starts(self):
        """How often each run has been started, by its name."""
        return {p.parent.name: len(p.read_text().split()) for p in self.notes("starts")}

    def notes(self, name):
        """The files of this name that runs have left."""
        return sorted(self.glob(f"runs/table/*/{name}"))

    def words(self, name):
        """What is in them."""
        return [word for path in self.notes(name) for word in path.read_text().split()]

    def environment(self, **more):
        """For a process that shall find the project and the stand-in."""
        return {**os.environ, "PYTHONPATH": f"{self}{os.pathsep}{PROJECT}", **more}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, text in {"table": FILE, "program": PROGRAM, "sitecustomize": STAND_IN}.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    place = Folder(tmp_path)
    for name in ("CUDA_VISIBLE_DEVICES", "TPU_VISIBLE_CHIPS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", place.environment()["PYTHONPATH"])
    return place
