"""player_composite_factors (PCF): fatigue, shot-zone mismatch, pace and usage of each player of the slate.

Grain: one row a player of the slate. Key: game_date, player_id. Partition: analysis_date (= game_date).
Thresholds are the original's, kept for comparison, not fitted.
"""

import numpy as np
import pandas as pd

from nba_precompute.tables import columns, windows
from nba_precompute.tables.columns import Table, integer, number
from nba_precompute.tables.windows import above, at_least

FRESH = 100
BACK_TO_BACK_PENALTY = 15
LONG_REST_DAYS, LONG_REST_BONUS = 3, 5
BUSY_WEEK_GAMES, BUSY_WEEK_PENALTY = 4, 10
HEAVY_WEEK_MINUTES, HEAVY_WEEK_PENALTY = 240, 10
HEAVY_GAME_MINUTES, HEAVY_GAME_PENALTY = 35, 8
TWO_BACK_TO_BACKS_PENALTY, ONE_BACK_TO_BACK_PENALTY = 12, 5
OLD_AGE, OLD_PENALTY = 35, 10
MATURE_AGE, MATURE_PENALTY = 30, 5
FATIGUE_POINTS = 20
"""Score points of fatigue that cost one point scored."""

FULL_WEIGHT_RATE = 50
"""Percent of attempts from the primary zone at which the opponent's weakness there counts in full."""

STRONG_MISMATCH, STRONG_MISMATCH_FACTOR, MISMATCH_LIMIT = 5, 1.2, 10
PACE_FACTOR, PACE_LIMIT = 0.5, 3
USAGE_FACTOR, USAGE_LIMIT = 0.3, 3
ONE_STAR_OUT_FACTOR, TWO_STARS_OUT_FACTOR = 1.15, 1.30
TOTAL_LOWEST, TOTAL_HIGHEST = -21, 15

PERCENT_PER_FACTOR = 25

CALCULATION_VERSION = "v1_4factors"

FACTORS = ["fatigue_score", "shot_zone_mismatch_score", "pace_score", "usage_spike_score"]

VS_LEAGUE = ["paint_defense_vs_league_avg", "mid_range_defense_vs_league_avg", "three_pt_defense_vs_league_avg"]

PLAYER_COMPOSITE_FACTORS: Table = columns.table(
    dataset="nba_precompute",
    name="player_composite_factors",
    day="analysis_date",
    key=["game_date", "player_id"],
    code_version="1",
    description=(
        "Four factors of every player of the slate and their sum in points: fatigue, shot-zone mismatch with the opponent's "
        "defence, pace and usage; with the inputs needed to recompute each row."
    ),
    columns={
        "game_date": columns.day("the day to be predicted"),
        "analysis_date": columns.day("partition; the same date"),
        **columns.shared("player_id", "player_lookup", "game_id"),
        "team_abbr": columns.team_abbr("his team, 3 letters"),
        **columns.shared("opponent_team_abbr", "is_home"),
        "fatigue_score": integer("higher = fresher", "score 0..100", ge=0, le=100),
        "shot_zone_mismatch_score": number("positive = favours the player", "points", ge=-MISMATCH_LIMIT, le=MISMATCH_LIMIT),
        "pace_score": number("positive = faster than the league", "points", ge=-PACE_LIMIT, le=PACE_LIMIT),
        "usage_spike_score": number("positive = more usage than lately", "points", ge=-USAGE_LIMIT, le=USAGE_LIMIT),
        "fatigue_adjustment": number("(fatigue_score - 100) / 20", "points", ge=-5, le=0),
        "total_composite_adjustment": number(
            "sum of adjustment and three scores; NULL if any is", "points", ge=TOTAL_LOWEST, le=TOTAL_HIGHEST
        ),
        **columns.shared("days_since_last_game", "is_back_to_back", "games_in_last_7_days", "minutes_in_last_7_days"),
        **columns.shared("avg_minutes_per_game_last_7", "back_to_backs_last_14_days", "player_age"),
        **columns.shared("primary_scoring_zone"),
        **columns.shared("paint_rate_last_10", "mid_range_rate_last_10", "three_pt_rate_last_10"),
        "opponent_paint_defense_vs_league_avg": columns.vs_league("the opponent's paint defence"),
        "opponent_mid_range_defense_vs_league_avg": columns.vs_league("the opponent's mid-range defence"),
        "opponent_three_pt_defense_vs_league_avg": columns.vs_league("the opponent's defence of the three"),
        **columns.shared("team_pace_last_10"),
        "opponent_pace_last_10": columns.pace("mean of the opponent's last 10 games"),
        "expected_pace": columns.pace("mean of the two teams'"),
        "league_pace": columns.pace("mean of all games of the season to date"),
        **columns.shared("projected_usage_rate", "avg_usage_rate_last_7_games", "star_teammates_out"),
        "completeness_pct": columns.percent("25 for each factor that is not NULL", nullable=False),
        "upstream_team_defense_ready": columns.flag("the opponent's team_defense_zone_analysis row is there and ready"),
        "upstream_shot_zone_ready": columns.flag("the player's player_shot_zone_analysis row is there and ready"),
        "production_ready": columns.flag("completeness >= 50 and both upstream rows are ready"),
        **columns.shared("context_source"),
        "calculation_version": columns.text("version of the rules", isin=[CALCULATION_VERSION]),
    },
)


