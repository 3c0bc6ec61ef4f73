"""The command line. A command imports what it needs, calls one function, and has ``console`` print the result.

Exit codes: 0 done; 1 the machine failed us (disk, memory, network) or we did (a bug); 2 the user's input or settings;
130 and 143 after SIGINT and SIGTERM. One line on stderr for all but 0. Standard output holds results alone.
"""

from __future__ import annotations

import functools
import shlex
import sys

from pointkit import mistakes
from pointkit.cli import data, networks
from pointkit.cli.app import app
from pointkit.flags import Backend, Output, Path, Quiet
from pointkit.machine import in_huge_pages, use_backend
from pointkit.signals import Interrupting

__all__ = ["app", "data", "flags", "main", "networks", "run"]

DEMO = Path("demo")


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code. A command that trains runs in huge pages (``machine``)."""
    if arguments is None:
        arguments = sys.argv[1:]
        if arguments[:1] in (["train"], ["learn"], ["demo"]):
            in_huge_pages()
    sys.exit(run(arguments))


def run(arguments: list[str]) -> int:
    """Run a command and give its exit code. All that can go wrong ends here in one line."""
    words = functools.partial(mistakes.stopped, arguments)
    try:
        with Interrupting(last_words=words):
            result = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except BaseException as error:
        return mistakes.answered(error, arguments, flags())


def flags() -> dict[str, set[str]]:
    """Command -> its flags."""
    commands = {name: app[name] for name in app if not name.startswith("-")}
    return {
        name: {flag for argument in command.assemble_argument_collection() for flag in argument.names}
        for name, command in commands.items()
    }


@app.command
def demo(*, output: Output = DEMO, backend: Backend = None, quiet: Quiet = False) -> int:
    """Make the built-in shapes, then prepare, train, evaluate and predict: their classes, then their parts.

    The folder must be new, empty, or one that an earlier demo has made.

    Parameters
    ----------
    output
        The folder to work in.
    """
    use_backend(backend)
    from pointkit import console
    from pointkit.demo import commands

    for command in commands(output):
        console.command(command)
        code = run([*command, "--quiet"] if quiet and command[0] != "view" else command)
        if code > 128:
            console.note(f"the whole demo goes on with: pointkit demo -o {shlex.quote(str(output))}")
        if code:
            return code
    console.demo_done(output)
    return 0
