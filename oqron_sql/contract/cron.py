"""Cron expressions: which instants they mean, in a time zone whose clocks are changed.

The fields are read by cronsim, as Debian's cron reads them, and matched against a wall clock. What
becomes of an hour that is skipped or comes twice is decided here:

- A *fixed* time, whose minute and hour both do not begin with `*`, comes once a day, whatever the
  clocks do. One that is skipped comes at the first instant after the gap; one that would come twice
  comes the first time.
- Anything else runs through: it comes whenever the wall clock shows a match, so not in an hour that
  is skipped, and in both of one that is repeated.
"""

from __future__ import annotations

import dataclasses
import functools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from oqron_sql.errors import InvalidInput

LONGEST = 255
_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_SECOND = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SOME_DAY = datetime(2024, 1, 1)  # noqa: DTZ001 - a wall clock has no zone


@dataclasses.dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression in a time zone."""

    fields: str
    zone: ZoneInfo

    @property
    def fixed(self) -> bool:
        """Whether it names times of day, which come once each."""
        minute, hour = self.fields.split()[-5:-3]
        return not (minute.startswith("*") or hour.startswith("*"))

    def after(self, instant: datetime) -> datetime | None:
        """Return the first instant after `instant` that it means, in UTC; None if there is none."""
        try:
            found = self._fixed(instant) if self.fixed else self._running(instant)
        except OverflowError:  # the calendar ends
            return None
        return None if found is None else found.astimezone(UTC)

    def _fixed(self, after: datetime) -> datetime | None:
        wall = self._match(_wall(after, self.zone))
        while wall is not None:
            found = self._first(wall)
            if found > after:
                return found
            wall = self._match(wall)  # it came before the clock was set back
        return None

    def _running(self, after: datetime) -> datetime | None:
        local = after.astimezone(self.zone)
        wall = self._match(local.replace(tzinfo=None, fold=0))
        if not local.fold and local.utcoffset() != local.replace(fold=1).utcoffset():
            # This hour will be repeated: what matches in the rest of it, or else from its start.
            again = _change(local, local.replace(fold=1), self.zone)
            if wall is None or _at(wall, self.zone) >= again:
                wall = self._match(_wall(again, self.zone) - _SECOND)
                after = again - _SECOND
        while wall is not None:
            first, second = _at(wall, self.zone), _at(wall, self.zone, fold=1)
            if second < first:  # there is no such time: go on where the gap ends
                wall = self._match(_wall(_change(second, first, self.zone), self.zone) - _SECOND)
                continue
            return first if first > after else second
        return None

    def _match(self, wall: datetime) -> datetime | None:
        """Return the first time after `wall` at which a clock on a wall shows a match."""
        found: datetime | None = next(CronSim(self.fields, wall), None)
        return found

    def _first(self, wall: datetime) -> datetime:
        """Return when the clock shows `wall` for the first time, or first goes beyond it."""
        first, second = _at(wall, self.zone), _at(wall, self.zone, fold=1)
        return _change(second, first, self.zone) if second < first else first


@functools.lru_cache(maxsize=256)
def parse_cron(expression: str, tz: str | None = None) -> Cron:
    """Return what a cron expression of five fields, of six with seconds first, or an alias means.

    Raises:
        InvalidInput: it is none, it never comes, or nobody knows the zone.
    """
    zone = parse_zone(tz or "UTC")
    if not isinstance(expression, str) or len(expression) > LONGEST:
        raise InvalidInput("cron", expression, f"must be a text of up to {LONGEST} characters")
    text = expression.strip()
    fields = _ALIASES.get(text.lower(), text)
    if fields.startswith("@"):
        known = ", ".join(_ALIASES)
        raise InvalidInput("cron", expression, f"has no such alias; there are {known}")
    try:
        if next(CronSim(fields, _SOME_DAY), None) is None:
            raise InvalidInput("cron", expression, "never comes")
    except (CronSimError, AssertionError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        problem = str(error).lower() or "cannot be read"
        raise InvalidInput(
            "cron", expression, f"{problem}; it has five fields, or six with seconds first"
        ) from None
    return Cron(fields, zone)


@functools.lru_cache(maxsize=256)
def parse_zone(name: str) -> ZoneInfo:
    """Return the time zone of that IANA name.

    Raises:
        InvalidInput: nobody knows it.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError):
        raise InvalidInput("tz", name, 'must be a known IANA zone, as "Europe/Vienna"') from None


def _wall(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def _at(wall: datetime, zone: ZoneInfo, fold: int = 0) -> datetime:
    """Return the instant, in UTC: of two, the first or the second.

    Of a time that is skipped it is by the clock before (0) or after (1) the change: the second then
    lies before the first, and the change between them.
    """
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant between two at which the clocks of `zone` are changed."""

    def offset(second: int) -> timedelta | None:
        return (_EPOCH + second * _SECOND).astimezone(zone).utcoffset()

    low, high = (before - _EPOCH) // _SECOND, -((_EPOCH - after) // _SECOND)
    new = offset(high)
    while high - low > 1:
        middle = (low + high) // 2
        if offset(middle) == new:
            high = middle
        else:
            low = middle
    return _EPOCH + high * _SECOND
