"""The command line as it is used: real processes, real files, exit codes and what is printed."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from nba_precompute.assets import CASCADE_TABLES, SUMMARY_TABLES
from nba_precompute.cli import cli
from nba_precompute.game_days import SEASONS
from nba_precompute.history import run_history
from nba_precompute.home import Home
from nba_precompute.instance import instance_of
from nba_precompute_tests.processes import Met, command_line
from nba_precompute_tests.test_runs import change_box_scores, folder_of

REPOSITORY = Path(__file__).parents[1]
SHORT = ["--start", "2023-10-24", "--end", "2023-11-09"]


def run(*arguments, home, expect=0):
    done = command_line(home, *map(str, arguments))
    assert done.exit_code == expect, done.out + done.err
    return done


@pytest.fixture(scope="module")
def raw(simulated_season, tmp_path_factory):
    return folder_of(simulated_season, tmp_path_factory)


@pytest.fixture(scope="module")
def backfilled(raw, tmp_path_factory):
    """A home with the first weeks of a season, and what making it printed."""
    home = tmp_path_factory.mktemp("command_line") / "home"
    command = [
        sys.executable,
        "-m",
        "nba_precompute",
        "backfill",
        "--raw",
        raw,
        *SHORT,
    ]  # typed: the others are forked, 2 s earlier
    done = subprocess.run(
        command, env={**os.environ, "NBA_PRECOMPUTE_HOME": str(home)}, capture_output=True, text=True, check=True
    )
    return home, Met(done.returncode, done.stdout, done.stderr)


def test_a_backfill_says_its_source_and_ends_with_everything_there(backfilled, raw):
    _, done = backfilled
    assert f"Source  {raw.resolve()} (Parquet folder)" in done.out
    assert re.search(r"player_game_summary\s+0/16\s+16\s+0", done.out)
    assert re.search(r"player_game_summary\s+16/16\s+0\s+0", done.out)
    assert re.search(r"ml_feature_store_v2\s+2/2\s+0\s+0", done.out)
    assert re.search(r"[\d,]+ dates/hour ETA 0:00:00", done.out)


def test_the_home_remembers_its_source(backfilled, raw):
    home, _ = backfilled
    done = run("status", *SHORT, home=home)
    assert f"Source  {raw.resolve()} (Parquet folder)" in done.out


def test_status_as_json_names_what_is_missing(backfilled):
    home, _ = backfilled
    found = json.loads(run("status", "--start", "2023-10-24", "--end", "2023-11-10", "--json", home=home, expect=1).out)
    assert not found["complete"]
    assert {(row["table"], row["state"], row["day"]) for row in found["days"]} >= {
        ("player_game_summary", "missing", "2023-11-10"),
        ("ml_feature_store_v2", "missing", "2023-11-10"),
    }
    assert {row["day"] for row in found["days"]} == {"2023-11-10"}
    assert {row["table"]: row["there"] for row in found["tables"]}["ml_feature_store_v2"] == 2


def test_another_source_is_refused_with_the_two_ways_out(backfilled, simulated_season):
    home, _ = backfilled
    done = run("backfill", "--raw", simulated_season.path, *SHORT, home=home, expect=2)
    assert "rows of two sources must not meet" in done.err
    assert "NBA_PRECOMPUTE_HOME" in done.err
    assert "--reset" in done.err


def test_reset_makes_room_for_another_source(raw, simulated_season, tmp_path):
    home = tmp_path / "home"
    run("backfill", "--raw", raw, "--start", "2023-10-24", "--end", "2023-10-25", home=home)
    run("backfill", "--raw", "nowhere", "--reset", home=home, expect=2)
    assert (home / "warehouse.duckdb").exists()
    done = run("backfill", "--raw", simulated_season.path, "--start", "2023-10-24", "--end", "2023-10-25", "--reset", home=home)
    assert re.search(r"player_game_summary\s+0/2\s+2\s+0", done.out)
    assert re.search(r"player_game_summary\s+2/2\s+0\s+0", done.out)


def test_a_killed_backfill_is_ended_as_failed_and_taken_up_again(raw, tmp_path):
    home = tmp_path / "home"
    command = [sys.executable, "-m", "nba_precompute", "backfill", "--raw", str(raw), "--end", "2023-12-20"]
    killed = subprocess.Popen(command, env={**os.environ, "NBA_PRECOMPUTE_HOME": str(home)}, stdout=subprocess.DEVNULL)
    with instance_of(Home(home)) as instance:
        while not instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
            assert killed.poll() is None
            time.sleep(0.05)
        killed.kill()
        killed.wait()
        [left] = instance.get_runs()
        assert left.status == dg.DagsterRunStatus.STARTED
        assert {row.status for row in run_history(Home(home), None, 1)[0]} == {"KILLED"}
        run("backfill", "--raw", raw, *SHORT, home=home)
        assert instance.get_run_by_id(left.run_id).status == dg.DagsterRunStatus.FAILURE
        others = [made for made in instance.get_runs() if made.run_id != left.run_id]
        assert {made.status for made in others} == {dg.DagsterRunStatus.SUCCESS}


def test_a_day_without_its_history_is_named_with_the_reason(raw, tmp_path):
    done = run("backfill", "--raw", raw, "--start", "2023-11-08", "--end", "2023-11-08", home=tmp_path / "home", expect=1)
    assert "team_offense_game_summary has no games of 2023-24 before 2023-11-08; materialise them first" in done.err


def test_days_that_could_not_be_made_again_are_no_success_though_they_are_there(raw, tmp_path):
    home, day = tmp_path / "home", ["--start", "2023-10-24", "--end", "2023-10-24", "--force"]
    run("backfill", "--raw", raw, *day, home=home)
    with duckdb.connect(home / "warehouse.duckdb") as warehouse:
        warehouse.execute("ALTER TABLE nba_analytics.player_game_summary ALTER points TYPE VARCHAR")
    done = run("backfill", *day, home=home, expect=1)
    assert "has columns of another type: points (VARCHAR, now INTEGER)" in done.err
    assert re.search(r"player_game_summary\s+1/1\s+0\s+0", done.out.split("After")[1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["backfill", "--raw", "nowhere"], "nowhere is no folder"),
        (["backfill", "--start", "yesterday"], "'yesterday' is no date"),
        (["backfill", "--tables", "points"], "no table points; there are player_game_summary"),
        (["backfill", "--start", "2023-07-01", "--end", "2023-07-31"], "there is no game day from 2023-07-01 to 2023-07-31"),
        (["backfill", "--fast"], "No such option"),
    ],
    ids=["folder", "date", "table", "summer", "option"],
)
def test_what_cannot_run_says_why_and_ends_with_2(arguments, words, raw, tmp_path):
    if "--raw" not in arguments:
        arguments = [*arguments, "--raw", str(raw)]
    assert words in run(*arguments, home=tmp_path / "home", expect=2).err.replace("\n", " ")


def test_production_mode_refuses_the_simulated_league(tmp_path):
    assert "refused in production mode" in run("backfill", "--mode", "production", home=tmp_path / "home", expect=2).err


def test_a_gap_is_named_with_its_reason_and_ends_with_1(simulated_season, tmp_path, tmp_path_factory):
    raw = folder_of(simulated_season, tmp_path_factory)
    change_box_scores(raw, lambda rows: rows[rows["game_date"].dt.date != date(2023, 10, 27)])
    done = run("backfill", "--raw", raw, "--start", "2023-10-24", "--end", "2023-10-31", home=tmp_path / "home", expect=1)
    assert "gap: 2023-10-27 of player_game_summary, team_offense_game_summary, team_defense_game_summary" in done.out
    assert "player_box_scores.parquet: 2023-10-27, game 00223" in done.out


def test_one_table_asked_for_brings_no_other(raw, tmp_path):
    home = tmp_path / "home"
    run("backfill", "--raw", raw, *SHORT, "--tables", "player_game_summary", home=home)
    done = run("backfill", "--raw", raw, *SHORT, "--tables", "team_defense_zone_analysis", home=home)
    assert re.search(r"team_defense_zone_analysis\s+2/2\s+0\s+0", done.out)
    with duckdb.connect(home / "warehouse.duckdb", read_only=True) as warehouse:
        tables = {
            name for (name,) in warehouse.execute("SELECT DISTINCT table_name FROM nba_reference.partition_versions").fetchall()
        }
    assert "nba_precompute.player_shot_zone_analysis" not in tables


def test_the_calendar_command_adds_a_published_schedule(simulated_season, tmp_path):
    """The season is known, so the package's own calendar file stays as it is."""
    done = run("calendar", simulated_season.path / "schedule.parquet", home=tmp_path / "home")
    assert "2023-24: 207 game days, 2023-10-24 to 2024-06-17 (as before)" in done.out


