"""What `history` says of real runs: of commands and as the UI starts them, good, failed, canceled, killed and not yet ended.

Runs of the UI itself: `test_several_at_once`; a kill and Ctrl-C: `test_command_line` and `test_interruption`.
"""

import csv
import io
import json
import shutil
from datetime import date

import dagster as dg
import duckdb
import pytest

from nba_precompute.assets import CASCADE_TABLES, SUMMARY_TABLES
from nba_precompute.backfill import QUIET
from nba_precompute.definitions import build_definitions
from nba_precompute.history import CHECKS_ALONE, run_history, status_of_table
from nba_precompute.home import DAGSTER_FOLDER
from nba_precompute.instance import PROCESS_TAG, this_process
from nba_precompute.production import PRODUCTION, mode_of, run_config_of
from nba_precompute_tests.test_command_line import run
from nba_precompute_tests.test_preflight import ORIGIN
from nba_precompute_tests.test_runs import Platform, change_box_scores, folder_of

SUMMARIES = [table.name for table in SUMMARY_TABLES]
FACTORS, FEATURES = (table.name for table in CASCADE_TABLES[4:])
ALL = 100


@pytest.fixture(scope="module")
def platform(simulated_season, tmp_path_factory):
    """A home with two days by a command that skipped pre-flight. The source lacks the box scores of 28 October."""
    raw = folder_of(simulated_season, tmp_path_factory)
    change_box_scores(raw, lambda rows: rows[rows["game_date"] != "2023-10-28"])
    home = tmp_path_factory.mktemp("history") / "home"
    days = ["--start", "2023-10-24", "--end", "2023-10-25", "--tables", ",".join(SUMMARIES)]
    run("backfill", "--raw", raw, *days, "--skip-preflight", home=home)
    return Platform(home, raw)


def job_of(platform):
    return build_definitions(platform.home).resolve_implicit_global_asset_job_def()


def latest(platform, tables=None):
    """The rows of the latest run."""
    rows, _ = run_history(platform.home, tables, 1)
    return rows


def test_a_command_has_a_row_a_table_with_what_it_made(platform):
    [first] = platform.instance.get_runs()
    rows, runs = run_history(platform.home, None, ALL)
    rows = [row for row in rows if row.run_id == first.run_id]
    assert runs == platform.instance.get_runs_count()
    assert [row.table for row in rows] == SUMMARIES
    for table, row in zip(SUMMARY_TABLES, rows, strict=True):
        assert (row.first_day, row.last_day, row.days, row.days_planned) == ("2023-10-24", "2023-10-25", 2, 2)
        assert row.rows == len(platform.home.warehouse.read(table, date(2023, 10, 24), date(2023, 10, 25)))
        assert (row.status, row.mode, row.skipped_preflight, row.error) == ("SUCCESS", "backfill", True, None)
        assert row.seconds > 0


def test_a_run_of_one_partition_as_the_launchpad_starts_it_has_its_day_and_the_mode_of_its_config(platform):
    made = job_of(platform).execute_in_process(
        instance=platform.instance,
        asset_selection=[dg.AssetKey(name) for name in SUMMARIES],
        partition_key="2023-10-26",
        run_config={**QUIET, **run_config_of(PRODUCTION)},
    )
    assert made.success
    rows = latest(platform)
    assert [(row.table, row.first_day, row.last_day, row.days) for row in rows] == [
        (name, "2023-10-26", "2023-10-26", 1) for name in SUMMARIES
    ]
    assert {(row.mode, row.status, row.skipped_preflight) for row in rows} == {("production", "SUCCESS", False)}


def test_a_run_with_a_bad_day_counts_what_it_made_of_what_it_planned_and_says_why(platform):
    assert not platform.run(SUMMARY_TABLES, [date(2023, 10, day) for day in (27, 28, 29)]).success
    rows = latest(platform)
    assert {(row.status, row.days, row.days_planned) for row in rows} == {("FAILURE", 2, 3)}
    players = platform.home.warehouse.read(SUMMARY_TABLES[0], date(2023, 10, 27), date(2023, 10, 29))
    assert rows[0].rows == len(players) > 0
    assert all(row.error.startswith("1 of 3 days were not published: 2023-10-28.") for row in rows)


