"""What the stored tables are worth: the rules of `quality` asked of any home, over any days, a season at a time.

Reads the warehouse and the source's schedule; needs no Dagster history. What is told of the results stands in `cli` and `checks`.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date

import pandas as pd

from nba_precompute import quality
from nba_precompute.assets import TABLES
from nba_precompute.coverage import partitions_of
from nba_precompute.game_days import SEASONS, Season, days_between
from nba_precompute.home import Home
from nba_precompute.quality import Evidence, Result
from nba_precompute.tables.columns import Table
from nba_precompute.tables.player_composite_factors import PLAYER_COMPOSITE_FACTORS
from nba_precompute.tables.player_game_summary import PLAYER_GAME_SUMMARY
from nba_precompute.tables.player_shot_zone_analysis import PLAYER_SHOT_ZONE_ANALYSIS
from nba_precompute.tables.upcoming_player_game_context import UPCOMING_PLAYER_GAME_CONTEXT


def judge_home(
    home: Home, start: date, end: date, tables: Sequence[Table] = TABLES, checks: Iterable[str] | None = None
) -> list[Result]:
    """Every rule (or the named checks) over the days from `start` to `end` of the tables."""
    schedule, versions = home.source().schedule(), home.warehouse.partition_versions()
    results = []
    for season in SEASONS:
        for evidence in evidence_of_season(home, season, start, end, tables, schedule, versions):
            results += quality.judge(evidence, checks)
    return quality.merge(results)


def evidence_of_season(
    home: Home,
    season: Season,
    start: date,
    end: date,
    tables: Sequence[Table],
    schedule: pd.DataFrame,
    versions: pd.DataFrame,
) -> Iterator[Evidence]:
    """What is known of each table on the days of a season, read as of one moment."""
    first, last = max(start, season.first_game), min(end, season.last_game)
    days = {table.name: days_between(partitions_of(table), first, last) for table in tables}
    if not any(days.values()):
        return
    upstream = [PLAYER_GAME_SUMMARY, UPCOMING_PLAYER_GAME_CONTEXT, PLAYER_SHOT_ZONE_ANALYSIS, PLAYER_COMPOSITE_FACTORS]
    wanted = list({table.name: table for table in [*tables, *upstream]}.values())
    read = home.warehouse.read_together([(table, season.first_game, last) for table in wanted])
    rows = {table.name: frame for table, frame in zip(wanted, read, strict=True)}
    for table in tables:
        if days[table.name]:
            yield evidence_from(table, days[table.name], rows, schedule[schedule["season"] == season.name], versions)


def evidence_from(
    table: Table, days: Sequence[date], rows: dict[str, pd.DataFrame], schedule: pd.DataFrame, versions: pd.DataFrame
) -> Evidence:
    """The evidence of a table from rows of the season to date of the tables that there are."""
    timestamps = [pd.Timestamp(day) for day in days]

    def of_days(upstream: Table) -> pd.DataFrame:
        frame = rows.get(upstream.name, upstream.no_rows())
        return frame[frame[upstream.day].isin(timestamps)]

    return Evidence(
        table,
        days,
        season_to_date=rows[table.name],
        schedule=schedule,
        versions=versions[versions["table_name"] == table.qualified_name],
        slate=of_days(UPCOMING_PLAYER_GAME_CONTEXT),
        player_games=rows[PLAYER_GAME_SUMMARY.name],
        zones=of_days(PLAYER_SHOT_ZONE_ANALYSIS),
        factors=of_days(PLAYER_COMPOSITE_FACTORS),
    )
