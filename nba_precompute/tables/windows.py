"""Which games a day may see. The only comparison with D stands here, strictly `<`, and so does the season boundary.

Every formula that looks back does it through this module: it sums games in their order, then looks the sums up as of the
morning of a day. One day and five seasons go through the same code. No column of any table is defined here.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

TYPES_OF_FORM = ("2", "4", "5")
"""Third character of a game_id: regular season, play-offs, play-in. Cup finals (6) are rest and load, never form."""

ON_THRESHOLD = 1e-9
"""A value this close to a threshold is on it: sums of doubles differ in the last bits with their order (TABLES.md)."""


def at_least(values: pd.Series, threshold: float) -> pd.Series:
    """Values on or above the threshold; a missing value is not."""
    return values >= threshold - ON_THRESHOLD


def above(values: pd.Series, threshold: float) -> pd.Series:
    """Values above the threshold and not on it; a missing value is not."""
    return values > threshold + ON_THRESHOLD


def of_form(games: pd.DataFrame) -> pd.DataFrame:
    """Rows of the games that count as form: regular season, play-offs and play-in."""
    return games[games["game_id"].str[2].isin(TYPES_OF_FORM)]


def team_games(schedule: pd.DataFrame) -> pd.DataFrame:
    """Two rows a scheduled game, one a team, in order of date; home is the schedule's home team."""
    shared = ["game_id", "game_date", "season"]
    home = schedule[[*shared, "home_team", "away_team"]].set_axis([*shared, "team_abbr", "opponent_team_abbr"], axis=1)
    away = schedule[[*shared, "away_team", "home_team"]].set_axis([*shared, "team_abbr", "opponent_team_abbr"], axis=1)
    return in_order(pd.concat([home.assign(is_home=True), away.assign(is_home=False)]), "team_abbr")


def in_order(games: pd.DataFrame, key: str) -> pd.DataFrame:
    """Games by date; the game's id and the key decide among those of one date, so that sums never depend on row order."""
    return games.sort_values(["game_date", "game_id", key], ignore_index=True)


def days_of(schedule: pd.DataFrame, days: Sequence[pd.Timestamp]) -> pd.DataFrame:
    """The wanted days on which games of form are scheduled, each with its season."""
    wanted = of_form(schedule[schedule["game_date"].isin(days)])
    return wanted[["game_date", "season"]].drop_duplicates().sort_values("game_date", ignore_index=True)


def latest_before(rows: pd.DataFrame, history: pd.DataFrame, by: str | Sequence[str], day: str = "game_date") -> pd.DataFrame:
    """For each row the latest record of `history` dated before the row's day, for the same `by`; NULL where there is none.

    `history` is in order: among records of one date the last counts. The result has the rows' index and the history's columns
    other than `by`; the record's own date is in the column `seen_date`.
    """
    keys = [by] if isinstance(by, str) else list(by)
    left = rows[[day, *keys]].assign(position=np.arange(len(rows))).sort_values(day, kind="stable")
    right = history.assign(seen_date=history["game_date"])
    right = right.drop(columns="game_date").sort_values("seen_date", kind="stable")
    right = right.astype(left[keys].dtypes.to_dict())  # a player's id is int32 in a raw file and Int32 in a table
    found = pd.merge_asof(left, right, left_on=day, right_on="seen_date", by=keys, allow_exact_matches=False)
    return found.sort_values("position").drop(columns=[day, *keys, "position"]).set_axis(rows.index, axis=0)


def season_to_date(rows: pd.DataFrame, history: pd.DataFrame, by: str | Sequence[str] = ()) -> pd.DataFrame:
    """As `latest_before`, and never a record of another season."""
    return latest_before(rows, history, ["season", *([by] if isinstance(by, str) else by)])


def sums_of_last(games: pd.DataFrame, n: int, by: str, columns: Sequence[str]) -> pd.DataFrame:
    """For each game (in order) the sums of `columns` over it and the games before it, n in all, of its season and `by`."""
    group = [games["season"], games[by]]
    running = games[list(columns)].astype("float64").groupby(group, sort=False).cumsum()
    return running - running.groupby(group, sort=False).shift(n, fill_value=0.0)


def sums_to_date(games: pd.DataFrame, by: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """For each game (in order) the sums of `columns` over it and all games before it of the same `by`."""
    group = [games[key] for key in by]
    return games[list(columns)].astype("float64").groupby(group, sort=False).cumsum()


def sums_of_last_days(
    rows: pd.DataFrame, games: pd.DataFrame, days: int, by: str | Sequence[str], columns: Sequence[str]
) -> pd.DataFrame:
    """For each row the sums of `columns` over games (in order) with D - days <= game_date < D; 0 without one."""
    keys = [by] if isinstance(by, str) else list(by)
    running = games[["game_date", *keys]].join(sums_to_date(games, keys, columns))
    earlier = rows.assign(game_date=rows["game_date"] - pd.Timedelta(days=days))
    until_day = latest_before(rows, running, keys)[list(columns)]
    until_window = latest_before(earlier, running, keys)[list(columns)]
    return until_day.fillna(0.0) - until_window.fillna(0.0)


def players_as_of(days: pd.DataFrame, games: pd.DataFrame) -> pd.DataFrame:
    """A row for every day and every player with a game of the season to date, with the record of his latest one.

    `days` has game_date and season; `games` (in order) has season, player_id and whatever is wanted of the latest game.
    """
    pairs = days.merge(games[["season", "player_id"]].drop_duplicates(), on="season", validate="many_to_many")
    seen = pairs.join(season_to_date(pairs, games, "player_id"))
    return seen[seen["seen_date"].notna()].reset_index(drop=True)


def known_before_tip_off(snapshots: pd.DataFrame, schedule: pd.DataFrame) -> pd.DataFrame:
    """Line snapshots taken before their game's tip-off; without a snapshot time or a tip-off time nothing is cut."""
    tip_off = snapshots["game_id"].map(schedule.set_index("game_id")["start_utc"])
    taken = snapshots["snapshot_time"]
    return snapshots[taken.isna() | tip_off.isna() | (taken < tip_off)]


def latest_snapshot(snapshots: pd.DataFrame) -> pd.DataFrame:
    """Rows of each game's latest snapshot; rows without a time are one snapshot before any timed one."""
    latest = snapshots.groupby("game_id")["snapshot_time"].transform("max")
    return snapshots[(snapshots["snapshot_time"] == latest) | latest.isna()]


def opening_snapshot(snapshots: pd.DataFrame) -> pd.DataFrame:
    """Rows of each game's earliest timed snapshot, where at least two are timed."""
    times = snapshots.groupby("game_id")["snapshot_time"]
    return snapshots[(snapshots["snapshot_time"] == times.transform("min")) & (times.transform("nunique") > 1)]
