"""ml_feature_store_v2 (MLFS): the feature row of every player of the slate, one named column a feature.

Grain: one row a player of the slate. Key: game_date, player_id. Partition: game_date. No label: the training export joins
points of the same game afterwards.
"""

import numpy as np
import pandas as pd

from nba_precompute.tables import columns, windows
from nba_precompute.tables.columns import Table, fraction, integer, number
from nba_precompute.tables.windows import at_least

FEATURE_VERSION = "v2_33"

DAYS_AGAINST_OPPONENT = 365
"""How far back games against the same opponent count, across seasons (features 29 and 30)."""

REST_ADVANTAGE_LIMIT = 2
TREND_GAMES, TREND_STRONG, TREND_SLIGHT = 5, 5, 2
MINUTES_STRONG, MINUTES_SLIGHT = 0.20, 0.10
INJURY_RISK = {"available": 0, "probable": 1, "questionable": 2, "doubtful": 3, "out": 3}
MARKET_FEATURES = ["vegas_points_line", "vegas_opening_line", "vegas_line_move", "has_vegas_line"]
"""Features 25-28, no part of the quality score: a line is a luxury."""

FEATURES = {
    "points_avg_last_5": number("0: points a game, last 5", "points", ge=0),
    "points_avg_last_10": number("1: points a game, last 10", "points", ge=0),
    "points_avg_season": number("2: points a game, season to date", "points", ge=0),
    "points_std_last_10": number("3: sample standard deviation of points, last 10, from 2 games", "points", ge=0),
    "games_in_last_7_days": integer("4: his games with D-7 <= date < D", le=7),
    "fatigue_score": integer("5: higher = fresher", "score 0..100", le=100),
    "shot_zone_mismatch_score": number("6: positive = favours the player", "points", ge=-10, le=10),
    "pace_score": number("7: positive = faster than the league", "points", ge=-3, le=3),
    "usage_spike_score": number("8: positive = more usage than lately", "points", ge=-3, le=3),
    "rest_advantage": integer("9: own team's days since its last game minus the opponent's, clamped", "days", ge=-2, le=2),
    "injury_risk": integer("10: 0 available, 1 probable, 2 questionable, 3 doubtful or out", "grade", le=3),
    "recent_trend": integer("11: last 2 games' points against the 3 before, from 5 games", "grade -2..2", ge=-2, le=2),
    "minutes_change": integer("12: last 10 games' minutes against the season's", "grade -2..2", ge=-2, le=2),
    "opponent_def_rating": columns.rating("13: the opponent's points allowed, last 15 games"),
    "opponent_pace": columns.pace("14: mean pace of the opponent's last 15 games"),
    "home_away": integer("15: 1 home, 0 away", "0/1", le=1),
    "back_to_back": integer("16: 1 where the player played the day before", "0/1", le=1),
    "playoff_game": integer("17: 1 in play-offs and play-in", "0/1", le=1),
    "pct_paint": fraction("18: share of attempts from the paint, last 10"),
    "pct_mid_range": fraction("19: share of attempts from mid-range, last 10"),
    "pct_three": fraction("20: share of attempts for three, last 10"),
    "pct_free_throw": fraction("21: free throws made / points, last 10"),
    "team_pace": columns.pace("22: mean of his team's last 10 games"),
    "team_off_rating": columns.rating("23: of his team's last 10 games"),
    "team_win_pct": fraction("24: games his team won, season to date"),
    "vegas_points_line": number("25: consensus line of the latest snapshot before tip-off", "points", ge=0),
    "vegas_opening_line": number("26: consensus line of the earliest of two or more timed snapshots", "points", ge=0),
    "vegas_line_move": number("27: line minus opening line", "points"),
    "has_vegas_line": integer("28: 1 where there is a line", "0/1", le=1),
    "avg_points_vs_opponent": number("29: points a game against this opponent, last 365 days", "points", ge=0),
    "games_vs_opponent": integer("30: games against this opponent, last 365 days; 0 if none"),
    "minutes_avg_last_10": number("31: minutes a game, last 10", "minutes", ge=0, le=70),
    "ppm_avg_last_10": number("32: sum points / sum minutes, last 10", "points per minute", ge=0),
}
"""The 33 features of v2_33, in order."""

QUALITY_FEATURES = [name for name in FEATURES if name not in MARKET_FEATURES]

ML_FEATURE_STORE_V2: Table = columns.table(
    dataset="nba_predictions",
    name="ml_feature_store_v2",
    day="game_date",
    key=["game_date", "player_id"],
    code_version="1",
    description=(
        "The feature row of every player of the slate, 33 named features (v2_33), from what was known on the morning of the day. "
        "Missing is NULL; no label."
    ),
    columns={
        "game_date": columns.day("partition; the day to be predicted"),
        **columns.shared("player_id", "player_lookup", "game_id"),
        "team_abbr": columns.team_abbr("his team, 3 letters"),
        **columns.shared("opponent_team_abbr", "is_home"),
        "feature_version": columns.text("the set of features", isin=[FEATURE_VERSION]),
        **FEATURES,
        "games_in_sample": integer("the smaller of 10 and his games of the season to date", nullable=False, ge=1, le=10),
        "feature_quality_score": columns.percent("features other than 25-28 that are not NULL", nullable=False),
        "completeness_pct": columns.percent("the same as feature_quality_score", nullable=False),
        "production_ready": columns.flag("completeness >= 50 and the player_composite_factors row is ready"),
        **columns.shared("context_source"),
        "calculation_version": columns.text("version of the rules", isin=[columns.CALCULATION_VERSION]),
    },
)


