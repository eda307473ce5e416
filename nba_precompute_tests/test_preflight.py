"""Pre-flight: each criterion with facts that pass it and facts that must fail it, then over a real home."""

import json
import os
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from nba_precompute.assets import ASSETS, CASCADE_TABLES, SUMMARY_TABLES, TABLES
from nba_precompute.backfill import RANGE_END_TAG, RANGE_START_TAG
from nba_precompute.definitions import build_definitions
from nba_precompute.home import SIMULATED_LEAGUE
from nba_precompute.instance import PROCESS_TAG, this_process
from nba_precompute.preflight import (
    CONTEXTS,
    COVERAGE_NEEDED,
    DEALT_WITH,
    DEFINITIONS,
    DISK,
    DISK_NEEDED,
    GO,
    NO_GO,
    PARTITION_TAG,
    REPORTED,
    RUNS,
    SOURCE,
    WAREHOUSE,
    Facts,
    Share,
    decide,
    definitions_problem,
    inputs_there,
    no_go,
    runs_in_progress,
    tables_of_run,
)
from nba_precompute.production import BACKFILL, PRODUCTION
from nba_precompute_tests.test_command_line import run
from nba_precompute_tests.test_runs import ELIGIBLE, END, GAMES, START, Platform, folder_of

DAY = date(2023, 11, 8)
GOOD = Facts(BACKFILL, {table: Share(100, 100, []) for table in COVERAGE_NEEDED}, Share(10, 10, []), source="games")


def lines(facts):
    return {line.criterion: line for line in decide(facts)}


def share(there, needed=1000):
    return Share(there, needed, [DAY] * (needed - there))


def test_good_facts_are_go():
    assert no_go(decide(GOOD)) == []
    assert no_go(decide(replace(GOOD, mode=PRODUCTION))) == []


@pytest.mark.parametrize(
    ("criterion", "facts"),
    [
        ("player_game_summary coverage", replace(GOOD, inputs={"player_game_summary": share(799)})),
        ("team_defense_game_summary coverage", replace(GOOD, inputs={"team_defense_game_summary": share(799)})),
        ("team_defense_zone_analysis coverage", replace(GOOD, inputs={"team_defense_zone_analysis": share(749)})),
        ("player_shot_zone_analysis coverage", replace(GOOD, inputs={"player_shot_zone_analysis": share(749)})),
        (CONTEXTS, replace(GOOD, mode=PRODUCTION, captured=share(999), uncaptured_because="no news")),
        (RUNS, replace(GOOD, runs=["run 1 makes everything"])),
        (DEFINITIONS, replace(GOOD, definitions_problem="a cycle")),
        (SOURCE, replace(GOOD, source_problem="no folder")),
        (SOURCE, replace(GOOD, mode=PRODUCTION, source=SIMULATED_LEAGUE)),
        (WAREHOUSE, replace(GOOD, warehouse_problem="read-only")),
        (DISK, replace(GOOD, free_bytes=DISK_NEEDED - 1)),
    ],
)
def test_each_criterion_alone_is_no_go_and_says_why(criterion, facts):
    [failing] = no_go(decide(facts))
    assert failing.criterion == criterion
    assert failing.result == NO_GO
    assert failing.reason


@pytest.mark.parametrize("table", COVERAGE_NEEDED)
def test_coverage_on_its_threshold_is_go(table):
    facts = replace(GOOD, inputs={table: share(10 * int(COVERAGE_NEEDED[table]))})
    assert lines(facts)[f"{table} coverage"].result == GO


def test_a_table_that_the_command_makes_or_does_not_read_is_no_criterion():
    assert {lines(replace(GOOD, inputs={}))[f"{table} coverage"].result for table in COVERAGE_NEEDED} == {REPORTED}


def test_in_backfill_mode_the_captured_share_is_told_and_decides_nothing():
    line = lines(replace(GOOD, captured=share(0)))[CONTEXTS]
    assert (line.actual, line.result) == ("0.0 % (0 of 1000 days)", REPORTED)


