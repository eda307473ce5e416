"""What is there, what is missing and what is stale: every day of every table in one of four states.

A day is there when the warehouse has it, from the code and the inputs as they are now, and Dagster has recorded it. The states
are a set computed from the warehouse, the source and Dagster's records; nothing is remembered in between.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pandas as pd

from nba_precompute import lineage
from nba_precompute.assets import SUMMARY_TABLES
from nba_precompute.game_days import days_between, days_of, eligible_days, game_days, season_of, today_in_new_york
from nba_precompute.home import Home
from nba_precompute.lineage import READS, partitions_of
from nba_precompute.materialization import problems_in_words, problems_of_days, published_hashes, unscheduled_days
from nba_precompute.sources import Source, layout, trust
from nba_precompute.tables.columns import Table
from nba_precompute.tables.ml_feature_store_v2 import DAYS_AGAINST_OPPONENT

FEW_DAYS = 20
"""Days that are read one by one; more are read in one go, with all days between them."""

LOADED_AT = datetime.now(UTC).replace(tzinfo=None)
"""When this process loaded the code of the tables."""

THERE, MISSING, STALE, GAP = "there", "missing", "stale", "gap"
"""GAP: missing, and the source's games of the day cannot be trusted, so that it stays missing."""


@dataclass(frozen=True)
class SourceState:
    """The source as it is: hashes of its days and the days that cannot be trusted, read once for many looks.

    `problems` keep the game summaries of a day from being made; `unscheduled`, which are among them, every table. Days
    `off_the_calendar` have games in the source and are days of no table. `refused` keep the tables of the cascade from being made
    in production mode.
    """

    source: Source
    start: date
    end: date
    hashes: Mapping[str, pd.Series]
    problems: Mapping[date, str] = field(default_factory=dict)
    unscheduled: Mapping[date, str] = field(default_factory=dict)
    off_the_calendar: Mapping[date, str] = field(default_factory=dict)
    refused: Mapping[date, str] = field(default_factory=dict)


def look_at_source(source: Source, start: date, end: date, searched: tuple[date, date] | None = None) -> SourceState:
    """Read and check all raw games that tables of `start` to `end` can see.

    Games off the calendar are looked for in the days `searched`, by default the same.
    """
    earliest = start - timedelta(days=DAYS_AGAINST_OPPONENT)
    streams = sorted({read.stream for reads in READS.values() for read in reads if read.stream.startswith("raw_")})
    days = days_between(game_days, start, end)
    off_the_calendar = problems_off_the_calendar(source, *(searched or (start, end)))
    known = game_days_so_far()
    hashes = lineage.raw_hashes(source, streams, earliest, end)
    problems = problems_of_days(source, days) if days else {}
    for day in set(off_the_calendar) & set(days):
        problems[day] = "\n".join([*problems.get(day, "").splitlines(), off_the_calendar[day]])
    return SourceState(
        source,
        start,
        end,
        hashes,
        problems,
        unscheduled_days(source, days_between(eligible_days, start, end)),
        {day: words for day, words in off_the_calendar.items() if day not in known},
    )


_remembered: dict[str, tuple[Hashable, SourceState]] = {}
"""What each looker asked last, and what the source held. The process that looks again, Dagster's code server, lives for long."""


def look_unless_unchanged(looker: str, asked: Hashable, source: Source, look: Callable[[], SourceState]) -> SourceState:
    """What `look` finds in the source; what it found last where the looker asks the same and none of the files has changed."""
    last = _remembered.get(looker)
    if last is None or last[0] != asked or last[1].source is not source:
        last = _remembered[looker] = (asked, look())
    return last[1]


def makers(versions: pd.DataFrame) -> pd.DataFrame:
    """Of every published day of a table the run that made it and when: table, day, run_id, published_at."""
    return pd.DataFrame(
        {
            "table": versions["table_name"].str.split(".").str[1],
            "day": versions["day"].dt.date,
            "run_id": versions["run_id"],
            "published_at": versions["published_at"],
        }
    )


