"""What the two modes accept. The rows are the same in both; production mode refuses days, by name and with the reason.

The home holds 2023-10-24 to 2023-11-13 of a simulated season under a name of its own, whose injury news ends on 2023-11-10: of the
days of the cascade, 8 to 11 November are captured and 12 and 13 November are not.
"""

import shutil
from datetime import date

import dagster as dg
import duckdb
import pandas as pd
import pytest

from nba_precompute.assets import CASCADE_TABLES, SUMMARY_TABLES
from nba_precompute.coverage import THERE
from nba_precompute.definitions import build_definitions
from nba_precompute.game_days import days_between, eligible_days, game_days
from nba_precompute.home import Home
from nba_precompute.production import PRODUCTION, uncaptured
from nba_precompute.sources import layout
from nba_precompute.sources.parquet_folder import ParquetFolder
from nba_precompute_tests.conftest import REAL_DATA, needs_real_data
from nba_precompute_tests.test_command_line import run
from nba_precompute_tests.test_resume import change, without_day
from nba_precompute_tests.test_runs import Platform, change_box_scores, folder_of

START, END = date(2023, 10, 24), date(2023, 11, 13)
GAMES, ELIGIBLE = days_between(game_days, START, END), days_between(eligible_days, START, END)
CAPTURED = [day for day in ELIGIBLE if day <= date(2023, 11, 11)]
TEAMS, SLATE, DEFENSES, ZONES, FACTORS, FEATURES = CASCADE_TABLES


@pytest.fixture(scope="module")
def summaries(simulated_season, tmp_path_factory):
    """A home with the game summaries alone."""
    platform = Platform(tmp_path_factory.mktemp("modes") / "home", folder_of(simulated_season, tmp_path_factory))
    change(platform, layout.INJURIES, lambda rows: rows, covered_from=str(START), covered_to="2023-11-10")
    platform.backfill(START, END, SUMMARY_TABLES)
    return platform


@pytest.fixture(scope="module")
def published(summaries, tmp_path_factory):
    """A home with everything, made in backfill mode."""
    platform = Platform(copy_of(summaries, tmp_path_factory.mktemp("published")), summaries.home.raw)
    platform.backfill(START, END)
    return platform


def copy_of(platform, folder):
    shutil.copytree(platform.home.folder, folder / "home")
    return folder / "home"


def failures_of(result):
    return [event.step_failure_data.user_failure_data.description for event in result.all_events if event.is_step_failure]


def reasons_of(result):
    [event] = [event for event in result.all_events if event.is_step_failure]
    return event.step_failure_data.user_failure_data.metadata["reasons"].value


def change_rows(platform, statement):
    """Somebody changes rows behind the project's back."""
    with duckdb.connect(platform.home.folder / "warehouse.duckdb") as warehouse:
        warehouse.execute(statement)


def stored_days(platform, table):
    return set(platform.home.warehouse.read(table)[table.day].dt.date)


def test_both_modes_make_the_same_rows(summaries, published, tmp_path):
    production = Platform(copy_of(summaries, tmp_path), summaries.home.raw)
    assert production.run(CASCADE_TABLES, CAPTURED, PRODUCTION).success
    made = production.hashes()
    assert len(made) == 3 * len(GAMES) + 6 * len(CAPTURED)
    pd.testing.assert_series_equal(made, published.hashes()[made.index])


def test_backfill_mode_publishes_a_synthetic_day_and_its_partition_says_so(published):
    for day, source in ((CAPTURED[-1], "captured"), (ELIGIBLE[-1], "synthetic")):
        for table in (TEAMS, SLATE, FACTORS, FEATURES):
            wanted = dg.AssetRecordsFilter(dg.AssetKey(table.name), asset_partitions=[str(day)])
            [event] = published.instance.fetch_materializations(wanted, limit=1).records
            assert event.asset_materialization.metadata["context_source"].value == source


