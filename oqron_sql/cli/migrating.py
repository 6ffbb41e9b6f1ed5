"""The tables: `migrate upgrade`, `current`, `check`, `sql`."""

from __future__ import annotations

import io
from typing import Annotated

import typer

from oqron_sql import migrate
from oqron_sql.async_store import AsyncSQLStore
from oqron_sql.cli.database import DEFAULT_PREFIX, AsJson, Database, Prefix, Schema, Url
from oqron_sql.cli.messages import FAILED
from oqron_sql.cli.printing import new_console, print_json, say
from oqron_sql.errors import SchemaOutOfDate
from oqron_sql.schema.revisions import HEAD, age, directory

app = typer.Typer(
    help="Make and upgrade the tables, or look at their revision.", no_args_is_help=True
)


@app.command()
def upgrade(
    to: Annotated[str, typer.Option(help="The revision to upgrade to.")] = "head",
    url: Url = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Bring the tables to the revision of this version; any number of processes may do so."""

    async def work(store: AsyncSQLStore) -> str | None:
        await store.run(lambda tx: migrate.upgrade(tx.conn, prefix=prefix, schema=schema, to=to))
        return await _revision(store, prefix, schema)

    database = Database(url, prefix, schema)
    revision = database.ask(work, migrate="off", may_be_new=True)
    _tell(revision, f"The tables are at revision {revision}.", as_json=as_json)


@app.command()
def current(
    url: Url = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Show the revision of the tables. Exit status: 1 if there are none."""
    revision = Database(url, prefix, schema).ask(
        lambda store: _revision(store, prefix, schema), migrate="off"
    )
    _tell(revision, revision or "There are no tables.", as_json=as_json)
    if revision is None:
        raise typer.Exit(FAILED)


@app.command()
def check(
    url: Url = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Check that the tables are those of this version. Exit status: 1 if not."""
    database = Database(url, prefix, schema)

    async def work(store: AsyncSQLStore) -> tuple[str | None, str | None]:
        try:
            await store.run(lambda tx: migrate.check(tx.conn, prefix=prefix, schema=schema))
        except SchemaOutOfDate as error:
            return error.current, str(database.advised(error))
        return migrate.head(), None

    revision, problem = database.ask(work, migrate="off")
    _tell(revision, problem or f"The tables are at revision {revision}.", as_json=as_json)
    if problem:
        raise typer.Exit(FAILED)


@app.command()
def sql(
    since: Annotated[
        str | None,
        typer.Option("--from", help="The revision that the tables have. Default: none are there."),
    ] = None,
    url: Url = None,
    prefix: Prefix = DEFAULT_PREFIX,
    schema: Schema = None,
) -> None:
    """Print the SQL that makes or upgrades the tables; no database is asked.

    The URL tells for which kind of database it is.
    """
    age(since)  # refuses what is no revision
    # Alembic takes a second to import, and no other command needs it.
    from alembic import command
    from alembic.config import Config

    script = io.StringIO()
    config = Config(output_buffer=script)
    config.set_main_option("script_location", str(directory()).replace("%", "%%"))
    config.attributes.update(url=Database(url).address, prefix=prefix, schema=schema)
    command.upgrade(config, f"{since}:{HEAD}" if since else HEAD, sql=True)
    print(script.getvalue(), end="")


async def _revision(store: AsyncSQLStore, prefix: str, schema: str | None) -> str | None:
    return await store.run(lambda tx: migrate.current(tx.conn, prefix=prefix, schema=schema))


def _tell(revision: str | None, text: str, *, as_json: bool) -> None:
    if as_json:
        head = migrate.head()
        print_json({"current": revision, "head": head, "up_to_date": revision == head})
    else:
        say(new_console(), text)
