"""report.html: one page that opens offline, for the engineer first and the researcher below."""

import dataclasses
import importlib.resources
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from asd_jax.files import write_bytes
from asd_jax.report import (
    charts,
    classifier,
    learned,
    media,
    scatter,
    session,
    spectrogram,
    summary,
    tables,
    why,
)
from asd_jax.report.contents import Example, Report
from asd_jax.report.region import find_region
from asd_jax.report.summary import Machine
from asd_jax.report.svg import number

_SHOWN = 12  # machines whose curves are shown at once; the others wait behind a fold
_LINES = 6  # ROC curves in one panel
_WRONG = 30  # missed faults, and as many false alarms, that are listed by name
_AUDIO = 2_200_000  # characters of embedded sound; later examples stay silent
_AUDIO_SECONDS = 20  # of each clip


def write_report(path: str | os.PathLike, report: Report) -> None:
    """Writes the page in one step. The same report gives the same bytes.

    The page needs no network, no script and no other file. What is missing (labels, one class,
    an embedding, examples) is said in a sentence in its place.
    """
    write_bytes(path, render(report).encode("utf-8", "replace"))


def render(report: Report) -> str:
    """The page as text."""
    return filled("page.html", _context(report))


def filled(name: str, context: dict[str, Any]) -> str:
    """A template of this folder, filled in; `style` is added."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["number"] = number
    template = environment.from_string(_package_file(name))
    return template.render(style=_package_file("style.css"), **context)


def _package_file(name: str) -> str:
    return importlib.resources.files("asd_jax.report").joinpath(name).read_text("utf-8")


def _context(report: Report) -> dict[str, Any]:
    """All that the template shows."""
    machines = summary.machines(report)
    scored = [m for m in machines if len(m.scores)]
    sided = [m for m in scored if m.two_sided]
    missed, alarms = summary.mistakes(scored)
    branches = tables.branch_table(report, scored)
    thresholds = [m.threshold for m in scored if m.threshold is not None]
    return {
        "report": report,
        "head": tables.head(report),
        "verdict": summary.verdict(report, scored),
        "waffles": _waffles(summary.verdict(report, scored)),
        "notes": summary.notes(report, scored),
        "unusual": summary.most_unusual(scored),
        "machines": machines,
        "table": tables.machine_table(report, machines),
        "classification": classifier.section(report),
        "session": session.section(report, machines),
        "learned": learned.section(report.results, report.made),
        "roc": _roc(sided),
        "far_frr": _folded([(m.name, charts.far_frr_panel(m)) for m in _hardest(sided)]),
        "histograms": _folded([(m.name, charts.histogram_panel(m)) for m in _hardest(scored)]),
        "one_sided": [m.name for m in scored if not m.two_sided],
        "has_threshold": bool(thresholds),
        "shares_threshold": len(set(thresholds)) < len(thresholds),
        "has_healthy": any(m.count(0) for m in scored),
        "has_faulty": any(m.count(1) for m in scored),
        "has_unknown": any(m.count(-1) for m in scored),
        "embedding": _embedding(report),
        "examples": _examples(report),
        "missed": missed[:_WRONG],
        "missed_more": max(0, len(missed) - _WRONG),
        "alarms": alarms[:_WRONG],
        "alarms_more": max(0, len(alarms) - _WRONG),
        "branches": branches,
        "has_aucs": any(branch["auc"] != summary.NONE for branch in branches),
        "references": tables.reference_table(report),
        "names": [m.name for m in scored],
        "losses": charts.loss_panels(report.history),
        "facts": tables.facts(report),
        "departures": tables.departures(report),
        "timing": tables.timing(report),
        "config": tables.flatten(report.config),
        "name_of": lambda row: summary.name_in(report, summary.group_of(row)),
    }


def _waffles(verdict: summary.Verdict) -> list[dict[str, Any]]:
    """The dot pictures beside the verdict: one dot a clip."""
    found = []
    for total, part, css, what, done in (
        (verdict.faulty, verdict.caught, "faulty", "faulty clips", "caught"),
        (verdict.healthy, verdict.alarms, "healthy", "healthy clips", "false alarms"),
        (verdict.unknown, verdict.unusual, "unknown", "unlabelled clips", "sound unusual"),
    ):
        if total and part is not None:
            label = f"{part} of {total} {what}: {done}"
            svg = charts.waffle(total, part, css, label)
            found.append(
                {"svg": svg, "part": part, "total": total, "done": done, "what": what,
                 "percent": summary.percent(part / total), "css": css, "scaled": total > 200}
            )  # fmt: skip
    return found


def _hardest(machines: Sequence[Machine]) -> list[Machine]:
    """The machines in their order, or, when they don't all fit, the hardest ones first."""
    if len(machines) <= _SHOWN:
        return list(machines)
    return sorted(machines, key=lambda m: 2.0 if m.auc is None else m.auc)


