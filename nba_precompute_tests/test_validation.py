"""What validation, dashboard, heatmap and reports say of a home that is good, and of the same home damaged."""

import dataclasses
import io
import json
import shutil
from datetime import date

import dagster as dg
import duckdb
import pytest
from matplotlib import image

from nba_precompute import checks, dashboard, heatmap, quality, report
from nba_precompute.assets import SUMMARY_TABLES, TABLES
from nba_precompute.backfill import QUIET
from nba_precompute.definitions import build_definitions
from nba_precompute.game_days import days_between, eligible_days, game_days, season_of
from nba_precompute.home import Home
from nba_precompute.quality import ERROR, WARN, Result
from nba_precompute.storage import Publication
from nba_precompute.validation import compare_home, judge_home
from nba_precompute_tests.cascade import everything
from nba_precompute_tests.test_command_line import run
from nba_precompute_tests.test_runs import Platform, change_box_scores, folder_of

START, END = date(2023, 10, 24), date(2023, 11, 20)
LOST = date(2023, 11, 14)


@pytest.fixture(scope="module")
def good(simulated_season, tmp_path_factory):
    """A home made by the formulas and storage alone: it has no Dagster history."""
    home = Home(tmp_path_factory.mktemp("good") / "home", simulated_season.path)
    tables = everything(home.source(), START, END)
    publications = []
    for table in TABLES:
        days = sorted(tables[table.name][table.day].dt.date.unique())
        publications.append(Publication(table, tables[table.name], days, dict.fromkeys(days, "not asked")))
    home.warehouse.publish(publications, run_id="run", source=home.source_name)
    return home


@pytest.fixture(scope="module")
def damaged(good, tmp_path_factory):
    """The same home, from which a day of the feature table was deleted behind storage's back."""
    folder = tmp_path_factory.mktemp("damaged") / "home"
    shutil.copytree(good.folder, folder)
    with duckdb.connect(folder / "warehouse.duckdb") as connection:
        connection.execute("DELETE FROM nba_predictions.ml_feature_store_v2 WHERE game_date = ?", [LOST])
    return Home(folder, good.raw)


def failed(results):
    return {(result.table, result.check) for result in results if not result.passed}


def test_a_good_home_passes_every_rule(good):
    results = judge_home(good, START, END)
    assert failed(results) == set()
    assert {(result.table, result.check) for result in results} >= {
        (table.name, check) for table in TABLES for check in quality.checks_of(table) if check not in WINDOWED
    }


WINDOWED = {"regression"}
"""Checks that have nothing to say of less than two windows."""


def test_a_day_deleted_behind_storages_back_is_named_by_coverage_and_content_hash(damaged):
    results = [result for result in judge_home(damaged, START, END) if not result.passed]
    assert {(result.table, result.check) for result in results} == {
        ("ml_feature_store_v2", "coverage"),
        ("ml_feature_store_v2", "content_hash"),
    }
    assert {result.days for result in results} == {(LOST,)}


def test_the_command_line_reads_a_home_without_dagster_history(good, damaged):
    days = ["--start", START, "--end", END]
    assert "0 errors, 0 remarks" in run("validate", *days, "--full", home=good.folder).out
    done = run("validate", *days, "--full", "--json", home=damaged.folder, expect=1)
    found = [row for row in json.loads(done.out)["results"] if not row["passed"]]
    assert {(row["check"], row["severity"], tuple(row["days"])) for row in found} == {
        ("coverage", ERROR, (str(LOST),)),
        ("content_hash", ERROR, (str(LOST),)),
    }
    assert found[0].keys() >= {"table", "check", "column", "severity", "passed", "value", "threshold", "days"}


def test_the_report_is_written_as_markdown_and_as_a_page_with_the_picture(damaged, tmp_path):
    files = ["--markdown", tmp_path / "report.md", "--html", tmp_path / "report.html"]
    done = run("validate", "--start", START, "--end", END, "--check-regression", *files, home=damaged.folder, expect=1)
    assert "ERROR: ml_feature_store_v2, coverage: 9" in done.out
    assert f"wanted: {LOST}" in done.out
    assert "| ERROR | ml_feature_store_v2 | coverage |  |" in (tmp_path / "report.md").read_text()
    page = (tmp_path / "report.html").read_text()
    assert "data:image/png;base64," in page
    assert str(LOST) in page


def test_coverage_by_season_has_the_originals_figure_beside_ours(good):
    rows = report.coverage_by_season(good.warehouse.partition_versions(), TABLES, START, END).set_index("table")
    eligible, all_days = len(days_between(eligible_days, START, END)), len(days_between(game_days, START, END))
    assert rows.loc["ml_feature_store_v2", ["eligible", "present", "share"]].tolist() == [eligible, eligible, 100.0]
    assert rows.loc["ml_feature_store_v2", "of_all_game_dates"] == pytest.approx(100 * eligible / all_days)


def test_windows_are_graded_only_where_there_is_one_before(good, tmp_path):
    assert compare_home(good, START, END).empty


# ------------------------------------------------------------------------------------------------------- heatmap


def result(table, severity, *days):
    return Result(table, "coverage", severity, None, 0.0, 95.0, 1, days, "")


