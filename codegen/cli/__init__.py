"""The command ``cellwright``: one file a group of commands; here errors become messages and exit statuses.

Exit status 0: success, also when the answer is no.  1: a check, a promise, a re-check or a training fails, or
no path is found.  2: wrong usage, unknown names, missing or malformed data.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from codegen.cli import attack, bench, bounds, certify, code, demo, study, symbolic, training
from codegen.errors import CheckpointError, CodegenError, Stopped, TrainingError
from derive.errors import BrokenPromise, DeriveError, NoPath, RuleDoesNotApply

FAILURES = (NoPath, RuleDoesNotApply, BrokenPromise, TrainingError, CheckpointError, Stopped)
"""Errors that answer a well-put request with no; every other error of ours is about how it was put."""

app = typer.Typer(
    name="cellwright",
    help="Derive, prove and emit recurrent cells.",
    epilog="Example: cellwright derive lstm",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
for group in (symbolic, bounds, attack, certify, code, bench, training, study, demo):
    group.register(app)


@app.callback()
def _options(debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error.")) -> None:
    """Derive, prove and emit recurrent cells."""


def run(arguments: Sequence[str]) -> int:
    """Run one command; the exit status."""
    arguments = list(arguments)
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]  # accepted anywhere on the line
    try:
        app(args=arguments, prog_name="cellwright")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read us has seen enough
        return 0
    except (DeriveError, CodegenError, OSError) as error:
        if debug:
            raise
        print(f"cellwright: {error}", file=sys.stderr)
        return 1 if isinstance(error, FAILURES) else 2
    return 0


def main() -> NoReturn:
    """The console script."""
    sys.exit(run(sys.argv[1:]))
