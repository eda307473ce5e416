"""team_defense_zone_analysis (TDZA): where each team's defence is soft or hard, as of the morning of a day.

Grain: one row a team of the season, 30 a day. Key: analysis_date, team_abbr. Partition: analysis_date.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nba_precompute.tables import columns, windows
from nba_precompute.tables.columns import Table, fraction, integer, number
from nba_precompute.tables.windows import at_least

WINDOW_GAMES = 15
HIGH_QUALITY_GAMES, MEDIUM_QUALITY_GAMES = 15, 10

COUNTS_ALLOWED = [f"{count}_allowed" for count in columns.ZONE_COUNTS]

TEAM_DEFENSE_ZONE_ANALYSIS: Table = columns.table(
    dataset="nba_precompute",
    name="team_defense_zone_analysis",
    day="analysis_date",
    key=["analysis_date", "team_abbr"],
    code_version="1",
    description=(
        "Where each of the 30 teams' defences is soft or hard as of the morning of the day: shooting allowed by zone over its last "
        "15 games against the league's, rating and pace. Uses games before the day only."
    ),
    columns={
        "analysis_date": columns.day("partition; the morning of this day, uses games before it only"),
        "team_abbr": columns.team_abbr("the defending team"),
        **columns.shared("season"),
        "paint_pct_allowed_last_15": fraction("makes / attempts allowed from the paint, zone games of the last 15"),
        "mid_range_pct_allowed_last_15": fraction("makes / attempts allowed from mid-range, zone games of the last 15"),
        "three_pt_pct_allowed_last_15": fraction("makes / attempts allowed for three, zone games of the last 15"),
        "paint_attempts_allowed_per_game": number("allowed from the paint a zone game", "attempts", ge=0),
        "mid_range_attempts_allowed_per_game": number("allowed from mid-range a zone game", "attempts", ge=0),
        "three_pt_attempts_allowed_per_game": number("allowed for three a zone game", "attempts", ge=0),
        "paint_points_allowed_per_game": number("2 * paint makes allowed a zone game", "points", ge=0),
        "league_paint_pct": fraction("makes / attempts from the paint, all teams, season to date"),
        "league_mid_range_pct": fraction("makes / attempts from mid-range, all teams, season to date"),
        "league_three_pt_pct": fraction("makes / attempts for three, all teams, season to date"),
        "paint_defense_vs_league_avg": columns.vs_league("100 * (paint pct allowed - league)"),
        "mid_range_defense_vs_league_avg": columns.vs_league("100 * (mid-range pct allowed - league)"),
        "three_pt_defense_vs_league_avg": columns.vs_league("100 * (three pct allowed - league)"),
        "strongest_zone": columns.text("lowest against the league", nullable=True, isin=columns.ZONE_NAMES),
        "weakest_zone": columns.text("highest against the league", nullable=True, isin=columns.ZONE_NAMES),
        "defensive_rating_last_15": columns.rating("100 * sum points allowed / sum opponent possessions, last 15"),
        "opponent_points_per_game": number("allowed a game, last 15", "points", ge=0),
        "opponent_pace": columns.pace("mean pace of the last 15 games"),
        "games_in_sample": integer("games of the last 15 that there are", nullable=False, le=WINDOW_GAMES),
        "zone_games_in_sample": integer("those of them with complete zones", nullable=False, le=WINDOW_GAMES),
        "data_quality_tier": columns.text("high from 15 games, medium from 10, else low", isin=["high", "medium", "low"]),
        "completeness_pct": columns.percent("zone games among the last 15 scheduled, missing games count"),
        "production_ready": columns.flag("completeness >= 50 and 5 games in the sample"),
        "calculation_version": columns.text("version of the rules", isin=[columns.CALCULATION_VERSION]),
    },
)


def team_defense_zone_analysis(
    days: Sequence[pd.Timestamp], *, schedule: pd.DataFrame, team_defense_game_summary: pd.DataFrame
) -> pd.DataFrame:
    """30 rows a day, one a team of the season's regular schedule, with games_in_sample 0 before its first game.

    `schedule` and `team_defense_game_summary` hold the seasons of the days from their first games on.
    """
    teams = teams_of(schedule).merge(windows.days_of(schedule, days), on="season", validate="many_to_many")
    games = zone_games(team_defense_game_summary)
    teams = teams.join(sums_of_window(teams, games)).join(league(teams, games))
    for zone, summed in columns.ZONES.items():
        allowed = columns.ratio(teams[f"{summed}_makes_allowed"], teams[f"{summed}_attempts_allowed"])
        teams[f"{zone}_pct_allowed_last_15"] = allowed
        teams[f"{zone}_attempts_allowed_per_game"] = columns.ratio(
            teams[f"{summed}_attempts_allowed"], teams["zone_games_in_sample"]
        )
        teams[f"{zone}_defense_vs_league_avg"] = 100 * (allowed - teams[f"league_{zone}_pct"])
    teams["paint_points_allowed_per_game"] = columns.ratio(2 * teams["paint_makes_allowed"], teams["zone_games_in_sample"])
    teams["strongest_zone"], teams["weakest_zone"] = extreme_zones(
        teams[[f"{zone}_defense_vs_league_avg" for zone in columns.ZONES]]
    )
    teams["defensive_rating_last_15"] = columns.ratio(100 * teams["points_allowed"], teams["opp_possessions"])
    teams["opponent_points_per_game"] = columns.ratio(teams["points_allowed"], teams["games_in_sample"])
    teams["opponent_pace"] = columns.ratio(teams["pace"], teams["games_in_sample"])
    teams["data_quality_tier"] = np.select(
        [teams["games_in_sample"] >= HIGH_QUALITY_GAMES, teams["games_in_sample"] >= MEDIUM_QUALITY_GAMES],
        ["high", "medium"],
        "low",
    )
    teams["completeness_pct"] = completeness_pct(teams, schedule, team_defense_game_summary)
    teams["production_ready"] = at_least(teams["completeness_pct"], columns.READY_COMPLETENESS) & (
        teams["games_in_sample"] >= columns.READY_GAMES
    )
    teams["calculation_version"] = columns.CALCULATION_VERSION
    return TEAM_DEFENSE_ZONE_ANALYSIS.conform(teams.rename(columns={"game_date": "analysis_date"}))


def teams_of(schedule: pd.DataFrame) -> pd.DataFrame:
    """Season and team of the regular schedule."""
    regular = schedule[schedule["game_id"].str[2] == "2"]
    return windows.team_games(regular)[["season", "team_abbr"]].drop_duplicates()


def zone_games(team_defense_game_summary: pd.DataFrame) -> pd.DataFrame:
    """Games in order; zone counts are 0 where zones are not complete, so that sums leave those games out."""
    games = windows.in_order(team_defense_game_summary, "team_abbr")
    games[COUNTS_ALLOWED] = games[COUNTS_ALLOWED].astype("float64").fillna(0.0)
    games["zone_games_in_sample"] = games["has_complete_shot_zones"].astype("float64")
    return games.assign(games_in_sample=1.0)


def sums_of_window(teams: pd.DataFrame, games: pd.DataFrame) -> pd.DataFrame:
    """Sums over each team's last 15 games as of the day."""
    summed = [*COUNTS_ALLOWED, "zone_games_in_sample", "games_in_sample", "points_allowed", "opp_possessions", "pace"]
    history = games[["game_date", "season", "team_abbr"]].join(windows.sums_of_last(games, WINDOW_GAMES, "team_abbr", summed))
    return windows.season_to_date(teams, history, "team_abbr")[summed].fillna(0.0)


