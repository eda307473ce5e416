"""The three game summaries over one hand-made game, and the real game whose figures are worked out in the design."""

from datetime import date

import pandas as pd
import pytest

from nba_precompute.sources.parquet_folder import ParquetFolder
from nba_precompute.tables.player_game_summary import player_game_summary, player_lookup
from nba_precompute.tables.team_defense_game_summary import team_defense_game_summary
from nba_precompute.tables.team_offense_game_summary import team_offense_game_summary
from nba_precompute_tests.conftest import REAL_DATA, box_row, needs_real_data, schedule_row, shot_rows

SCHEDULE = pd.DataFrame([schedule_row("0022100001", "2021-10-19", home="MIL", away="BKN")])
TWO_FROM_PAINT = {"Restricted Area": (1, 2), "In The Paint (Non-RA)": (1, 1), "Mid-Range": (0, 1)}


def summarise(rows, shots=None):
    shots = shot_rows(1, {}).reindex(columns=shot_rows(1, {"Mid-Range": (1, 1)}).columns) if shots is None else shots
    return player_game_summary(pd.DataFrame(rows), shots, SCHEDULE).set_index("player_id")


def game(**first_player):
    return [box_row(1, "MIL", **first_player), box_row(2, "MIL"), box_row(3, "BKN"), box_row(4, "BKN", fgm=1)]


def test_a_player_of_the_home_team_that_scored_more_is_home_and_won():
    found = summarise(game())
    assert found["is_home"].to_dict() == {1: True, 2: True, 3: False, 4: False}
    assert found["win_flag"].to_dict() == {1: True, 2: True, 3: False, 4: False}
    assert found.loc[1, "opponent_team_abbr"] == "BKN"


def test_home_is_the_schedules_home_team():
    swapped = SCHEDULE.rename(columns={"home_team": "away_team", "away_team": "home_team"})
    found = player_game_summary(pd.DataFrame(game()), shot_rows(1, {"Mid-Range": (1, 1)}), swapped)
    assert not found.loc[found["team_abbr"] == "MIL", "is_home"].any()


def test_cup_finals_make_no_rows():
    rows = [{**row, "game_id": "0062100001"} for row in game()]
    cup = pd.DataFrame([schedule_row("0062100001", "2021-10-19", home="MIL", away="BKN")])
    assert player_game_summary(pd.DataFrame(rows), shot_rows(1, {"Mid-Range": (1, 1)}), cup).empty


def test_minutes_are_rounded_to_the_second():
    assert summarise(game(minutes=25.0083))["minutes_played"][1] * 60 == 1500
    assert summarise(game(minutes=25.0166))["minutes_played"][1] * 60 == 1501


def test_usage_of_four_equal_players_is_that_of_two_on_a_floor_of_five():
    # each used 4 + 0.44 + 1 of his team's twice as many, in all of its 60 minutes / 5 = 12 while he played 30
    assert summarise(game())["usage_rate"][1] == pytest.approx(100 * 5.44 * 12 / (30 * 10.88))


def test_a_player_without_seconds_has_no_usage():
    assert pd.isna(summarise(game(minutes=0.0, fgm=0, fga=0, ftm=0, fta=0))["usage_rate"][1])


def test_shooting_efficiency():
    found = summarise(game(fgm=4, fga=10, fg3m=2, fg3a=5, ftm=3, fta=4))
    assert found["points"][1] == 13
    assert found["ts_pct"][1] == pytest.approx(13 / (2 * (10 + 0.44 * 4)))
    assert found["efg_pct"][1] == pytest.approx((4 + 0.5 * 2) / 10)


def test_a_player_who_did_not_shoot_has_no_percentage():
    found = summarise(game(fgm=0, fga=0, ftm=0, fta=0))
    assert pd.isna(found["ts_pct"][1])
    assert pd.isna(found["efg_pct"][1])


def test_zones_are_there_where_shots_agree_with_the_box_score():
    found = summarise(game(), shot_rows(1, TWO_FROM_PAINT))
    row = found.loc[1]
    assert row["has_complete_shot_zones"]
    assert [row["paint_makes"], row["paint_attempts"], row["mid_range_attempts"], row["three_zone_attempts"]] == [2, 3, 1, 0]


def test_all_six_zones_are_unknown_where_one_attempt_is_missing():
    row = summarise(game(), shot_rows(1, {"Restricted Area": (2, 3)})).loc[1]
    assert not row["has_complete_shot_zones"]
    assert row[["paint_makes", "paint_attempts", "mid_range_makes", "three_zone_makes"]].isna().all()


def test_zones_are_unknown_where_threes_do_not_agree():
    shots = shot_rows(1, {"Restricted Area": (2, 3), "Above the Break 3": (0, 1)})
    assert not summarise(game(), shots).loc[1, "has_complete_shot_zones"]


def test_the_value_of_a_shot_decides_before_its_place():
    long_two = shot_rows(1, {"Above the Break 3": (0, 1)}, is_three=False)
    close_three = shot_rows(1, {"Mid-Range": (1, 1)}, is_three=True)
    paint = shot_rows(1, {"Restricted Area": (1, 2)})
    row = summarise(game(fg3m=1, fg3a=1), pd.concat([long_two, close_three, paint])).loc[1]
    assert [row["mid_range_attempts"], row["three_zone_attempts"], row["three_zone_makes"]] == [1, 1, 1]


def test_a_player_without_attempts_is_complete_only_in_a_game_with_shots():
    nobody = {"fgm": 0, "fga": 0}
    assert summarise(game(**nobody), shot_rows(2, TWO_FROM_PAINT)).loc[1, "has_complete_shot_zones"]
    assert not summarise(game(**nobody)).loc[1, "has_complete_shot_zones"]


