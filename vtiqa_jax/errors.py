"""The exceptions that a command turns into one line."""


class UserError(Exception):
    """A person's mistake: says what is wrong, where, and what to do; exit status 2. Never a bug of ours: those keep
    their traceback."""


class Terminated(Exception):
    """SIGTERM came, and what a later call goes on from is saved; exit status 143."""
