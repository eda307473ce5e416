"""When there is basketball: seasons, bootstrap, partitions, ranges. The only place that knows the calendar; imports no table.

Facts come from `seasons.json` (season starts and ends, days off), made from a published schedule by `update_calendar`. Days are
`datetime.date` everywhere; ISO strings, Dagster's partition keys, only at its edge.
"""

import json
import logging
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pandas as pd

SEASONS_FILE = Path(__file__).with_name("seasons.json")

NEW_YORK = ZoneInfo("America/New_York")
"""The league's dates are New York's: a game of 22:30 Pacific belongs to the New York day before midnight there."""

BOOTSTRAP_DAYS = 14
"""Calendar days from a season's first game in which windows are too empty for the cascade (the original's choice)."""

HORIZON = timedelta(days=365)
"""How far past the last known game the partitions' end lies: an end in the past loses the UI's plots."""

RUNNING_OUT = timedelta(days=30)
"""How long before its end the calendar begins to say so."""

CALENDAR_COMMAND = "nba-precompute calendar SCHEDULE.parquet"

SCHEDULE_COLUMNS = ["game_id", "season", "game_date"]
"""What the calendar reads of a published schedule."""

TYPES_OF_GAME_DAYS = ("2", "4", "5")
"""Third character of the game ids that make a game day: regular season, play-offs, play-in; no Cup finals."""


class CalendarError(Exception):
    """A day or a schedule does not fit the calendar; the message says which and what to do."""


@dataclass(frozen=True)
class Season:
    """A season's facts; `days_off` are the days from first to last game on which none is played."""

    name: str
    first_game: date
    last_regular_season_game: date
    last_game: date
    days_off: tuple[date, ...]

    @cached_property
    def game_days(self) -> list[date]:
        """Every day with a game, in order."""
        length = (self.last_game - self.first_game).days + 1
        days = (self.first_game + timedelta(days=number) for number in range(length))
        return [day for day in days if day not in self.days_off]

    @property
    def bootstrap_days(self) -> list[date]:
        """The game days that are too early for the cascade."""
        return [day for day in self.game_days if self.is_bootstrap(day)]

    @property
    def eligible_days(self) -> list[date]:
        """The game days after the bootstrap."""
        return [day for day in self.game_days if not self.is_bootstrap(day)]

    def is_bootstrap(self, day: date) -> bool:
        """Whether the day is one of the first 14 of the season."""
        return 0 <= (day - self.first_game).days < BOOTSTRAP_DAYS


def load_seasons(path: Path = SEASONS_FILE) -> tuple[Season, ...]:
    """The seasons of a calendar file, in order."""
    facts = json.loads(path.read_text())
    return tuple(
        Season(
            fact["season"],
            date.fromisoformat(fact["first_game"]),
            date.fromisoformat(fact["last_regular_season_game"]),
            date.fromisoformat(fact["last_game"]),
            tuple(date.fromisoformat(day) for day in fact["days_off"]),
        )
        for fact in facts
    )


def build_partitions(seasons: Sequence[Season]) -> tuple[dg.DailyPartitionsDefinition, dg.DailyPartitionsDefinition]:
    """Partitions of the game days (a day exists when it is over) and of the eligible days (a day exists on its own morning)."""
    game = [day for season in seasons for day in season.game_days]
    eligible = [day for season in seasons for day in season.eligible_days]
    return _daily(game, seasons[-1].last_game, end_offset=0), _daily(eligible, seasons[-1].last_game, end_offset=1)


class DaysHashedOnce(dg.DailyPartitionsDefinition):
    """Daily partitions that remember their hash.

    Dagster asks for it at almost every look at a partition, and makes it each time of a text of all exclusions: a millisecond for
    five seasons, and more than a second of a command that makes five days.
    """

    @cached_property
    def _hash(self) -> int:
        return super().__hash__()

    def __hash__(self) -> int:
        """As Dagster has it."""
        return self._hash


def _daily(days: Sequence[date], last_known_game: date, end_offset: int) -> dg.DailyPartitionsDefinition:
    end = last_known_game + HORIZON
    known = set(days)
    length = (end - days[0]).days
    every_day = (days[0] + timedelta(days=number) for number in range(length))
    return DaysHashedOnce(
        start_date=_midnight(days[0]),
        end_date=_midnight(end),
        timezone=NEW_YORK.key,
        end_offset=end_offset,
        exclusions=[_midnight(day) for day in every_day if day not in known],
    )


