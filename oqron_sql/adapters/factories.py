"""One adapter of a type, or all three of a mode: checked at once, opened when awaited."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, ParamSpec, TypeVar, get_args

from oqron_sql.adapters.backends import Backend, MemoryBackend, RedisBackend, SQLBackend
from oqron_sql.adapters.custom import create_broker, create_lock, create_storage
from oqron_sql.adapters.isolation import ENVIRONMENT, PROJECT, Scope
from oqron_sql.adapters.opening import Adapters, Opening, isolate
from oqron_sql.contract.async_adapters import AsyncBroker, AsyncLock, AsyncStorage
from oqron_sql.contract.checks import meant
from oqron_sql.errors import ConfigurationError

P = ParamSpec("P")
T = TypeVar("T")

Type = Literal["memory", "sql", "postgres", "redis"]
Mode = Literal["default", "db", "redis", "hybrid-db", "custom"]

Options = Mapping[str, Any] | None
Make = Callable[[contextlib.AsyncExitStack], Awaitable[Adapters]]

_REDIS = ("redis://", "rediss://")
_MODES: Mapping[str, tuple[str, str, str]] = {
    "default": ("memory", "memory", "memory"),
    "db": ("sql", "sql", "sql"),
    "redis": ("redis", "redis", "redis"),
    "hybrid-db": ("sql", "redis", "redis"),
}
"""Of which type storage, broker and lock are."""


def _suggesting(call: Callable[P, T]) -> Callable[P, T]:
    """Let a keyword that is none be refused with the one that may have been meant."""
    known = inspect.signature(call).parameters

    @functools.wraps(call)
    def checked(*args: P.args, **given: P.kwargs) -> T:
        for name in given:
            if name not in known:
                raise TypeError(f"{call.__name__}() has no {name}={meant(name, known)}")
        return call(*args, **given)

    return checked


@_suggesting
def create_storage_adapter(
    type: Type = "memory",
    *,
    db: Any = None,
    redis: Any = None,
    db_options: Options = None,
    redis_options: Options = None,
) -> Opening[AsyncStorage]:
    """Return a storage in memory, in a SQL database (`db`) or on Redis (`redis`), to be opened.

    Arguments are as in `create_adapters`; "postgres" is another name of "sql". Nothing isolates it.

    Raises:
        ConfigurationError: the type is unknown, or what it needs is missing or cannot be used.
    """
    return _one("storage", type, _Places(db, redis, db_options, redis_options))


@_suggesting
def create_broker_adapter(
    type: Type = "memory",
    *,
    db: Any = None,
    redis: Any = None,
    db_options: Options = None,
    redis_options: Options = None,
) -> Opening[AsyncBroker]:
    """Return a broker, as `create_storage_adapter` does a storage.

    Raises:
        ConfigurationError: the type is unknown, or what it needs is missing or cannot be used.
    """
    return _one("broker", type, _Places(db, redis, db_options, redis_options))


@_suggesting
def create_lock_adapter(
    type: Type = "memory",
    *,
    db: Any = None,
    redis: Any = None,
    db_options: Options = None,
    redis_options: Options = None,
) -> Opening[AsyncLock]:
    """Return a lock, as `create_storage_adapter` does a storage.

    Raises:
        ConfigurationError: the type is unknown, or what it needs is missing or cannot be used.
    """
    return _one("lock", type, _Places(db, redis, db_options, redis_options))


@_suggesting
def create_adapters(
    mode: Mode = "default",
    *,
    db: Any = None,
    redis: Any = None,
    storage: Any = None,
    broker: Any = None,
    lock: Any = None,
    project: str = PROJECT,
    environment: str = ENVIRONMENT,
    isolated: bool = True,
    db_options: Options = None,
    redis_options: Options = None,
) -> Opening[Adapters]:
    """Return a storage, a broker and a lock, to be opened by `await` or `async with`.

    Everything is checked before anything is opened, and what the mode has no use for is refused.

    Args:
        mode: where the three are. "default": in memory; "db": in a SQL database; "redis": on
            Redis; "hybrid-db": the storage in a SQL database, broker and lock on Redis;
            "custom": as given.
        db: the URL of a SQL database, or the host's engine, which stays open. One engine and one
            pool serve all adapters.
        redis: the URL of a Redis server, or the host's client, which stays open.
        storage: of mode "custom": what `create_storage` takes. It is never closed.
        broker: of mode "custom": what `create_broker` takes. It is never closed.
        lock: of mode "custom": what `create_lock` takes. It is never closed.
        project: whose data they are; see `isolate`.
        environment: of which environment they are.
        isolated: False for the adapters as they are, with everybody's data.
        db_options: what else the SQL adapters take, such as `prefix` and `schema`; and `indexes`,
            the fields by namespace that documents are to be found and ordered by.
        redis_options: what else the Redis adapters take, such as `prefix`.

    Raises:
        ConfigurationError: the mode is unknown, or what it needs is missing or cannot be used.
        InvalidAdapter: something given lacks methods.
        InvalidInput: `indexes` names what is no namespace or no field.
        InvalidName: `project` or `environment` is not a name.
    """
    scope = Scope(project, environment)
    db_options = _scoped(db_options, scope) if isolated else db_options
    places = _Places(db, redis, db_options, redis_options)
    given = {"storage": storage, "broker": broker, "lock": lock}
    make = _custom(given, places) if mode == "custom" else _of_mode(mode, given, places)

    async def make_all(closing: contextlib.AsyncExitStack) -> Adapters:
        made = await make(closing)
        return isolate(made, scope.project, scope.environment) if isolated else made

    return Opening(make_all)


class _Places:
    """What was passed to say where adapters live."""

    def __init__(self, db: Any, redis: Any, db_options: Options, redis_options: Options) -> None:
        self._given = {"sql": ("db", db, db_options), "redis": ("redis", redis, redis_options)}

    def backends(self, what: str, types: Sequence[str]) -> dict[str, Backend]:
        """Return the backends of these types, checked, for `what`."""
        for kind, (name, bind, options) in self._given.items():
            if kind not in types and (bind is not None or options):
                # Not ignored: whoever passes a database does not mean memory.
                raise ConfigurationError(f"{what} has no use for {name}= or {name}_options=")
            if kind in types and bind is None:
                raise ConfigurationError(f"{what} needs {name}=, a URL or what the host has open")
            if kind == "sql" and isinstance(bind, str) and bind.lower().startswith(_REDIS):
                raise ConfigurationError(
                    f"{what} needs a SQL database as db=, and this is the URL of a Redis server: "
                    "mode or type 'redis' takes it, as redis="
                )
        return {kind: self._backend(kind) for kind in types}

    def declares(self) -> bool:
        """Whether fields of documents are declared."""
        options = self._given["sql"][2]
        return isinstance(options, Mapping) and bool(options.get("indexes"))

    def _backend(self, kind: str) -> Backend:
        if kind == "memory":
            return MemoryBackend()
        _, bind, options = self._given[kind]
        return (SQLBackend if kind == "sql" else RedisBackend)(bind, options or {})


def _scoped(options: Options, scope: Scope) -> Options:
    """Return the options of SQL adapters that are isolated, with namespaces as those get them."""
    indexes = options.get("indexes") if isinstance(options, Mapping) else None
    if not isinstance(indexes, Mapping):
        return options  # there are none, or they are refused where they are used
    names = {scope.name("namespace", each): fields for each, fields in indexes.items()}
    return {**(options or {}), "indexes": names}


def _one(port: str, type: str, places: _Places) -> Opening[Any]:
    _check(f"{port} adapter type", type, get_args(Type))
    kind = "sql" if type == "postgres" else type
    if port != "storage" and places.declares():
        raise ConfigurationError(f"a {port} has no documents: leave `indexes` out of db_options=")
    backend = places.backends(f"a {port} adapter of type {type!r}", [kind])[kind]

    async def make(closing: contextlib.AsyncExitStack) -> Any:
        await _open(backend, closing)
        return getattr(backend, port)()

    return Opening(make)


def _of_mode(mode: str, given: Mapping[str, Any], places: _Places) -> Make:
    _check("adapter mode", mode, get_args(Mode))
    for name in [name for name, value in given.items() if value is not None]:
        raise ConfigurationError(f"{name}= is of use in mode 'custom' alone, not in {mode!r}")
    kinds = _MODES[mode]
    backends = places.backends(f"mode {mode!r}", kinds)
    storage, broker, lock = (backends[kind] for kind in kinds)

    async def make(closing: contextlib.AsyncExitStack) -> Adapters:
        for backend in backends.values():
            await _open(backend, closing)
        return Adapters(
            storage.storage(),
            broker.broker(),
            lock.lock(),
            closing=closing,
            joining=storage.joining if storage is broker is lock else None,
        )

    return make


def _custom(given: Mapping[str, Any], places: _Places) -> Make:
    places.backends("mode 'custom'", [])
    missing = ", ".join(f"{name}=" for name, value in given.items() if value is None)
    if missing:
        raise ConfigurationError(
            f"mode 'custom' needs storage=, broker= and lock=; there is no {missing}"
        )
    made = Adapters(
        create_storage(given["storage"]), create_broker(given["broker"]), create_lock(given["lock"])
    )

    async def make(_: contextlib.AsyncExitStack) -> Adapters:
        return made

    return make


def _check(what: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigurationError(
            f"Unknown {what} {value!r}{meant(str(value), known)}; there are {', '.join(known)}"
        )


async def _open(backend: Backend, closing: contextlib.AsyncExitStack) -> None:
    closing.push_async_callback(backend.close)  # before it is opened: that may fail halfway
    await backend.open()