def test_a_square_is_red_where_an_error_and_amber_where_only_a_remark_names_its_day():
    season = season_of(START)
    found = [
        result("player_game_summary", ERROR, date(2023, 10, 25)),
        result("player_game_summary", WARN, date(2023, 10, 25), date(2023, 10, 26)),
    ]
    states = heatmap.states_of_days(season, found, START, END)
    summary, features = states.loc["player_game_summary"], states.loc["ml_feature_store_v2"]
    assert summary[date(2023, 10, 24)] == heatmap.GOOD
    assert summary[date(2023, 10, 25)] == heatmap.BAD
    assert summary[date(2023, 10, 26)] == heatmap.REMARK
    assert summary[date(2023, 11, 7)] == heatmap.NO_GAME  # election day
    assert summary[date(2023, 11, 21)] == heatmap.NO_GAME  # after the days asked for
    assert features[date(2023, 11, 6)] == heatmap.BOOTSTRAP
    assert features[date(2023, 11, 8)] == heatmap.GOOD


def test_the_picture_shows_red_only_where_something_is_wrong():
    red = tuple(int(heatmap.COLORS[heatmap.BAD][place : place + 2], 16) for place in (1, 3, 5))

    def red_dots(results):
        dots = image.imread(io.BytesIO(heatmap.calendar_heatmap(results, START, END)))[:, :, :3]
        return int(((dots * 255).round() == red).all(axis=2).sum())

    in_legend = red_dots([])
    assert red_dots([result("player_game_summary", ERROR, date(2023, 10, 25))]) > in_legend


# ------------------------------------------------------------------------------------------------------- Dagster


def checked(home, selection, checks=None):
    """The evaluations that a real run leaves, by table and check."""
    job = build_definitions(home).resolve_implicit_global_asset_job_def()
    instance = dg.DagsterInstance.ephemeral()
    subset = job.get_subset(asset_selection=selection, asset_check_selection=checks)
    made = subset.execute_in_process(instance=instance, run_config=QUIET)
    return {
        (evaluation.asset_key.to_user_string(), evaluation.check_name): evaluation
        for evaluation in made.get_asset_check_evaluations()
    }


def test_the_dashboard_has_a_check_a_rule_and_the_picture(damaged):
    found = checked(damaged, {dg.AssetKey("coverage")})
    assert {check for _, check in found} == {*quality.RULES, "ready_before_tip_off", "stopped_asking"}
    assert {check for (_, check), evaluation in found.items() if not evaluation.passed} >= {"coverage", "content_hash"}
    coverage = found["coverage", "coverage"]
    assert coverage.severity == dg.AssetCheckSeverity.ERROR
    assert str(LOST) in coverage.metadata["days"].value
    assert "data:image/png;base64," in coverage.metadata[dashboard.HEATMAP].value


def test_the_commands_of_a_finding_are_of_the_days_of_its_worst_table(damaged):
    result = Result("ml_feature_store_v2", "coverage", ERROR, None, 50.0, 95.0, 10, (LOST,), "Make the days again.")
    other = dataclasses.replace(result, table="player_game_summary", value=90.0, days=(START,))
    said = checks.check_result("coverage", "coverage", [other, result]).metadata["what_to_do"].value
    assert f"--tables ml_feature_store_v2 --start {LOST} --end {LOST} --force" in said


def test_checks_are_executed_alone_over_everything(damaged):
    table = dg.AssetKey("ml_feature_store_v2")
    keys = {dg.AssetCheckKey(table, name) for name in ("content_hash", "identity")}
    found = checked(damaged, set(), keys)
    assert {name: evaluation.passed for (_, name), evaluation in found.items()} == {"content_hash": False, "identity": True}
    failing = found["ml_feature_store_v2", "content_hash"].metadata
    assert failing["failing_days"].value == 1
    assert failing["days"].value == str(LOST)
    recovery = failing["what_to_do"].value
    assert f"uv run nba-precompute status --why {LOST}" in recovery
    assert f"uv run nba-precompute backfill --tables ml_feature_store_v2 --start {LOST} --end {LOST} --force" in recovery
    assert "1 day fails. Somebody changed rows" in found["ml_feature_store_v2", "content_hash"].description
    [record] = failing["where_to_look"].value.records
    assert record.data["day"] == str(LOST)


def test_checks_are_evaluated_in_a_run_with_a_bad_day_and_name_it(simulated_season, tmp_path, tmp_path_factory):
    raw = folder_of(simulated_season, tmp_path_factory)
    lost = date(2023, 10, 27)
    change_box_scores(raw, lambda rows: rows[rows["game_date"].dt.date != lost])
    days = days_between(game_days, START, date(2023, 10, 31))
    made = Platform(tmp_path / "home", raw).run(SUMMARY_TABLES, days)
    assert not made.success
    found = {
        (evaluation.asset_key.to_user_string(), evaluation.check_name): evaluation
        for evaluation in made.get_asset_check_evaluations()
    }
    assert found.keys() == {(table.name, check) for table in SUMMARY_TABLES for check in quality.checks_of(table)}
    assert {check for (_, check), evaluation in found.items() if not evaluation.passed} == {"coverage"}
    assert found["player_game_summary", "coverage"].metadata["days"].value == str(lost)


def test_a_run_of_good_days_evaluates_every_check_of_its_tables_once(simulated_season, tmp_path):
    days = days_between(game_days, START, date(2023, 10, 26))
    made = Platform(tmp_path / "home", simulated_season.path).run(SUMMARY_TABLES, days)
    evaluations = made.get_asset_check_evaluations()
    assert len(evaluations) == sum(len(quality.checks_of(table)) for table in SUMMARY_TABLES)
    assert all(evaluation.passed for evaluation in evaluations)
    compared = [evaluation.metadata["denominator"].value for evaluation in evaluations if evaluation.check_name == "reproduced"]
    assert len(compared) == len(SUMMARY_TABLES)
    assert min(compared) > 0
