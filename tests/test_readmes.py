"""Every command in the README files could be given as it is written."""

import functools
import json
import pathlib
import re
import subprocess
import sys

import pytest

from asd_jax.recipes.ensemble import settings
from asd_jax.recipes.pump_classifier import settings as classifier_settings
from asd_jax.runs.settings import as_config
from tests import readme_commands

ROOT = pathlib.Path(__file__).resolve().parents[1]
WHERE = ("asd_jax", "configs", "launch", "tests/benchmarks")
FILES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(f for w in WHERE for f in sorted((ROOT / w).rglob("README.md"))),
]
PAGES = [*FILES, *sorted((ROOT / "docs").glob("*.md"))]


def faults(commands):
    """What is wrong with each command, "" for nothing."""
    found = judged()
    return [found[json.dumps(command)] for command in commands]


@functools.cache
def judged():
    """What is wrong with any command of this file's tests; one process imports all that they do."""
    texts = [*(page.read_text("utf-8") for page in PAGES), *map(in_a_block, WRONG), *NAMES]
    commands = [c for text in texts for c in readme_commands.commands_of(text)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.readme_commands"],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    return dict(zip(map(json.dumps, commands), json.loads(done.stdout), strict=True))


def in_a_block(command):
    return f"```bash\n{command}\n```"


def test_every_command_of_every_readme_is_accepted():
    found = [(f, c) for f in PAGES for c in readme_commands.commands_of(f.read_text("utf-8"))]
    assert len(found) > 40
    wrong = [
        f"{file.relative_to(ROOT)}: {' '.join(command)}: {fault}"
        for (file, command), fault in zip(found, faults([c for _, c in found]), strict=True)
        if fault
    ]
    assert not wrong, "\n".join(wrong)


@functools.cache
def configs():
    classes = (settings.Ensemble, classifier_settings.PumpClassifier)
    return [as_config(made()) for made in classes]


def known(field):
    def there(config):
        for name in field.split("."):
            if not hasattr(config, "keys") or name not in config:
                return False
            config = config[name]
        return True

    return any(there(config) for config in configs())


def test_every_config_field_that_a_readme_names_is_there():
    named = [(f, field) for f in PAGES for field in readme_commands.fields_of(f.read_text("utf-8"))]
    assert len(named) > 20
    wrong = [f"{file.relative_to(ROOT)}: {field}" for file, field in named if not known(field)]
    assert not wrong, "\n".join(wrong)
    assert not known("pretrain.epoch") and not known("seed.x")


NAMED = re.compile(r"`((?:asd_jax|configs|launch|tests)/[\w./-]+\.\w+)`")


def test_every_file_that_a_readme_names_is_there():
    pages = [*PAGES, ROOT / "tests" / "README.md"]
    named = [(page, name) for page in pages for name in NAMED.findall(page.read_text("utf-8"))]
    assert len(named) > 20
    wrong = [f"{f.relative_to(ROOT)}: {name}" for f, name in named if not (ROOT / name).exists()]
    assert not wrong, "\n".join(wrong)


def test_commands_are_found_in_blocks_and_spans_and_taken_apart():
    text = """
Say `python -m asd_jax.main --config=a.py`, not `main.py`.

```bash
pip install -e '.[x]' && python -m a.b --c="('0',)"   # why
arecord -t raw | python -m d \\
    --e
```

```python
python = 1
```
"""
    assert readme_commands.commands_of(text) == [
        ["pip", "install", "-e", ".[x]"],
        ["python", "-m", "a.b", "--c=('0',)"],
        ["arecord", "-t", "raw"],
        ["python", "-m", "d", "--e"],
        ["python", "-m", "asd_jax.main", "--config=a.py"],
    ]


MAIN = "python -m asd_jax.main --config=configs/ensemble.py"
SWEEP = "python -m launch.sweep --sweep=configs/sweeps/sun_table5.py"
WRONG = {
    "python -m asd_jax.scores x": "no module asd_jax.scores",
    "python -m launch.nowhere.x": "no module",
    "python -m asd_jax.score --detectors=d x": "Unknown command line flag 'detectors'",
    "python -m asd_jax.score --workdir=w": "Unknown command line flag 'workdir'",
    "python -m asd_jax.export --precision=int4": "precision",
    f"{MAIN}:mimi": "mimi",
    f"{MAIN} --config.pretrain.epoch=1": "epoch",
    f"{MAIN} --config.pretrain.epochs=many": "many",
    f"{MAIN} --config.scoring.rule=none": "scoring.rule",
    f"{MAIN} --config.scoring.scorer=gauss": "scoring.scorer",
    f"{MAIN} quick": "quick is no flag",
    "python -m asd_jax.main --config=configs/none.py": "no configs/none.py",
    "python -m asd_jax.rescore RUN --config.scoring.scorer=svm": "scoring.scorer",
    "python -m asd_jax.rescore RUN --config.seed=1": "fields of config.scoring",
    "python -m asd_jax.fetch dcase2019": "no data set",
    "python -m asd_jax.fetch mimii --machines=car": "car",
    "python -m launch.plan --config=configs/ensemble.py:mimii --topology=h900:8": "h900",
    f"{SWEEP} --onn=slurm": "--onn",
    f"{SWEEP} --on=moon": "refuses",
    "python -m launch.collect --swep=FILE": "refuses",
    "python -m tests.benchmarks.run ghostnot": "refuses",
    "python -m tests.benchmarks.gate --fast": "refuses",
    "python -m tests.benchmarks.shares nothing": "refuses",
    "pip install -e .[tests]": "no extra tests",
    "asd_train --now": "asd_train is no program",
    "asd-jax trian": "no command trian",
    "asd-jax train --config=ensemble:mimi": "mimi",
    "asd-jax train --config=none": "none of ensemble",
    "asd-jax sweep sun_table5 --on=moon": "refuses",
    "asd-jax watch --detectors=x recordings/": "Unknown command line flag 'detectors'",
}


def test_a_wrong_command_is_found():
    given = [readme_commands.commands_of(in_a_block(c))[0] for c in WRONG]
    found = dict(zip(WRONG, faults(given), strict=True))
    missed = {c: fault for c, fault in found.items() if WRONG[c] not in fault}
    assert not missed


NAMES = ("`python -m asd_jax.score`", in_a_block("python -m pytest"))


@pytest.mark.parametrize("quoted", NAMES)
def test_the_name_of_a_command_alone_is_right(quoted):
    assert faults(readme_commands.commands_of(quoted)) == [""]
