"""The local launcher and its table, on a stand-in for the public command."""

import json
import pathlib
import sys

import pytest

from asd_jax.errors import UserError
from asd_jax.report.files import write_results, write_scores
from launch import collect, comparisons, sweep, sweep_file
from launch import table as launch_table

SWEEPS = pathlib.Path(__file__).resolve().parents[2] / "configs" / "sweeps"

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

# Takes the place of `python -m asd_jax.main`: counts its starts and leaves what a run leaves.
PROGRAM = """
import json, os, sys
flags = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:])
folder, seed = flags["workdir"], int(flags["config.seed"])
os.makedirs(folder, exist_ok=True)
open(os.path.join(folder, "starts"), "a").write("x")
if flags["config.network.attention"] == "b" and seed == 1 and os.path.exists("broken"):
    sys.exit("out of paper")
accuracy = {"a": 0.9, "b": 0.8}[flags["config.network.attention"]] + 0.02 * seed
results = {"classification": {"accuracy": accuracy}}
json.dump(results, open(os.path.join(folder, "results.json"), "w"))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "table.py").write_text(FILE, encoding="utf-8")
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    original = sweep_file.Run.command

    def command(self, *arguments):
        words = original(self, *arguments)
        assert words[:3] == [sys.executable, "-m", "asd_jax.main"]
        return [words[0], "program.py", *words[3:]]

    monkeypatch.setattr(sweep_file.Run, "command", command)
    return tmp_path


def starts(folder):
    return sum(len(p.read_text()) for p in folder.glob("runs/table/*/starts"))


def test_runs_every_cell_once_and_only_once(folder, capsys):
    assert sweep.main(["table.py", "--workers=2"]) == 0
    assert starts(folder) == 4
    assert "| a | 2 of 2 | 0.9100 ± 0.0141 | 0.9603 ± 0.25 |" in capsys.readouterr().out
    assert sweep.main(["table.py"]) == 0
    assert starts(folder) == 4
    table = json.loads((folder / "runs/table/table.json").read_text())
    assert table["rows"][1]["figures"]["accuracy"]["values"] == pytest.approx([0.8, 0.82])


def test_a_failed_cell_is_named_and_run_again(folder, capsys):
    (folder / "broken").touch()
    assert sweep.main(["table.py"]) == 1
    shown = capsys.readouterr()
    assert "| b | 1 of 2 | 0.8000 | 0.9527 |" in shown.out
    log = next(word for word in shown.err.split() if word.endswith(".txt"))
    assert "out of paper" in pathlib.Path(log).read_text()
    (folder / "broken").unlink()
    assert sweep.main(["table.py"]) == 0
    assert starts(folder) == 5


def test_overrides_reach_the_command(folder, capsys):
    assert sweep.main(["table.py", "--dry_run", "--config=c.py:mimii", "--config.data.root=x"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and not (folder / "runs").exists()
    for part in ("--config=c.py:mimii", "--config.data.root=x", "--config.network.attention=a"):
        assert part in lines[0]
    with pytest.raises(UserError, match="--colour=red is no option"):
        sweep.main(["table.py", "--colour=red"])


def test_a_tuple_is_written_as_a_flag_takes_it():
    run = sweep_file.Run("", {"data.snr": ("6", "0"), "network.attention_stages": (4,)})
    words = run.command("c.py", "w")
    assert "--config.data.snr=('6','0',)" in words
    assert "--config.network.attention_stages=(4,)" in words


def test_long_names_stay_different():
    runs = [sweep_file.Run("", {"data.root": "x" * 200 + end}) for end in "ab"]
    assert runs[0].name != runs[1].name and max(len(run.name) for run in runs) < 130


@pytest.mark.parametrize(
    ("text", "message"),
    [("CONFIG = ''", "has no TITLE"), (FILE.replace("(0, 1)", "(0, 0)"), "the same run twice")],
)
def test_a_bad_sweep_file_is_one_sentence(tmp_path, text, message):
    (tmp_path / "bad.py").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        sweep_file.read_sweep(str(tmp_path / "bad.py"))


def rows(right, snr="0_dB"):
    return [
        {
            "path": f"/data/{snr}_pump/id_00/normal/{k:08d}.wav",
            "machine_type": "pump",
            "machine_id": "00",
            "label": 0,
            "score": 0.5,
            "threshold": 0.5,
            "decision": 0 if ok else 1,
        }
        for k, ok in enumerate(right)
    ]


def test_cells_are_compared_on_the_same_clips_of_the_same_seed(folder):
    table = sweep_file.read_sweep("table.py")
    right = {"a": [1] * 40, "b": [1] * 35 + [0] * 5}
    for run in table.runs:
        place = folder / "out" / run.name
        place.mkdir(parents=True)
        write_results(place / "results.json", {"classification": {"accuracy": 1.0}})
        write_scores(place / "scores.csv", rows(right[run.row]) if run.overrides["seed"] else [])
    found = comparisons.decisions_against(table, str(folder / "out"), "b")
    assert (found["only_first"], found["only_second"], found["clips"]) == (0, 5, 40)
    assert found["difference"] == pytest.approx(-0.125)
    assert found["p_value"] == pytest.approx(2 / 2**5)
    text = collect.write_table(table, str(folder / "out"))
    assert "-0.1250 [" in text and "0.062 (0 : 5 of 40)" in text


def test_versions_of_a_recording_are_one_recording():
    first, second = rows([1])[0], rows([1], "-6_dB")[0]
    assert comparisons.recording(first) == comparisons.recording(second)
    window = first | {"path": first["path"] + "#t=10,20"}
    assert comparisons.recording(window) == comparisons.recording(first)
    assert comparisons.recording(first | {"machine_id": "02"}) != comparisons.recording(first)


def test_the_published_difference_is_put_in_its_place(folder):
    sentence = launch_table.judge_published(sweep_file.read_sweep("table.py"))
    assert "+0.0076 is 2 of 270 images" in sentence and "p = 0.50" in sentence
    assert "0.929 to 0.977" in sentence


def test_a_leaking_split_is_shouted(folder):
    table = sweep_file.read_sweep("table.py")
    place = folder / "out" / table.runs[0].name
    place.mkdir(parents=True)
    write_results(place / "results.json", {"protocol": {"leaking_clips": 3}})
    assert "LEAKS" in collect.write_table(table, str(folder / "out"))


@pytest.mark.parametrize("name", ["sun_table4", "sun_table5", "sun_table6"])
def test_the_published_tables_are_sweeps_of_valid_settings(name):
    from asd_jax.recipes.classifier_network import build
    from asd_jax.recipes.classifier_settings import PumpClassifier
    from asd_jax.recipes.settings import from_config
    from tests.recipes.test_settings import get_config

    table = sweep_file.read_sweep(str(SWEEPS / f"{name}.py"))
    assert set(table.paper) <= set(table.rows) and table.reference in table.rows
    for argument in ("quickstart", "mimii"):
        for run in table.runs:
            if run.overrides["seed"] == 0:
                values = get_config("pump_classifier", argument)
                values.update_from_flattened_dict(dict(run.overrides))
                build(from_config(PumpClassifier, values.to_dict()))
