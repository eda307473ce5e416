"""PSZA over hand-made games: zone shares, their denominators, primary zone and grades."""

import pandas as pd
import pytest

from nba_precompute.tables import player_shot_zone_analysis as psza
from nba_precompute_tests.conftest import schedule_row

DAY = pd.Timestamp("2021-11-20")
A_GAME = [8, 5, 4, 2, 6, 2, 9, 6, 3]
NO_MID_RANGE = [8, 5, 0, 0, 6, 2, 7, 6, 1]
UNEQUAL_GAMES = [
    [6, 4, 3, 1, 7, 2, 7, 5, 2],
    [9, 5, 2, 1, 5, 2, 8, 4, 4],
    [4, 3, 5, 3, 8, 3, 9, 6, 3],
    [7, 4, 4, 1, 6, 1, 6, 3, 3],
    [10, 7, 1, 0, 4, 2, 9, 7, 2],
    [5, 2, 6, 2, 9, 4, 8, 5, 3],
    [8, 6, 3, 2, 3, 0, 8, 6, 2],
    [3, 1, 4, 2, 10, 5, 8, 6, 2],
    [6, 3, 2, 1, 6, 3, 7, 4, 3],
    [11, 7, 3, 1, 5, 1, 9, 5, 4],
]


def analysis(games, complete=None):
    """The row of a player with these games, each [paint att, made, mid att, made, three att, made, makes, assisted, not]."""
    complete = complete or [True] * len(games)
    days = pd.date_range(end=DAY - pd.Timedelta(days=1), periods=len(games))
    names = ["paint_attempts", "paint_makes", "mid_range_attempts", "mid_range_makes", "three_zone_attempts"]
    names += ["three_zone_makes", "fg_makes", "assisted_fg_makes", "unassisted_fg_makes"]
    rows = pd.DataFrame(games, columns=names).astype("Int32")
    rows["has_complete_shot_zones"] = complete
    rows.loc[[not there for there in complete], names[:6]] = pd.NA
    rows["game_id"] = [f"00221{number:05d}" for number in range(len(games))]
    rows["game_date"], rows["season"], rows["player_id"], rows["team_abbr"] = days, "2021-22", 1, "BOS"
    rows["player_lookup"] = "somebody"
    schedule = [schedule_row(game, day, "BOS", "NYK") for game, day in zip(rows["game_id"], days, strict=True)]
    schedule.append(schedule_row("0022199999", DAY, "BOS", "NYK"))
    found = psza.player_shot_zone_analysis([DAY], schedule=pd.DataFrame(schedule), player_game_summary=rows)
    assert len(found) == 1
    return found.iloc[0]


def rates(row):
    return [row["paint_rate_last_10"], row["mid_range_rate_last_10"], row["three_pt_rate_last_10"]]


def pcts(row):
    return [row["paint_pct_last_10"], row["mid_range_pct_last_10"], row["three_pt_pct_last_10"]]


def per_game(row):
    return [row["paint_attempts_per_game"], row["mid_range_attempts_per_game"], row["three_pt_attempts_per_game"]]


def test_ten_equal_games_have_the_shares_of_one():
    row = analysis([A_GAME] * 10)
    assert rates(row) == pytest.approx([44.444444, 22.222222, 33.333333], abs=1e-6)
    assert pcts(row) == pytest.approx([0.625, 0.5, 0.333333], abs=1e-6)
    assert per_game(row) == [8, 4, 6]
    assert row["assisted_rate_last_10"] == pytest.approx(66.666667)
    assert (row["total_shots_last_10"], row["primary_scoring_zone"]) == (180, "paint")
    assert (row["completeness_pct"], row["production_ready"]) == (100, True)


def test_games_without_zones_leave_the_figures_of_the_others():
    row = analysis([A_GAME] * 10, complete=[True, False] * 5)
    assert rates(row) == pytest.approx([44.444444, 22.222222, 33.333333], abs=1e-6)
    assert per_game(row) == [8, 4, 6]
    assert (row["total_shots_last_10"], row["zone_games_in_sample_10"], row["games_in_sample_10"]) == (90, 5, 10)
    assert (row["completeness_pct"], row["production_ready"]) == (50, True)