def made_by_newer_code(versions: pd.DataFrame) -> dict[tuple[str, date], str]:
    """Of days of tables that other code made since this process loaded its own: why they are left alone.

    Workers of runs load the code anew, what runs by itself keeps the code that it was loaded with: without this it would find such
    days stale, ask for them, and find them stale again.
    """
    names = versions["table_name"].str.split(".").str[1]
    own = names.map({name: table.code_version for name, table in lineage.TABLES.items()})
    found = versions.assign(table=names, own=own, day=versions["day"].dt.date)
    other = found[own.notna() & (found["code_version"] != own) & (found["published_at"] > LOADED_AT)]
    return {
        (
            row.table,
            row.day,
        ): f"{row.table} {row.day} was made by code_version {row.code_version} after code_version {row.own} was "
        "loaded here: reload the definitions (Deployment in the UI, or start it again)"
        for row in other.itertuples()
    }


def game_days_so_far() -> set[date]:
    """Every game day of the calendar up to today."""
    return {day for day in days_of(game_days) if day <= today_in_new_york()}


def problems_off_the_calendar(source: Source, start: date, end: date) -> dict[date, str]:
    """Problems of games that the source dates on days that no table has: for those days, and for the games' own."""
    known = game_days_so_far()
    found = []
    for file, days, read in (
        (layout.BOX_SCORES, source.days_with_box_scores(), source.box_scores),
        (layout.SHOTS, source.days_with_shots(), source.shots),
    ):
        unknown = [day for day in days if start <= day <= end and day not in known]
        # mostly a few Cup finals, years apart
        spans = [(day, day) for day in unknown] if len(unknown) <= FEW_DAYS else [(unknown[0], unknown[-1])]
        for first, last in spans:
            rows = read(first, last)
            rows = rows[rows["game_date"].isin([pd.Timestamp(day) for day in unknown])]
            found.append(trust.games_off_the_calendar(file, rows, source.schedule()))
    return problems_in_words(pd.concat(found)) if found else {}


def survey(home: Home, instance: dg.DagsterInstance, state: SourceState, tables: Sequence[Table]) -> pd.DataFrame:
    """One row a table and day of `state`: table, season, day, state, reason, reads.

    The reason says why the source's day cannot be trusted or is refused, or that other code made it; `reads` is the hash of what the
    day would read.
    """
    versions = home.warehouse.partition_versions()
    newer = made_by_newer_code(versions)
    hashes = {**state.hashes, **published_hashes(versions)}
    rows = []
    for table in tables:
        days = days_between(partitions_of(table), state.start, state.end)
        problems = state.problems if table in SUMMARY_TABLES else {**state.refused, **state.unscheduled}
        published = versions[versions["table_name"] == table.qualified_name].set_index("day")
        recorded = instance.get_materialized_partitions(dg.AssetKey(table.name))
        reads = lineage.read_hashes(table.name, days, hashes)
        fresh = {
            day.date()
            for day, read, code in zip(published.index, published["read_hash"], published["code_version"], strict=True)
            if read == reads.get(day.date()) and code == table.code_version
        }
        there = {day.date() for day in published.index if str(day.date()) in recorded}
        for day in days:
            problem = problems.get(day) or newer.get((table.name, day))
            label = state_of_day(is_there=day in there, is_fresh=day in fresh, can_be_made=problem is None)
            rows.append((table.name, season_of(day).name, day, label, problem, reads[day]))
    return pd.DataFrame(rows, columns=["table", "season", "day", "state", "reason", "reads"])


def state_of_day(*, is_there: bool, is_fresh: bool, can_be_made: bool) -> str:
    """The one of the four states that a day of a table is in."""
    if is_there:
        return THERE if is_fresh else STALE
    return MISSING if can_be_made else GAP


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """Counts by table and season: days, there, missing (gaps included), stale."""
    counts = found.groupby(["table", "season"], sort=False)["state"].value_counts().unstack(fill_value=0)
    counts = counts.reindex(columns=[THERE, MISSING, STALE, GAP], fill_value=0)
    return pd.DataFrame(
        {
            "days": counts.sum(axis=1),
            "there": counts[THERE],
            "missing": counts[MISSING] + counts[GAP],
            "stale": counts[STALE],
        }
    ).reset_index()


def is_complete(found: pd.DataFrame) -> bool:
    """Whether every day of every table is there."""
    return bool((found["state"] == THERE).all())