# ------------------------------------------------------------------------------------------------------ the README


def test_every_command_of_the_readme_is_one(tmp_path):
    commands = re.findall(r"^\$ (.*)$", (REPOSITORY / "README.md").read_text(), re.M)
    ours = {shlex.split(command.split("&&")[-1])[3] for command in commands if "nba-precompute" in command}
    text = (REPOSITORY / "README.md").read_text()
    ours |= set(re.findall(r"`(?:uv run )?nba-precompute (\w+)", text))
    listed = run("--help", home=tmp_path / "home").out
    assert {"backfill", "ui", "simulate", "calendar"} <= ours
    for command in ours:
        assert re.search(rf"^  {command} ", listed, re.M), command


def test_every_option_of_the_readme_is_one_of_its_command():
    text = (REPOSITORY / "README.md").read_text()
    typed = re.findall(rf"(?:`|nba-precompute )({'|'.join(cli.commands)})((?: [^`|\n]*)?)", text)
    found = [(name, option) for name, arguments in typed for option in re.findall(r"--[\w-]+", arguments)]
    assert {("status", "--why"), ("history", "--limit"), ("validate", "--check-regression")} <= set(found)
    for name, option in found:
        assert option in {known for parameter in cli.commands[name].params for known in parameter.opts}, (name, option)


def test_the_readme_names_files_that_are_there():
    text = (REPOSITORY / "README.md").read_text()
    for path in re.findall(r"\]\((nba_precompute[^)]*)\)", text):
        assert (REPOSITORY / path).exists(), path
    of_measure = text.split("## Measure")[1]
    assert "python -m nba_precompute_tests.benchmarks.NAME`" in of_measure
    rows = re.findall(r"^\| (`.*?) \|", of_measure, re.M)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == {path.stem for path in (REPOSITORY / "nba_precompute_tests" / "benchmarks").glob("[!_]*.py")}


def test_the_table_that_the_readme_shows_is_the_calendars():
    text = (REPOSITORY / "README.md").read_text()
    for table in (*SUMMARY_TABLES, *CASCADE_TABLES):
        counts = [len(season.game_days if table in SUMMARY_TABLES else season.eligible_days) for season in SEASONS]
        shown = re.search(rf"^  {table.name} +(.*)$", text, re.M).group(1).split()
        assert shown == [*(f"{count}/{count}" for count in counts), "0", "0"]