def test_a_table_after_one_that_failed_is_skipped_and_the_reason_stands_with_the_other(platform):
    assert not platform.run(CASCADE_TABLES[4:], [date(2023, 11, 8)]).success
    factors, features = latest(platform)
    assert (factors.table, factors.status, factors.rows) == (FACTORS, "FAILURE", 0)
    assert "1 of 1 days were not published: 2023-11-08" in factors.error
    assert (features.table, features.status, features.seconds, features.error) == (FEATURES, "SKIPPED", None, None)


def test_checks_alone_make_no_table(platform):
    keys = {dg.AssetCheckKey(dg.AssetKey(SUMMARIES[0]), "coverage")}
    checks = job_of(platform).get_subset(asset_selection=set(), asset_check_selection=keys)
    made = checks.execute_in_process(instance=platform.instance, run_config=QUIET)
    [row] = latest(platform)
    assert (row.run_id, row.table, row.status, row.rows) == (made.run_id, CHECKS_ALONE, "SUCCESS", 0)
    assert row.seconds > 0
    assert made.run_id not in {row.run_id for row in run_history(platform.home, SUMMARIES, ALL)[0]}


@pytest.mark.parametrize(
    ("status", "process", "shown", "why"),
    [
        ("QUEUED", None, "QUEUED", None),
        ("STARTED", None, "STARTED", None),
        ("STARTED", this_process(), "STARTED", None),
        ("STARTED", "1@0.00", "KILLED", "its process (1) is gone; the next backfill records it"),
        ("CANCELED", None, "CANCELED", "stopped by hand"),
        ("FAILURE", None, "FAILURE", "the worker is gone"),
    ],
    ids=["queued", "of the UI", "of a command", "killed", "canceled", "lost"],
)
def test_a_run_that_made_nothing_yet_or_nothing_at_all(status, process, shown, why, platform):
    made = platform.instance.create_run_for_job(
        job_of(platform),
        tags={"dagster/partition": "2023-10-24", **({PROCESS_TAG: process} if process else {})},
        status=dg.DagsterRunStatus.QUEUED if status == "QUEUED" else dg.DagsterRunStatus.STARTED,
        asset_selection=frozenset([dg.AssetKey(name) for name in SUMMARIES]),
        remote_job_origin=ORIGIN,
    )
    if status == "CANCELED":
        platform.instance.report_run_canceled(made, why)
    elif status == "FAILURE":
        platform.instance.report_run_failed(made, why)
    rows = latest(platform)
    platform.instance.delete_run(made.run_id)
    assert [row.table for row in rows] == SUMMARIES
    assert {(row.first_day, row.days, row.days_planned, row.status) for row in rows} == {("2023-10-24", 0, 1, shown)}
    assert all(why in row.error if why else row.error is None for row in rows)


def test_a_run_that_was_killed_before_it_planned_has_the_tables_that_it_was_asked_for(platform):
    begun = dg.DagsterRun("__ASSET_JOB", asset_selection=frozenset([dg.AssetKey(FACTORS)]), tags={PROCESS_TAG: "1@0.00"})
    platform.instance.add_run(begun)
    [row] = latest(platform)
    platform.instance.delete_run(begun.run_id)
    assert (row.table, row.status, row.first_day, row.days_planned, row.seconds) == (FACTORS, "KILLED", None, 0, None)


FAILED = dg.DagsterRunStatus.FAILURE


