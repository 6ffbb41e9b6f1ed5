"""What the figures were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

PACKAGES = (
    "oqron-sql",
    "sqlalchemy",
    "asyncpg",
    "psycopg",
    "pymysql",
    "asyncmy",
    "aiosqlite",
    "uvloop",
    "pgqueuer",
    "huey",
    "procrastinate",
    "redis",
    "taskiq",
    "taskiq-redis",
)


def machine() -> dict[str, str]:
    """Return processor, cores, system and Python."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": platform.platform(),
        "python": platform.python_version(),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def packages() -> dict[str, str]:
    """Return the installed versions of what takes part."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "from the working tree" if name == "oqron-sql" else "not installed"
    return found


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
