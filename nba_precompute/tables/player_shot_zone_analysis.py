"""player_shot_zone_analysis (PSZA): where each player shoots from and how well, as of the morning of a day.

Grain: one row a player with a game of the season to date, long-absent ones too. Key: analysis_date, player_id.
Partition: analysis_date.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nba_precompute.tables import columns, windows
from nba_precompute.tables.columns import Table, fraction, integer, number
from nba_precompute.tables.windows import at_least

SHORT_WINDOW, LONG_WINDOW = 10, 20

PRIMARY_PAINT_RATE, PRIMARY_THREE_RATE, PRIMARY_MID_RANGE_RATE = 40, 40, 35
"""Percent of attempts from which a zone is a player's own, asked in this order (the original's thresholds)."""

QUALITIES = ["excellent", "good", "limited"]
SHORT_QUALITY_GAMES, LONG_QUALITY_GAMES = [10, 7, 5], [20, 14, 10]
"""Games in the window from which a sample is excellent, good or limited (TABLES.md)."""

PLAYER_SHOT_ZONE_ANALYSIS: Table = columns.table(
    dataset="nba_precompute",
    name="player_shot_zone_analysis",
    day="analysis_date",
    key=["analysis_date", "player_id"],
    code_version="1",
    description=(
        "Where each player with a game of the season to date shoots from and how well, over his last 10 and last 20 games, as of "
        "the morning of the day. Zone figures use and divide by games with complete zones only."
    ),
    columns={
        "analysis_date": columns.day("partition; the morning of this day, uses games before it only"),
        **columns.shared("player_id", "player_lookup", "season"),
        **columns.shared("paint_rate_last_10", "mid_range_rate_last_10", "three_pt_rate_last_10"),
        "paint_pct_last_10": fraction("makes / attempts from the paint, zone games of the last 10"),
        "mid_range_pct_last_10": fraction("makes / attempts from mid-range, zone games of the last 10"),
        "three_pt_pct_last_10": fraction("makes / attempts for three, zone games of the last 10"),
        "paint_attempts_per_game": number("from the paint a zone game of the last 10", "attempts", ge=0),
        "mid_range_attempts_per_game": number("from mid-range a zone game of the last 10", "attempts", ge=0),
        "three_pt_attempts_per_game": number("for three a zone game of the last 10", "attempts", ge=0),
        "total_shots_last_10": integer("attempts in the zone games of the last 10; NULL without one"),
        **columns.shared("primary_scoring_zone"),
        "assisted_rate_last_10": columns.percent("assisted share of makes, games of the last 10 where known"),
        "unassisted_rate_last_10": columns.percent("unassisted share of makes, games of the last 10 where known"),
        "paint_rate_last_20": columns.percent("share of attempts from the paint, zone games of the last 20"),
        "paint_pct_last_20": fraction("makes / attempts from the paint, zone games of the last 20"),
        "games_in_sample_10": integer("games of the last 10 that there are", nullable=False, ge=1, le=SHORT_WINDOW),
        "games_in_sample_20": integer("games of the last 20 that there are", nullable=False, ge=1, le=LONG_WINDOW),
        "zone_games_in_sample_10": integer("those of the last 10 with complete zones", nullable=False, le=SHORT_WINDOW),
        "sample_quality_10": columns.text("from 10, 7, 5 games, else insufficient", isin=[*QUALITIES, "insufficient"]),
        "sample_quality_20": columns.text("from 20, 14, 10 games, else insufficient", isin=[*QUALITIES, "insufficient"]),
        "completeness_pct": columns.percent(
            "the smaller of zone games of his last 10, and of box scores of his team's last 10 scheduled games",
            nullable=False,
        ),
        "production_ready": columns.flag("completeness >= 50 and 5 games in the sample"),
        "calculation_version": columns.text("version of the rules", isin=[columns.CALCULATION_VERSION]),
    },
)


def player_shot_zone_analysis(
    days: Sequence[pd.Timestamp], *, schedule: pd.DataFrame, player_game_summary: pd.DataFrame
) -> pd.DataFrame:
    """A row for every day and every player with a game of the season to date.

    `schedule` and `player_game_summary` hold the seasons of the days from their first games on.
    """
    games = zone_games(player_game_summary)
    latest = games[["game_date", "season", "player_id", "player_lookup", "team_abbr"]].join(sums_of_windows(games))
    players = windows.players_as_of(windows.days_of(schedule, days), latest)
    attempts = players[[f"{summed}_attempts_last_10" for summed in columns.ZONES.values()]].sum(axis=1)
    for zone, summed in columns.ZONES.items():
        zone_attempts = players[f"{summed}_attempts_last_10"]
        players[f"{zone}_rate_last_10"] = columns.ratio(100 * zone_attempts, attempts)
        players[f"{zone}_pct_last_10"] = columns.ratio(players[f"{summed}_makes_last_10"], zone_attempts)
        players[f"{zone}_attempts_per_game"] = columns.ratio(zone_attempts, players["zone_games_last_10"])
    players["total_shots_last_10"] = attempts.where(players["zone_games_last_10"] > 0)
    players["primary_scoring_zone"] = primary_scoring_zone(
        players["paint_rate_last_10"], players["mid_range_rate_last_10"], players["three_pt_rate_last_10"]
    )
    players["assisted_rate_last_10"] = columns.ratio(100 * players["assisted_last_10"], players["makes_known_last_10"])
    players["unassisted_rate_last_10"] = columns.ratio(100 * players["unassisted_last_10"], players["makes_known_last_10"])
    attempts_20 = players[[f"{summed}_attempts_last_20" for summed in columns.ZONES.values()]].sum(axis=1)
    players["paint_rate_last_20"] = columns.ratio(100 * players["paint_attempts_last_20"], attempts_20)
    players["paint_pct_last_20"] = columns.ratio(players["paint_makes_last_20"], players["paint_attempts_last_20"])
    players["games_in_sample_10"] = players["games_last_10"]
    players["games_in_sample_20"] = players["games_last_20"]
    players["zone_games_in_sample_10"] = players["zone_games_last_10"]
    players["sample_quality_10"] = sample_quality(players["games_last_10"], SHORT_QUALITY_GAMES)
    players["sample_quality_20"] = sample_quality(players["games_last_20"], LONG_QUALITY_GAMES)
    players["completeness_pct"] = completeness_pct(players, schedule, player_game_summary)
    players["production_ready"] = at_least(players["completeness_pct"], columns.READY_COMPLETENESS) & (
        players["games_in_sample_10"] >= columns.READY_GAMES
    )
    players["calculation_version"] = columns.CALCULATION_VERSION
    return PLAYER_SHOT_ZONE_ANALYSIS.conform(players.rename(columns={"game_date": "analysis_date"}))


def zone_games(player_game_summary: pd.DataFrame) -> pd.DataFrame:
    """Games in order; counts that a game does not know are 0, so that sums leave that game out."""
    games = windows.in_order(player_game_summary, "player_id")
    known = games["assisted_fg_makes"].notna()
    return games.assign(
        **{count: games[count].astype("float64").fillna(0.0) for count in columns.ZONE_COUNTS},
        games=1.0,
        zone_games=games["has_complete_shot_zones"].astype("float64"),
        assisted=games["assisted_fg_makes"].astype("float64").fillna(0.0),
        unassisted=games["unassisted_fg_makes"].astype("float64").fillna(0.0),
        makes_known=games["fg_makes"].astype("float64").where(known, 0.0),
    )


def sums_of_windows(games: pd.DataFrame) -> pd.DataFrame:
    """Sums over each player's last 10 and last 20 games, named with the suffixes `_last_10` and `_last_20`."""
    summed = [*columns.ZONE_COUNTS, "games", "zone_games", "assisted", "unassisted", "makes_known"]
    return pd.concat(
        [windows.sums_of_last(games, n, "player_id", summed).add_suffix(f"_last_{n}") for n in (SHORT_WINDOW, LONG_WINDOW)],
        axis=1,
    )


