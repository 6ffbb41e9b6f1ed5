"""What an adapter has to have, and how one is checked that somebody else wrote."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from oqron_sql.adapters.isolation import IsolatedBroker
from oqron_sql.contract.async_adapters import AsyncBroker, AsyncLock, AsyncStorage
from oqron_sql.contract.checks import meant
from oqron_sql.errors import InvalidAdapter

CAPABILITIES: Mapping[str, tuple[str, ...]] = {
    "claim_blocking": ("claim_blocking",),
    "broadcast": ("broadcast", "subscribe"),
}
"""What a broker may lack, and the methods that make it."""


def capabilities(broker: AsyncBroker) -> frozenset[str]:
    """Return which of `CAPABILITIES` the broker has; every built-in one has all."""
    while isinstance(broker, IsolatedBroker):  # which passes on what is there
        broker = broker.base
    return frozenset(
        name
        for name, methods in CAPABILITIES.items()
        if all(callable(getattr(broker, method, None)) for method in methods)
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Port:
    """One of the three ports, by the names of its methods."""

    name: str
    methods: tuple[str, ...]

    @property
    def required(self) -> tuple[str, ...]:
        """The methods that make no capability of their own."""
        optional = {method for methods in CAPABILITIES.values() for method in methods}
        return tuple(method for method in self.methods if method not in optional)

    def functions(self, given: Any) -> dict[str, Callable[..., Any]]:
        """Return the methods of `given`, an object or a mapping, by their names in the contract.

        Raises:
            InvalidAdapter: some are missing, cannot be called, or have a name that is none.
        """
        if isinstance(given, type):
            raise InvalidAdapter(self.name, [f"{given.__name__} is a class; pass an object"], ())
        found = _named(given) if isinstance(given, Mapping) else self._attributes(given)
        if not found and inspect.isawaitable(given):
            raise InvalidAdapter(self.name, ["it has to be awaited first"], ())
        wanted = {*self.required, *self._begun(found)}
        unknown = found.keys() - set(self.methods) if isinstance(given, Mapping) else ()
        missing = [method for method in self.methods if method in wanted - found.keys()]
        others = unknown or [each for each in dir(given) if not each.startswith("_")]
        problems = [
            *(f"{each!r} is missing{meant(each, others)}" for each in missing),
            *(f"{each!r} cannot be called" for each in found if not callable(found[each])),
            *(f"{each!r} is no method{meant(each, self.methods)}" for each in sorted(unknown)),
        ]
        if problems:
            raise InvalidAdapter(self.name, problems, missing)
        return found

    def _attributes(self, given: object) -> dict[str, Any]:
        pairs = ((method, getattr(given, method, None)) for method in self.methods)
        return {method: found for method, found in pairs if found is not None}

    def _begun(self, found: Iterable[str]) -> set[str]:
        """Return the methods of the capabilities that are there in part at least."""
        parts = (set(methods) for methods in CAPABILITIES.values())
        return {each for part in parts if part & set(found) for each in part}


def _port(name: str, protocol: type) -> Port:
    return Port(name, tuple(method for method in vars(protocol) if not method.startswith("_")))


STORAGE = _port("storage", AsyncStorage)
BROKER = _port("broker", AsyncBroker)
LOCK = _port("lock", AsyncLock)


def _named(given: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a mapping with its names as the contract spells them, be they OqronKit's."""
    return {_snake(str(name)): function for name, function in given.items()}


def _snake(name: str) -> str:
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name)
