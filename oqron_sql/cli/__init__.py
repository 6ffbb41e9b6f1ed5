"""The command line: `oqron-sql`, or `python -m oqron_sql.cli`."""

from __future__ import annotations

import contextlib
import io
import os
import sys


def main() -> None:
    """Run the command line; the one place where an error becomes a message and an exit status."""
    # Imported late, so that a worker process, which lives in this package too, starts without them.
    from sqlalchemy.exc import SQLAlchemyError

    from oqron_sql.cli.app import app
    from oqron_sql.cli.messages import exit_status, explain
    from oqron_sql.errors import OqronError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a sign gets a "?"
            stream.reconfigure(errors="replace")
    try:
        try:
            app(prog_name="oqron-sql")
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # what Python does later, it does with a status of its own
    except (OqronError, SQLAlchemyError) as error:
        print(f"oqron-sql: {explain(error)}", file=sys.stderr)
        sys.exit(exit_status(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever read our output has gone
        _discard_output()
        sys.exit(1)
    except OSError as error:  # the disk is full that the output goes to, say
        _discard_output()
        print(f"oqron-sql: {error}", file=sys.stderr)
        sys.exit(2)


def _discard_output() -> None:
    """Let go of what could not be written; without this Python complains when it ends."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
