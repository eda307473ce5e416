"""upcoming_team_game_context: what is known of each team on the morning of a day it plays, before its game.

Grain: one row a team and scheduled game of form, two a game. Key: game_date, team_abbr. Partition: game_date.
"""

from collections.abc import Sequence
from datetime import date

import pandas as pd

from nba_precompute.tables import columns, windows
from nba_precompute.tables.columns import Table, integer, number

FORM_GAMES = 10

UPCOMING_TEAM_GAME_CONTEXT: Table = columns.table(
    dataset="nba_analytics",
    name="upcoming_team_game_context",
    day="game_date",
    key=["game_date", "team_abbr"],
    code_version="1",
    description=(
        "What is known of each team on the morning of a game day: rest and load from the schedule, the game's line, and form of "
        "the season to date. Two rows a scheduled game."
    ),
    columns={
        "game_date": columns.day("partition; the day to be predicted"),
        "team_abbr": columns.team_abbr("the team, 3 letters"),
        **columns.shared("game_id", "opponent_team_abbr", "is_home", "days_since_last_game", "is_back_to_back"),
        **columns.shared("games_in_last_7_days"),
        "games_in_last_14_days": integer("games with D-14 <= date < D", nullable=False, le=14),
        "game_spread": number("point spread from the team's side, negative = favoured; NULL without a line", "points"),
        "game_total": number("points of both teams by the line; NULL without", "points", ge=0),
        "implied_team_total": number("(total - spread) / 2; NULL where either is", "points"),
        **columns.shared("team_pace_last_10"),
        "team_off_rating_last_10": columns.rating("100 * sum points / sum possessions of the last 10 games"),
        "team_win_pct": columns.fraction("games won of the season to date"),
        **columns.shared("context_source"),
    },
)


def context_source(days: pd.DataFrame, injuries_cover: tuple[date, date] | None) -> pd.Series:
    """captured where the injury source covers the day before the day, else synthetic; without a source always synthetic."""
    if injuries_cover is None:
        return pd.Series("synthetic", index=days.index)
    day_before = days["game_date"] - pd.Timedelta(days=1)
    covered = day_before.between(pd.Timestamp(injuries_cover[0]), pd.Timestamp(injuries_cover[1]))
    return covered.map({True: "captured", False: "synthetic"})


def upcoming_team_game_context(
    days: Sequence[pd.Timestamp],
    *,
    schedule: pd.DataFrame,
    lines: pd.DataFrame,
    team_offense_game_summary: pd.DataFrame,
    injuries_cover: tuple[date, date] | None,
) -> pd.DataFrame:
    """Two rows for every game of form that is scheduled on one of `days`.

    `schedule` holds the seasons of the days whole, `team_offense_game_summary` their games from the first on, `lines` the days'.
    """
    sides = windows.team_games(schedule)
    teams = windows.of_form(sides[sides["game_date"].isin(days)]).reset_index(drop=True)
    teams["context_source"] = context_source(teams, injuries_cover)
    teams = teams.assign(**load(teams, sides)).assign(**line(teams, lines)).assign(**form(teams, team_offense_game_summary))
    return UPCOMING_TEAM_GAME_CONTEXT.conform(teams)


def load(teams: pd.DataFrame, sides: pd.DataFrame) -> dict[str, pd.Series]:
    """Rest and games lately, from the schedule of all types."""
    previous = windows.season_to_date(teams, sides[["game_date", "season", "team_abbr"]], "team_abbr")["seen_date"]
    days_since_last_game = (teams["game_date"] - previous).dt.days
    played = sides.assign(games=1)
    return {
        "days_since_last_game": days_since_last_game,
        "is_back_to_back": days_since_last_game == 1,
        "games_in_last_7_days": windows.sums_of_last_days(teams, played, 7, "team_abbr", ["games"])["games"],
        "games_in_last_14_days": windows.sums_of_last_days(teams, played, 14, "team_abbr", ["games"])["games"],
    }


def line(teams: pd.DataFrame, lines: pd.DataFrame) -> dict[str, pd.Series]:
    """Spread, total and implied total from the team's side."""
    of_game = teams[["game_id"]].merge(
        lines[["game_id", "spread_home", "total"]], on="game_id", how="left", validate="many_to_one"
    )
    spread_home = of_game["spread_home"].astype("float64")
    game_total = of_game["total"].astype("float64")
    game_spread = spread_home.where(teams["is_home"], -spread_home)
    return {"game_spread": game_spread, "game_total": game_total, "implied_team_total": (game_total - game_spread) / 2}


def form(teams: pd.DataFrame, team_offense_game_summary: pd.DataFrame) -> dict[str, pd.Series]:
    """Pace and rating of the team's last 10 games, and its share of games won, season to date."""
    games = windows.in_order(team_offense_game_summary, "team_abbr").assign(games=1)
    summed = ["games", "pace", "points_scored", "possessions"]
    last_10 = windows.sums_of_last(games, FORM_GAMES, "team_abbr", summed).add_suffix("_last_10")
    season = windows.sums_to_date(games, ["season", "team_abbr"], ["games", "win_flag"]).add_suffix("_season")
    history = games[["game_date", "season", "team_abbr"]].join(last_10).join(season)
    seen = windows.season_to_date(teams, history, "team_abbr")
    return {
        "team_pace_last_10": columns.ratio(seen["pace_last_10"], seen["games_last_10"]),
        "team_off_rating_last_10": columns.ratio(100 * seen["points_scored_last_10"], seen["possessions_last_10"]),
        "team_win_pct": columns.ratio(seen["win_flag_season"], seen["games_season"]),
    }
