"""The one exception for a person's mistake: a command prints it as one line and exits with status 2."""


class UserError(Exception):
    """Says what is wrong, where, and what to do. Never a bug of ours: those keep their traceback."""