def test_assisted_makes_are_known_only_where_the_shots_say_it_for_every_make():
    known = summarise(game(), shot_rows(1, TWO_FROM_PAINT)).loc[1]
    assert [known["assisted_fg_makes"], known["unassisted_fg_makes"]] == [2, 0]
    unsaid = summarise(game(), shot_rows(1, TWO_FROM_PAINT, assisted=None)).loc[1]
    assert pd.isna(unsaid["assisted_fg_makes"])
    without_makes = summarise(game(fgm=0)).loc[1]
    assert [without_makes["assisted_fg_makes"], without_makes["unassisted_fg_makes"]] == [0, 0]


def test_a_name_is_normalised_to_letters_and_digits():
    names = pd.Series(["Luka Dončić", "P.J. Tucker III", "Nikola Jokić", "Shai Gilgeous-Alexander"])
    assert player_lookup(names).tolist() == ["lukadoncic", "pjtuckeriii", "nikolajokic", "shaigilgeousalexander"]


def offense_of(rows, shots=None):
    return team_offense_game_summary(summarise(rows, shots).reset_index()).set_index("team_abbr")


def test_a_teams_figures_are_its_players_sums():
    found = offense_of(game())
    assert found["points_scored"].to_dict() == {"BKN": 8, "MIL": 10}
    assert found.loc["MIL", "possessions"] == pytest.approx(8 + 0.44 * 2 + 2 - 2)
    assert found.loc["MIL", "offensive_rating"] == pytest.approx(100 * 10 / 8.88)


def test_pace_is_one_figure_a_game():
    found = offense_of([box_row(1, "MIL", minutes=240.0, fga=90), box_row(3, "BKN", minutes=240.0, fga=100)])
    expected = (90 + 0.44 + 1 - 1 + 100 + 0.44 + 1 - 1) / 2
    assert found["pace"].tolist() == pytest.approx([expected, expected])


@pytest.mark.parametrize(("minutes", "periods"), [(240, 0), (239, 0), (265, 1), (290, 2)])
def test_overtimes_are_counted_from_minutes(minutes, periods):
    rows = [box_row(player, team, minutes=minutes / 5) for player, team in enumerate(["MIL"] * 5 + ["BKN"] * 5)]
    assert offense_of(rows)["overtime_periods"].tolist() == [periods, periods]


def test_zones_of_a_side_need_every_player_of_it():
    shots = pd.concat([shot_rows(player, TWO_FROM_PAINT) for player in (1, 2, 3)])
    found = offense_of(game(), shots)
    assert found["has_complete_shot_zones"].to_dict() == {"BKN": False, "MIL": True}
    assert found.loc["MIL", "paint_attempts"] == 6
    assert pd.isna(found.loc["BKN", "paint_attempts"])


def test_a_defence_is_the_opponents_offence():
    offense = team_offense_game_summary(summarise(game(), shot_rows(1, TWO_FROM_PAINT)).reset_index())
    defense = team_defense_game_summary(offense).set_index("team_abbr")
    offense = offense.set_index("team_abbr")
    assert defense.loc["BKN", "points_allowed"] == offense.loc["MIL", "points_scored"]
    assert defense.loc["BKN", "opp_possessions"] == offense.loc["MIL", "possessions"]
    assert defense.loc["BKN", "defensive_rating"] == offense.loc["MIL", "offensive_rating"]
    assert not defense.loc["BKN", "win_flag"]


@needs_real_data
def test_game_seven_of_the_2025_finals():
    folder = ParquetFolder(REAL_DATA, name="real")
    day = date(2025, 6, 22)
    players = player_game_summary(folder.box_scores(day, day), folder.shots(day, day), folder.schedule())
    teams = team_offense_game_summary(players).set_index("team_abbr")
    assert teams["points_scored"].to_dict() == {"IND": 91, "OKC": 103}
    zones = [
        "paint_makes",
        "paint_attempts",
        "mid_range_makes",
        "mid_range_attempts",
        "three_zone_makes",
        "three_zone_attempts",
    ]
    assert teams.loc["OKC", zones].tolist() == [20, 32, 4, 15, 11, 40]
    assert teams.loc["IND", zones].tolist() == [13, 29, 5, 13, 11, 28]
    assert teams["possessions"].to_dict() == pytest.approx({"IND": 91.76, "OKC": 94.64})
    assert teams["offensive_rating"].to_dict() == pytest.approx({"IND": 99.1718, "OKC": 108.8335}, abs=1e-4)
    assert teams["pace"].tolist() == pytest.approx([93.2032, 93.2032], abs=1e-4)
    shai = players.set_index("player_name").loc["Shai Gilgeous-Alexander"]
    assert shai["minutes_played"] == pytest.approx(40.1833, abs=1e-4)
    assert shai["usage_rate"] == pytest.approx(36.9296, abs=1e-4)
    assert [shai["ts_pct"], shai["efg_pct"]] == pytest.approx([0.4492, 0.3333], abs=1e-4)
    assert shai[[*zones, "assisted_fg_makes"]].tolist() == [4, 6, 2, 9, 2, 12, 1]
    mcconnell = players.set_index("player_name").loc["T.J. McConnell"]
    assert mcconnell["usage_rate"] == pytest.approx(32.9452, abs=1e-4)
    assert mcconnell[[*zones, "assisted_fg_makes"]].tolist() == [6, 9, 2, 4, 0, 0, 2]