def test_a_backfill_waits_for_a_run_in_progress_and_leaves_refused_days_out():
    facts = replace(GOOD, mode=PRODUCTION, captured=share(999), uncaptured_because="no news", runs=["run 1"])
    assert {line.criterion for line in no_go(decide(facts))} == {RUNS, CONTEXTS}
    assert no_go(decide(facts), DEALT_WITH) == []


# ---------------------------------------------------------------------------------------------------- gathered facts


@pytest.fixture(scope="module")
def summaries(simulated_season, tmp_path_factory):
    """A home with the game summaries and the team zones but for the last three days."""
    platform = Platform(tmp_path_factory.mktemp("preflight") / "home", folder_of(simulated_season, tmp_path_factory))
    platform.backfill(START, END, SUMMARY_TABLES)
    platform.backfill(START, ELIGIBLE[-4], [CASCADE_TABLES[2]])
    return platform


def inputs(platform, tables, start=START, end=END):
    return inputs_there(platform.home.warehouse.partition_versions(), tables, start, end)


def test_inputs_are_counted_over_the_days_that_the_tables_to_be_made_read(summaries):
    factors, features = CASCADE_TABLES[4:]
    found = inputs(summaries, [factors])
    assert {table: (share.there, share.needed) for table, share in found.items()} == {
        "team_defense_zone_analysis": (len(ELIGIBLE) - 3, len(ELIGIBLE)),
        "player_shot_zone_analysis": (0, len(ELIGIBLE)),
    }
    assert list(found["team_defense_zone_analysis"].absent) == ELIGIBLE[-3:]
    games = inputs(summaries, [features], ELIGIBLE[0], ELIGIBLE[1])["player_game_summary"]
    before = [day for day in GAMES if day < ELIGIBLE[1]]
    assert (games.there, games.needed) == (len(before), len(before))


def test_the_first_run_of_all_has_no_input_that_it_does_not_make(summaries):
    assert inputs(summaries, TABLES) == {}


ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("nba_precompute"), "__repository__"), "__ASSET_JOB"
)
"""Whose runs can be queued: a code location of the UI."""


@pytest.mark.parametrize(
    ("status", "tables", "tags", "conflicts"),
    [
        ("STARTED", SUMMARY_TABLES, {RANGE_START_TAG: "2023-11-01", RANGE_END_TAG: "2023-11-09"}, True),
        ("QUEUED", SUMMARY_TABLES, {PARTITION_TAG: "2023-11-08"}, True),
        ("STARTING", SUMMARY_TABLES, {}, True),
        ("STARTED", SUMMARY_TABLES, {PROCESS_TAG: this_process()}, True),
        ("STARTED", SUMMARY_TABLES, {PROCESS_TAG: "1@0.00"}, False),
        ("SUCCESS", SUMMARY_TABLES, {}, False),
        ("FAILURE", SUMMARY_TABLES, {}, False),
        ("STARTED", CASCADE_TABLES, {}, False),
        ("STARTED", SUMMARY_TABLES, {RANGE_START_TAG: "2023-11-09", RANGE_END_TAG: "2023-11-10"}, False),
        ("STARTED", SUMMARY_TABLES, {PARTITION_TAG: "2023-11-07"}, False),
    ],
    ids=["range", "queued day", "all days", "living", "killed", "done", "failed", "other tables", "other days", "other day"],
)
def test_a_run_conflicts_that_is_unfinished_and_makes_the_same_tables_on_the_same_days(
    status, tables, tags, conflicts, summaries
):
    job = build_definitions(summaries.home).resolve_implicit_global_asset_job_def()
    selection = frozenset(dg.AssetKey(table.name) for table in tables)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.create_run_for_job(
            job, status=dg.DagsterRunStatus[status], tags=tags, asset_selection=selection, remote_job_origin=ORIGIN
        )
        found = runs_in_progress(instance, SUMMARY_TABLES, DAY, DAY)
    assert len(found) == conflicts
    if conflicts:
        assert "makes player_game_summary, team_defense_game_summary, team_offense_game_summary" in found[0]
        assert found[0].endswith(f"end it with `kill {os.getpid()}`" if PROCESS_TAG in tags else "end it in the UI")