@pytest.mark.parametrize("table", [TEAMS, DEFENSES, ZONES], ids=lambda table: table.name)
def test_production_mode_refuses_days_that_are_not_captured_and_publishes_the_others(table, summaries, tmp_path):
    platform = Platform(copy_of(summaries, tmp_path), summaries.home.raw)
    result = platform.run([table], ELIGIBLE, PRODUCTION)
    assert not result.success
    assert stored_days(platform, table) == set(CAPTURED)
    assert platform.recorded(table) == {str(day) for day in CAPTURED}
    assert "2 of 6 days were not published: 2023-11-12, 2023-11-13" in failures_of(result)[0]
    assert "needs the injury news of 2023-11-11" in reasons_of(result)
    assert "has injury news from 2023-10-24 to 2023-11-10" in reasons_of(result)


def test_game_summaries_have_no_context_and_are_published_in_production_mode(summaries, tmp_path):
    platform = Platform(tmp_path / "home", summaries.home.raw)
    assert platform.run(SUMMARY_TABLES, GAMES[-2:], PRODUCTION).success


def test_a_source_without_injury_news_captures_no_day(simulated_season, tmp_path):
    shutil.copytree(simulated_season.path, tmp_path / "raw")
    (tmp_path / "raw" / layout.INJURIES.name).unlink()
    reasons = uncaptured(ELIGIBLE, ParquetFolder(tmp_path / "raw", name="games"))
    assert list(reasons) == ELIGIBLE
    assert "games has no injury news" in reasons[ELIGIBLE[0]]


def test_a_run_of_the_simulated_league_is_refused_in_production_mode_wherever_it_is_started(simulated_season, tmp_path):
    home = Home(tmp_path / "home")
    shutil.copytree(simulated_season.path, home.league_folder)
    platform = Platform(home.folder, None)
    result = platform.run(SUMMARY_TABLES, GAMES[:1], PRODUCTION)
    assert "the simulated league is refused in production mode" in failures_of(result)[0]
    assert not (home.folder / "warehouse.duckdb").exists()


def test_a_mode_that_is_none_is_refused_by_the_launchpad(summaries):
    job = build_definitions(summaries.home).resolve_implicit_global_asset_job_def()
    with pytest.raises(dg.DagsterInvalidConfigError, match="not in enum type Mode got nightly"):
        dg.validate_run_config(job, {"resources": {"mode": {"config": {"mode": "nightly"}}}})
    dg.validate_run_config(job, {"resources": {"mode": {"config": {"mode": "production"}}}})


# ------------------------------------------------------------------------------------------------ inputs' ERROR checks


def test_an_input_of_the_same_day_that_fails_an_error_check_refuses_that_day_alone(published, tmp_path):
    platform = Platform(copy_of(published, tmp_path), published.home.raw)
    change_rows(
        platform,
        "DELETE FROM nba_precompute.team_defense_zone_analysis WHERE analysis_date = '2023-11-09' AND team_abbr = 'BOS'",
    )
    change_rows(platform, "DELETE FROM nba_precompute.player_composite_factors")
    result = platform.run([FACTORS], CAPTURED, PRODUCTION)
    assert stored_days(platform, FACTORS) == set(CAPTURED) - {date(2023, 11, 9)}
    for check in ("row_count", "content_hash"):
        assert f"its input team_defense_zone_analysis fails the check {check} on 2023-11-09" in reasons_of(result)
    assert platform.run([FACTORS], CAPTURED).success  # backfill mode accepts what is there


def test_games_that_fail_an_error_check_refuse_every_later_day(published, tmp_path):
    platform = Platform(copy_of(published, tmp_path), published.home.raw)
    change_rows(platform, "UPDATE nba_analytics.player_game_summary SET points = points + 1 WHERE game_date = '2023-11-09'")
    change_rows(platform, "DELETE FROM nba_precompute.player_shot_zone_analysis")
    result = platform.run([ZONES], CAPTURED, PRODUCTION)
    assert stored_days(platform, ZONES) == {date(2023, 11, 8), date(2023, 11, 9)}
    assert "fails the check identity of points_add_up on 2023-11-09" in reasons_of(result)