def test_a_zone_without_attempts_has_a_rate_of_zero_and_no_percentage():
    row = analysis([NO_MID_RANGE] * 10)
    assert rates(row) == pytest.approx([57.142857, 0, 42.857143], abs=1e-6)
    assert pd.isna(row["mid_range_pct_last_10"])
    assert row["primary_scoring_zone"] == "paint"


def test_sums_come_before_ratios():
    row = analysis(UNEQUAL_GAMES)
    assert [round(rate, 2) for rate in rates(row)] == [41.82, 20.0, 38.18]
    assert [round(pct, 3) for pct in pcts(row)] == [0.609, 0.424, 0.365]
    assert [round(attempts, 1) for attempts in per_game(row)] == [6.9, 3.3, 6.3]
    assert round(row["assisted_rate_last_10"], 2) == 64.56
    assert (row["total_shots_last_10"], row["primary_scoring_zone"]) == (165, "paint")


def test_only_the_last_ten_games_count_for_the_short_window():
    row = analysis([NO_MID_RANGE] * 5 + [A_GAME] * 10)
    assert rates(row) == pytest.approx([44.444444, 22.222222, 33.333333], abs=1e-6)
    assert row["paint_rate_last_20"] == pytest.approx(100 * 15 * 8 / (5 * 14 + 10 * 18))
    assert (row["games_in_sample_10"], row["games_in_sample_20"]) == (10, 15)
    assert (row["sample_quality_10"], row["sample_quality_20"]) == ("excellent", "good")


def test_without_a_zone_game_zone_figures_are_unknown_not_zero():
    row = analysis([A_GAME] * 6, complete=[False] * 6)
    assert all(pd.isna(value) for value in [*rates(row), *per_game(row), row["total_shots_last_10"]])
    assert pd.isna(row["primary_scoring_zone"])
    assert (row["completeness_pct"], row["production_ready"]) == (0, False)


def test_a_scheduled_game_without_a_box_score_lowers_completeness():
    games = [A_GAME] * 6
    row = analysis(games)
    assert row["completeness_pct"] == 100
    missing_one = analysis_without_first_box_score(games)
    assert missing_one["completeness_pct"] == pytest.approx(100 * 5 / 6)


def analysis_without_first_box_score(games):
    days = pd.date_range(end=DAY - pd.Timedelta(days=1), periods=len(games))
    schedule = [schedule_row(f"00221{number:05d}", day, "BOS", "NYK") for number, day in enumerate(days)]
    schedule.append(schedule_row("0022199999", DAY, "BOS", "NYK"))
    names = ["paint_attempts", "paint_makes", "mid_range_attempts", "mid_range_makes", "three_zone_attempts"]
    names += ["three_zone_makes", "fg_makes", "assisted_fg_makes", "unassisted_fg_makes"]
    rows = (
        pd.DataFrame(games, columns=names)
        .astype("Int32")
        .assign(
            has_complete_shot_zones=True,
            game_id=[row["game_id"] for row in schedule[:-1]],
            game_date=days,
            season="2021-22",
            player_id=1,
            team_abbr="BOS",
            player_lookup="somebody",
        )
    )
    return psza.player_shot_zone_analysis([DAY], schedule=pd.DataFrame(schedule), player_game_summary=rows.iloc[1:]).iloc[0]


@pytest.mark.parametrize(
    ("shares", "zone"),
    [
        ([45, 20, 35], "paint"),
        ([35, 25, 40], "perimeter"),
        ([35, 30, 35], "balanced"),
        ([30, 35, 35], "mid_range"),
        ([35, 25, 38], "balanced"),
        ([45, 10, 45], "paint"),
        ([40 - 1e-12, 20, 40], "paint"),
    ],
)
def test_the_primary_zone_is_asked_in_order_paint_three_mid_range(shares, zone):
    assert psza.primary_scoring_zone(*(pd.Series([share], dtype="float64") for share in shares)).iloc[0] == zone
