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
        app(prog_name="oqron-sql")
    except (OqronError, SQLAlchemyError) as error:
        print(f"oqron-sql: {explain(error)}", file=sys.stderr)
        sys.exit(exit_status(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has gone; without this Python complains when it flushes.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
