"""Phrases that sentences to a user share."""

import re
from collections.abc import Iterable, Sequence

# The ID of a machine whose recordings name none: what DCASE calls the only section of a machine.
ONLY_ID = "00"


def first_few(names: Sequence[str], most: int) -> str:
    """Returns `a, b, c and 4 more`, with at most so many named."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def machine_name(group: Sequence[str], among: Iterable[Sequence[str]]) -> str:
    """Returns a machine's display name: `fan 02`, or `pump` where its ID tells nothing apart.

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


_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})")
_FORMULA = re.compile("'*[=+\\-@]")


def printable(text: object) -> str:
    r"""Writes out what is not printable in a text for a terminal: a name may hold any character.

    Line ends, escape sequences, marks that reverse the direction of writing and bytes that are no
    text are shown as `\\n`, `\\x1b` or `\\u202e`.
    """
    # Spaces that do not break are printable, whatever Python says.
    text = str(text).replace("\u00a0", " ").replace("\u202f", " ")
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def cell(text: str) -> str:
    """The text as a cell of CSV that no spreadsheet takes for a formula; see `text_of_cell`.

    What a terminal would obey is escaped, and `= + - @` at the beginning have a `'` before them.
    Bytes that are no text stay as they are.
    """
    shown = _ESCAPED.sub(lambda found: "\\x5c" + found[0][1:], text)
    shown = _UNPRINTABLE.sub(
        lambda found: found[0] if "\ud800" <= found[0] <= "\udfff" else _escape(found[0]), shown
    )
    return f"'{shown}" if _FORMULA.match(shown) and shown != "-" else shown


def text_of_cell(shown: str) -> str:
    """The text that `cell` was given."""
    if shown.startswith("'") and _FORMULA.match(shown):
        shown = shown[1:]
    return _ESCAPED.sub(lambda found: chr(int(found[1] or found[2], 16)), shown)


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def span(seconds: float) -> str:
    """A time in the unit that a person would use: '40 s', '12 min', '3 h 05 min'."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def size_text(size: float) -> str:
    """Bytes for people: '10.4 GB', '350 MB'."""
    for unit, scale, digits in (("GB", 1e9, 1), ("MB", 1e6, 0), ("kB", 1e3, 0)):
        if size >= scale:
            return f"{size / scale:.{digits}f} {unit}"
    return f"{size:.0f} bytes"
