"""Ingestion as Dagster shows it: which homes have the asset, what a run and the command line record, and when the schedule asks."""

from datetime import UTC, date, datetime
from uuid import uuid4

import dagster as dg
import pytest

from nba_precompute.assets import RAW_FILES
from nba_precompute.definitions import build_definitions
from nba_precompute.game_days import NEW_YORK
from nba_precompute.history import run_history
from nba_precompute.home import Home
from nba_precompute.ingested_games import NAME, decide, record
from nba_precompute.ingestion import ingest
from nba_precompute.instance import instance_of
from nba_precompute.sources.stats_api import StatsApi
from nba_precompute_tests.stats_server import MORNING_AFTER, NEXT_DAY, OPENING, SEASON, SECOND, serving, three_games

INGESTED = dg.AssetKey(NAME)


@pytest.fixture
def league():
    return three_games()


@pytest.fixture
def api(league):
    with serving(league) as server:
        yield StatsApi(server.url, pause_seconds=0, now=lambda: datetime(2024, 10, 24, 12, tzinfo=UTC))


@pytest.fixture
def home(api, tmp_path):
    """A home whose opening night was ingested on the command line."""
    home = Home(tmp_path / "home")
    folder = home.ingested_folder
    record(home, ingest(folder, api, SEASON, OPENING, OPENING, MORNING_AFTER))
    return home


def definitions_of(home, api):
    return build_definitions(home, clock=lambda: datetime(2024, 10, 24, 9, tzinfo=NEW_YORK), stats_api=api)


def make(home, api, instance, first, last):
    job = definitions_of(home, api).resolve_implicit_global_asset_job_def()
    tags = {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}
    return job.execute_in_process(instance=instance, asset_selection=[INGESTED], tags=tags, raise_on_error=False)


def recorded(instance):
    return sorted(instance.get_materialized_partitions(INGESTED))


def test_a_home_that_nobody_ingested_for_has_no_such_asset_and_no_such_schedule(tmp_path):
    definitions = build_definitions(Home(tmp_path / "home"))
    assert INGESTED not in definitions.resolve_asset_graph().get_all_asset_keys()
    assert [schedule.name for schedule in definitions.schedules] == ["daily_run", "daily_coverage"]


def test_ingested_games_stand_before_the_raw_inputs_that_they_fill(home, api):
    definitions = definitions_of(home, api)
    dg.Definitions.validate_loadable(definitions)
    graph = definitions.resolve_asset_graph()
    filled = {name for name in RAW_FILES if INGESTED in graph.get(dg.AssetKey(name)).parent_keys}
    assert filled == {"raw_box_scores", "raw_shots", "raw_schedule", "raw_players"}
    assert [schedule.name for schedule in definitions.schedules] == ["daily_run", "daily_coverage", "daily_ingestion"]


def test_what_the_command_line_ingested_is_recorded(home):
    with instance_of(home) as instance:
        assert recorded(instance) == [str(OPENING)]


def test_a_run_ingests_its_days_and_records_them(home, api, league):
    with instance_of(home) as instance:
        result = make(home, api, instance, OPENING, NEXT_DAY)
        assert result.success
        assert recorded(instance) == [str(OPENING), str(NEXT_DAY)]
    assert list(home.source().days_with_box_scores()) == [OPENING, NEXT_DAY]
    rows, runs = run_history(home, None, 10)
    assert runs == 1
    assert [(row.table, row.status, row.days) for row in rows] == [(NAME, "SUCCESS", 2)]


def test_a_run_of_a_later_day_records_what_was_corrected_before_it(home, api, league):
    league.box_scores.loc[0, "reb"] += 1
    with instance_of(home) as instance:
        assert make(home, api, instance, NEXT_DAY, NEXT_DAY).success
        latest = instance.fetch_materializations(dg.AssetRecordsFilter(INGESTED, asset_partitions=[str(OPENING)]), limit=1)
        assert latest.records[0].asset_materialization.metadata["corrected"].value is True


def test_a_day_whose_games_are_not_all_there_fails_and_the_others_are_recorded(home, api, league):
    league.status_texts[SECOND] = "Q4 2:11"
    with instance_of(home) as instance:
        instance.wipe_assets([INGESTED])
        result = make(home, api, instance, OPENING, NEXT_DAY)
        assert not result.success
        assert recorded(instance) == [str(NEXT_DAY)]
        failure = result.get_step_failure_events()[0].event_specific_data.error_display_string
    assert f"1 games are missing, first: 2024-10-22: game {SECOND}, MIN at LAL, is not final." in failure


def test_a_game_that_is_missing_in_the_week_before_does_not_fail_the_day(home, api, league):
    league.status_texts[SECOND] = "Q4 2:11"
    with instance_of(home) as instance:
        assert make(home, api, instance, NEXT_DAY, NEXT_DAY).success


def test_a_day_without_a_game_in_the_schedule_fails(home, api):
    with instance_of(home) as instance:
        result = make(home, api, instance, date(2024, 10, 24), date(2024, 10, 24))
        assert not result.success
        assert (
            "2024-10-24: the schedule has no game"
            in result.get_step_failure_events()[0].event_specific_data.error_display_string
        )


def test_the_schedule_asks_for_the_last_game_day_until_it_is_there(home, api):
    definitions = definitions_of(home, api)
    schedule = definitions.resolve_schedule_def("daily_ingestion")
    with instance_of(home) as instance:

        def tick():
            return schedule.evaluate_tick(dg.build_schedule_context(instance, repository_def=definitions.get_repository_def()))

        [asked] = tick().run_requests
        assert asked.asset_selection == [INGESTED]
        job = definitions.resolve_implicit_global_asset_job_def()
        assert job.execute_in_process(instance=instance, asset_selection=asked.asset_selection, tags=asked.tags).success
        assert recorded(instance) == [str(OPENING), str(NEXT_DAY)]
        assert tick().skip_message == "The games of 2024-10-23 are there."
        assert decide(instance, date(2024, 7, 24)).skip_message == "2024-07-23 is no game day."


def test_the_schedule_waits_while_a_run_asks_for_games(home):
    with instance_of(home) as instance:
        waiting = dg.DagsterRun("any", str(uuid4()), status=dg.DagsterRunStatus.STARTED, asset_selection=frozenset([INGESTED]))
        instance.add_run(waiting)
        assert decide(instance, MORNING_AFTER).skip_message == "A run is asking for games."
