"""What each day of each table reads, as one hash a day, so that "stale" is a set that can be computed.

A day's hash is the sum (modulo 2**64) of a token for every day of every stream that it can see: raw games as they are now, and
the content hashes of published tables. Windows of days are differences of running sums. No rows are computed here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum

import dagster as dg
import numpy as np
import pandas as pd

from nba_precompute.game_days import eligible_days, game_days, season_of
from nba_precompute.sources import Source
from nba_precompute.storage.content_hash import day_tokens, hash_days, to_hex
from nba_precompute.tables.columns import Table
from nba_precompute.tables.ml_feature_store_v2 import DAYS_AGAINST_OPPONENT, ML_FEATURE_STORE_V2
from nba_precompute.tables.player_composite_factors import PLAYER_COMPOSITE_FACTORS
from nba_precompute.tables.player_game_summary import PLAYER_GAME_SUMMARY
from nba_precompute.tables.player_shot_zone_analysis import PLAYER_SHOT_ZONE_ANALYSIS
from nba_precompute.tables.team_defense_game_summary import TEAM_DEFENSE_GAME_SUMMARY
from nba_precompute.tables.team_defense_zone_analysis import TEAM_DEFENSE_ZONE_ANALYSIS
from nba_precompute.tables.team_offense_game_summary import TEAM_OFFENSE_GAME_SUMMARY
from nba_precompute.tables.upcoming_player_game_context import UPCOMING_PLAYER_GAME_CONTEXT
from nba_precompute.tables.upcoming_team_game_context import UPCOMING_TEAM_GAME_CONTEXT


class Window(Enum):
    """Which days of a stream a day D sees."""

    OWN_DAY = "D"
    SEASON_TO_DATE = "season start <= day < D"
    LAST_YEAR = "D - 365 <= day < D"
    ALL_BEFORE = "day < D"
    ALWAYS = "every day"


@dataclass(frozen=True)
class Read:
    """One thing that a table reads: a raw stream or a table, by name, and the days of it that D sees."""

    stream: str
    window: Window


TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        PLAYER_GAME_SUMMARY,
        TEAM_OFFENSE_GAME_SUMMARY,
        TEAM_DEFENSE_GAME_SUMMARY,
        UPCOMING_TEAM_GAME_CONTEXT,
        UPCOMING_PLAYER_GAME_CONTEXT,
        TEAM_DEFENSE_ZONE_ANALYSIS,
        PLAYER_SHOT_ZONE_ANALYSIS,
        PLAYER_COMPOSITE_FACTORS,
        ML_FEATURE_STORE_V2,
    )
}
"""The tables that can be read, by name."""

GAMES_OF_DAY = [
    Read("raw_box_scores", Window.OWN_DAY),
    Read("raw_shots", Window.OWN_DAY),
    Read("raw_schedule", Window.OWN_DAY),
]

READS: Mapping[str, Sequence[Read]] = {
    PLAYER_GAME_SUMMARY.name: GAMES_OF_DAY,
    TEAM_OFFENSE_GAME_SUMMARY.name: GAMES_OF_DAY,
    TEAM_DEFENSE_GAME_SUMMARY.name: GAMES_OF_DAY,
    UPCOMING_TEAM_GAME_CONTEXT.name: [
        Read("raw_schedule", Window.OWN_DAY),
        Read("raw_schedule", Window.SEASON_TO_DATE),
        Read("raw_lines", Window.OWN_DAY),
        Read("raw_injury_coverage", Window.OWN_DAY),
        Read(TEAM_OFFENSE_GAME_SUMMARY.name, Window.SEASON_TO_DATE),
    ],
    UPCOMING_PLAYER_GAME_CONTEXT.name: [
        Read("raw_box_scores", Window.SEASON_TO_DATE),
        Read("raw_injuries", Window.ALL_BEFORE),
        Read("raw_tip_offs", Window.OWN_DAY),
        Read("raw_props", Window.OWN_DAY),
        Read("raw_players", Window.ALWAYS),
        Read(PLAYER_GAME_SUMMARY.name, Window.SEASON_TO_DATE),
        Read(UPCOMING_TEAM_GAME_CONTEXT.name, Window.OWN_DAY),
    ],
    TEAM_DEFENSE_ZONE_ANALYSIS.name: [
        Read("raw_schedule", Window.SEASON_TO_DATE),
        Read("raw_teams", Window.SEASON_TO_DATE),
        Read(TEAM_DEFENSE_GAME_SUMMARY.name, Window.SEASON_TO_DATE),
    ],
    PLAYER_SHOT_ZONE_ANALYSIS.name: [
        Read("raw_schedule", Window.SEASON_TO_DATE),
        Read(PLAYER_GAME_SUMMARY.name, Window.SEASON_TO_DATE),
    ],
    PLAYER_COMPOSITE_FACTORS.name: [
        Read(UPCOMING_PLAYER_GAME_CONTEXT.name, Window.OWN_DAY),
        Read(UPCOMING_TEAM_GAME_CONTEXT.name, Window.OWN_DAY),
        Read(TEAM_DEFENSE_ZONE_ANALYSIS.name, Window.OWN_DAY),
        Read(PLAYER_SHOT_ZONE_ANALYSIS.name, Window.OWN_DAY),
        Read(TEAM_OFFENSE_GAME_SUMMARY.name, Window.SEASON_TO_DATE),
    ],
    ML_FEATURE_STORE_V2.name: [
        Read(UPCOMING_PLAYER_GAME_CONTEXT.name, Window.OWN_DAY),
        Read(UPCOMING_TEAM_GAME_CONTEXT.name, Window.OWN_DAY),
        Read(TEAM_DEFENSE_ZONE_ANALYSIS.name, Window.OWN_DAY),
        Read(PLAYER_SHOT_ZONE_ANALYSIS.name, Window.OWN_DAY),
        Read(PLAYER_COMPOSITE_FACTORS.name, Window.OWN_DAY),
        Read("raw_tip_offs", Window.OWN_DAY),
        Read("raw_props", Window.OWN_DAY),
        Read(PLAYER_GAME_SUMMARY.name, Window.LAST_YEAR),
    ],
}
"""Every table's reads. The season to date lies within the last year, so MLFS names the wider window alone."""


