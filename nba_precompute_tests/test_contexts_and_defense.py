"""Contexts and TDZA over hand-made games: load, news, stars, projected usage, lines; the windows are judged by the SQL oracle."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from nba_precompute.tables import columns, windows
from nba_precompute.tables import team_defense_zone_analysis as tdza
from nba_precompute.tables import upcoming_player_game_context as upgc
from nba_precompute.tables import upcoming_team_game_context as utgc
from nba_precompute_tests.conftest import schedule_row

DAY = pd.Timestamp("2021-12-10")


def slate_of(usage_and_minutes, absent=()):
    """Players of one team with this usage and these minutes over ten games."""
    players = len(usage_and_minutes)
    rows = pd.DataFrame(
        {
            "game_date": [DAY] * players,
            "team_abbr": "BOS",
            "player_id": range(players),
            "games_last_10": 10.0,
            "seconds_last_10": [600.0 * minutes for _, minutes in usage_and_minutes],
            "points_last_10": 100.0,
            "is_absent": [player in absent for player in range(players)],
        }
    )
    # shots alone make the usage: attempts / minutes in proportion to a team of 100 attempts in 240 minutes
    rows["fg_attempts_last_10"] = [usage / 100 * minutes / 48 * 100 * 10 for usage, minutes in usage_and_minutes]
    rows[["ft_attempts_last_10", "turnovers_last_10", "team_ft_attempts_last_10", "team_turnovers_last_10"]] = 0.0
    rows["team_fg_attempts_last_10"] = 1000.0
    rows["team_seconds_last_10"] = 240 * 60 * 10.0
    return rows


@pytest.mark.parametrize(
    ("available", "projected"),
    [
        (
            [[30, 36], [24, 34], [20, 32], [18, 30], [16, 28], [14, 24], [12, 20], [20, 18], [18, 18]],
            [30.100334, 24.080268, 20.06689, 18.060201, 16.053512, 14.046823, 12.040134, 20.06689, 18.060201],
        ),
        ([[20, 40]] * 6, [20] * 6),
        ([[24, 30], [12, 30]], [26.666667, 13.333333]),
    ],
)
def test_projected_usage_shares_a_mean_of_twenty_among_the_available(available, projected):
    found = upgc.projected_usage_rate(slate_of(available))
    assert found.tolist() == pytest.approx(projected, abs=1e-6)


def test_projected_usage_rises_with_a_star_absent():
    team = [[30, 36], [20, 30], [20, 30]]
    everyone = upgc.projected_usage_rate(slate_of(team))
    without = upgc.projected_usage_rate(slate_of(team, absent=[0]))
    assert without[1] == pytest.approx(20)
    assert without[1] > everyone[1]


def test_projected_usage_is_unknown_with_nobody_available():
    assert upgc.projected_usage_rate(slate_of([[20, 30]], absent=[0])).isna().all()


@pytest.mark.parametrize(
    ("points", "minutes", "usage", "star"),
    [(18, 20, 10, True), (17.9, 27.9, 24.9, False), (5, 28, 10, True), (5, 15, 25, True), (5, 14.9, 25, False)],
)
def test_a_star_scores_18_or_plays_28_minutes_or_uses_25_percent_in_15(points, minutes, usage, star):
    rows = slate_of([[usage, minutes]]).assign(points_last_10=10.0 * points)
    assert upgc.is_star(rows).tolist() == [star]


def test_a_players_own_absence_is_not_his_teammates():
    rows = slate_of([[30, 36], [30, 36], [10, 10]]).assign(player_status=["out", "doubtful", "available"])
    assert upgc.absences(rows)["star_teammates_out"].tolist() == [1, 1, 2]


def news(*items):
    return pd.DataFrame(items, columns=["date", "player_id", "status", "note"]).assign(
        date=lambda rows: pd.to_datetime(rows["date"])
    )


def status(items, played=("2021-12-01",), source="captured"):
    candidate = pd.DataFrame({"game_date": [DAY], "player_id": 1, "context_source": source})
    games = pd.DataFrame({"game_date": pd.to_datetime(list(played)), "player_id": 1})
    return upgc.player_status(candidate, news(*items), games).iloc[0]


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([], "available"),
        ([("2021-12-05", 1, "out", "placed on IL")], "out"),
        ([("2021-12-10", 1, "out", "placed on IL")], "available"),
        ([("2021-12-05", 1, "out", ""), ("2021-12-08", 1, "returned", "")], "available"),
        ([("2021-12-08", 1, "returned", ""), ("2021-12-08", 1, "out", "")], "out"),
        ([("2021-12-09", 1, "out", "sore knee (DTD)")], "doubtful"),
        ([("2021-12-08", 1, "out", "sore knee (DTD)")], "questionable"),
        ([("2021-12-05", None, "out", ""), ("2021-12-05", 2, "out", "")], "available"),
    ],
    ids=["no news", "out", "news of the day", "returned", "the last of a date", "fresh DTD", "older DTD", "others' news"],
)
def test_status_follows_the_latest_news_before_the_day(items, expected):
    assert status(items) == expected


def test_a_game_after_the_news_ends_it_and_one_on_its_date_does_not():
    out = [("2021-12-05", 1, "out", "placed on IL")]
    assert status(out, played=["2021-12-07"]) == "available"
    assert status(out, played=["2021-12-05"]) == "out"
    assert status(out, played=["2021-12-10"]) == "out"


def test_nobody_is_known_to_be_out_on_a_synthetic_date():
    assert status([("2021-12-05", 1, "out", "placed on IL")], source="synthetic") == "available"


@pytest.mark.parametrize(("day", "source"), [("2021-12-01", "synthetic"), ("2021-12-02", "captured"), ("2021-12-11", "captured"),
                                             ("2021-12-12", "synthetic")])  # fmt: skip
def test_a_date_is_captured_where_the_day_before_is_covered(day, source):
    days = pd.DataFrame({"game_date": [pd.Timestamp(day)]})
    assert utgc.context_source(days, (date(2021, 12, 1), date(2021, 12, 10))).tolist() == [source]
    assert utgc.context_source(days, None).tolist() == ["synthetic"]


def test_age_is_whole_years_on_the_day():
    slate = pd.DataFrame({"game_date": pd.to_datetime(["2021-12-09", "2021-12-10", "2021-12-10"]), "player_id": [1, 1, 2]})
    players = pd.DataFrame({"player_id": [1], "birth_date": pd.to_datetime(["1990-12-10"])})
    assert upgc.player_age(slate, players).tolist()[:2] == [30, 31]
    assert pd.isna(upgc.player_age(slate, players)[2])


def test_load_counts_days_before_the_day_cup_finals_included():
    games = pd.DataFrame(
        {
            "game_id": ["0022100001", "0022100002", "0062100001", "0022100003"],
            "game_date": pd.to_datetime(["2021-11-27", "2021-12-02", "2021-12-03", "2021-12-10"]),
            "season": "2021-22",
            "player_id": 1,
            "minutes": [10.0, 20.0, 30.5, 40.0],
        }
    )
    slate = pd.DataFrame({"game_date": [DAY], "season": "2021-22", "player_id": 1})
    load = {name: values.iloc[0] for name, values in upgc.load(slate, games).items()}
    assert load["days_since_last_game"] == 7
    assert not load["is_back_to_back"]
    assert load["games_in_last_7_days"] == 1
    assert load["minutes_in_last_7_days"] == 30.5
    assert load["back_to_backs_last_14_days"] == 1


def test_a_week_without_a_game_has_no_average():
    games = pd.DataFrame(
        {
            "game_id": ["0022100001"],
            "game_date": [DAY - pd.Timedelta(days=8)],
            "season": "2021-22",
            "player_id": 1,
            "minutes": [30.0],
        }
    )
    slate = pd.DataFrame({"game_date": [DAY], "season": "2021-22", "player_id": 1})
    load = upgc.load(slate, games)
    assert load["games_in_last_7_days"].tolist() == load["minutes_in_last_7_days"].tolist() == [0]
    assert load["avg_minutes_per_game_last_7"].isna().all()


# ------------------------------------------------------------------------------------------------------- lines

TIP_OFF = pd.Timestamp("2021-12-11 00:00")
SCHEDULE = pd.DataFrame([schedule_row("0022100009", DAY, "BOS", "NYK", start_utc=TIP_OFF)])


def offers(*rows):
    found = pd.DataFrame(rows, columns=["bookmaker", "line", "american_over", "american_under", "snapshot_time"])
    return found.assign(game_id="0022100009", player_id=1, snapshot_time=pd.to_datetime(found["snapshot_time"]))


def line(*rows, pick=windows.latest_snapshot):
    found = columns.points_line(pick(windows.known_before_tip_off(offers(*rows), SCHEDULE)))
    return None if found.empty else found.iloc[0]


def test_the_line_is_the_median_over_bookmakers():
    assert line(("a", 20.5, -110, -110, None), ("b", 21.5, -110, -110, None)) == 21.0
    assert line(("a", 20.5, -110, -110, None), ("b", 21.5, -110, -110, None), ("c", 30.5, -110, -110, None)) == 21.5


def test_a_bookmakers_main_line_has_the_closest_prices():
    assert line(("a", 18.5, -150, 120, None), ("a", 20.5, -115, -105, None), ("a", 22.5, 130, -160, None)) == 20.5


def test_a_missing_price_comes_last_and_the_lower_line_wins_a_tie():
    assert line(("a", 18.5, None, -110, None), ("a", 20.5, -200, 170, None)) == 20.5
    assert line(("a", 21.5, -110, -110, None), ("a", 20.5, -110, -110, None)) == 20.5


def test_a_line_taken_during_the_game_is_not_known_before_it():
    early, late = "2021-12-10 17:00", "2021-12-11 00:30"
    assert line(("a", 20.5, -110, -110, early), ("a", 35.5, -110, -110, late)) == 20.5
    assert line(("a", 35.5, -110, -110, str(TIP_OFF))) is None


def test_a_timed_snapshot_is_later_than_an_untimed_one():
    assert line(("a", 20.5, -110, -110, None), ("a", 22.5, -110, -110, "2021-12-10 12:00")) == 22.5


def test_a_bookmaker_who_is_not_in_the_latest_snapshot_has_no_line():
    assert line(("a", 20.5, -110, -110, "2021-12-10 12:00"), ("b", 22.5, -110, -110, "2021-12-10 17:00")) == 22.5


def test_an_opening_line_needs_two_timed_snapshots():
    pick = windows.opening_snapshot
    one, two = ("a", 20.5, -110, -110, "2021-12-10 12:00"), ("a", 22.5, -110, -110, "2021-12-10 17:00")
    assert line(one, two, pick=pick) == 20.5
    assert line(one, pick=pick) is None
    assert line(one, ("a", 19.5, -110, -110, None), pick=pick) is None


def test_spread_and_totals_from_the_teams_side():
    teams = pd.DataFrame({"game_id": ["0022100009"] * 2, "is_home": [True, False]})
    lines = pd.DataFrame({"game_id": ["0022100009"], "spread_home": [-4.5], "total": [220.5]})
    found = utgc.line(teams, lines)
    assert found["game_spread"].tolist() == [-4.5, 4.5]
    assert found["implied_team_total"].tolist() == [112.5, 108.0]


# ------------------------------------------------------------------------------------------------------- defence


@pytest.mark.parametrize(
    ("vs_league", "zones"),
    [
        ([3, -2.5, 0.5], ("mid_range", "paint")),
        ([1, 0.5, -4], ("perimeter", "paint")),
        ([2, None, -1], ("perimeter", "paint")),
        ([0.1, 0.2, -0.1], ("perimeter", "mid_range")),
        ([0, 0, 0], ("paint", "paint")),
    ],
)
def test_strongest_and_weakest_zone(vs_league, zones):
    strongest, weakest = tdza.extreme_zones(pd.DataFrame([vs_league], dtype="float64"))
    assert (strongest.iloc[0], weakest.iloc[0]) == zones


def test_without_a_known_zone_there_is_no_strongest():
    strongest, weakest = tdza.extreme_zones(pd.DataFrame([[np.nan] * 3]))
    assert strongest.isna().all()
    assert weakest.isna().all()


def defense_game(number, day, team, opponent, made=5, attempted=10, complete=True):
    zones = {f"{zone}_{kind}_allowed": count for zone in ("paint", "mid_range", "three_zone")
             for kind, count in (("makes", made), ("attempts", attempted))}  # fmt: skip
    return {
        "game_id": f"00221{number:05d}",
        "game_date": pd.Timestamp(day),
        "season": "2021-22",
        "team_abbr": team,
        "opponent_team_abbr": opponent,
        "has_complete_shot_zones": complete,
        "points_allowed": 100,
        "opp_possessions": 100.0,
        "pace": 98.0,
        **{name: count if complete else None for name, count in zones.items()},
    }


def test_a_defence_is_measured_against_the_whole_league():
    games = [defense_game(1, "2021-12-01", "BOS", "NYK", made=6), defense_game(1, "2021-12-01", "NYK", "BOS", made=4)]
    schedule = pd.DataFrame(
        [schedule_row("0022100001", "2021-12-01", "BOS", "NYK"), schedule_row("0022100002", DAY, "BOS", "NYK"),
         schedule_row("0022100003", DAY, "LAL", "GSW")]
    )  # fmt: skip
    found = tdza.team_defense_zone_analysis([DAY], schedule=schedule, team_defense_game_summary=pd.DataFrame(games))
    found = found.set_index("team_abbr")
    assert found["paint_defense_vs_league_avg"].to_dict() == pytest.approx(
        {"BOS": 10, "NYK": -10, "LAL": np.nan, "GSW": np.nan}, nan_ok=True
    )
    assert found["league_paint_pct"].tolist() == [0.5] * 4
    assert found.loc["LAL", "games_in_sample"] == 0
    assert pd.isna(found.loc["LAL", "completeness_pct"])
    assert not found["production_ready"].any()


def test_a_scheduled_game_without_zones_counts_against_completeness():
    games, schedule = [], [schedule_row("0022199999", DAY, "BOS", "NYK")]
    for number, day in enumerate(pd.date_range("2021-11-20", periods=10)):
        schedule.append(schedule_row(f"00221{number:05d}", day, "BOS", "NYK"))
        if number > 0:
            games += [defense_game(number, day, "BOS", "NYK", complete=number > 4), defense_game(number, day, "NYK", "BOS")]
    found = tdza.team_defense_zone_analysis(
        [DAY], schedule=pd.DataFrame(schedule), team_defense_game_summary=pd.DataFrame(games)
    )
    found = found.set_index("team_abbr")
    assert found["completeness_pct"].to_dict() == {"BOS": 50.0, "NYK": 90.0}
    assert found["production_ready"].to_dict() == {"BOS": True, "NYK": True}
    assert found["zone_games_in_sample"].to_dict() == {"BOS": 5, "NYK": 9}
    assert found["data_quality_tier"].tolist() == ["low", "low"]
