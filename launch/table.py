"""The table of a sweep as text: what a reader sees, and what a reader must know."""

import math
from collections.abc import Sequence
from typing import Any

from asd_jax.scoring.classification import mcnemar, wilson
from launch.comparisons import score_column
from launch.sweep_file import Sweep

OVER_DECISIONS = (
    "Over clips: the difference of the share of right decisions on the same clips of the same "
    "seeds; the interval draws recordings anew, McNemar's test takes all clips for independent, "
    "which flatters it. They say what other recordings would do to the same trained networks."
)
OVER_AREAS = (
    "Over clips: the difference of the AUC on the same clips of the same seeds, with DeLong's "
    "interval and test, in which all versions of a recording, and all seeds that score it, count "
    "as one. They say what other recordings would do to the same trained networks."
)
OVER_SEEDS = (
    "Over seeds: the mean difference of {title} between runs of the same seed, with the interval "
    "and p-value of the paired t-test, which takes differences for normally distributed. They say "
    "what training anew would do; of two or three seeds they can say little."
)
READING = (
    "A difference worth believing is clear in both. The p-values are each row's own: of twenty "
    "rows that are all alike, one may be expected below 0.05."
)


def as_text(sweep: Sweep, lines: Sequence[dict[str, Any]]) -> str:
    """The table in Markdown, and the sentences that belong to it."""
    heads = ["", "seeds"]
    for title in sweep.metrics:
        heads += [title, "paper"] if _printed(sweep, title) else [title]
    if sweep.reference:
        heads += _comparison_heads(sweep)
    table = [heads, ["---"] * len(heads)]
    for line in lines:
        cells = [line["row"], f"{line['finished']} of {line['runs']}"]
        for title in sweep.metrics:
            figure = line["figures"][title]
            cells.append(_mean(figure))
            if _printed(sweep, title):
                cells.append(figure["paper"] or "–")
        if sweep.reference:
            cells += [*_over_clips(line.get("against")), *_over_seeds(line.get("seeds"))]
        table.append(cells)
    text = f"{sweep.title}\n\n" + "\n".join("| " + " | ".join(cells) + " |" for cells in table)
    return text + "\n" + "".join(f"\n{note}" for note in notes(sweep, lines)) + "\n"


def notes(sweep: Sweep, lines: Sequence[dict[str, Any]]) -> list[str]:
    """Returns what a reader of the table must know."""
    found = ["Mean ± standard deviation over the seeds that are finished."]
    if any("split.seed" in run.overrides for run in sweep.runs):
        found.append("Each seed draws its own test clips.")
    missing = sum(line["runs"] - line["finished"] for line in lines)
    if missing:
        found.append(f"{missing} runs are not finished.")
    if sweep.reference:
        found.append(OVER_AREAS if score_column(sweep) else OVER_DECISIONS)
        found += [OVER_SEEDS.format(title=sweep.headline), READING]
    if any(line["leaking"] for line in lines):
        found.append("The split LEAKS: versions of tested recordings were trained on.")
    if sweep.published:
        found.append(judge_published(sweep))
    return found


def judge_published(sweep: Sweep) -> str:
    """Judges a published difference between two rows, given its number of clips."""
    if sweep.published is None:
        return ""
    row, other, clips = sweep.published
    title = sweep.headline
    values = [float(sweep.paper[name][title].split()[0]) for name in (row, other)]
    right = [round(value * clips) for value in values]
    apart = right[0] - right[1]
    low, high = wilson(right[0], clips)
    return (
        f"The published difference, {row} against {other}: {values[0]:.4f} - {values[1]:.4f} = "
        f"{values[0] - values[1]:+.4f} is {apart} of {clips} images. The 95 % interval of the "
        f"first alone reaches from {low:.3f} to {high:.3f}, and if these {apart} were the only "
        f"images that the two call differently, McNemar's exact test gives "
        f"p = {mcnemar(max(apart, 0), max(-apart, 0)):.2f}; more disagreement makes it larger."
    )


def _comparison_heads(sweep: Sweep) -> list[str]:
    what, test = ("AUC", "DeLong") if score_column(sweep) else ("decisions", "McNemar")
    return [
        f"{what} against {sweep.reference}, over clips [95 %]",
        f"{test} p",
        f"{sweep.headline} against {sweep.reference}, over seeds [95 %]",
        "paired t p",
    ]


def _printed(sweep: Sweep, title: str) -> bool:
    return any(title in figures for figures in sweep.paper.values())


def _mean(figure: dict[str, Any]) -> str:
    if figure["mean"] is None:
        return "–"
    spread = figure["deviation"]
    return f"{figure['mean']:.4f}" + ("" if spread is None else f" ± {spread:.4f}")


def _over_clips(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return ["–", "–"]
    if "only_first" in found:
        counts = f"{found['only_first']} : {found['only_second']} of {found['clips']}"
    else:
        counts = f"{found['recordings']} recordings"
    return [_difference(found), f"{_p_value(found)} ({counts})"]


def _over_seeds(found: dict[str, Any] | None) -> list[str]:
    if found is None or found["seeds"] < 2:
        return ["–", "–"]
    return [_difference(found), f"{_p_value(found)} ({found['seeds']} seeds)"]


def _difference(found: dict[str, Any]) -> str:
    low, high = found["interval"]
    interval = "" if math.isnan(low) else f" [{low:+.4f}, {high:+.4f}]"
    return f"{found['difference']:+.4f}{interval}"


def _p_value(found: dict[str, Any]) -> str:
    return "–" if math.isnan(found["p_value"]) else f"{found['p_value']:.3f}"
