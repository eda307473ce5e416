"""The four factors against worked inputs and outputs (most observed from the original's pure functions)."""

import numpy as np
import pandas as pd
import pytest

from nba_precompute.tables import player_composite_factors as pcf

FATIGUE = [
    # full days of rest, back to back, games 7, minutes 7, minutes a game 7, back to backs 14, age -> score
    ((2, False, 3, 175.0, 29.2, 0, 28), 100),
    ((3, False, 4, 241.0, 35.1, 1, 30), 67),
    ((1, True, 4, 250.0, 36.5, 2, 35), 35),
    ((0, True, 5, 300, 40, 3, 38), 35),
    ((1, False, 3, 240.0, 35.0, 0, 29), 100),
    ((1, False, 3, 240.1, 35.01, 0, 30), 77),
    ((2, False, 3, 100, 33.3, 1, 34), 90),
    ((5, True, 4, 241, 36, 2, 36), 35),
    ((3, False, 4, 200, 30, 0, 25), 95),
    ((3, False, 1, 20, 20, 0, 40), 95),
]
MISMATCH = [
    (("paint", 65, 20, 15, 4.3, 0, 0), 4.3),
    (("paint", 65, 20, 15, -3.8, 0, 0), -3.8),
    (("paint", 70, 15, 15, 6.0, 0, 0), 7.2),
    (("paint", 25, 40, 35, 4, 0, 0), 2.0),
    (("perimeter", 20, 15, 65, 1, 1, 3.5), 3.5),
    (("paint", 80, 10, 10, 15, 0, 0), 10.0),
    (("mid_range", 30, 36, 34, 2, -5.0, 1), -3.6),
    (("mid_range", 20, 50, 30, 2, -5, 1), -5.0),
    (("perimeter", 30, 20, 50, 0, 0, 5.0), 5.0),
    (("perimeter", 30, 20, 50, 0, 0, 5.01), 6.012),
    (("perimeter", 30, 25, 45, 0, 0, 5.6), 6.048),
    (("paint", 45, 20, 35, -12, 0, 0), -10.0),
    (("balanced", 35, 30, 35, 4, -9, -9), -4.45),
]
PACE = [(3.5, 1.75), (-4.0, -2.0), (6, 3.0), (6.1, 3.0), (10, 3.0), (-10, -3.0), (1.3, 0.65), (0, 0.0)]
USAGE = [
    ((26, 25, 0), 0.3),
    ((20, 25, 0), -1.5),
    ((30, 25, 1), 1.725),
    ((30, 25, 2), 1.95),
    ((30, 25, 3), 1.95),
    ((20, 25, 2), -1.5),
    ((50, 20, 0), 3.0),
    ((10, 40, 0), -3.0),
]
TOTAL = [((35, -10, -3, -3), -19.25), ((100, 10, 3, 3), 15.0), ((100, 0, 0, 0), 0.0)]


def fatigue(rest, back_to_back, games, minutes, average, back_to_backs, age):
    return pcf.fatigue_score(
        full_days_of_rest=pd.Series([rest], dtype="float64"),
        back_to_back=pd.Series([back_to_back]),
        games_in_last_7_days=pd.Series([games]),
        minutes_in_last_7_days=pd.Series([minutes], dtype="float64"),
        avg_minutes_per_game_last_7=pd.Series([average], dtype="float64"),
        back_to_backs_last_14_days=pd.Series([back_to_backs]),
        player_age=pd.Series([age], dtype="float64"),
    ).iloc[0]


def mismatch(zone, paint, mid, three, paint_vs, mid_vs, three_vs):
    return pcf.shot_zone_mismatch_score(
        pd.Series([zone], dtype="object"),
        pd.DataFrame([[paint, mid, three]], dtype="float64"),
        pd.DataFrame([[paint_vs, mid_vs, three_vs]], dtype="float64"),
    ).iloc[0]


@pytest.mark.parametrize(("load", "score"), FATIGUE)
def test_fatigue_score_of_worked_loads(load, score):
    assert fatigue(*load) == score


@pytest.mark.parametrize(("score", "points"), [(100, 0.0), (67, -1.65), (35, -3.25)])
def test_fatigue_adjustment_is_a_twentieth_of_the_score_lost(score, points):
    assert pcf.fatigue_adjustment(pd.Series([score])).iloc[0] == pytest.approx(points)


def test_a_week_without_a_game_costs_nothing_and_an_unknown_age_neither():
    assert fatigue(8, False, 0, 0.0, np.nan, 0, np.nan) == 100


def test_fatigue_is_unknown_only_where_the_rest_is():
    assert np.isnan(fatigue(np.nan, False, 0, 0.0, np.nan, 0, 28))


@pytest.mark.parametrize(("case", "score"), MISMATCH)
def test_mismatch_of_worked_zones(case, score):
    assert mismatch(*case) == pytest.approx(score, abs=1e-9)


def test_mismatch_needs_only_the_primary_zone_of_the_opponent():
    assert mismatch("paint", 60, 20, 20, 3.0, np.nan, np.nan) == pytest.approx(3.0)
    assert np.isnan(mismatch("balanced", 35, 30, 35, 3.0, np.nan, 1.0))
    assert np.isnan(mismatch(None, np.nan, np.nan, np.nan, 3.0, 1.0, 1.0))


@pytest.mark.parametrize(("faster", "score"), PACE)
def test_pace_score_is_half_the_difference_clamped(faster, score):
    assert pcf.pace_score(pd.Series([faster], dtype="float64")).iloc[0] == pytest.approx(score)


@pytest.mark.parametrize(("case", "score"), USAGE)
def test_usage_rises_count_more_with_stars_out_and_falls_do_not(case, score):
    projected, recent, stars = (pd.Series([value]) for value in case)
    assert pcf.usage_spike_score(projected, recent, stars).iloc[0] == pytest.approx(score)


@pytest.mark.parametrize(("parts", "points"), TOTAL)
def test_the_total_adds_the_adjustment_and_the_scores(parts, points):
    score, zone, pace, usage = (pd.Series([value], dtype="float64") for value in parts)
    total = pcf.total_composite_adjustment(pcf.fatigue_adjustment(score), zone, pace, usage)
    assert total.iloc[0] == pytest.approx(points)


def test_the_total_is_unknown_where_a_part_is():
    known, unknown = pd.Series([1.0]), pd.Series([np.nan])
    assert pcf.total_composite_adjustment(known, known, unknown, known).isna().all()
