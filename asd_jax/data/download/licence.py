"""The licence of a data set: shown, and accepted before anything is downloaded."""

import sys

from asd_jax.data.download.records import DataSet
from asd_jax.errors import UserError

LICENCES = {
    "CC BY-SA 4.0": (
        "https://creativecommons.org/licenses/by-sa/4.0/",
        "name the authors; what you make of the data and pass on, pass on under this licence",
    ),
    "CC BY-NC-SA 4.0": (
        "https://creativecommons.org/licenses/by-nc-sa/4.0/",
        "not for commercial use; name the authors; what you make of the data and pass on, pass on "
        "under this licence",
    ),
}


def text(data: DataSet) -> str:
    """Returns the text that a user reads before accepting."""
    address, terms = LICENCES[data.licence]
    pages = "\n".join(f"  {page}" for page in data.pages)
    return (
        f"{data.title} is published under {data.licence}: {terms}.\n  {address}\n"
        f"Whom to cite, and the terms that hold in the end, are on the pages of its records:\n"
        f"{pages}"
    )


def accept(data: DataSet, *, accepted: bool) -> None:
    """Shows the licence and asks for a yes, where the flag did not give it.

    Raises:
        UserError: it is not accepted, or there is no one to ask.
    """
    print(text(data), file=sys.stderr)
    if accepted:
        return
    if not sys.stdin.isatty():
        raise UserError(
            f"the licence of {data.title} ({data.licence}) is not accepted; pass --accept_licence "
            "if you accept it."
        )
    print("Do you accept? [y/n] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UserError(f"the licence of {data.title} is not accepted: nothing was downloaded.")
