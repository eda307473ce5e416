"""What production mode refuses to publish, day by day, with the reason. It changes what is accepted, never what is computed.

Game summaries need games that can be trusted, as in backfill mode. The tables of the cascade also need a captured day, and inputs
that keep their ERROR checks. Lines are never needed.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pandas as pd

from nba_precompute import lineage, quality, validation
from nba_precompute.game_days import Season, season_of
from nba_precompute.home import SIMULATED_LEAGUE, Home
from nba_precompute.lineage import GAMES_OF_DAY, READS, Read, Window
from nba_precompute.quality import Result
from nba_precompute.sources import Source
from nba_precompute.tables.columns import Table
from nba_precompute.tables.player_game_summary import PLAYER_GAME_SUMMARY
from nba_precompute.tables.upcoming_team_game_context import context_source

BACKFILL, PRODUCTION = "backfill", "production"

MODE_RESOURCE = "mode"
"""What a run accepts is configured once for all of its assets, whichever are selected."""


def run_config_of(mode: str) -> dict[str, object]:
    """The run config of a mode, as the UI's launchpad takes it."""
    return {"resources": {MODE_RESOURCE: {"config": {MODE_RESOURCE: mode}}}}


def mode_of(run: dg.DagsterRun | None) -> str:
    """The mode of a run, whoever configured it; of one that is not recorded any more, the default."""
    named: Any = run.run_config if run else {}
    for key in ("resources", MODE_RESOURCE, "config", MODE_RESOURCE):
        named = (named or {}).get(key)
    return named or BACKFILL


INVENTED = "the simulated league is refused in production mode: its games are invented; give real games with --raw DIR"

DAYS_NAMED = 3
"""Failing days of an input that a reason names; the rest is counted."""


def refused_by_source(table: Table, days: Sequence[date], source: Source) -> dict[date, str]:
    """The days that the source does not suffice for."""
    if source.name == SIMULATED_LEAGUE:
        return dict.fromkeys(days, INVENTED)
    return {} if READS[table.name] is GAMES_OF_DAY else uncaptured(days, source)


def uncaptured(days: Sequence[date], source: Source) -> dict[date, str]:
    """The days whose context would be synthetic, each with the injury news that is missing."""
    cover = source.injuries_cover()
    known = f"has injury news from {cover[0]} to {cover[1]}" if cover else "has no injury news"
    sources = context_source(pd.DataFrame({"game_date": pd.to_datetime(list(days))}), cover)
    return {
        day: f"{day} is not captured: production mode needs the injury news of {day - timedelta(days=1)}, and {source.name} {known}. "
        "Get later news, or make the day with --mode backfill: its context_source is then synthetic, nobody is known to be out"
        for day, found in zip(days, sources, strict=True)
        if found == "synthetic"
    }


def refused_by_inputs(
    home: Home, table: Table, days: Sequence[date], schedule: pd.DataFrame, known: Mapping[str, pd.DataFrame]
) -> dict[date, str]:
    """The days one of whose inputs fails an ERROR check; `known` holds the rows that the table has read, by table.

    Of games before a day, those of the last game day must be there, and whatever is there must keep its checks. Older gaps are
    told by completeness_pct: a game day whose box scores never came must not end production for the rest of the season.
    """
    reads = [read for read in READS[table.name] if read.stream in lineage.TABLES]
    if not reads:
        return {}
    rows = dict(known)
    if PLAYER_GAME_SUMMARY.name not in rows:  # what games and players are counted against
        rows[PLAYER_GAME_SUMMARY.name] = home.warehouse.read(PLAYER_GAME_SUMMARY, season_of(days[0]).first_game, days[-1])
    versions = home.warehouse.partition_versions()
    reasons: dict[date, list[str]] = {}
    for season in sorted({season_of(day) for day in days}, key=lambda season: season.first_game):
        of_season = [day for day in days if season_of(day) == season]
        for read in reads:
            judged = days_judged(read, season, of_season, rows[read.stream])
            evidence = validation.evidence_of(lineage.TABLES[read.stream], season, judged, rows, schedule, versions)
            errors = [name for name, severity in quality.checks_of(evidence.table).items() if severity == quality.ERROR]
            stored = set(evidence.rows[evidence.table.day].dt.date)
            for result in quality.judge(evidence, errors):
                for day in of_season:
                    failing = [failed for failed in result.days if concerns(failed, day, read, stored)]
                    if failing:
                        reasons.setdefault(day, []).append(in_words(result, failing))
    return {day: "\n".join(lines) for day, lines in sorted(reasons.items())}


def days_judged(read: Read, season: Season, days: Sequence[date], rows: pd.DataFrame) -> list[date]:
    """The days of an input that the days of the season read and that must keep its checks."""
    if read.window is Window.OWN_DAY:
        return list(days)
    stored = set(rows[lineage.TABLES[read.stream].day].dt.date)
    before = {day for day in stored if season.first_game <= day < days[-1]}
    return sorted(before | {previous_game_day_of(day) for day in days})


def previous_game_day_of(day: date) -> date:
    """The last game day of the season before an eligible day."""
    return max(game_day for game_day in season_of(day).game_days if game_day < day)


def concerns(failed: date, day: date, read: Read, stored: set[date]) -> bool:
    """Whether a failing day of an input is one that the day needs."""
    if read.window is Window.OWN_DAY:
        return failed == day
    return failed < day if failed in stored else failed == previous_game_day_of(day)


def in_words(result: Result, failing: Sequence[date]) -> str:
    """Which check of which input fails where, and what to do."""
    named = ", ".join(str(day) for day in failing[-DAYS_NAMED:])
    more = f" and {len(failing) - DAYS_NAMED} more days" if len(failing) > DAYS_NAMED else ""
    about = f" of {result.column}" if result.column else ""
    return (
        f"its input {result.table} fails the check {result.check}{about} on {named}{more}: "
        f"less than {result.threshold:g} % is good. {result.remedy.rstrip('.')}"
    )
