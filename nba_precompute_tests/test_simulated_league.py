"""The simulated league keeps the rules of the real one's files, and lies near its figures."""

import multiprocessing
import os
import signal
from datetime import date

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from nba_precompute.game_days import SEASONS
from nba_precompute.sources import layout, simulated, trust
from nba_precompute.sources.parquet_folder import ParquetFolder
from nba_precompute.sources.simulated import TEAMS, write_simulated_league
from nba_precompute.tables.player_game_summary import PAINT_PLACES
from nba_precompute_tests.benchmarks.simulated_realism import REAL_2023_24, TOLERANCE, figures
from nba_precompute_tests.conftest import REAL_DATA, needs_real_data

SEASON = next(season for season in SEASONS if season.name == "2023-24")
SPAN = (SEASON.first_game, SEASON.last_game)


@pytest.fixture(scope="module")
def schedule(simulated_season):
    return simulated_season.schedule()


@pytest.fixture(scope="module")
def box(simulated_season):
    return simulated_season.box_scores(*SPAN)


@pytest.fixture(scope="module")
def shots(simulated_season):
    return simulated_season.shots(*SPAN)


def counting(games):
    return games[games["game_id"].str[2].isin(["2", "4", "5"])]


def test_every_game_day_of_the_calendar_has_a_game_and_no_other_day_has(schedule):
    assert set(counting(schedule)["game_date"].dt.date) == set(SEASON.game_days)


def test_every_season_of_the_calendar_is_covered(tmp_path):
    write_simulated_league(tmp_path / "league")
    games = counting(ParquetFolder(tmp_path / "league", name="all").schedule())
    assert set(games["game_date"].dt.date) == {day for season in SEASONS for day in season.game_days}
    assert games[games["game_id"].str[2] == "2"].groupby("season").size().to_dict() == {season.name: 1230 for season in SEASONS}


def test_a_cup_final_is_played_on_a_day_off(schedule):
    [cup] = schedule[schedule["game_id"].str[2] == "6"]["game_date"].dt.date
    assert cup in SEASON.days_off


def test_each_team_plays_82_games_none_twice_a_day_and_never_three_days_in_a_row(schedule):
    regular = schedule[schedule["game_id"].str[2] == "2"]
    sides = pd.concat(
        [regular[["game_date", side]].set_axis(["day", "team"], axis=1) for side in ("home_team", "away_team")]
    ).reset_index(drop=True)
    assert sides["team"].value_counts().to_dict() == dict.fromkeys(TEAMS, 82)
    assert not sides.duplicated().any()
    rest = sides.sort_values("day").groupby("team")["day"].diff().dt.days
    three_in_a_row = (rest == 1) & (rest.groupby(sides["team"]).shift() == 1)
    assert not three_in_a_row.any()
    assert regular["home_team"].value_counts().between(38, 44).all()


def test_no_day_breaks_the_contract_of_raw_games(schedule, box, shots):
    days = sorted(counting(schedule)["game_date"].unique())
    assert trust.problems_by_day(days, box, shots, schedule).empty


def test_a_teams_minutes_are_those_of_the_game(box):
    minutes = (box["minutes"].astype("float64") * 60).round().groupby([box["game_id"], box["team"]]).sum() / 60
    assert set(minutes) == {240.0, 265.0}
    assert 0.02 < (minutes == 265).mean() < 0.09


def test_there_are_no_ties_and_five_starters(box):
    points = box.groupby(["game_id", "team"])["pts"].sum()
    assert (points.groupby("game_id").nunique() == 2).all()
    assert (box.groupby(["game_id", "team"])["starter"].sum() == 5).all()


def test_shots_are_the_attempts_of_the_box_score_but_for_a_handful(box, shots):
    with_shots = box[box["game_id"].isin(shots["game_id"].unique())]
    counted = shots.groupby(["game_id", "player_id"]).agg(fga=("made", "size"), fgm=("made", "sum"), fg3a=("is_three", "sum"))
    compared = with_shots.set_index(["game_id", "player_id"])[["fga", "fgm", "fg3a"]].join(counted, rsuffix="_shots").fillna(0)
    assert (compared["fgm"] == compared["fgm_shots"]).all()
    differ = (compared["fga"] != compared["fga_shots"]).sum()
    assert 0 < differ < 20
    assert set(with_shots["game_id"].str[2]) == {"2", "4", "6"}  # play-in games have no shots, as the real ones


