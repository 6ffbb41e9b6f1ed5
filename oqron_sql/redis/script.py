"""The Lua scripts: read from their files, sent by their hash."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Any

from redis.exceptions import NoScriptError

_FOLDER = resources.files("oqron_sql.redis") / "scripts"


class Script:
    """Files of Lua, run one after the other as one script; `changes` anything, or only reads."""

    def __init__(self, *files: str, changes: bool = True) -> None:
        self.changes = changes
        self.name = files[-1]
        self.source = "\n".join((_FOLDER / f"{file}.lua").read_text("utf-8") for file in files)
        self.hash = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: Any, keys: tuple[str, ...], args: tuple[Any, ...]) -> Any:
        """Run it; a server that does not know it yet, or not any more, is sent the source."""
        rest = (len(keys), *keys, *args)
        try:
            return await client.execute_command("EVALSHA", self.hash, *rest)
        except NoScriptError:
            return await client.execute_command("EVAL", self.source, *rest)
