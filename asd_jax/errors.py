"""The one exception that a command turns into a single sentence for its user."""


class UserError(Exception):
    """An error that the user can mend.

    The message is one clear sentence that names the file or the field and says what to do. The
    command modules print it without a traceback and exit with status 2.
    """
