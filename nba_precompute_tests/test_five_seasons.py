"""The two whole backfills, each by the command that the README and the issue name: simulated and real, five seasons from nothing."""

import json
import re
from datetime import date

import duckdb
import pytest

from nba_precompute.game_days import days_between, eligible_days
from nba_precompute_tests.benchmarks.remarks import ROW_COUNTS
from nba_precompute_tests.conftest import REAL_DATA, needs_real_data
from nba_precompute_tests.test_command_line import REPOSITORY, run

PLAY_IN_DAYS = ["2022-04-12", "2022-04-13", "2022-04-15"]
"""No box score and no shot of these days' six play-in games exists."""


def test_the_readmes_first_command_prints_what_the_readme_shows(tmp_path):
    printed = run("backfill", home=tmp_path / "home").out
    shown = re.search(
        r"\$ pip install uv && uv run nba-precompute backfill\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.S
    )
    table = [line.split() for line in printed.split("After")[1].splitlines()]
    for line in shown.group(1).split("After")[1].splitlines()[1:]:
        if line.strip() and not line.startswith(" ─"):
            assert line.split() in table
    assert "Source  simulated league (invented games, made now; real ones with --raw DIR)" in printed
    assert "Source  simulated league (invented games, made now; real ones with --raw DIR)" in shown.group(1)
    assert "gap" not in printed


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A home with all real games, and what making it printed."""
    home = tmp_path_factory.mktemp("real") / "home"
    done = run("backfill", "--raw", REAL_DATA, "--start", "2021-10-19", "--end", "2026-01-02", home=home, expect=1)
    return home, done.out


@pytest.fixture(scope="module")
def sql(real):
    with duckdb.connect(real[0] / "warehouse.duckdb", read_only=True) as warehouse:
        yield warehouse


@needs_real_data
def test_the_gap_is_the_three_play_in_days_and_only_they(real):
    home, printed = real
    assert re.findall(r"^gap: (\S+) of player_game_summary", printed, re.M) == PLAY_IN_DAYS
    assert "missing:" not in printed
    assert "stale:" not in printed
    found = json.loads(run("status", "--json", home=home, expect=1).out)
    assert {(day["day"], day["state"]) for day in found["days"]} == {(day, "gap") for day in PLAY_IN_DAYS}
    assert (found["start"], found["end"]) == ("2021-10-19", "2026-01-02")


@needs_real_data
def test_a_second_backfill_makes_nothing(real):
    assert "Nothing to make." in run("backfill", home=real[0], expect=1).out


@needs_real_data
@pytest.mark.parametrize("table", ROW_COUNTS)
def test_row_counts_are_the_contracts(sql, table):
    [count] = sql.execute(
        f"SELECT sum(row_count) FROM nba_reference.partition_versions WHERE table_name LIKE '%.{table}'"
    ).fetchone()
    [name] = sql.execute(
        "SELECT DISTINCT table_name FROM nba_reference.partition_versions WHERE table_name LIKE '%.' || ?", [table]
    ).fetchone()
    assert count == ROW_COUNTS[table]
    assert sql.execute(f"SELECT count(*) FROM {name}").fetchone() == (count,)


@needs_real_data
def test_the_originals_validation_queries_run_as_they_stand(sql):
    assert sql.execute(
        "SELECT COUNT(DISTINCT analysis_date) AS pcf_dates, COUNT(*) AS total_records FROM "
        "nba_precompute.player_composite_factors WHERE analysis_date BETWEEN '2021-10-19' AND '2026-01-02'"
    ).fetchone() == (846, 156_647)
    dates, records, players = sql.execute(
        "SELECT COUNT(DISTINCT game_date) AS dates, COUNT(*) AS records, COUNT(DISTINCT player_lookup) AS players FROM "
        "nba_predictions.ml_feature_store_v2 WHERE game_date BETWEEN '2021-10-01' AND '2024-06-01'"
    ).fetchone()
    assert dates == len(days_between(eligible_days, date(2021, 10, 1), date(2024, 6, 1))) == 585
    assert records > 100_000
    assert players > 500


@needs_real_data
def test_every_table_has_its_days_and_every_day_its_rows(sql):
    summaries = sql.execute("SELECT count(DISTINCT game_date) FROM nba_analytics.player_game_summary").fetchone()
    assert summaries == (913,)
    assert sql.execute(
        "SELECT DISTINCT count(*) FROM nba_precompute.team_defense_zone_analysis GROUP BY analysis_date"
    ).fetchall() == [(30,)]
    slate = "SELECT game_date, player_id FROM nba_analytics.upcoming_player_game_context"
    for later in ("nba_precompute.player_composite_factors", "nba_predictions.ml_feature_store_v2"):
        assert sql.execute(f"({slate}) EXCEPT (SELECT game_date, player_id FROM {later})").fetchall() == []
        assert sql.execute(f"(SELECT game_date, player_id FROM {later}) EXCEPT ({slate})").fetchall() == []
    captured = (
        "SELECT count(DISTINCT game_date) FROM nba_analytics.upcoming_team_game_context WHERE context_source = 'captured'"
    )
    assert sql.execute(captured).fetchone() == (768,)


@needs_real_data
@pytest.mark.parametrize(
    ("name", "day", "points"),
    [("LeBron James", "2023-02-07", 38), ("Luka Dončić", "2024-01-26", 73), ("Karl-Anthony Towns", "2022-03-14", 60)],
)
def test_famous_games_have_their_points(sql, name, day, points):
    found = sql.execute(
        "SELECT points FROM nba_analytics.player_game_summary WHERE player_name = ? AND game_date = ?", [name, day]
    ).fetchall()
    assert found == [(points,)]
