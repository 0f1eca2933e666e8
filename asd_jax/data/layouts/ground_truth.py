"""The labels of unlabelled DCASE evaluation clips, from the lists published after each challenge.

Two kinds are read. `eval_data_list[_YEAR].csv`, as the official baselines ship it: a line with a
machine type, then `clip,labelled name[,label]` for each of its clips. And the official evaluators'
folders `ground_truth_{data,domain,attributes}/ground_truth_<type>_section_SS[...]_test.csv`: a
label, a domain (0 source, 1 target) or a labelled name for each clip.
"""

import csv
import os
import pathlib
import re
from collections.abc import Callable
from typing import NamedTuple

from absl import logging

from asd_jax.data.layouts.files import Found
from asd_jax.data.table import ANOMALY, NORMAL, UNKNOWN

_EVALUATOR = re.compile(r"ground_truth_(?P<type>.+?)_section_\d+.*\.csv", re.IGNORECASE)
_LABELS = {"0": NORMAL, "1": ANOMALY, "normal": NORMAL, "anomaly": ANOMALY}
_DOMAINS = {"0": "source", "1": "target", "source": "source", "target": "target"}


class Truth(NamedTuple):
    """The entry of a ground-truth list for a clip."""

    label: int = UNKNOWN
    domain: str = ""
    attributes: str = ""


# (machine type, clip name without extension), both in lower case
Truths = dict[tuple[str, str], Truth]


def read_truths(
    files: list[Found], root: pathlib.Path, year: str, parse: Callable[[str], Truth | None]
) -> Truths:
    """Reads all lists below the root, and those that lie in the two folders above it.

    Args:
      files: what is below the root.
      root: the data set's folder.
      year: of the challenge; a list with another year in its name is passed over.
      parse: from a labelled clip name to what it says.
    """
    truths: Truths = {}
    paths = [file.path for file in files if file.name.lower().endswith(".csv")]
    for path in paths + _lists_above(root):
        folder, name = os.path.basename(os.path.dirname(path)).lower(), os.path.basename(path)
        if match := _EVALUATOR.fullmatch(name):
            _read_evaluator(path, folder, match["type"].lower(), parse, truths)
        elif name.lower().startswith("eval_data_list"):
            named = re.search(r"20\d\d", name)
            if not named or named[0] == year:
                _read_list(path, parse, truths)
    return truths


def _lists_above(root: pathlib.Path) -> list[str]:
    found: list[pathlib.Path] = []
    for folder in list(root.resolve().parents)[:2]:
        found += sorted(folder.glob("eval_data_list*.csv"))
        found += sorted(folder.glob("ground_truth_*/ground_truth_*.csv"))
    return [str(path) for path in found]


def _rows(path: str) -> list[list[str]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return [[field.strip() for field in row] for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        logging.warning("The ground truth %s can't be read (%s): it is left out.", path, error)
        return []


def _stem(name: str) -> str:
    return os.path.splitext(name)[0].lower() if name.lower().endswith(".wav") else name.lower()


def _read_list(path: str, parse: Callable[[str], Truth | None], truths: Truths) -> None:
    machine = ""
    for row in _rows(path):
        if len(row) < 2 or not row[1]:
            machine = row[0].lower()
            continue
        truth = parse(row[1])
        if truth is None and len(row) > 2 and row[2] in _LABELS:
            truth = Truth(_LABELS[row[2]])
        if truth is not None:
            _merge(truths, (machine, _stem(row[0])), truth)


def _read_evaluator(
    path: str, folder: str, machine: str, parse: Callable[[str], Truth | None], truths: Truths
) -> None:
    for row in _rows(path):
        if len(row) < 2:
            continue
        if "domain" in folder:
            truth = Truth(domain=_DOMAINS.get(row[1].lower(), ""))
        elif row[1].lower() in _LABELS:
            truth = Truth(_LABELS[row[1].lower()])
        else:
            truth = parse(row[1]) or Truth()
        _merge(truths, (machine, _stem(row[0])), truth)


def _merge(truths: Truths, key: tuple[str, str], new: Truth) -> None:
    old = truths.get(key, Truth())
    label = new.label if old.label == UNKNOWN else old.label
    truths[key] = Truth(label, old.domain or new.domain, old.attributes or new.attributes)
