"""What a command turns into a single sentence for its user, without a traceback."""


class UserError(Exception):
    """An error that the user can mend.

    The message is one clear sentence that names the file or the field and says what to do. The
    command modules print it without a traceback and exit with status 2.
    """


class WriteError(UserError):
    """Something could not be written: the disk, its rights or its health. Status 1, not 2."""


class Interrupted(Exception):
    """The user, or the cluster, asked the run to stop; what was done is saved."""


class PeerLost(Exception):
    """Another process of the run has ended, so this one cannot go on."""


def detail(error: BaseException, most: int = 200) -> str:
    """The first line of what an error says, at most so many characters, or else its kind."""
    first = (str(error).strip().splitlines() or [""])[0]
    return " ".join(first.split())[:most].rstrip(".") or type(error).__name__