def _midnight(day: date) -> datetime:
    # naive on purpose: Dagster replaces the time zone of an aware exclusion instead of converting it, and excludes nothing
    return datetime.combine(day, time())


SEASONS = load_seasons()
game_days, eligible_days = build_partitions(SEASONS)

with warnings.catch_warnings(action="ignore", category=dg.BetaWarning):
    previous_game_day = dg.TimeWindowPartitionMapping(
        start_offset=-1,
        end_offset=-1,
        # on a game morning after an off day Dagster takes the off day for a required partition, and refuses the backfill
        allow_nonexistent_upstream_partitions=True,
    )
"""The declared look-back: the previous game day. It gives the order; the true windows are in `lineage`.

From `eligible_days` to `game_days` Dagster gives exactly the previous game day, but for the first eligible day of a later season,
for which it gives the last day of the season before and all bootstrap days: more than needed, and in the right order. The other
way round a bootstrap day has nothing downstream, and a season's last game day the first eligible day of the next season. So in a
backfill from the UI that first eligible day runs although its season's summaries failed. No stock mapping does better (the
offsets count eligible days), and the host drops a mapping of our own.
"""


Clock = Callable[[], datetime]
"""What runs by itself asks it for the time in New York."""


def now_in_new_york() -> datetime:
    """The time by which the league's games are announced."""
    return datetime.now(NEW_YORK)


def today_in_new_york(now: datetime | None = None) -> date:
    """The league's date at an instant, by default this one."""
    return (now or now_in_new_york()).astimezone(NEW_YORK).date()


def season_of(day: date) -> Season:
    """The season that a day lies in, days off included."""
    for season in SEASONS:
        if season.first_game <= day <= season.last_game:
            return season
    raise CalendarError(
        f"{day} lies in no season from {SEASONS[0].name} to {SEASONS[-1].name}. Add its season with `{CALENDAR_COMMAND}`."
    )


def days_of(definition: dg.PartitionsDefinition, seasons: Sequence[Season] = SEASONS) -> list[date]:
    """Every day that one of the two definitions has, past and to come."""
    return [day for season in seasons for day in (season.eligible_days if definition is eligible_days else season.game_days)]


def days_between(definition: dg.PartitionsDefinition, start: date, end: date, now: datetime | None = None) -> list[date]:
    """The definition's days from `start` to `end`, as far as they have come: game days that are over, eligible days to today."""
    today = today_in_new_york(now)
    last = min(end, today if definition is eligible_days else today - timedelta(days=1))
    return [day for day in days_of(definition) if start <= day <= last]


def contiguous_ranges(definition: dg.PartitionsDefinition, days: Iterable[date]) -> list[list[date]]:
    """The days cut into runs of consecutive partitions, each within one season."""
    wanted = set(days)
    ranges: list[list[date]] = []
    for season in SEASONS:
        joined = False
        for day in days_of(definition, [season]):
            if day not in wanted:
                joined = False
            elif joined:
                ranges[-1].append(day)
            else:
                ranges.append([day])
                joined = True
    return ranges


def season_facts(schedule: pd.DataFrame) -> list[Season]:
    """The seasons of a published schedule: a row a game with game_id, season and game_date."""
    incomplete = schedule[schedule[SCHEDULE_COLUMNS].isna().any(axis=1)]
    if len(incomplete):  # grouping would drop them, and a day with games would become an off day
        named = incomplete[SCHEDULE_COLUMNS].head(3).to_dict("records")
        raise CalendarError(f"{len(incomplete)} games of the schedule lack an id, season or date, first {named}. Fill them in.")
    counted = schedule[schedule["game_id"].str[2].isin(TYPES_OF_GAME_DAYS)]
    seasons = []
    for name, games in counted.groupby("season"):
        days = sorted(set(pd.to_datetime(games["game_date"]).dt.date))
        regular = pd.to_datetime(games.loc[games["game_id"].str[2] == "2", "game_date"]).dt.date
        if regular.empty:
            raise CalendarError(f"The schedule has no regular-season game of {name}, so its start is not known.")
        every_day = (days[0] + timedelta(days=number) for number in range((days[-1] - days[0]).days))
        off = tuple(day for day in every_day if day not in set(days))
        seasons.append(Season(str(name), days[0], regular.max(), days[-1], off))
    return sorted(seasons, key=lambda season: season.first_game)


