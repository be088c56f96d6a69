"""The exceptions that a command turns into one line."""


class UserError(Exception):
    """A person's mistake: says what is wrong, where, and what to do. Exit status 2.

    Never a bug of ours: those keep their traceback.
    """


class ImageError(Exception):
    """A photo cannot be read; the message is the reason, without the file's name."""


class Terminated(Exception):
    """SIGTERM came, and the run's state is saved. Exit status 143."""
