"""A process that is ready for work and makes others of itself: `python -m tests.faults.zygote`.

It reads a JSON object a line, forks a child that plays the role it describes, and says its process
id; and of every child that is gone, its id and how it went. Starting a worker so costs
milliseconds, so that many can be killed. When its input ends, its children are killed.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import selectors
import signal
import sys
import traceback
from datetime import timedelta
from typing import Any

from oqron_sql import Complete, SQLStore, new_job
from tests.faults.roles import play

DRIVERS = ("aiosqlite", "asyncmy", "asyncpg", "psycopg", "pymysql", "redis")


def warm_up() -> None:
    """Import what is imported late, and compile what is compiled once; without a thread."""
    for name in DRIVERS:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
    for name in ("mysql", "postgresql", "sqlite"):
        importlib.import_module(f"sqlalchemy.dialects.{name}")
    with SQLStore("sqlite://") as store:
        store.save_job("warm", new_job("warm", "up"))
        jobs = store.fetch_jobs("warm", "me", timedelta(seconds=1), 1)
        store.finish_jobs("warm", [Complete(job) for job in jobs])


def say(*told: Any) -> None:
    os.write(1, f"{json.dumps(told)}\n".encode())


def child(spec: dict[str, Any]) -> None:
    """Become what `spec` says; never returns."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setpgid(0, 0)  # a stop of the terminal is not for it
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(2, 1)
        play(spec)
        code = 0
    except SystemExit:
        code = 0
    except BaseException:  # noqa: BLE001 - it is told, and the code says so
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def reap(children: set[int]) -> None:
    for pid in list(children):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            children.discard(pid)
            say("ended", pid, os.waitstatus_to_exitcode(status))


def main() -> None:
    children: set[int] = set()
    heard, ring = os.pipe()
    os.set_blocking(ring, False)
    os.set_blocking(heard, False)
    signal.set_wakeup_fd(ring)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    chosen = selectors.DefaultSelector()
    chosen.register(0, selectors.EVENT_READ)
    chosen.register(heard, selectors.EVENT_READ)
    rest = b""
    warm_up()
    say("ready", os.getpid(), 0)
    while True:
        ready = {key.fd for key, _ in chosen.select()}
        if heard in ready:
            os.read(heard, 4096)
            reap(children)
        if 0 in ready:
            read = os.read(0, 65536)
            if not read:
                break
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                pid = os.fork()
                if not pid:
                    child(json.loads(line))
                children.add(pid)
                say("started", pid, 0)
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
