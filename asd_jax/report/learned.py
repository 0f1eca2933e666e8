"""What a detector has learned from and would hear: all that healthy recordings alone can tell."""

from collections.abc import Mapping
from typing import Any


def section(results: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the page shows of the entry `learned` of results.json; None without it."""
    found = results.get("learned")
    if not found:
        return None
    rows = [
        (row["fault"], [(strength, f"{part} of {total}", part / total) for strength, part, total in
                        row["cells"]])
        for row in found["heard"]
    ]  # fmt: skip
    return {"sentences": found["sentences"], "heard": rows, "next": found["next"]}


def heard_sentences(results: Mapping[str, Any]) -> list[str]:
    """Of each kind of made fault, how often it would be heard at each strength."""
    found = results.get("learned") or {}
    told = []
    for row in found.get("heard", ()):
        cells = ", ".join(f"{part} of {total} at {how}" for how, part, total in row["cells"])
        told.append(f"{row['fault']}: {cells}")
    if not told:
        return []
    return [f"Of faults made from held-out healthy clips it would hear {'; '.join(told)}."]
