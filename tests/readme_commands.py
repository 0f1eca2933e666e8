"""Finds the commands of a Markdown file and checks that each could be given as it is written.

`python -m tests.readme_commands` reads a JSON list of commands (lists of words) and writes one of
faults, "" for none. Each command is checked in a forked process, in which it alone has defined its
flags: so a flag of another command is unknown, as it is to the user. Nothing is trained or fetched.
"""

import argparse
import importlib
import importlib.util
import json
import os
import pathlib
import re
import shlex
import sys
import tomllib
from collections.abc import Callable, Sequence
from unittest import mock

from absl import flags
from ml_collections import config_flags  # noqa: F401  before the forks, once for all of them

from asd_jax.__main__ import COMMANDS
from asd_jax.errors import UserError
from asd_jax.project import with_config_files
from asd_jax.recipes.ensemble import settings
from asd_jax.recipes.pump_classifier import settings as classifier_settings
from asd_jax.runs.settings import from_config

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDERS = (
    "asd_jax",
    "configs",
    "launch",
    "tests",
    "colab",
)  # what a command may name of these is there
# Programs that the project does not bring; `srun` starts the rest of its line.
OTHERS = (".ci/run", "arecord", "ffmpeg", "gcloud", "pyright", "ruff", "sky")
SETTINGS = {
    "ensemble": settings.Ensemble,
    "pump_classifier": classifier_settings.PumpClassifier,
}
OPERATORS = re.compile(r"[|&;]+")


class Parsed(Exception):
    """A parser has accepted its command line; `args[0]` is the result."""


