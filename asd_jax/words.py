"""Phrases that sentences to a user share."""

from collections.abc import Iterable, Sequence

# The ID of a machine whose recordings name none: what DCASE calls the only section of a machine.
ONLY_ID = "00"


def first_few(names: Sequence[str], most: int) -> str:
    """`a, b, c and 4 more`, with at most so many named."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def machine_name(group: Sequence[str], among: Iterable[Sequence[str]]) -> str:
    """What a person reads for a machine: `fan 02`, and `pump` where its ID tells nothing apart.

    Args:
        group: (machine_type, machine_id); both may be ''.
        among: the groups it is shown beside, as of a detector or a report. `ONLY_ID` is kept where
            they have another ID of its type.
    """
    kind, number = group
    alone = all(other[1] == ONLY_ID for other in among if other[0] == kind)
    if kind and number == ONLY_ID and alone:
        return kind
    return f"{kind} {number}".strip()


def machine_names(groups: Sequence[Sequence[str]]) -> list[str]:
    """The `machine_name` of each group beside the others."""
    return [machine_name(group, groups) for group in groups]


def printable(text: str) -> str:
    """Text with what is no printable character written out, for a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
