"""The published schedule into the folder of raw games and into the calendar; a partition that has data is not lost unasked."""

import os
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

import nba_precompute
from nba_precompute import game_days
from nba_precompute.game_days import CalendarError, load_seasons
from nba_precompute.home import Home
from nba_precompute.ingestion import published_schedule
from nba_precompute.sources.stats_api import StatsApi
from nba_precompute.storage import Publication
from nba_precompute.tables.player_game_summary import PLAYER_GAME_SUMMARY, player_game_summary
from nba_precompute_tests.conftest import schedule_row
from nba_precompute_tests.stats_server import NEXT_DAY, SEASON, THIRD, League, serving, three_games

COMING = "2026-27"
NOTHING = {"box_scores": pd.DataFrame(columns=["game_id", "team", "pts"]), "shots": pd.DataFrame()}


def coming_season(*games):
    """A season that nobody has played yet: (game id, day) each."""
    rows = [schedule_row(game_id, day, "MIL", "BKN", season=COMING) for game_id, day in games]
    return League(pd.DataFrame(rows), **NOTHING, today=date(2026, 9, 1))


@pytest.fixture
def calendar_file(tmp_path):
    return Path(shutil.copy(game_days.SEASONS_FILE, tmp_path / "seasons.json"))


def published(league, folder, calendar_file, season=COMING):
    with serving(league) as server:
        return published_schedule(folder, StatsApi(server.url, pause_seconds=0), season, calendar_file)


def test_a_new_season_is_added_and_takes_nothing_away(calendar_file, tmp_path):
    league = coming_season(("0022600001", "2026-10-20"), ("0022600002", "2026-10-22"), ("0022600003", "2026-11-05"))
    found = published(league, tmp_path, calendar_file)
    assert found.change.said == "2026-27: 3 game days, 2026-10-20 to 2026-11-05 (new)"
    assert found.change.removed_game_days == found.change.removed_eligible_days == []
    assert not (tmp_path / "schedule.parquet").exists()  # nothing is written before a person has seen it
    found.write(calendar_file)
    assert load_seasons(calendar_file)[-1].game_days == [date(2026, 10, 20), date(2026, 10, 22), date(2026, 11, 5)]
    assert pd.read_parquet(tmp_path / "schedule.parquet")["game_id"].tolist() == ["0022600001", "0022600002", "0022600003"]


def test_a_cup_final_stands_in_the_schedule_and_is_no_game_day(calendar_file, tmp_path):
    league = coming_season(("0022600001", "2026-10-20"), ("0062600001", "2026-12-15"), ("0022600003", "2026-12-20"))
    found = published(league, tmp_path, calendar_file)
    found.write(calendar_file)
    assert load_seasons(calendar_file)[-1].game_days == [date(2026, 10, 20), date(2026, 12, 20)]
    schedule = pd.read_parquet(tmp_path / "schedule.parquet").set_index("game_id")
    assert schedule.loc["0062600001", "season_type"] == "NBA Cup Final"


def test_a_postponed_game_takes_its_day_away_and_an_added_one_brings_its_own(calendar_file, tmp_path):
    games = [("0022600001", "2026-10-20"), ("0022600002", "2026-11-10"), ("0022600003", "2026-11-12")]
    published(coming_season(*games), tmp_path, calendar_file).write(calendar_file)
    league = coming_season(*games, ("0022601231", "2026-11-11"))
    league.status_texts["0022600002"] = "PPD"
    found = published(league, tmp_path, calendar_file)
    assert found.change.said.endswith("(added 2026-11-11; removed 2026-11-10)")
    assert found.change.removed_game_days == found.change.removed_eligible_days == [date(2026, 11, 10)]
    found.write(calendar_file)
    assert date(2026, 11, 10) not in load_seasons(calendar_file)[-1].game_days
    assert "0022600002" not in set(pd.read_parquet(tmp_path / "schedule.parquet")["game_id"])