def extend_calendar(known: Sequence[Season], found: Sequence[Season]) -> list[Season]:
    """The known seasons with those found added or, where the name is known, in their place; in order, none overlapping."""
    by_name = {season.name: season for season in [*known, *found]}
    seasons = sorted(by_name.values(), key=lambda season: season.first_game)
    for earlier, later in pairwise(seasons):
        if later.first_game <= earlier.last_game:
            raise CalendarError(f"{later.name} begins before {earlier.name} ends; correct the schedule.")
    return seasons


@dataclass(frozen=True)
class CalendarChange:
    """The calendar as a schedule would have it, what that changes in words, and the partitions that would be gone."""

    seasons: list[Season]
    said: str
    removed_game_days: list[date]
    removed_eligible_days: list[date]


def planned_change(schedule: pd.DataFrame, known: Sequence[Season]) -> CalendarChange:
    """What a published schedule (a row a game) changes in the known seasons; nothing is written."""
    found = season_facts(schedule)
    if not found:
        raise CalendarError("it has no game of the regular season, play-in or play-offs.")
    seasons = extend_calendar(known, found)
    before = {season.name: season for season in known}
    return CalendarChange(
        seasons,
        "\n".join(_change(before.get(season.name), season) for season in found),
        _gone([season.game_days for season in known], [season.game_days for season in seasons]),
        _gone([season.eligible_days for season in known], [season.eligible_days for season in seasons]),
    )


def _gone(before: Sequence[Sequence[date]], after: Sequence[Sequence[date]]) -> list[date]:
    return sorted({day for days in before for day in days} - {day for days in after for day in days})


def update_calendar(schedule_path: Path, seasons_path: Path = SEASONS_FILE) -> str:
    """Add the seasons of a schedule (Parquet) to a calendar file, or replace them; returns what changed, a line a season."""
    try:
        change = planned_change(pd.read_parquet(schedule_path, columns=SCHEDULE_COLUMNS), load_seasons(seasons_path))
        write_seasons(change.seasons, seasons_path)
    except CalendarError as wrong:
        raise CalendarError(f"{schedule_path}: {wrong}") from None
    return change.said


def _change(before: Season | None, after: Season) -> str:
    days = f"{after.name}: {len(after.game_days)} game days, {after.first_game} to {after.last_game}"
    if before is None:
        return f"{days} (new)"
    moves = {
        "added": set(after.game_days) - set(before.game_days),
        "removed": set(before.game_days) - set(after.game_days),
        "now after the bootstrap": set(before.bootstrap_days) & set(after.eligible_days),
        "now in the bootstrap, so out of the cascade": set(before.eligible_days) & set(after.bootstrap_days),
    }
    changes = [f"{what} {', '.join(map(str, sorted(moved)))}" for what, moved in moves.items() if moved]
    return f"{days} ({'; '.join(changes) or 'as before'})"


def write_seasons(seasons: Sequence[Season], path: Path) -> None:
    """Write a calendar file, a line a season; a reader sees the old file or the new one."""
    facts = [
        {"season": season.name, **{name: fact for name, fact in asdict(season).items() if name != "name"}} for season in seasons
    ]
    lines = [json.dumps(fact, default=str) for fact in facts]
    beside = path.with_suffix(".writing")
    beside.write_text("[\n  " + ",\n  ".join(lines) + "\n]\n")
    beside.replace(path)


def warn_when_running_out(now: datetime | None = None) -> None:
    """Log that the calendar ends, from 30 days before its last known game; called once, when the definitions load."""
    last = SEASONS[-1].last_game
    if today_in_new_york(now) >= last - RUNNING_OUT:
        logging.getLogger(__name__).warning(
            "The calendar's last known game is on %s. Add later ones with `%s`.", last, CALENDAR_COMMAND
        )