def league(teams: pd.DataFrame, games: pd.DataFrame) -> pd.DataFrame:
    """The league's field-goal percentage by zone, all teams, season to date."""
    history = games[["game_date", "season"]].join(windows.sums_to_date(games, ["season"], COUNTS_ALLOWED))
    seen = windows.season_to_date(teams, history)
    return pd.DataFrame(
        {
            f"league_{zone}_pct": columns.ratio(seen[f"{summed}_makes_allowed"], seen[f"{summed}_attempts_allowed"])
            for zone, summed in columns.ZONES.items()
        }
    )


def extreme_zones(vs_league: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Names of the zones lowest and highest against the league; ties in the order paint, mid_range, perimeter."""
    known = vs_league.set_axis(columns.ZONE_NAMES, axis=1)
    any_known = known.notna().any(axis=1)
    strongest = known[any_known].idxmin(axis=1).reindex(known.index)
    weakest = known[any_known].idxmax(axis=1).reindex(known.index)
    return strongest, weakest


def completeness_pct(teams: pd.DataFrame, schedule: pd.DataFrame, team_defense_game_summary: pd.DataFrame) -> pd.Series:
    """Percent of the team's last 15 scheduled games of the season to date whose zones are there."""
    zones_there = team_defense_game_summary[["game_id", "team_abbr", "has_complete_shot_zones"]]
    scheduled = windows.of_form(windows.team_games(schedule)).merge(
        zones_there, on=["game_id", "team_abbr"], how="left", validate="one_to_one"
    )
    scheduled["complete"] = scheduled["has_complete_shot_zones"].astype("float64").fillna(0.0)
    scheduled["scheduled"] = 1.0
    sums = windows.sums_of_last(scheduled, WINDOW_GAMES, "team_abbr", ["complete", "scheduled"])
    seen = windows.season_to_date(teams, scheduled[["game_date", "season", "team_abbr"]].join(sums), "team_abbr")
    return columns.ratio(100 * seen["complete"], seen["scheduled"])
