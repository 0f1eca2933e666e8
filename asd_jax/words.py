"""Phrases that sentences to a user share."""

from collections.abc import Sequence


def first_few(names: Sequence[str], most: int) -> str:
    """`a, b, c and 4 more`, with at most so many named."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