def _folded(panels: list) -> dict[str, list]:
    """The first panels to show, the others to fold away."""
    return {"shown": panels[:_SHOWN], "folded": panels[_SHOWN:]}


def _roc(machines: Sequence[Machine]) -> dict[str, list]:
    """ROC panels, one a machine type (or a handful of machines where each is its own type)."""
    by_type: dict[str, list[Machine]] = {}
    for machine in machines:
        by_type.setdefault(machine.machine_type, []).append(machine)
    if all(len(members) == 1 for members in by_type.values()):
        by_type = {"": list(machines)} if machines else {}
    panels = []
    for name, members in by_type.items():
        for start in range(0, len(members), _LINES):
            part = members[start : start + _LINES]
            one = not name or len(members) == 1  # else the type is the panel's title
            legend = [
                (charts.key(k), m.name if one else m.machine_id or m.name, m.auc)
                for k, m in enumerate(part)
            ]
            panels.append((name, charts.roc_panel(part), legend))
    return _folded(panels)


def _embedding(report: Report) -> dict[str, Any] | None:
    if report.embedding is None:
        return None
    views = scatter.machine_views(report.embedding)
    view, legend = scatter.overview(report.embedding) or (None, [])
    if not views and view is None:
        return None
    splits, labels = np.array(report.embedding.splits), np.asarray(report.embedding.labels)
    tested = set(labels[splits != "train"].tolist())
    return {
        "overview": view,
        "legend": legend,
        "name": report.embedding.name,
        "kinds": [
            (css, text)
            for css, text, there in (
                ("train", "training clips", (splits == "train").any()),
                ("healthy", "healthy test clips", 0 in tested),
                ("unknown", "unlabelled test clips", -1 in tested),
                ("tri faulty", "faulty test clips (triangles)", 1 in tested),
            )
            if there
        ],
        **_folded(views),
    }


def _examples(report: Report) -> list[dict[str, Any]]:
    """Each example with its pictures, its sentence and, while there is room, its sound."""
    found, room = [], _AUDIO
    for given in report.examples:
        limit = given.threshold
        known = limit is not None and np.isfinite(limit)
        example = given if known else dataclasses.replace(given, threshold=None)
        region = find_region(example.deviation)
        audio = ""
        if example.audio is not None and len(example.audio):
            heard = example.audio[: _AUDIO_SECONDS * example.sample_rate]
            audio = media.wav_uri(heard, example.sample_rate)
            audio, room = (audio, room - len(audio)) if len(audio) <= room else ("", room)
        found.append(
            {
                "example": example,
                "machine": summary.name_in(report, (example.machine_type, example.machine_id)),
                "sound": spectrogram.sound_panel(example, region),
                "deviation": spectrogram.deviation_panel(example, region),
                "seen": "" if example.seen is None else classifier.seen_uri(example.seen),
                "sentence": why.describe(example, region),
                "outcome": _outcome(example),
                "audio": audio,
            }
        )
    return found


def _outcome(example: Example) -> tuple[str, str]:
    """What was decided and whether that was right: a css class and words."""
    alarm = None if example.threshold is None else example.score > example.threshold
    words = {
        (1, True): ("good", "faulty, caught"),
        (1, False): ("bad", "faulty, missed"),
        (1, None): ("plain", "faulty"),
        (0, True): ("bad", "healthy, false alarm"),
        (0, False): ("good", "healthy, no alarm"),
        (0, None): ("plain", "healthy"),
        (-1, True): ("plain", "unlabelled, sounds unusual"),
        (-1, False): ("plain", "unlabelled, sounds usual"),
        (-1, None): ("plain", "unlabelled"),
    }
    return words[example.label, alarm]
