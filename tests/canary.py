"""Nothing secret is shown, whatever the tests do.

A password is planted in the URL of every server, and a payload in the jobs and documents of the
kit. A test fails if either is seen in a log, a warning, an exception that it expected, or the
output of a command.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from oqron_sql.testing.steps import PAYLOAD
from tests.servers import PASSWORD

SECRETS = (PASSWORD, PAYLOAD)
# What SQLAlchemy logs costs time: it is looked at in tests/hosts/test_secrets.py.
LOGGERS = ("oqron_sql", "aiosqlite", "alembic", "asyncio")


class Canary(logging.Handler):
    """Looks for what was planted, and remembers where it was seen."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen: list[str] = []
        self._looks = True

    @contextlib.contextmanager
    def looking_away(self) -> Iterator[None]:
        """Somebody asked to be shown what a job carries."""
        self._looks = False
        yield
        self._looks = True

    def look(self, where: str, shown: object) -> None:
        """Remember `where`, if something secret is in what is `shown` there."""
        if not self._looks:
            return
        text = shown.decode(errors="replace") if isinstance(shown, bytes) else str(shown)
        for secret in SECRETS:
            if secret in text:
                at = text.index(secret)
                context = text[max(0, at - 200) : at + 200].replace(secret, "<the secret>")
                self.seen.append(f"{where}: …{context}…")

    def look_at(self, error: BaseException) -> None:
        """Look at all that is printed of an exception: its causes, and where it came from."""
        self.look(type(error).__name__, "".join(traceback.format_exception(error)))

    def emit(self, record: logging.LogRecord) -> None:
        self.look(f"logged by {record.name}", self.format(record))

    def report(self) -> None:
        """Fail if something was seen since the last report."""
        seen, self.seen[:] = list(self.seen), []
        if seen:
            pytest.fail("something secret was shown\n" + "\n".join(seen), pytrace=False)


CANARY = Canary()


class Watching:
    """The plugin: lets the canary see what tests bring about."""

    def pytest_configure(self) -> None:
        logging.getLogger().addHandler(CANARY)
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.DEBUG)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            self._watch_expected_exceptions(patch)
            self._watch_commands(patch)
            self._watch_output(patch)
            self._watch_warnings(patch)
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Iterator[None]:
        result = yield
        CANARY.report()
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.passed:
            for name, text in report.sections:
                CANARY.look(name, text)

    def _watch_expected_exceptions(self, patch: pytest.MonkeyPatch) -> None:
        fill = pytest.ExceptionInfo.fill_unfilled

        def filled(self: Any, exc_info: Any) -> None:
            CANARY.look_at(exc_info[1])
            fill(self, exc_info)

        patch.setattr(pytest.ExceptionInfo, "fill_unfilled", filled)

    def _watch_commands(self, patch: pytest.MonkeyPatch) -> None:
        communicate = subprocess.Popen.communicate

        def communicated(process: Any, *args: Any, **kwargs: Any) -> Any:
            said = communicate(process, *args, **kwargs)
            for text in said:
                CANARY.look("the output of a command", text or "")
            return said

        patch.setattr(subprocess.Popen, "communicate", communicated)

    def _watch_output(self, patch: pytest.MonkeyPatch) -> None:
        read = pytest.CaptureFixture.readouterr

        def captured(self: Any) -> Any:
            said = read(self)
            for text in said:
                CANARY.look("the output", text)
            return said

        patch.setattr(pytest.CaptureFixture, "readouterr", captured)

    def _watch_warnings(self, patch: pytest.MonkeyPatch) -> None:
        warn = warnings.warn

        def warned(
            message: Any, category: Any = None, stacklevel: int = 1, source: Any = None, **more: Any
        ) -> None:
            CANARY.look("a warning", message)
            warn(message, category, stacklevel + 1, source, **more)

        patch.setattr(warnings, "warn", warned)