def test_another_opening_moves_the_bootstrap_days_with_it_and_says_so(calendar_file, tmp_path):
    games = [("0022600001", "2026-10-20"), ("0022600002", "2026-11-01"), ("0022600003", "2026-11-03")]
    published(coming_season(*games), tmp_path, calendar_file).write(calendar_file)
    # from the 20th on, the 14th day is 2 November; from the 22nd on, it is the 4th
    later = published(coming_season(("0022600001", "2026-10-22"), *games[1:]), tmp_path, calendar_file)
    assert later.change.removed_game_days == [date(2026, 10, 20)]
    assert later.change.removed_eligible_days == [date(2026, 11, 3)]
    assert later.change.said.endswith(
        "(added 2026-10-22; removed 2026-10-20; now in the bootstrap, so out of the cascade 2026-11-03)"
    )
    later.write(calendar_file)
    earlier = published(coming_season(*games), tmp_path, calendar_file)
    assert earlier.change.said.endswith("(added 2026-10-20; removed 2026-10-22; now after the bootstrap 2026-11-03)")


def test_a_schedule_that_does_not_fit_between_the_seasons_is_refused(calendar_file, tmp_path):
    before = calendar_file.read_text()
    with pytest.raises(CalendarError, match="2026-27 begins before 2025-26 ends"):
        published(coming_season(("0022600001", "2026-04-01"), ("0022600002", "2026-10-21")), tmp_path, calendar_file)
    assert calendar_file.read_text() == before


def test_a_table_says_which_of_its_days_would_be_no_partitions(calendar_file, tmp_path):
    home = Home(tmp_path / "home")
    league = three_games()
    publish_summaries(home, league)
    assert published(league, tmp_path, calendar_file, SEASON).tables_that_lose_days(home) == {}  # 22 and 23 October stay
    league.status_texts[THIRD] = "PPD"
    assert published(league, tmp_path, calendar_file, SEASON).tables_that_lose_days(home) == {"player_game_summary": [NEXT_DAY]}


def publish_summaries(home, league):
    rows = player_game_summary(league.box_scores.astype({"starter": "boolean"}), league.shots, league.schedule)
    days = sorted({day.date() for day in rows["game_date"]})
    publication = Publication(PLAYER_GAME_SUMMARY, rows, days, dict.fromkeys(days, "games"))
    home.warehouse.publish([publication], run_id="run", source=str(home.ingested_folder.resolve()))


# ------------------------------------------------------------------------------------------------------------- command line


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The package at another place, with a calendar file of its own."""
    place = tmp_path_factory.mktemp("package")
    shutil.copytree(
        Path(nba_precompute.__file__).parent, place / "nba_precompute", ignore=shutil.ignore_patterns("__pycache__")
    )
    return place


def upkeep(package, home, url, *arguments, typed=""):
    command = [sys.executable, "-m", "nba_precompute", "ingest", "--schedule", "--season", SEASON, "--url", url, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(package), "NBA_PRECOMPUTE_HOME": str(home)}
    return subprocess.run(command, env=environment, cwd=home.parent, input=typed, capture_output=True, text=True, check=False)


def test_the_command_asks_before_it_removes_a_partition_that_has_data(package, tmp_path):
    home = tmp_path / "home"
    league = three_games()
    publish_summaries(Home(home), league)
    league.status_texts[THIRD] = "PPD"
    calendar_file = package / "nba_precompute" / "seasons.json"
    before = calendar_file.read_text()
    with serving(league) as server:
        refused = upkeep(package, home, server.url)  # nobody there to ask
        assert "player_game_summary has rows of 1 days that would be no partitions any more: 2024-10-23" in refused.stdout
        assert "Nothing was written." in refused.stdout
        assert refused.returncode == 1, refused.stderr
        assert calendar_file.read_text() == before
        assert not (home / "raw" / "schedule.parquet").exists()
        for typed, arguments in [("y\n", []), ("", ["--yes"])]:
            calendar_file.write_text(before)
            done = upkeep(package, home, server.url, *arguments, typed=typed)
            assert done.returncode == 0, done.stderr
            [season] = [season for season in load_seasons(calendar_file) if season.name == SEASON]
            assert season.game_days == [date(2024, 10, 22)]