def player_composite_factors(
    *,
    player_context: pd.DataFrame,
    team_context: pd.DataFrame,
    team_defense: pd.DataFrame,
    player_zones: pd.DataFrame,
    team_offense_game_summary: pd.DataFrame,
) -> pd.DataFrame:
    """A row for every player of the slate in `player_context`.

    The contexts and analyses hold the same days; `team_offense_game_summary` their seasons from the first game on.
    """
    slate = player_context.merge(
        team_context[["game_date", "team_abbr", "team_pace_last_10"]],
        on=["game_date", "team_abbr"],
        how="left",
        validate="many_to_one",
    ).merge(
        of_opponent(team_context, team_defense),
        on=["game_date", "opponent_team_abbr"],
        how="left",
        validate="many_to_one",
    )
    slate = slate.merge(of_player(player_zones), on=["game_date", "player_id"], how="left", validate="one_to_one")
    slate["league_pace"] = league_pace(slate, team_defense, team_offense_game_summary)
    slate["expected_pace"] = (slate["team_pace_last_10"] + slate["opponent_pace_last_10"]) / 2
    slate["fatigue_score"] = fatigue_score(
        full_days_of_rest=slate["days_since_last_game"].astype("float64") - 1,
        back_to_back=slate["is_back_to_back"].astype(bool),
        games_in_last_7_days=slate["games_in_last_7_days"],
        minutes_in_last_7_days=slate["minutes_in_last_7_days"],
        avg_minutes_per_game_last_7=slate["avg_minutes_per_game_last_7"],
        back_to_backs_last_14_days=slate["back_to_backs_last_14_days"],
        player_age=slate["player_age"].astype("float64"),
    )
    slate["fatigue_adjustment"] = fatigue_adjustment(slate["fatigue_score"])
    slate["shot_zone_mismatch_score"] = shot_zone_mismatch_score(
        slate["primary_scoring_zone"],
        slate[["paint_rate_last_10", "mid_range_rate_last_10", "three_pt_rate_last_10"]],
        slate[[f"opponent_{zone}" for zone in VS_LEAGUE]],
    )
    slate["pace_score"] = pace_score(slate["expected_pace"] - slate["league_pace"])
    slate["usage_spike_score"] = usage_spike_score(
        slate["projected_usage_rate"], slate["avg_usage_rate_last_7_games"], slate["star_teammates_out"]
    )
    slate["total_composite_adjustment"] = total_composite_adjustment(
        slate["fatigue_adjustment"], slate["shot_zone_mismatch_score"], slate["pace_score"], slate["usage_spike_score"]
    )
    slate["completeness_pct"] = PERCENT_PER_FACTOR * slate[FACTORS].notna().sum(axis=1)
    slate["production_ready"] = (
        at_least(slate["completeness_pct"], columns.READY_COMPLETENESS)
        & slate["upstream_team_defense_ready"]
        & slate["upstream_shot_zone_ready"]
    )
    slate["analysis_date"] = slate["game_date"]
    slate["calculation_version"] = CALCULATION_VERSION
    return PLAYER_COMPOSITE_FACTORS.conform(slate)


def of_opponent(team_context: pd.DataFrame, team_defense: pd.DataFrame) -> pd.DataFrame:
    """The opponent's pace, its defence by zone and whether that row is ready, by game_date and opponent_team_abbr."""
    defenses = team_defense[["analysis_date", "team_abbr", *VS_LEAGUE, "production_ready"]].rename(
        columns={"analysis_date": "game_date", "production_ready": "upstream_team_defense_ready"}
    )
    teams = team_context[["game_date", "team_abbr", "team_pace_last_10"]].merge(
        defenses, on=["game_date", "team_abbr"], how="left", validate="one_to_one"
    )
    teams["upstream_team_defense_ready"] = teams["upstream_team_defense_ready"].fillna(False)
    return teams.rename(
        columns={
            "team_abbr": "opponent_team_abbr",
            "team_pace_last_10": "opponent_pace_last_10",
            **{zone: f"opponent_{zone}" for zone in VS_LEAGUE},
        }
    )


def of_player(player_zones: pd.DataFrame) -> pd.DataFrame:
    """The player's zones and whether that row is ready, by game_date and player_id."""
    rates = ["primary_scoring_zone", "paint_rate_last_10", "mid_range_rate_last_10", "three_pt_rate_last_10"]
    return player_zones[["analysis_date", "player_id", *rates, "production_ready"]].rename(
        columns={"analysis_date": "game_date", "production_ready": "upstream_shot_zone_ready"}
    )


