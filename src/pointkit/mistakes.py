"""What goes wrong in a command: one line on standard error, and the exit code.

Codes: 1 the machine failed us (disk, memory, network) or we did (a bug); 2 the user's input or settings; 130 and 143
after SIGINT and SIGTERM.
"""

from __future__ import annotations

import errno
import os
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence

import cyclopts

from pointkit import __version__, aliases
from pointkit.disk import FULL
from pointkit.errors import MachineError, PointkitError
from pointkit.signals import Stopped


def answered(error: BaseException, arguments: Sequence[str], flags: Mapping[str, Collection[str]]) -> int:
    """Print what went wrong and give the exit code. ``flags`` are those of each command."""
    match error:
        case cyclopts.CycloptsError():
            command = [name for name in arguments[:1] if name in flags]
            usual = aliases.answer(command[0], arguments[1:], flags) if command else ""
            _complain(f"{usual or _said(error)} See: pointkit {''.join(f'{name} ' for name in command)}--help")
            return 2
        case Stopped():
            _complain(f"{error}; {goes_on(arguments)}")
            return error.exit_code
        case KeyboardInterrupt():
            stopped(arguments)
            return 130
        case PointkitError():
            _complain(str(error))
            return 2
        case MachineError():
            _complain(str(error))
            return 1
        case MemoryError():  # NumPy's says how much was asked for, and no advice
            _complain("out of memory; close other programs, or use a machine with more")
            return 1
        case BrokenPipeError():  # the reader of our output left early, like head; Python would complain when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        case OSError():
            where = f"{error.filename}: " if error.filename is not None else ""
            _complain(f"{where}{'no space left' if error.errno in FULL else error.strerror or error}")
            return 1 if error.errno in (*FULL, errno.ENOMEM, errno.EIO) else 2
        case Exception():
            _bug(error, arguments)
            return 1
    raise error  # SystemExit and the like


GOES_ON = {  # command -> what stands after a stop
    "fetch": "what came is kept; go on with",
    "prepare": "the files read so far are kept; go on with",
    "learn": "what is done is kept; go on with",
    "train": "all finished steps are kept; go on with",
    "evaluate": "reports that stood are as they were; begin anew with",
    "predict": "files written so far are whole, and are skipped the next time; do the others with",
    "demo": "finished steps are kept; go on with",
    "view": "nothing was written; begin anew with",
    "info": "nothing was changed; begin anew with",
}


def stopped(arguments: Sequence[str]) -> None:
    """Say that a command was stopped, what it leaves, and how to go on."""
    _complain(f"stopped; {goes_on(arguments)}")


def goes_on(arguments: Sequence[str]) -> str:
    """What a stopped command leaves, and the command that goes on."""
    what = GOES_ON.get(arguments[0] if arguments else "", "begin anew with")
    return f"{what}: {shlex.join(['pointkit', *arguments])}"


def one_line(text: str) -> str:
    """A text on one line."""
    return " ".join(str(text).split())


def _complain(text: str) -> None:
    print(f"pointkit: {one_line(text)}", file=sys.stderr)


def _bug(error: Exception, arguments: Sequence[str]) -> None:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="pointkit-bug-", suffix=".txt", delete=False) as file:
        file.write(f"pointkit {__version__}, Python {sys.version}\n{[*arguments]!r}\n\n")
        traceback.print_exception(error, file=file)
    _complain(f"a fault of ours, please report it: {type(error).__name__}: {error} (details: {file.name})")


def _said(error: cyclopts.CycloptsError) -> str:
    """A parser's error in one line, in the words of the command line."""
    if isinstance(error, cyclopts.UnusedCliTokensError) and error.unused_tokens:
        return f"unexpected argument {error.unused_tokens[0]!r}."
    if isinstance(error, cyclopts.MissingArgumentError) and error.argument and not error.keyword:
        return f"needs {error.argument.name}, got none."
    return one_line(str(error))
