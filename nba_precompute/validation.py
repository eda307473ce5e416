"""What the stored tables are worth: the rules of `quality` asked of the days of a run, or of any home over any days.

Reads the warehouse and the source's schedule, a season at a time; needs no Dagster history. What is told of the results stands
in `cli` and `checks`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import pandas as pd

from nba_precompute import lineage, quality
from nba_precompute.game_days import SEASONS, Season, days_between
from nba_precompute.home import Home
from nba_precompute.lineage import READS, Window
from nba_precompute.past_games import rows_from, rows_on
from nba_precompute.quality import Evidence, Result
from nba_precompute.recomputation import recomputed
from nba_precompute.sources import Source
from nba_precompute.tables.columns import Table
from nba_precompute.tables.player_game_summary import PLAYER_GAME_SUMMARY

Rows = Mapping[str, pd.DataFrame]
"""Rows of tables, by name."""

ALL_TABLES = tuple(lineage.TABLES.values())


def judge_home(
    home: Home, start: date, end: date, tables: Sequence[Table] = ALL_TABLES, checks: Iterable[str] | None = None
) -> list[Result]:
    """Every rule (or the named checks) over the days from `start` to `end` of the tables.

    All days are computed again for `reproduced`: every tenth would cost nearly as much, as the season before them does.
    """
    source, versions = home.source(), home.warehouse.partition_versions()
    schedule, checks = source.schedule(), None if checks is None else set(checks)
    recompute = checks is None or "reproduced" in checks
    results = []
    for season in SEASONS:
        first, last = max(start, season.first_game), min(end, season.last_game)
        days = {table.name: days_between(lineage.partitions_of(table), first, last) for table in tables}
        if any(days.values()):
            rows = read_season(home, season, last, tables, {}, to_recompute=recompute)
            once = without_repeated_keys(rows) if recompute else {}
            for table in tables:
                if days[table.name]:
                    again = made_again(table, days[table.name], source, once) if recompute else None
                    evidence = evidence_of(table, season, days[table.name], rows, schedule, versions, again=again)
                    results += quality.judge(evidence, checks)
    return quality.merge(results)


def compare_home(home: Home, start: date, end: date, tables: Sequence[Table] = ALL_TABLES) -> pd.DataFrame:
    """Every window of the days against the windows before it: table, window_to, measure, percent of the baseline, grade."""
    schedule, versions = home.source().schedule(), home.warehouse.partition_versions()
    found = []
    for season in SEASONS:
        first, last = max(start, season.first_game), min(end, season.last_game)
        for table in tables:
            days = days_between(lineage.partitions_of(table), first, last)
            if days:
                rows = read_season(home, season, last, [table], {})
                evidence = evidence_of(table, season, days, rows, schedule, versions)
                found.append(quality.compared(evidence).assign(table=table.name))
    judged = [grades for grades in found if len(grades)]
    return (
        pd.concat(judged, ignore_index=True)
        if judged
        else pd.DataFrame(columns=["table", "window_to", "measure", "percent", "grade"])
    )


def without_repeated_keys(rows: Rows) -> Rows:
    """The rows as formulas take them; `contract` names the keys that stand twice."""
    return {name: frame.drop_duplicates(list(lineage.TABLES[name].key)) for name, frame in rows.items()}


def made_again(table: Table, days: Sequence[date], source: Source, rows: Rows) -> pd.DataFrame:
    """What the formulas make of those of the days that the table has."""
    there = pd.DatetimeIndex(rows[table.name][table.day].unique())
    stored_days = [day for day in days if pd.Timestamp(day) in there]
    return recomputed(table, stored_days, source, rows) if stored_days else table.no_rows()


def judge_run(
    home: Home,
    tables: Sequence[Table],
    days: Sequence[date],
    schedule: pd.DataFrame,
    known: Rows,
    versions: pd.DataFrame,
    checks: Iterable[str],
) -> list[Result]:
    """The named checks over the days of a run that has just published its good ones.

    `known` holds upstream rows that the run has read or made. The tables themselves are read back: what is stored is judged.
    """
    results = []
    for season in SEASONS:
        of_season = [day for day in days if season.first_game <= day <= season.last_game]
        if of_season:
            rows = read_season(home, season, of_season[-1], tables, known)
            for table in tables:
                again = known.get(table.name)  # a moment ago, so that what is stored is what was computed
                evidence = evidence_of(table, season, of_season, rows, schedule, versions, again=again, just_published=True)
                results += quality.judge(evidence, checks)
    return quality.merge(results)


def read_season(
    home: Home, season: Season, last: date, tables: Sequence[Table], known: Rows, *, to_recompute: bool = False
) -> Rows:
    """The season's rows up to `last` of the tables and of those they are judged against; what is known is not read again.

    To recompute them, also of those they read, from as far back as they look.
    """
    upstream = [table for judged in tables for table in quality.UPSTREAM.get(judged.name, ()) if table.name not in known]
    reads = [read for judged in tables for read in READS[judged.name] if to_recompute and read.stream in lineage.TABLES]
    wanted = {table.name: table for table in [*tables, *upstream, *(lineage.TABLES[read.stream] for read in reads)]}
    long = {read.stream for read in reads if read.window is Window.LAST_YEAR}
    starts = {
        name: lineage.first_day_seen(Window.LAST_YEAR, season.first_game) if name in long else season.first_game
        for name in wanted
    }
    frames = home.warehouse.read_together([(table, starts[name], last) for name, table in wanted.items()])
    return {**known, **dict(zip(wanted, frames, strict=True))}


def evidence_of(
    table: Table,
    season: Season,
    days: Sequence[date],
    rows: Rows,
    schedule: pd.DataFrame,
    versions: pd.DataFrame,
    *,
    again: pd.DataFrame | None = None,
    just_published: bool = False,
) -> Evidence:
    """The evidence of a table on days of a season."""

    def of_season(wanted: Table) -> pd.DataFrame:
        return rows_from(rows[wanted.name], wanted.day, season.first_game)

    against = {
        upstream.name: (
            of_season(upstream)
            if upstream is PLAYER_GAME_SUMMARY
            else rows_on(rows[upstream.name], upstream.day, [pd.Timestamp(day) for day in days])
        )
        for upstream in quality.UPSTREAM.get(table.name, ())
    }
    return Evidence(
        table,
        days,
        season_to_date=of_season(table),
        schedule=schedule[schedule["season"] == season.name],
        versions=versions[versions["table_name"] == table.qualified_name],
        against=against,
        recomputed=again,
        just_published=just_published,
    )