def test_a_run_without_selection_makes_all_tables_and_one_of_checks_alone_makes_none():
    check = dg.AssetCheckKey(dg.AssetKey("player_game_summary"), "coverage")
    assert tables_of_run(dg.DagsterRun("__ASSET_JOB")) == {table.name for table in TABLES}
    for selected in (None, frozenset()):
        checks = dg.DagsterRun("__ASSET_JOB", asset_selection=selected, asset_check_selection=frozenset([check]))
        assert tables_of_run(checks) == set()


def test_a_job_without_assets_makes_no_tables():
    assert tables_of_run(dg.DagsterRun("predict")) == set()


def test_a_graph_that_cannot_be_loaded_is_a_problem(summaries):
    assert definitions_problem(build_definitions(summaries.home)) is None
    assert "home" in definitions_problem(dg.Definitions(assets=ASSETS))  # nothing says what the assets' home is


def test_a_warehouse_that_can_be_written_is_left_as_it_was(summaries, tmp_path):
    path = Path(shutil.copy(summaries.home.folder / "warehouse.duckdb", tmp_path))
    warehouse = replace(summaries.home.warehouse, path=path)
    before = path.read_bytes(), sorted(tmp_path.iterdir())
    assert warehouse.unwritable() is None
    assert (path.read_bytes(), sorted(tmp_path.iterdir())) == before
    with duckdb.connect(path):  # somebody else at work is no reason
        assert warehouse.unwritable() is None


def test_a_warehouse_that_cannot_be_written_says_so(summaries, tmp_path):
    """A folder in its place and a folder that is not there stop every user, root among them."""
    (tmp_path / "warehouse.duckdb").mkdir()
    for path in (tmp_path / "warehouse.duckdb", tmp_path / "nowhere" / "warehouse.duckdb"):
        assert str(path) in replace(summaries.home.warehouse, path=path).unwritable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_warehouse_that_is_read_only_says_so(summaries, tmp_path):
    path = Path(shutil.copy(summaries.home.folder / "warehouse.duckdb", tmp_path))
    path.chmod(0o444)
    assert "Permission denied" in replace(summaries.home.warehouse, path=path).unwritable()


# -------------------------------------------------------------------------------------------------- the command line


def test_the_command_says_no_go_and_a_backfill_does_not_start(summaries):
    home, days = summaries.home.folder, ["--start", str(ELIGIBLE[0]), "--end", str(END)]
    factors = [*days, "--tables", "player_composite_factors"]
    before = summaries.hashes()
    found = json.loads(run("preflight", *factors, "--json", home=home, expect=1).out)
    assert not found["go"]
    failing = [line["criterion"] for line in found["criteria"] if line["result"] == NO_GO]
    assert failing == ["team_defense_zone_analysis coverage", "player_shot_zone_analysis coverage"]
    refused = run("backfill", *factors, home=home, expect=1).out
    assert f"player_shot_zone_analysis lacks {len(ELIGIBLE)} of {len(ELIGIBLE)} days that are read" in refused
    assert "Nothing was made" in refused
    assert summaries.hashes().equals(before)
    assert run("preflight", *days, home=home).out.splitlines()[-1] == "GO"


def test_a_skipped_preflight_is_recorded_on_the_run(summaries, tmp_path):
    shutil.copytree(summaries.home.folder, tmp_path / "home")
    platform = Platform(tmp_path / "home", summaries.home.raw)
    known = {made.run_id for made in platform.instance.get_runs()}
    factors = ["--start", str(ELIGIBLE[0]), "--end", str(ELIGIBLE[0]), "--tables", "player_composite_factors"]
    run("backfill", "--skip-preflight", *factors, home=tmp_path / "home", expect=1)
    [made] = [made for made in platform.instance.get_runs() if made.run_id not in known]
    assert made.tags["nba_precompute/skipped_preflight"] == "true"


def test_another_source_than_the_homes_is_no_go(summaries, tmp_path):
    done = run("preflight", "--raw", tmp_path, home=summaries.home.folder, expect=1)
    assert f"NO-GO: {SOURCE}: {summaries.home.folder} was made from" in done.out
