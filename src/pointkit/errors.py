"""The errors that the user can mend, and those of the machine.

Each message is one line: the file or argument, the rule, what was found. The command line prints it on
stderr and exits with 2 for a ``ValueError`` of ours (input, settings) and with 1 for a ``MachineError`` (disk,
network).
"""


class PointkitError(ValueError):
    """The user's input or settings break a rule."""


class FormatError(PointkitError):
    """A file cannot be read as what its suffix says, or holds no shape. The message begins with the file's path."""


class StoreError(PointkitError):
    """A folder is no store of prepared shapes, is damaged, or comes from a newer version."""


class StandingError(StoreError):
    """Another store stands where one is to be written. ``other`` says in what it differs, such as "files, seed"."""

    def __init__(self, message: str, other: str = "") -> None:
        super().__init__(message)
        self.other = other


class RunError(PointkitError):
    """A folder is no run, is damaged, in use, or does not fit what is asked of it."""


class MissingExtraError(PointkitError):
    """An optional package is missing. The message names the extra that installs it."""


class MachineError(RuntimeError):
    """The machine failed us: no space left, no memory, no network."""