def partitions_of(table: Table) -> dg.PartitionsDefinition:
    """The days that a table has."""
    return game_days if READS.get(table.name) is GAMES_OF_DAY else eligible_days


def raw_hashes(source: Source, streams: Sequence[str], start: date, end: date) -> dict[str, pd.Series]:
    """Content hashes a day (index datetime64) of the named raw streams, from `start` to `end` where a stream is long."""
    makers = {
        "raw_box_scores": lambda: _by_game_date(source.box_scores(start, end)),
        "raw_shots": lambda: _by_game_date(source.shots(start, end)),
        "raw_lines": lambda: _by_game_date(source.lines(start, end)),
        "raw_props": lambda: _by_game_date(source.props(start, end)),
        "raw_schedule": lambda: hash_days(
            source.schedule(), "game_date", ["game_id", "season", "season_type", "home_team", "away_team"]
        ),
        "raw_tip_offs": lambda: hash_days(source.schedule(), "game_date", ["game_id", "start_utc"]),
        "raw_teams": lambda: _teams_of_seasons(source.schedule()),
        "raw_injuries": lambda: _news(source),
        "raw_injury_coverage": lambda: _coverage(source, start, end),
        "raw_players": lambda: _players(source),
    }
    return {stream: makers[stream]() for stream in streams}


def _by_game_date(rows: pd.DataFrame) -> pd.Series:
    return hash_days(rows, "game_date", [column for column in rows.columns if column != "game_date"])


def _teams_of_seasons(schedule: pd.DataFrame) -> pd.Series:
    """The set of a season's teams, dated on its first regular game: a season's later games do not change it."""
    regular = schedule[schedule["game_id"].str[2] == "2"]
    first_game = regular.groupby("season")["game_date"].transform("min")
    sides = [
        regular.assign(first_game=first_game, team=regular[side])[["first_game", "team"]] for side in ("home_team", "away_team")
    ]
    return hash_days(pd.concat(sides).drop_duplicates(), "first_game", ["team"])


def _news(source: Source) -> pd.Series:
    """News by date; the order within a date matters (the last item counts), so it is part of the hash."""
    news = source.injuries()
    return hash_days(news.assign(place=news.groupby("date").cumcount()), "date", ["player_id", "status", "note", "place"])


def _coverage(source: Source, start: date, end: date) -> pd.Series:
    """The days whose day before is covered by the injury source."""
    cover = source.injuries_cover()
    if cover is None:
        return pd.Series(dtype="object")
    days = pd.date_range(max(start, cover[0] + timedelta(days=1)), min(end, cover[1] + timedelta(days=1)))
    return hash_days(pd.DataFrame({"day": days, "captured": True}), "day", ["captured"])


def _players(source: Source) -> pd.Series:
    players = source.players()
    return hash_days(players.assign(day=pd.Timestamp(0)), "day", ["player_id", "birth_date"])


def read_hashes(table: str, days: Sequence[date], hashes: Mapping[str, pd.Series]) -> dict[date, str]:
    """For each day the hash of what the table reads for it; `hashes` holds a hash a day for each of its streams."""
    wanted = pd.DatetimeIndex(days)
    total = np.zeros(len(wanted), dtype="uint64")
    for read in READS[table]:
        total += _tokens_in_window(read, wanted, hashes[read.stream])
    return dict(zip(days, to_hex(total), strict=True))


def _tokens_in_window(read: Read, days: pd.DatetimeIndex, hashes: pd.Series) -> np.ndarray:
    tokens = day_tokens(hashes.sort_index(), salt=f"{read.stream} {read.window.value}")
    seen = pd.DatetimeIndex(tokens.index)
    running = np.concatenate([np.zeros(1, dtype="uint64"), np.cumsum(tokens.to_numpy(dtype="uint64"), dtype="uint64")])
    before = running[seen.searchsorted(days, side="left")]
    match read.window:
        case Window.OWN_DAY:
            return running[seen.searchsorted(days, side="right")] - before
        case Window.SEASON_TO_DATE:
            starts = pd.DatetimeIndex([season_of(day.date()).first_game for day in days])
            return before - running[seen.searchsorted(starts, side="left")]
        case Window.LAST_YEAR:
            return before - running[seen.searchsorted(days - pd.Timedelta(days=DAYS_AGAINST_OPPONENT), side="left")]
        case Window.ALL_BEFORE:
            return before
        case Window.ALWAYS:
            return np.full(len(days), running[-1], dtype="uint64")


def earliest_day_read(table: str, first: date) -> date:
    """The first day of games that the table's day `first` can see."""
    return min(first_day_seen(read.window, first) for read in READS[table])


def first_day_seen(window: Window, day: date) -> date:
    """Where the window of a day begins; of the windows without a beginning, which only raw streams have, the day itself."""
    match window:
        case Window.SEASON_TO_DATE:
            return season_of(day).first_game
        case Window.LAST_YEAR:
            return min(day - timedelta(days=DAYS_AGAINST_OPPONENT), season_of(day).first_game)
        case _:
            return day