def ml_feature_store_v2(
    *,
    player_context: pd.DataFrame,
    team_context: pd.DataFrame,
    team_defense: pd.DataFrame,
    player_zones: pd.DataFrame,
    composite_factors: pd.DataFrame,
    schedule: pd.DataFrame,
    props: pd.DataFrame,
    player_game_summary: pd.DataFrame,
) -> pd.DataFrame:
    """A row for every player of the slate in `player_context`.

    Contexts, analyses, factors and props hold the same days; `player_game_summary` the seasons of the days from their first games
    on, and at least the 365 days before each day.
    """
    seasons = schedule.set_index("game_id")["season"]
    slate = player_context.rename(columns={"is_back_to_back": "back_to_back", "points_line": "vegas_points_line"})
    slate["season"] = slate["game_id"].map(seasons)
    slate = slate.merge(of_team(team_context), on=["game_date", "team_abbr"], how="left", validate="many_to_one")
    slate = slate.merge(
        of_opponent(team_context, team_defense),
        on=["game_date", "opponent_team_abbr"],
        how="left",
        validate="many_to_one",
    )
    slate = slate.merge(of_player(player_zones), on=["game_date", "player_id"], how="left", validate="one_to_one")
    factors = composite_factors[
        [
            "game_date",
            "player_id",
            "fatigue_score",
            "shot_zone_mismatch_score",
            "pace_score",
            "usage_spike_score",
            "production_ready",
        ]
    ]
    slate = slate.merge(
        factors.rename(columns={"production_ready": "factors_ready"}),
        on=["game_date", "player_id"],
        how="left",
        validate="one_to_one",
    )
    opening = columns.points_line(windows.opening_snapshot(windows.known_before_tip_off(props, schedule)))
    slate = slate.merge(opening.rename("vegas_opening_line"), on=["game_id", "player_id"], how="left", validate="one_to_one")
    games = windows.in_order(player_game_summary, "player_id")
    slate = slate.assign(**form(slate, games)).assign(**against_opponent(slate, games))
    slate["rest_advantage"] = rest_advantage(slate["team_days_since_last_game"], slate["opponent_days_since_last_game"])
    slate["injury_risk"] = slate["player_status"].map(INJURY_RISK)
    slate["home_away"] = slate["is_home"].astype("int64")
    slate["playoff_game"] = slate["game_id"].str[2].isin(["4", "5"]).astype("int64")
    slate["vegas_line_move"] = slate["vegas_points_line"] - slate["vegas_opening_line"]
    slate["has_vegas_line"] = slate["vegas_points_line"].notna().astype("int64")
    slate["feature_version"] = FEATURE_VERSION
    slate["feature_quality_score"] = 100 * slate[QUALITY_FEATURES].notna().mean(axis=1)
    slate["completeness_pct"] = slate["feature_quality_score"]
    slate["production_ready"] = at_least(slate["completeness_pct"], columns.READY_COMPLETENESS) & slate["factors_ready"].fillna(
        False
    )
    slate["calculation_version"] = columns.CALCULATION_VERSION
    return ML_FEATURE_STORE_V2.conform(slate)


def of_team(team_context: pd.DataFrame) -> pd.DataFrame:
    """His team's rest and form, by game_date and team_abbr."""
    names = {
        "days_since_last_game": "team_days_since_last_game",
        "team_pace_last_10": "team_pace",
        "team_off_rating_last_10": "team_off_rating",
        "team_win_pct": "team_win_pct",
    }
    return team_context[["game_date", "team_abbr", *names]].rename(columns=names)


def of_opponent(team_context: pd.DataFrame, team_defense: pd.DataFrame) -> pd.DataFrame:
    """The opponent's rest, rating and pace, by game_date and opponent_team_abbr."""
    rest = team_context[["game_date", "team_abbr", "days_since_last_game"]]
    defenses = team_defense[["analysis_date", "team_abbr", "defensive_rating_last_15", "opponent_pace"]]
    teams = rest.merge(
        defenses.rename(columns={"analysis_date": "game_date"}),
        on=["game_date", "team_abbr"],
        how="left",
        validate="one_to_one",
    )
    return teams.rename(
        columns={
            "team_abbr": "opponent_team_abbr",
            "days_since_last_game": "opponent_days_since_last_game",
            "defensive_rating_last_15": "opponent_def_rating",
        }
    )