def test_of_missing_games_those_of_the_last_game_day_refuse_a_day_and_older_ones_do_not(simulated_season, tmp_path):
    """A command makes the other days through all tables, names the refused one, and does not ask for it again."""
    shutil.copytree(simulated_season.path, tmp_path / "raw")
    change_box_scores(tmp_path / "raw", lambda rows: without_day(rows, pd.Timestamp("2023-11-08")))
    platform = Platform(tmp_path / "home", tmp_path / "raw")
    _, failures = platform.backfill(START, date(2023, 11, 11), mode=PRODUCTION)
    for table in CASCADE_TABLES:
        assert stored_days(platform, table) == {date(2023, 11, day) for day in (8, 10, 11)}
    assert {failure.split(",")[0] for failure in failures} == {TEAMS.name, DEFENSES.name, ZONES.name}
    for failure in failures:
        assert "1 of 4 days were not published: 2023-11-09" in failure
        assert "fails the check coverage on 2023-11-08" in failure
    assert {run.tags["nba_precompute/mode"] for run in platform.instance.get_runs()} == {PRODUCTION}


def test_a_command_names_what_production_refuses_and_what_is_there_already_and_not_fit(published, tmp_path):
    platform = Platform(copy_of(published, tmp_path), published.home.raw)
    change_rows(
        platform, "UPDATE nba_precompute.team_defense_zone_analysis SET opponent_pace = 1 WHERE analysis_date = '2023-11-09'"
    )
    change_rows(platform, "DROP TABLE nba_predictions.ml_feature_store_v2")
    days = ["--start", ELIGIBLE[0], "--end", ELIGIBLE[-1]]
    done = run("backfill", "--mode", "production", *days, home=platform.home.folder, expect=1)
    assert "contexts captured (a backfill goes on: left out and named): 2 of 6 days: 2023-11-12 is not captured" in done.out
    assert "refused by production mode, not published: 2023-11-12, 2023-11-13 of ml_feature_store_v2:" in done.out
    assert (
        "refused by production mode, there already: 2023-11-09, 2023-11-12, 2023-11-13 of upcoming_team_game_context,"
        in done.out
    )
    assert "its input team_defense_zone_analysis fails the check content_hash on 2023-11-09" in done.out
    assert "ml_feature_store_v2, 2023-11-08 to 2023-11-11: 1 of 4 days were not published: 2023-11-09" in done.err
    assert "are synthetic" not in done.out
    assert stored_days(platform, FEATURES) == set(CAPTURED) - {date(2023, 11, 9)}


def test_a_backfill_says_how_many_of_its_dates_are_synthetic(published, tmp_path):
    folder = copy_of(published, tmp_path)
    done = run("backfill", "--start", ELIGIBLE[0], "--end", ELIGIBLE[-1], "--tables", FEATURES.name, "--force", home=folder)
    assert "2 of 6 dates made are synthetic (context_source)" in done.out


# -------------------------------------------------------------------------------------------------------- real games


@needs_real_data
def test_real_days_to_may_2025_are_captured_and_those_of_2025_26_are_not(tmp_path):
    platform = Platform(tmp_path / "home", REAL_DATA)
    for start, end in ((date(2024, 10, 22), date(2024, 11, 6)), (date(2025, 10, 21), date(2025, 11, 5))):
        platform.backfill(start, end, SUMMARY_TABLES)
    captured, uncaptured_days = (
        days_between(eligible_days, date(year, 10, 1), date(year, 11, day)) for year, day in ((2024, 6), (2025, 5))
    )
    assert platform.run(CASCADE_TABLES, captured, PRODUCTION).success
    assert stored_days(platform, FEATURES) == set(captured)
    result = platform.run([TEAMS], uncaptured_days, PRODUCTION)
    assert "needs the injury news of 2025-11-03" in reasons_of(result)
    assert "has injury news from 2021" in reasons_of(result)
    assert "to 2025-05-13" in reasons_of(result)
    assert stored_days(platform, TEAMS) == set(captured)
    assert platform.run(CASCADE_TABLES, uncaptured_days).success
    rows = platform.home.warehouse.read(FEATURES)
    by_season = rows.groupby(rows["game_date"].dt.year)["context_source"].unique()
    assert {year: list(sources) for year, sources in by_season.items()} == {2024: ["captured"], 2025: ["synthetic"]}
    assert platform.states(captured[0], captured[-1])[FEATURES.name].eq(THERE).all()
