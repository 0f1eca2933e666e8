"""From rounds to numbers and a table: pure functions, tested without a benchmark."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

BUSY = 0.2  # processors of other work beyond which a comparison tells nothing


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median, third quartile; of one value three times that value."""
    if len(values) == 1:
        return (values[0],) * 3
    first, median, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, median, third


def paired_ratios(ours: Sequence[float], other: Sequence[float]) -> list[float]:
    """Other / ours, round by round: above 1, ours is better. What disturbs both cancels."""
    return [b / a for a, b in zip(ours, other, strict=True)]


def summarise(rounds: Sequence[Sequence[float]]) -> dict[str, float]:
    """Median and quartiles of the rounds' medians, and the best single value."""
    first, median, third = quartiles([statistics.median(values) for values in rounds])
    best = min(min(values) for values in rounds)
    return {"median": median, "q1": first, "q3": third, "best": best}


def verdict(ratios: Sequence[float], others: float = 0.0) -> str:
    """What the ratios support: 'ahead' or 'behind' where three quarters of the rounds agree.

    Interleaving does not save a comparison on a busy machine: threads that wait for each other by
    spinning (OpenMP's) lose several times as much to a neighbour as a pool of tasks (XLA's) does.

    Args:
        ratios: of the rounds.
        others: processors that other work used meanwhile.
    """
    first, _, third = quartiles(ratios)
    if others > BUSY:
        return f"NOT TO BE QUOTED, other work used {others:.2f} processors"
    if len(ratios) < 3:
        return "too few rounds to tell"
    return "ahead" if first > 1 else "behind" if third < 1 else "level within the noise"


def best_of(medians: Mapping[str, float], names: Sequence[str]) -> str | None:
    """The name with the smallest median among those that were measured."""
    return min((name for name in names if name in medians), key=medians.get, default=None)


def compare(
    values: Mapping[str, Sequence[Sequence[float]]],
    ours: str,
    against: Sequence[str],
    others: Mapping[str, Sequence[float]],
) -> dict[str, Any] | None:
    """Ours against the best of `against`, by medians of the rounds; None if one is missing.

    Args:
        values: of each variant, of each round, of each step.
        ours: name of our variant.
        against: names of the variants of which the best counts.
        others: processors that other work used, of each variant, of each round.
    """
    medians = {name: summarise(rounds)["median"] for name, rounds in values.items()}
    best = best_of(medians, against)
    if best is None or ours not in values:
        return None
    ratios = ratios_of(values[ours], values[best])
    first, median, third = quartiles(ratios)
    busy = max(statistics.median(others[name]) for name in (ours, best))
    return {
        "against": best,
        "ratio": median,
        "q1": first,
        "q3": third,
        "verdict": verdict(ratios, busy),
    }


def ratios_of(ours: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> list[float]:
    """Paired ratios of the medians of each round."""
    rounds = min(len(ours), len(other))  # what takes minutes is not repeated as often
    medians = [[statistics.median(v) for v in found[:rounds]] for found in (ours, other)]
    return paired_ratios(*medians)


def scaled(value: float, unit: str) -> str:
    """A number of seconds or bytes in the table's unit, with three digits that count."""
    value = value * {"ms": 1e3, "s": 1.0, "MB": 1e-6}[unit]
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, padded so that it can be read as it is."""
    widths = [max(len(str(row[i])) for row in (head, *rows)) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            str(cell).ljust(width) if i == 0 else str(cell).rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(["", line(head), line(rule), *map(line, rows)]).strip()