def league_pace(slate: pd.DataFrame, team_defense: pd.DataFrame, team_offense_game_summary: pd.DataFrame) -> pd.Series:
    """Mean pace of all games of the season to date (a game's two rows are equal, so either mean is the same)."""
    days = team_defense[["analysis_date", "season"]].drop_duplicates().rename(columns={"analysis_date": "game_date"})
    games = windows.in_order(team_offense_game_summary, "team_abbr").assign(rows=1.0)
    running = windows.sums_to_date(games, ["season"], ["pace", "rows"])
    seen = windows.season_to_date(days, games[["game_date", "season"]].join(running))
    means = columns.ratio(seen["pace"], seen["rows"])
    return slate["game_date"].map(dict(zip(days["game_date"], means, strict=True)))


def fatigue_score(
    *,
    full_days_of_rest: pd.Series,
    back_to_back: pd.Series,
    games_in_last_7_days: pd.Series,
    minutes_in_last_7_days: pd.Series,
    avg_minutes_per_game_last_7: pd.Series,
    back_to_backs_last_14_days: pd.Series,
    player_age: pd.Series,
) -> pd.Series:
    """0..100, higher = fresher: 100 less what load and age cost; NULL where his rest is not known.

    What is not known (age, minutes of an empty week) costs nothing.
    """
    rest = np.select([back_to_back, at_least(full_days_of_rest, LONG_REST_DAYS)], [-BACK_TO_BACK_PENALTY, LONG_REST_BONUS], 0)
    back_to_backs = np.select(
        [back_to_backs_last_14_days >= 2, back_to_backs_last_14_days == 1],
        [TWO_BACK_TO_BACKS_PENALTY, ONE_BACK_TO_BACK_PENALTY],
        0,
    )
    age = np.select([player_age >= OLD_AGE, player_age >= MATURE_AGE], [OLD_PENALTY, MATURE_PENALTY], 0)
    score = (
        FRESH
        + rest
        - BUSY_WEEK_PENALTY * (games_in_last_7_days >= BUSY_WEEK_GAMES).astype("float64")
        - HEAVY_WEEK_PENALTY * above(minutes_in_last_7_days, HEAVY_WEEK_MINUTES).astype("float64")
        - HEAVY_GAME_PENALTY * above(avg_minutes_per_game_last_7, HEAVY_GAME_MINUTES).astype("float64")
        - back_to_backs
        - age
    )
    return score.clip(0, FRESH).where(full_days_of_rest.notna())


def fatigue_adjustment(fatigue_score: pd.Series) -> pd.Series:
    """Points that tiredness costs, -5..0."""
    return (fatigue_score - FRESH) / FATIGUE_POINTS


def shot_zone_mismatch_score(primary_zone: pd.Series, rates: pd.DataFrame, vs_league: pd.DataFrame) -> pd.Series:
    """-10..+10, positive where the opponent's defence is soft in the zones the player lives from.

    `rates` and `vs_league` hold paint, mid_range and three in this order, percent and percentage points. NULL without a primary
    zone or where a zone it needs is not known of the opponent.
    """
    weighted = {
        zone: vs_league.iloc[:, place] * (rates.iloc[:, place] / FULL_WEIGHT_RATE).clip(upper=1)
        for place, zone in enumerate(columns.ZONE_NAMES)
    }
    weighted["balanced"] = sum(rates.iloc[:, place] / 100 * vs_league.iloc[:, place] for place in range(3))
    mismatch = pd.Series(np.nan, index=primary_zone.index)
    for zone, value in weighted.items():
        mismatch = mismatch.mask(primary_zone == zone, value)
    strong = above(mismatch.abs(), STRONG_MISMATCH)
    return (mismatch * np.where(strong, STRONG_MISMATCH_FACTOR, 1.0)).clip(-MISMATCH_LIMIT, MISMATCH_LIMIT)


def pace_score(faster_than_league: pd.Series) -> pd.Series:
    """-3..+3, half of the possessions by which the expected pace exceeds the league's."""
    return (faster_than_league * PACE_FACTOR).clip(-PACE_LIMIT, PACE_LIMIT)


def usage_spike_score(projected: pd.Series, recent: pd.Series, star_teammates_out: pd.Series) -> pd.Series:
    """-3..+3, from the usage projected above the recent; a rise counts more with star teammates out."""
    change = (projected - recent) * USAGE_FACTOR
    factor = np.select([star_teammates_out >= 2, star_teammates_out == 1], [TWO_STARS_OUT_FACTOR, ONE_STAR_OUT_FACTOR], 1.0)
    return change.where(~(change > 0), change * factor).clip(-USAGE_LIMIT, USAGE_LIMIT)


def total_composite_adjustment(
    fatigue_adjustment: pd.Series, mismatch: pd.Series, pace: pd.Series, usage: pd.Series
) -> pd.Series:
    """Points, the sum of the four, NULL if any is."""
    return (fatigue_adjustment + mismatch + pace + usage).clip(TOTAL_LOWEST, TOTAL_HIGHEST)