def test_the_zone_of_a_shot_agrees_with_its_value(shots):
    three = shots["zone"].isin(["Above the Break 3", "Left Corner 3", "Right Corner 3"])
    assert (three == shots["is_three"]).all()
    assert shots["zone"].isin([*PAINT_PLACES, "Mid-Range"]).sum() == (~three).sum()


def test_players_get_hurt_are_reported_and_come_back(simulated_season, box):
    news = simulated_season.injuries()
    assert {"out", "returned"} == set(news["status"])
    assert 0.2 < news["note"].str.contains("DTD").mean() < 0.8
    assert 0 < news["player_id"].isna().mean() < 0.05
    assert simulated_season.injuries_cover() == SPAN
    appearances = box[box["game_id"].str[2] == "2"].groupby("player_id").size()
    assert (appearances < 60).mean() > 0.2


def test_a_game_was_postponed(schedule):
    regular = schedule[schedule["game_id"].str[2] == "2"].sort_values("game_id")
    later_than_the_next = regular["game_date"].diff().dt.days < -30
    assert later_than_the_next.sum() == 1


def test_players_change_teams_and_have_birth_dates(simulated_season, box):
    assert (box.groupby("player_id")["team"].nunique() > 1).sum() >= 5
    players = simulated_season.players()
    assert set(players["player_id"]) == set(box["player_id"])
    ages = (pd.Timestamp(SEASON.first_game) - players["birth_date"]).dt.days / 365.25
    assert ages.between(18, 38).all()
    assert (ages > 35).any()


def test_lines_come_before_the_game_and_some_after_its_tip_off(simulated_season, schedule):
    props = simulated_season.props(*SPAN)
    tip_off = props["game_id"].map(schedule.set_index("game_id")["start_utc"])
    assert (props["snapshot_time"] < tip_off).any()
    assert (props["snapshot_time"] > tip_off).any()
    assert props["snapshot_time"].isna().any()
    assert props.groupby("game_id")["snapshot_time"].nunique().max() > 1


@pytest.mark.parametrize("name", REAL_2023_24)
def test_its_figures_lie_within_a_tenth_of_the_real_season(name, simulated_figures):
    assert simulated_figures[name] == pytest.approx(REAL_2023_24[name], rel=TOLERANCE)


@pytest.fixture(scope="module")
def simulated_figures(simulated_season):
    return figures(simulated_season.path)


@needs_real_data
def test_the_real_figures_are_the_real_seasons():
    assert figures(REAL_DATA) == pytest.approx(REAL_2023_24, rel=1e-3)


@needs_real_data
def test_no_name_is_a_real_players(box):
    real = set(
        pq.read_table(REAL_DATA / "player_box_scores.parquet", columns=["player_name"])["player_name"].unique().to_pylist()
    )
    assert not set(box["player_name"]) & real


def test_the_same_seed_gives_the_same_bytes(simulated_season, tmp_path):
    write_simulated_league(tmp_path / "again", [SEASON])
    for file in layout.FILES:
        assert (tmp_path / "again" / file.name).read_bytes() == (simulated_season.path / file.name).read_bytes(), file.name


def test_an_interrupted_league_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(simulated, "_lines", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_simulated_league(tmp_path / "league", [SEASON])
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path, monkeypatch):
    def league():
        write_simulated_league(tmp_path / "league", [SEASON])

    def killed(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patched:
        patched.setattr(simulated, "_lines", killed)
        process = multiprocessing.get_context("fork").Process(target=league)
        process.start()
        process.join()
    assert [left.name.startswith("league.unfinished-") for left in tmp_path.iterdir()] == [True]
    league()
    assert [left.name for left in tmp_path.iterdir()] == ["league"]


def test_load_varies(box):
    usage = box[box["minutes"] > 20].groupby("player_id")["pts"].mean()
    assert usage.max() > 22
    assert np.ptp(usage) > 12
    assert date(2023, 12, 25) in set(box["game_date"].dt.date)
