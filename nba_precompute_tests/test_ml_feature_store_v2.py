"""Form features against worked games; the joins are judged by the SQL oracle."""

import numpy as np
import pandas as pd
import pytest

from nba_precompute.tables import ml_feature_store_v2 as mlfs
from nba_precompute_tests.conftest import REAL_DATA, needs_real_data

DAY = pd.Timestamp("2021-12-20")


def form_of(points_newest_first, minutes_newest_first=None):
    """Form features of a player with these games, the newest on the day before the day."""
    points = points_newest_first[::-1]
    minutes = (minutes_newest_first or [30.0] * len(points))[::-1]
    games = pd.DataFrame(
        {
            "game_id": [f"00221{number:05d}" for number in range(len(points))],
            "game_date": pd.date_range(end=DAY - pd.Timedelta(days=1), periods=len(points)),
            "season": "2021-22",
            "player_id": 7,
            "points": points,
            "ft_makes": 0,
            "minutes_played": minutes,
        }
    )
    slate = pd.DataFrame({"game_date": [DAY], "season": "2021-22", "player_id": 7})
    return {name: values.iloc[0] for name, values in mlfs.form(slate, games).items()}


def test_points_over_twelve_games():
    found = form_of([22, 18, 30, 25, 14, 27, 19, 33, 21, 24, 10, 12])
    assert found["points_avg_last_5"] == pytest.approx(21.8)
    assert found["points_avg_last_10"] == pytest.approx(23.3)
    assert found["points_avg_season"] == pytest.approx(21.25)
    assert found["points_std_last_10"] == pytest.approx(5.7359, abs=1e-4)
    assert found["games_in_sample"] == 10


def test_did_not_play_is_the_absence_of_a_game_not_zero_points():
    newest_first = [21, 28, 24, "DNP", "DNP", "DNP", 33, 35, 26, 26]
    assert form_of([points for points in newest_first if points != "DNP"])["points_avg_last_5"] == pytest.approx(28.2)


def test_one_game_has_no_standard_deviation():
    assert np.isnan(form_of([20])["points_std_last_10"])
    assert form_of([20, 20])["points_std_last_10"] == 0


@pytest.mark.parametrize(
    ("points", "trend"),
    [
        ([25, 24, 26, 18, 17], 1),
        ([17, 18, 16, 25, 26], -1),
        ([22, 21, 23, 22, 21], 0),
        ([30, 20, 20, 20, 20], 2),
        ([24, 24, 20, 20, 20], 1),
    ],
)
def test_recent_trend_is_positive_where_points_rise(points, trend):
    assert form_of(points)["recent_trend"] == trend


def test_recent_trend_needs_five_games():
    assert np.isnan(form_of([30, 20, 10, 10])["recent_trend"])


@pytest.mark.parametrize(
    ("last_10", "season", "grade"), [(36, 28, 2), (32, 28, 1), (30.8, 28, 1), (30, 30, 0), (27, 30, -1), (24, 32, -2)]
)
def test_minutes_change_is_graded_against_the_season(last_10, season, grade):
    assert mlfs.minutes_change(pd.Series([float(last_10)]), pd.Series([float(season)])).iloc[0] == grade


@pytest.mark.parametrize(("own", "opponent", "advantage"), [(2, 0, 2), (0, 2, -2), (5, 0, 2), (1, 1, 0)])
def test_rest_advantage_is_clamped_to_two_days(own, opponent, advantage):
    assert mlfs.rest_advantage(pd.Series([own]), pd.Series([opponent])).iloc[0] == advantage


def test_rest_advantage_is_unknown_before_a_first_game():
    assert np.isnan(mlfs.rest_advantage(pd.Series([2], dtype="Int32"), pd.Series([None], dtype="Int32")).iloc[0])


def test_games_against_the_opponent_reach_back_365_days_and_no_further():
    slate = pd.DataFrame({"game_date": [DAY], "player_id": 7, "opponent_team_abbr": "NYK"})
    days = [DAY - pd.Timedelta(days=366), DAY - pd.Timedelta(days=365), DAY - pd.Timedelta(days=1), DAY]
    games = pd.DataFrame(
        {
            "game_id": ["0022000001", "0022000002", "0022100003", "0022100004"],
            "game_date": days,
            "player_id": 7,
            "opponent_team_abbr": "NYK",
            "points": [50, 10, 20, 99],
        }
    )
    found = mlfs.against_opponent(slate, games)
    assert found["games_vs_opponent"].iloc[0] == 2
    assert found["avg_points_vs_opponent"].iloc[0] == 15


def test_without_a_game_against_the_opponent_the_count_is_zero_and_the_mean_unknown():
    slate = pd.DataFrame({"game_date": [DAY], "player_id": 7, "opponent_team_abbr": "NYK"})
    games = pd.DataFrame({"game_date": [DAY - pd.Timedelta(days=3)], "player_id": 7, "opponent_team_abbr": "LAL", "points": 9})
    found = mlfs.against_opponent(slate, games)
    assert found["games_vs_opponent"].iloc[0] == 0
    assert np.isnan(found["avg_points_vs_opponent"].iloc[0])


@needs_real_data
def test_cade_cunningham_on_2025_01_09_has_24_4_points_over_his_last_five():
    box = pd.read_parquet(REAL_DATA / "player_box_scores.parquet", filters=[("player_id", "==", 1630595)])
    box["game_date"] = pd.to_datetime(box["game_date"])
    games = box[(box["season"] == "2024-25") & (box["game_id"].str[2] != "6")].sort_values("game_date", ignore_index=True)
    games = games.rename(columns={"pts": "points", "ftm": "ft_makes", "minutes": "minutes_played"})
    slate = pd.DataFrame({"game_date": [pd.Timestamp("2025-01-09")], "season": "2024-25", "player_id": 1630595})
    slate = slate.astype({"player_id": games["player_id"].dtype})
    assert mlfs.form(slate, games)["points_avg_last_5"].iloc[0] == pytest.approx(24.4)
