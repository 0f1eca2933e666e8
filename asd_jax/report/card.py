"""The model card of a detector: what it hears, what it was made from, how good it was and on what.

The headings follow Mitchell et al. 2019, "Model Cards for Model Reporting", section 4.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from asd_jax.files import write_bytes
from asd_jax.naming import machine_name
from asd_jax.report.summary import three

# What layouts are called in a sentence.
_DATA = {
    "synthetic": "**synthetic** machines made by asd_jax, not recordings",
    "folder": "a folder of the user's own recordings",
}


@dataclasses.dataclass(frozen=True)
class About:
    """What a recipe's detectors are: a sentence on the method, and one on what a score means."""

    method: str
    score: str


def write_card(
    folder: str, results: Mapping[str, Any], config: Mapping[str, Any], about: About
) -> None:
    """Writes `README.md` into the folder of a detector.

    Args:
        folder: of the detector.
        results: what `results.json` holds, or is about to.
        config: the resolved settings of the run.
        about: the recipe's sentences.
    """
    text = "\n\n".join(_sections(results, config, about)) + "\n"
    write_bytes(os.path.join(folder, "README.md"), text.encode("utf-8", "backslashreplace"))


def _sections(results: Mapping[str, Any], config: Mapping[str, Any], about: About) -> list[str]:
    data, layout = config["data"], config["data"]["layout"]
    source = _DATA.get(layout, f"the data set {layout}")
    groups = results["groups"]
    sections = [
        "# An anomalous sound detector",
        f"{about.method} Protocol `{config['protocol']}`, seed {config['seed']}, "
        f"asd_jax {results['version']}.",
        "## Use",
        "```bash\npython -m asd_jax.score --detector=. RECORDINGS\n```",
        f"Clips of {data['clip_seconds']:g} s at {data['sample_rate']} Hz; other rates are "
        "resampled. It is for the very machines below, heard by the same microphone at the same "
        f"place. {about.score} Do not let it stop or start anything by itself.",
        "## Made from",
        f"Trained and tested on {source}. No recording is in this folder.",
        "## Figures",
    ]
    if groups:
        sections += [_table(groups), results.get("verdict", "").replace("\u00a0", " ")]
        if "classification" in results:
            sections.append(_classification(results["classification"]))
    else:
        sections.append("There was no clip to test it on: **nothing is known of its errors** yet.")
    sections += _caveats(results, layout)
    return [section for section in sections if section]


def _table(groups: list[Mapping[str, Any]]) -> str:
    lines = [
        "| machine | normal, faulty test clips | AUC (95 % interval) | threshold | caught | "
        "false alarms |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    known = [(group["machine_type"], group["machine_id"]) for group in groups]
    for group in groups:
        name = machine_name((group["machine_type"], group["machine_id"]), known)
        low, high = group.get("auc_interval") or (None, None)
        interval = "" if low is None else f" ({three(low)} to {three(high)})"
        lines.append(
            f"| {name} | {group['clips_normal']}, {group['clips_anomaly']} "
            f"| {three(group.get('auc'))}{interval} | {three(group.get('threshold'))} "
            f"| {_share(group.get('recall'))} | {_share(group.get('false_alarm_rate'))} |"
        )
    return "\n".join(lines)


def _classification(found: Mapping[str, Any]) -> str:
    low, high = found["balanced_accuracy_interval"]
    return (
        f"Balanced accuracy {found['balanced_accuracy']:.3f} ({low:.3f} to {high:.3f}), accuracy "
        f"{found['accuracy']:.3f}, where calling all clips alike gives {found['trivial']:.3f}."
    )


def _caveats(results: Mapping[str, Any], layout: str) -> list[str]:
    found = list(results.get("notes", ())) + list(results.get("incomplete", ()))
    if layout == "synthetic":
        found.insert(0, "The figures are of synthetic sound: they say nothing of any real machine.")
    if results["protocol"].get("oracle"):
        found.insert(0, "The thresholds of these figures were chosen with the test labels.")
    if results["protocol"].get("leaking_clips"):
        found.insert(0, "Versions of test recordings were trained on: the figures are too good.")
    if not found:
        return []
    return ["## Caveats", "\n".join(f"- {sentence}" for sentence in dict.fromkeys(found))]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