def primary_scoring_zone(paint_rate: pd.Series, mid_range_rate: pd.Series, three_pt_rate: pd.Series) -> pd.Series:
    """The zone a player lives from, by percent of attempts; balanced where none is, NULL without attempts."""
    zone = np.select(
        [
            paint_rate.isna(),
            at_least(paint_rate, PRIMARY_PAINT_RATE),
            at_least(three_pt_rate, PRIMARY_THREE_RATE),
            at_least(mid_range_rate, PRIMARY_MID_RANGE_RATE),
        ],
        np.array([None, "paint", "perimeter", "mid_range"], dtype="object"),
        "balanced",
    )
    return pd.Series(zone, index=paint_rate.index, dtype="object")


def sample_quality(games: pd.Series, thresholds: Sequence[int]) -> pd.Series:
    """excellent, good or limited from the given numbers of games, else insufficient."""
    quality = np.select([games >= threshold for threshold in thresholds], QUALITIES, "insufficient")
    return pd.Series(quality, index=games.index, dtype="object")


def completeness_pct(players: pd.DataFrame, schedule: pd.DataFrame, player_game_summary: pd.DataFrame) -> pd.Series:
    """The smaller of the zone games of his last 10, and the box scores of his latest team's last 10 scheduled games."""
    scheduled = windows.of_form(windows.team_games(schedule)).assign(scheduled=1.0)
    scheduled["there"] = scheduled["game_id"].isin(player_game_summary["game_id"].unique()).astype("float64")
    sums = windows.sums_of_last(scheduled, SHORT_WINDOW, "team_abbr", ["scheduled", "there"])
    history = scheduled[["game_date", "season", "team_abbr"]].join(sums)
    team = windows.season_to_date(players, history, "team_abbr")
    of_player = 100 * players["zone_games_last_10"] / players["games_last_10"]
    of_team = columns.ratio(100 * team["there"], team["scheduled"])
    return np.minimum(of_player, of_team)
