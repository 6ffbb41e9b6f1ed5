"""For an application's own Alembic: our revisions inside of its own, and our tables left alone.

The functions take the `op` of a revision, and so write SQL with `--sql` as well. What needs an
engine only is in `oqron_sql.migrate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from oqron_sql import migrate
from oqron_sql.errors import ConfigurationError
from oqron_sql.schema.autogenerate import names
from oqron_sql.schema.revisions import HEAD, age, directory
from oqron_sql.schema.tables import DEFAULT_PREFIX

if TYPE_CHECKING:
    from alembic.script import Script

__all__ = ["downgrade", "include_name", "include_object", "upgrade"]

_SINCE = (
    "with --sql nobody can be asked which revision the tables have: say it, as in "
    f"since={HEAD!r}; for none, since='base'"
)


def upgrade(
    op: Any,
    *,
    to: str,
    since: str = "base",
    prefix: str = DEFAULT_PREFIX,
    schema: str | None = None,
) -> None:
    """Upgrade our tables in a revision of the application's, in its transaction.

    `to` is named, so that the revision means the same for ever. With `--sql` the steps are those
    from `since`, which otherwise is what the database says.

    Raises:
        SchemaOutOfDate: the tables are newer than this version.
        LockTimeout: somebody else is migrating them.
        ConfigurationError: there is no such schema or revision, or a table is somebody else's.
    """
    if not op.get_context().as_sql:
        migrate.upgrade(op.get_bind(), to=to, prefix=prefix, schema=schema)
        return
    for step in reversed(list(_between(since, HEAD if to == "head" else to))):
        step.module.upgrade(op, prefix, schema)


def downgrade(
    op: Any,
    *,
    to: str = "base",
    since: str | None = None,
    prefix: str = DEFAULT_PREFIX,
    schema: str | None = None,
) -> None:
    """Go back to a revision; "base" drops the tables and every job in them.

    With `--sql` it must be said `since` which revision, otherwise the database says it.

    Raises:
        SchemaOutOfDate: the tables are newer than this version.
        LockTimeout: somebody else is migrating them.
        ConfigurationError: there is no such revision, or `since` is missing.
    """
    if not op.get_context().as_sql:
        migrate.downgrade(op.get_bind(), to=to, prefix=prefix, schema=schema)
        return
    if since is None:
        raise ConfigurationError(_SINCE)
    for step in _between(to, since):
        step.module.downgrade(op, prefix, schema)


def _between(older: str, newer: str) -> Iterator[Script]:
    """Yield the revisions after `older` up to `newer`, the newest first."""
    from alembic.script import ScriptDirectory

    for revision in (older, newer):
        age(None if revision == "base" else revision)
    return ScriptDirectory(directory()).iterate_revisions(newer, older)


def include_name(
    prefix: str = DEFAULT_PREFIX, schema: str | None = None
) -> Callable[[str | None, str, Any], bool]:
    """Return an `include_name` for `context.configure` that does not look at our tables.

    Not for a MetaData that has them: there it is `include_object` that leaves them alone.
    """
    ours = names(prefix, schema)

    def include(name: str | None, kind: str, parents: Any) -> bool:
        return not (kind == "table" and (parents.get("schema_name"), name) in ours)

    return include


def include_object(
    prefix: str = DEFAULT_PREFIX, schema: str | None = None
) -> Callable[[Any, str | None, str, bool, Any], bool]:
    """Return an `include_object` for `context.configure` that leaves our tables alone."""
    ours = names(prefix, schema)

    def include(item: Any, name: str | None, kind: str, reflected: bool, other: Any) -> bool:
        return not (kind == "table" and (item.schema, name) in ours)

    return include