def of_player(player_zones: pd.DataFrame) -> pd.DataFrame:
    """The player's shares of attempts as fractions, by game_date and player_id."""
    names = {
        "paint_rate_last_10": "pct_paint",
        "mid_range_rate_last_10": "pct_mid_range",
        "three_pt_rate_last_10": "pct_three",
    }
    shares = player_zones[[*names]].rename(columns=names) / 100
    return shares.assign(game_date=player_zones["analysis_date"], player_id=player_zones["player_id"])


def form(slate: pd.DataFrame, games: pd.DataFrame) -> dict[str, pd.Series]:
    """Points and minutes of his last games and of his season to date."""
    sums = sums_of_form(games)
    seen = windows.season_to_date(slate, games[["game_date", "season", "player_id"]].join(sums), "player_id")
    points = seen["points_last_10"]
    return {
        "points_avg_last_5": columns.ratio(seen["points_last_5"], seen["games_last_5"]),
        "points_avg_last_10": columns.ratio(points, seen["games_last_10"]),
        "points_avg_season": columns.ratio(seen["points_season"], seen["games_season"]),
        "points_std_last_10": sample_std(seen["games_last_10"], points, seen["points_squared_last_10"]),
        "recent_trend": recent_trend(seen["points_last_2"], seen["points_last_5"], seen["games_last_5"]),
        "minutes_change": minutes_change(
            columns.ratio(seen["seconds_last_10"], seen["games_last_10"]),
            columns.ratio(seen["seconds_season"], seen["games_season"]),
        ),
        "pct_free_throw": columns.ratio(seen["ft_makes_last_10"], points),
        "minutes_avg_last_10": columns.ratio(seen["seconds_last_10"] / 60, seen["games_last_10"]),
        "ppm_avg_last_10": columns.ratio(points, seen["seconds_last_10"] / 60),
        "games_in_sample": seen["games_last_10"],
    }


def sums_of_form(games: pd.DataFrame) -> pd.DataFrame:
    """Sums over each player's last 2, 5 and 10 games and his season to date, named with the window as suffix."""
    counts = pd.DataFrame(
        {
            "season": games["season"],
            "player_id": games["player_id"],
            "games": 1.0,
            "points": games["points"].astype("float64"),
            "points_squared": games["points"].astype("float64") ** 2,
            "ft_makes": games["ft_makes"].astype("float64"),
            "seconds": (games["minutes_played"] * 60).round(),
        }
    )
    summed = ["games", "points", "points_squared", "ft_makes", "seconds"]
    lasts = [windows.sums_of_last(counts, n, "player_id", summed).add_suffix(f"_last_{n}") for n in (2, 5, 10)]
    season = windows.sums_to_date(counts, ["season", "player_id"], summed).add_suffix("_season")
    return pd.concat([*lasts, season], axis=1)


def sample_std(n: pd.Series, total: pd.Series, total_squared: pd.Series) -> pd.Series:
    """Sample standard deviation from whole-number sums (exact in doubles), from 2 values on."""
    return np.sqrt((n * total_squared - total**2) / (n * (n - 1)).where(n > 1))


def recent_trend(points_last_2: pd.Series, points_last_5: pd.Series, games: pd.Series) -> pd.Series:
    """-2..2 by the mean of the last 2 games' points minus the mean of the 3 before; NULL below 5 games."""
    change = points_last_2 / 2 - (points_last_5 - points_last_2) / 3
    return graded(change, TREND_STRONG, TREND_SLIGHT).where(games >= TREND_GAMES)


def minutes_change(last_10: pd.Series, season: pd.Series) -> pd.Series:
    """-2..2 by the change of minutes a game, last 10 against the season to date, as a share of the latter."""
    change = columns.ratio(last_10 - season, season)
    return graded(change, MINUTES_STRONG, MINUTES_SLIGHT).where(change.notna())


def graded(change: pd.Series, strong: float, slight: float) -> pd.Series:
    """2 from `strong` on, 1 from `slight` on, the same below zero, else 0."""
    grade = np.select(
        [at_least(change, strong), at_least(change, slight), at_least(-change, strong), at_least(-change, slight)],
        [2.0, 1.0, -2.0, -1.0],
        0.0,
    )
    return pd.Series(grade, index=change.index)


def rest_advantage(own_days: pd.Series, opponent_days: pd.Series) -> pd.Series:
    """Own team's days since its last game minus the opponent's, clamped to two days; NULL where either is not known."""
    return (own_days.astype("float64") - opponent_days.astype("float64")).clip(-REST_ADVANTAGE_LIMIT, REST_ADVANTAGE_LIMIT)


def against_opponent(slate: pd.DataFrame, games: pd.DataFrame) -> dict[str, pd.Series]:
    """His points against this opponent over the last 365 days, across seasons."""
    counts = games[["game_date", "player_id", "opponent_team_abbr"]].assign(games=1.0, points=games["points"].astype("float64"))
    sums = windows.sums_of_last_days(
        slate, counts, DAYS_AGAINST_OPPONENT, ["player_id", "opponent_team_abbr"], ["games", "points"]
    )
    return {"avg_points_vs_opponent": columns.ratio(sums["points"], sums["games"]), "games_vs_opponent": sums["games"]}