@pytest.mark.parametrize(
    ("run", "step", "killed", "failed_itself", "status"),
    [
        (FAILED, "SUCCESS", False, False, "SUCCESS"),
        (FAILED, "FAILURE", False, False, "FAILURE"),
        (FAILED, None, False, False, "SKIPPED"),
        (FAILED, None, False, True, "FAILURE"),
        (dg.DagsterRunStatus.CANCELED, "SUCCESS", False, True, "SUCCESS"),
        (dg.DagsterRunStatus.CANCELED, None, False, True, "CANCELED"),
        (dg.DagsterRunStatus.STARTED, None, False, True, "STARTED"),
        (dg.DagsterRunStatus.STARTED, None, True, True, "KILLED"),
    ],
)
def test_a_table_is_as_its_step_ended_and_else_as_its_run(run, step, killed, failed_itself, status):
    assert status_of_table(run, step, killed=killed, failed_itself=failed_itself) == status


def test_a_config_that_names_no_mode_is_of_a_backfill():
    for config in ({}, {"resources": {}}, {"resources": {"mode": {}}}, {"resources": {"mode": {"config": {}}}}):
        assert mode_of(dg.DagsterRun("by hand", run_config=config)) == "backfill"
    assert mode_of(dg.DagsterRun("by hand", run_config=run_config_of(PRODUCTION))) == PRODUCTION


# -------------------------------------------------------------------------------------------------- the command line


def test_the_command_prints_the_same_as_a_table_as_json_and_as_csv(platform):
    home = platform.home.folder
    rows, runs = run_history(platform.home, None, 2)
    found = json.loads(run("history", "--limit", "2", "--json", home=home).out)
    assert found["runs"] == runs > 2
    assert [(row["run_id"], row["table"], row["rows"]) for row in found["tables"]] == [
        (row.run_id, row.table, row.rows) for row in rows
    ]
    as_csv = list(csv.DictReader(io.StringIO(run("history", "--limit", "2", "--csv", home=home).out)))
    assert [(row["run_id"], row["table"], row["status"]) for row in as_csv] == [
        (row.run_id, row.table, row.status) for row in rows
    ]
    printed = run("history", "--limit", "2", home=home)
    assert all(row.run_id[:8] in printed.out for row in rows)
    assert f"The latest 2 of {runs} runs; --limit {runs} shows all." in printed.err


def test_the_command_names_what_went_wrong_once_a_run(platform):
    printed = run("history", "--tables", SUMMARIES[0], home=platform.home.folder)
    assert printed.out.count("1 of 3 days were not published: 2023-10-28.") == 1
    assert "skipped pre-flight" in printed.out
    assert SUMMARIES[1] not in printed.out


def test_an_empty_home_has_no_run_and_stays_empty(tmp_path):
    printed = run("history", home=tmp_path / "home")
    assert "No run yet." in printed.err
    assert json.loads(run("history", "--json", home=tmp_path / "home").out)["tables"] == []
    assert not (tmp_path / "home").exists()


def test_where_dagsters_history_was_deleted_the_list_is_empty_and_says_so(platform, tmp_path):
    shutil.copy(platform.home.folder / "warehouse.duckdb", tmp_path)
    printed = run("history", home=tmp_path)
    assert f"the history in {tmp_path / DAGSTER_FOLDER} was deleted" in printed.err
    assert "nba_reference.processor_run_history" in printed.err


def test_the_view_of_the_warehouse_has_the_runs_that_made_what_is_there(platform):
    with duckdb.connect(platform.home.folder / "warehouse.duckdb", read_only=True) as warehouse:
        stored = warehouse.sql(
            "SELECT run_id, split_part(processor_name, '.', 2), first_day, last_day, days, records "
            "FROM nba_reference.processor_run_history"
        ).fetchall()
    rows, _ = run_history(platform.home, None, ALL)
    made = {(row.run_id, row.table): row for row in rows if row.days}
    assert {(run_id, table) for run_id, table, *_ in stored} == made.keys()
    for run_id, table, first, last, days, records in stored:
        row = made[run_id, table]
        assert (str(first), str(last), days, records) == (row.first_day, row.last_day, row.days, row.rows)