def blocks_of(text: str) -> list[str]:
    """The fenced blocks of Markdown that are marked as bash."""
    return re.findall(r"^ *```bash\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)


def commands_of(text: str) -> list[list[str]]:
    """Every command in the bash blocks of Markdown and in its code spans, as words.

    Of the code spans those that begin with `python -m`, `pip install` or `asd-jax`. Pipes and lists
    are taken apart, comments are left out.
    """
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`((?:python -m|pip install|asd-jax) [^`\n]+)`", prose)
    return [command for code in [*blocks_of(text), *spans] for command in _split(code)]


def fields_of(text: str) -> list[str]:
    """The config fields, such as `pretrain.epochs`, that Markdown names by their flags."""
    return re.findall(r"--config\.([a-z]\w*(?:\.\w+)*)", text)


def _split(code: str) -> list[list[str]]:
    commands = []
    for line in code.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
        lexer.whitespace_split = True
        commands.append([])
        for word in lexer:
            if OPERATORS.fullmatch(word):
                commands.append([])
            else:
                commands[-1].append(word)
    return [command for command in commands if command]


def fault_of(command: Sequence[str]) -> str:
    """What is wrong with a command, or ""; to be called in a process of its own."""
    words = [_filled(word) for word in command]
    if words[0] == "srun":
        words = words[1:]
    for word in words:
        path = re.split(r"[=:]", word)
        lost = [part for part in path if part.split("/")[0] in FOLDERS and "/" in part]
        lost = [part for part in lost if not (ROOT / part).exists()]
        if lost:
            return f"there is no {lost[0]}"
    if words[:2] == ["pip", "install"]:
        return _lacking_extra(words[2:])
    if words[:2] == ["python", "-W"]:
        words = [words[0], *words[3:]]
    if words[0] == "asd-jax":
        if words[1] not in COMMANDS:
            return f"asd-jax has no command {words[1]}"
        words = ["python", "-m", COMMANDS[words[1]][0], *words[2:]]
    if words[:2] == ["python", "-m"]:
        return _module_fault(words[2], words[3:])
    if words[0] in OTHERS:
        return ""
    return f"{words[0]} is no program that these files may name"


def _filled(word: str) -> str:
    """A word whose placeholder must be something real to be read."""
    word = re.sub(r"(--\w[\w.]*)=[A-Z]$", r"\1=1", word)
    return word.replace("--sweep=FILE", "--sweep=configs/sweeps/sun_table5.py")


def _lacking_extra(words: Sequence[str]) -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for word in words:
        found = re.fullmatch(r"(?:\.|asd_jax)\[(.*)\]", word)
        for extra in found[1].split(",") if found else ():
            if extra not in project["optional-dependencies"]:
                return f"pyproject.toml has no extra {extra}"
    return ""


def _module_fault(name: str, arguments: Sequence[str]) -> str:
    if name.split(".")[0] not in FOLDERS:
        return "" if name in ("pytest", "mkdocs", "build") else f"{name} is no module that is known"
    try:
        there = importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        there = False
    if not there:
        return f"there is no module {name}"
    if not arguments:  # the name of the command, or a command that needs nothing
        return ""
    try:
        _read(name, list(arguments))
    except (UserError, flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    except SystemExit as end:  # argparse has said why
        return f"its parser refuses it (status {end.code})" if end.code else ""
    return ""


def _read(name: str, arguments: list[str]) -> None:
    """Has a command read its arguments; raises what it raises."""
    if name == "asd_jax.sweep":
        from asd_jax.sweep import named

        name, arguments = "launch.sweep", named(arguments)
    module = importlib.import_module(name)
    if name in ARGPARSE:
        ARGPARSE[name](module, arguments)
        return
    sys.argv = [name, *arguments]  # where --config looks for its fields
    if name == "asd_jax.rescore":
        module.define_config()
    rest = flags.FLAGS(with_config_files(sys.argv))[1:]
    if name == "asd_jax.fetch":
        _read_fetch(module, rest)
    elif rest and name in ("asd_jax.main", "asd_jax.monitor", "asd_jax.submission", "launch.plan"):
        raise UserError(f"{rest[0]} is no flag of {name}")
    if name == "asd_jax.rescore":
        changes = flags.FLAGS["config"].override_values
        if len(rest) != 1 or not changes or not all(f.startswith("scoring.") for f in changes):
            raise UserError(f"{name} takes one run and fields of config.scoring")
        from_config(settings.Ensemble, flags.FLAGS.config.to_dict())
    if name in ("asd_jax.main", "launch.plan"):
        from asd_jax.main import read_config

        config = read_config()
        from_config(SETTINGS[config.recipe], config.to_dict())
    if name == "launch.plan":
        from launch.planning.hardware import read_topology

        read_topology(module.TOPOLOGY.value)


def _read_fetch(module, rest: list[str]) -> None:
    from asd_jax.data.download import records

    if module.CHECK.value and not rest:
        return
    if len(rest) != 1 or rest[0] not in records.DATA_SETS:
        raise UserError(f"{' '.join(rest) or 'nothing'} is no data set")
    data = records.DATA_SETS[rest[0]]
    records.choose(data, parts=module.chosen_parts(data), machines=module.MACHINES.value)


def _until_parsed(module, arguments: list[str]) -> None:
    """Runs `module.main` up to the end of `parse_args`; reads the sweep if it takes one."""
    parse = argparse.ArgumentParser.parse_args

    def stop(self, *given, **named):
        raise Parsed(parse(self, *given, **named))

    try:
        with mock.patch.object(argparse.ArgumentParser, "parse_args", stop):
            module.main(arguments)
    except Parsed as parsed:
        if hasattr(module, "file_given"):
            module.read_sweep(module.file_given(parsed.args[0]))


def _steps(module, arguments: list[str]) -> None:
    from tests.benchmarks.ours.steps import STEPS_BY_NAME

    module.parse(arguments, list(STEPS_BY_NAME))


# How the commands read their arguments that do it by argparse.
ARGPARSE: dict[str, Callable] = {
    "launch.sweep": lambda module, arguments: module.main([*arguments, "--dry_run"]),
    "launch.collect": _until_parsed,
    "tests.benchmarks.run": lambda module, arguments: module.parse(arguments),
    "tests.benchmarks.gate": _until_parsed,
    "tests.benchmarks.classifier": _until_parsed,
    "tests.benchmarks.detection": _until_parsed,
    "tests.benchmarks.synthetic": _until_parsed,
    "tests.benchmarks.shares": _steps,
}


def forked(check: Callable[[], str]) -> str:
    """What `check` returns in a copy of this process."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        found = "the check ended without a word"
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            found = check()
        except BaseException as error:
            found = f"{type(error).__name__}: {error}"
        finally:
            os.write(write, found.encode()[:4096])
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        found = answer.read()
    os.waitpid(child, 0)
    return found


if __name__ == "__main__":
    os.chdir(ROOT)
    given = json.load(sys.stdin)
    json.dump([forked(lambda c=command: fault_of(c)) for command in given], sys.stdout)
