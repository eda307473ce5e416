"""The two sensors that ask for stale and missing days: their decisions over a few days written by hand, then in a real instance.

The home of the second part holds 2023-10-24 to 2023-11-13 of the simulated league, so the days of the cascade are 8 to 13 November.
"""

import dataclasses
from datetime import UTC, date, datetime

import dagster as dg
import duckdb
import pandas as pd
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from nba_precompute import coverage
from nba_precompute.assets import SUMMARY_TABLES
from nba_precompute.backfill import MODE_TAG, RANGE_END_TAG, RANGE_START_TAG, RangedRun
from nba_precompute.coverage import GAP, MISSING, STALE, THERE
from nba_precompute.definitions import build_definitions
from nba_precompute.game_days import NEW_YORK, days_between, game_days, now_in_new_york
from nba_precompute.instance import PROCESS_TAG, this_process
from nba_precompute.production import BACKFILL, PRODUCTION
from nba_precompute.refresh import (
    BATCH_DAYS,
    BATCH_RUNS,
    ENDED_EARLY,
    MISSING_SENSOR,
    STALE_SENSOR,
    FailedRun,
    Look,
    batch,
    failures_of_days,
    left_out,
    reads_of_run,
    requests,
    stopped,
    stopped_asking_result,
)
from nba_precompute.sources import layout
from nba_precompute_tests.test_resume import (
    CASCADE,
    DEFENSES,
    END,
    FACTORS,
    FEATURES,
    SLATE,
    START,
    SUMMARIES,
    TABLE,
    TEAMS,
    ZONES,
    assert_as_made_from_nothing,
    change,
    filled,
    home,
    made_by_older_code,
    one_more_free_throw,
)

__all__ = ["filled", "home"]  # fixtures

PLAYERS = SUMMARIES[0]
EIGHTH, NINTH, TENTH = (date(2023, 11, day) for day in (8, 9, 10))
TODAY = date(2023, 11, 30)
NOON = pd.Timestamp("2023-11-14 12:00")


# ------------------------------------------------------------------------------------------------------ decisions


def seen(*days, failed=(), today=TODAY):
    """A look at days (table, day, state, [reads, [run that made it]])."""
    rows = [(table, "2023-24", day, state, None, *(more or ["reads"])[:1]) for table, day, state, *more in days]
    found = pd.DataFrame(rows, columns=["table", "season", "day", "state", "reason", "reads"])
    made_by = [(more[1] if len(more) > 1 else "run 0") if state == STALE else None for _, _, state, *more in days]
    wanted = found.assign(run_id=made_by, published_at=[NOON if run else pd.NaT for run in made_by])
    wanted = wanted[wanted["state"].isin([STALE, MISSING])]
    return Look(found, wanted, failures_of_days(wanted, found, failed), today, {})


def asked(look, state=STALE):
    return [
        ([table.name for table in request.run.tables], request.run.days[0].day, request.run.days[-1].day, request.mode)
        for request in requests(look, state)
    ]


def failed_run(table, days, reads="reads", hour=13, why=None):
    """A run that a sensor asked for over days of one table, an hour after noon."""
    hash_of_reads = reads_of_run([table], days, {(table, day): reads for day in days})
    created = NOON.replace(hour=hour)
    return FailedRun(f"run {hour}", created, [table], days, hash_of_reads, {table: "too bad"} if why is None else why)


def test_nothing_is_asked_for_where_everything_is_there_or_cannot_be_made():
    look = seen((PLAYERS, EIGHTH, THERE), (PLAYERS, NINTH, GAP))
    assert asked(look, STALE) == asked(look, MISSING) == []


def test_each_sensor_asks_for_the_days_of_its_own_state():
    look = seen((PLAYERS, EIGHTH, STALE), (PLAYERS, TENTH, MISSING))
    assert asked(look, STALE) == [(SUMMARIES, 8, 8, BACKFILL)]
    assert asked(look, MISSING) == [(SUMMARIES, 10, 10, BACKFILL)]


def test_what_may_turn_out_unchanged_keeps_what_reads_it_waiting_and_nothing_else():
    """Zones and defences read no context; the slate reads the team context, and the factors the slate."""
    days = [(table, day, STALE) for table in CASCADE for day in (EIGHTH, NINTH)]
    assert asked(seen(*days)) == [([TEAMS, DEFENSES, ZONES], 8, 9, BACKFILL)]
    assert asked(seen(*days[2:])) == [([SLATE, DEFENSES, ZONES], 8, 9, BACKFILL)]


def test_tables_with_other_days_to_make_wait():
    look = seen((TEAMS, EIGHTH, STALE), (DEFENSES, EIGHTH, STALE), (DEFENSES, NINTH, STALE))
    assert asked(look) == [([TEAMS], 8, 8, BACKFILL)]


def test_missing_days_of_all_tables_go_in_one_run():
    assert asked(seen(*((table, EIGHTH, MISSING) for table in CASCADE)), MISSING) == [(CASCADE, 8, 8, BACKFILL)]


def test_summaries_go_before_the_cascade_and_a_season_before_the_next():
    look = seen((TEAMS, EIGHTH, STALE), (PLAYERS, NINTH, STALE))
    assert asked(look) == [(SUMMARIES, 9, 9, BACKFILL)]


def test_today_goes_in_a_run_of_its_own_in_production_mode():
    look = seen(*((TEAMS, day, STALE) for day in (EIGHTH, NINTH, TENTH)), today=TENTH)
    assert asked(look) == [([TEAMS], 8, 9, BACKFILL), ([TEAMS], 10, 10, PRODUCTION)]


def test_days_apart_are_runs_apart_and_few_of_both_go_at_once():
    [table] = SUMMARY_TABLES[:1]
    days = [date.fromordinal(NINTH.toordinal() + number) for number in range(BATCH_DAYS)]
    single = [RangedRun([table], [day]) for day in days]
    assert batch(single, BATCH_DAYS) == single[:BATCH_RUNS]
    assert batch([RangedRun([table], days[:10]), RangedRun([table], days)], BATCH_DAYS) == [
        RangedRun([table], days[:10]),
        RangedRun([table], days[: BATCH_DAYS - 10]),
    ]
    assert batch([RangedRun([table], days), RangedRun([table], days)], BATCH_DAYS) == [RangedRun([table], days)]


def keys(*days, **others):
    return [request.key for request in requests(seen(*days, **others), STALE)]


def test_the_same_correction_has_the_same_key_and_one_taken_back_and_made_again_has_others():
    """A was made by run 0; B replaces it, A replaces B, B replaces A: rows of three runs."""
    to_b = keys((PLAYERS, EIGHTH, STALE, "B", "run 0"))
    assert to_b == keys((PLAYERS, EIGHTH, STALE, "B", "run 0"), (PLAYERS, NINTH, THERE))
    back_to_a = keys((PLAYERS, EIGHTH, STALE, "A", "run 1"))
    to_b_again = keys((PLAYERS, EIGHTH, STALE, "B", "run 2"))
    assert len({*to_b, *back_to_a, *to_b_again}) == 3


def test_after_a_failure_the_key_is_another():
    stale = (PLAYERS, EIGHTH, STALE)
    assert len({*keys(stale), *keys(stale, failed=[failed_run(PLAYERS, [EIGHTH])])}) == 2


def test_after_a_run_that_made_the_same_the_key_is_another():
    """The day was missing, was made, and is missing again: nothing else tells the two from each other."""
    missing = seen((PLAYERS, EIGHTH, MISSING))
    [first] = requests(missing, MISSING)
    [again] = requests(dataclasses.replace(missing, finished={first.reads: 1}), MISSING)
    assert first.reads == again.reads
    assert first.key != again.key


def test_a_day_that_failed_three_times_is_not_asked_for_and_the_others_of_its_range_are():
    """The ninth was there after the first run, in which the eighth was bad."""
    days = (PLAYERS, EIGHTH, MISSING), (PLAYERS, NINTH, THERE), (PLAYERS, TENTH, MISSING)
    failed = [failed_run(PLAYERS, [EIGHTH], hour=hour) for hour in (15, 14)] + [failed_run(PLAYERS, [EIGHTH, NINTH])]
    assert asked(seen(*days, failed=failed[1:]), MISSING) == [(SUMMARIES, 8, 8, BACKFILL), (SUMMARIES, 10, 10, BACKFILL)]
    assert asked(seen(*days, failed=failed), MISSING) == [(SUMMARIES, 10, 10, BACKFILL)]


def test_a_stopped_day_is_not_asked_for_in_vain_by_what_reads_it():
    days = [(table, EIGHTH, MISSING) for table in (SLATE, ZONES, FACTORS)]
    failed = [failed_run(SLATE, [EIGHTH], hour=hour) for hour in (15, 14, 13)]
    assert asked(seen(*days, failed=failed), MISSING) == [([ZONES], 8, 8, BACKFILL)]


def test_a_range_that_failed_goes_in_parts_and_then_by_days_where_other_parts_could_be_made():
    """Of ten days and two, the last cannot be made, and ends every run that holds it."""
    days = days_between(game_days, EIGHTH, date(2023, 11, 20))[:12]
    first, tenth, last = days[0].day, days[9].day, days[11].day
    whole, part = failed_run(PLAYERS, days), failed_run(PLAYERS, days[10:], hour=14)
    missing = [(PLAYERS, day, MISSING) for day in days]
    in_parts = [(SUMMARIES, first, tenth, BACKFILL), (SUMMARIES, tenth + 1, last, BACKFILL)]
    assert asked(seen(*missing), MISSING) == [(SUMMARIES, first, last, BACKFILL)]
    assert asked(seen(*missing, failed=[whole]), MISSING) == in_parts
    left = [*((PLAYERS, day, THERE) for day in days[:10]), *missing[10:]]
    by_days = [(SUMMARIES, day, day, BACKFILL) for day in (tenth + 1, last)]
    assert asked(seen(*left, failed=[part, whole]), MISSING) == by_days
    assert asked(seen(*missing, failed=[failed_run(PLAYERS, days, hour=14), whole]), MISSING) == in_parts


@pytest.mark.parametrize(
    "third",
    [
        failed_run(PLAYERS, [EIGHTH], reads="other games"),
        failed_run(PLAYERS, [EIGHTH], hour=11),  # before the rows that are there
        failed_run(PLAYERS, [NINTH]),
        failed_run(PLAYERS, [EIGHTH], why={SUMMARIES[1]: "too bad"}),  # it waited for another table, which failed
    ],
    ids=["its inputs changed", "it was made since", "another day", "another table failed"],
)
def test_a_failure_counts_for_the_days_that_failed_from_the_same_inputs(third):
    failed = [failed_run(PLAYERS, [EIGHTH], hour=hour) for hour in (15, 14)]
    days = (PLAYERS, EIGHTH, STALE), (PLAYERS, NINTH, THERE)
    assert stopped(seen(*days, failed=[*failed, third]).failures) == []
    assert stopped(seen(*days, failed=[*failed, failed_run(PLAYERS, [EIGHTH])]).failures) == [(PLAYERS, EIGHTH)]


def test_a_failure_of_other_code_does_not_count(monkeypatch):
    failed = [failed_run(PLAYERS, [EIGHTH], hour=hour) for hour in (15, 14, 13)]
    newer = dataclasses.replace(SUMMARY_TABLES[0], code_version="newer")
    monkeypatch.setattr("nba_precompute.lineage.TABLES", {PLAYERS: newer})
    assert stopped(seen((PLAYERS, EIGHTH, STALE), failed=failed).failures) == []


def test_days_are_left_out_that_are_the_daily_runs_or_lack_their_inputs():
    """The source has games to the ninth. The zones of the eighth read games before it; of 2022-23 there are none.

    The features of the eighth, were they missing like the zones, would go in one run with them; stale they wait.
    """
    other_season = date(2022, 11, 8)
    look = seen(
        (PLAYERS, date(2023, 11, 7), THERE),
        *((ZONES, day, MISSING) for day in (EIGHTH, NINTH, TENTH, other_season)),
        *((table, EIGHTH, THERE) for table in (TEAMS, SLATE, DEFENSES, FACTORS)),
        (FEATURES, EIGHTH, STALE),
    )
    reasons = left_out(look.found, today=NINTH, last_games=NINTH).set_index(["table", "day"])["reason"].dropna()
    assert dict(reasons) == {
        (ZONES, NINTH): "its game day is not over in the source, so it is the daily run's",
        (ZONES, TENTH): "its game day is not over in the source, so it is the daily run's",
        (FEATURES, EIGHTH): "player_shot_zone_analysis has no rows of 2023-11-08; materialise it first",
        (ZONES, other_season): "player_game_summary has no games of 2022-23 before 2022-11-08; materialise them first",
    }


def test_the_check_names_the_days_that_are_not_asked_for_any_more_and_why():
    failed = [failed_run(PLAYERS, [EIGHTH], hour=hour) for hour in (15, 14, 13)]
    assert stopped_asking_result(seen((PLAYERS, EIGHTH, STALE), failed=failed[1:])).passed
    result = stopped_asking_result(seen((PLAYERS, EIGHTH, STALE), failed=failed))
    assert not result.passed
    assert result.metadata["days"].value == "player_game_summary 2023-11-08"
    [why] = result.metadata["why"].records
    assert (why.data["failed runs"], why.data["why"]) == ("run 15, run 14, run 13", "too bad")


# ------------------------------------------------------------------------------------------------ in a real instance


def look_once(platform, name, clock=now_in_new_york):
    """One tick of a sensor, with the events that the daemon would store."""
    definitions = build_definitions(platform.home, clock=clock)
    sensor = definitions.resolve_sensor_def(name)
    with dg.build_sensor_context(instance=platform.instance, definitions=definitions) as context:
        ticked = sensor.evaluate_tick(context)
    for event in ticked.asset_events:
        platform.instance.report_runless_asset_event(event)
    return ticked


def let_run(platform, name, request):
    """Make a requested run, as the daemon does: not if there is one with its key."""
    definitions = build_definitions(platform.home)
    tags = {**request.tags, "dagster/sensor_name": name, "dagster/run_key": request.run_key}
    if platform.instance.get_runs(dg.RunsFilter(tags={"dagster/run_key": request.run_key})):
        return
    definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=platform.instance,
        asset_selection=request.asset_selection,
        run_config=request.run_config,
        tags=tags,
        raise_on_error=False,
    )


def until_it_rests(platform, name, most_looks=12):
    """Let a sensor look and its runs run until it asks for nothing; the runs of each look, in short."""
    waves = []
    while requested := look_once(platform, name).run_requests:
        for request in requested:
            let_run(platform, name, request)
        waves.append([in_short(request) for request in requested])
        assert len(waves) <= most_looks
    return waves


def in_short(request):
    names = [key.to_user_string() for key in request.asset_selection]
    return names, request.tags[RANGE_START_TAG][5:], request.tags[RANGE_END_TAG][5:]


def check_of(platform):
    key = dg.AssetCheckKey(dg.AssetKey("coverage"), "stopped_asking")
    return platform.instance.get_latest_asset_check_evaluation_record(key).evaluation


def test_both_sensors_are_stopped_until_a_person_starts_them(home):
    definitions = build_definitions(home.home)
    for name in (STALE_SENSOR, MISSING_SENSOR):
        assert definitions.resolve_sensor_def(name).default_status is dg.DefaultSensorStatus.STOPPED
        assert look_once(home, name).run_requests == []
    assert check_of(home).passed


def test_a_corrected_box_score_goes_through_the_cascade_in_five_runs(home):
    change(home, layout.BOX_SCORES, one_more_free_throw)
    assert look_once(home, MISSING_SENSOR).run_requests == []
    assert until_it_rests(home, STALE_SENSOR) == [
        [(SUMMARIES, "11-10", "11-10")],
        [([TEAMS, DEFENSES, ZONES], "11-11", "11-13")],
        [([SLATE], "11-11", "11-13")],
        [([FACTORS], "11-11", "11-13")],
        [([FEATURES], "11-11", "11-13")],
    ]
    assert_as_made_from_nothing(home)


def test_a_correction_that_is_taken_back_and_made_again_is_asked_for_each_time(home, filled):
    """Of the last day's games, which no other day has seen."""
    path = home.home.raw / layout.BOX_SCORES.name
    change(home, layout.BOX_SCORES, lambda rows: one_more_free_throw(rows, pd.Timestamp("2023-11-13")))
    corrected = path.read_bytes()
    for file in (corrected, (filled.home.raw / layout.BOX_SCORES.name).read_bytes()) * 2:
        path.write_bytes(file)
        assert until_it_rests(home, STALE_SENSOR) == [[(SUMMARIES, "11-13", "11-13")]]
    pd.testing.assert_series_equal(home.hashes(), filled.hashes())


def test_a_raised_code_version_whose_rows_are_the_same_ends_the_wave_at_its_table_and_today_is_production(home):
    """The injury news are known to the tenth, so of these days the eleventh is the last that production mode accepts."""
    made_by_older_code(home, DEFENSES, lambda rows: rows)
    eleventh, twelfth = (lambda day=day: datetime(2023, 11, day, 9, tzinfo=NEW_YORK) for day in (11, 12))
    for clock, days in (
        (twelfth, [("11-08", "11-11", BACKFILL)]),
        (eleventh, [("11-08", "11-10", BACKFILL), ("11-11", "11-11", PRODUCTION)]),
    ):
        requested = look_once(home, STALE_SENSOR, clock).run_requests
        assert [(*in_short(request), request.tags[MODE_TAG]) for request in requested] == [([DEFENSES], *of) for of in days]
    for request in requested:
        let_run(home, STALE_SENSOR, request)
    assert look_once(home, STALE_SENSOR, eleventh).skip_message == "No stale day can be made."


def test_days_that_newer_code_made_are_left_alone_until_the_definitions_are_reloaded(home, monkeypatch):
    """Workers of runs load the code anew: asked for, the days would come out of the newer code again, and be stale again."""
    older = TABLE[DEFENSES].code_version
    with pytest.MonkeyPatch.context() as in_the_worker:
        in_the_worker.setitem(TABLE[DEFENSES].__dict__, "code_version", "newer")
        _, failures = home.backfill(START, END, tables=[TABLE[DEFENSES]])
        assert failures == []
    left = look_once(home, STALE_SENSOR)
    assert left.run_requests == []
    assert f"was made by code_version newer after code_version {older} was loaded here: reload" in left.skip_message
    monkeypatch.setattr(coverage, "LOADED_AT", datetime.now(UTC).replace(tzinfo=None))
    assert until_it_rests(home, STALE_SENSOR) == [[([DEFENSES], "11-08", "11-13")]]


def test_missing_days_are_filled_and_those_that_are_stale_then_are_left_to_the_other_sensor(home):
    home.instance.wipe_assets([dg.AssetKey(FACTORS)])
    with duckdb.connect(home.home.folder / "warehouse.duckdb") as warehouse:
        warehouse.execute("DELETE FROM nba_analytics.player_game_summary WHERE game_date = '2023-11-12'")
        warehouse.execute(
            "DELETE FROM nba_reference.partition_versions WHERE day = '2023-11-12' AND table_name LIKE '%player_game_summary'"
        )
    [stale] = look_once(home, STALE_SENSOR).run_requests  # without that day's games, the thirteenth would be another
    assert in_short(stale) == ([SLATE, ZONES], "11-13", "11-13")
    assert until_it_rests(home, MISSING_SENSOR) == [[(SUMMARIES, "11-12", "11-12")], [([FACTORS], "11-08", "11-13")]]
    assert until_it_rests(home, STALE_SENSOR) == []
    assert_as_made_from_nothing(home)


def test_a_day_that_fails_three_times_is_named_by_the_check_until_it_is_made(home):
    """The table's column has another type than its contract, so no run can write it."""
    home.instance.wipe_assets([dg.AssetKey(FACTORS)])
    with duckdb.connect(home.home.folder / "warehouse.duckdb") as warehouse:
        warehouse.execute("ALTER TABLE nba_precompute.player_composite_factors ALTER fatigue_score TYPE VARCHAR")
    assert until_it_rests(home, MISSING_SENSOR) == [[([FACTORS], "11-08", "11-13")]] * 3
    assert not check_of(home).passed
    assert check_of(home).metadata["stopped"].value == 6
    [*_, last] = check_of(home).metadata["why"].records
    assert last.data["day"] == "2023-11-13"
    assert "player_composite_factors, 2023-11-08 to 2023-11-13: " in last.data["why"]
    assert "6 days were stopped asking for" in look_once(home, MISSING_SENSOR).skip_message

    job = build_definitions(home.home).resolve_implicit_global_asset_job_def()
    alone = job.get_subset(
        asset_selection=set(), asset_check_selection={dg.AssetCheckKey(dg.AssetKey("coverage"), "stopped_asking")}
    ).execute_in_process(instance=home.instance)
    assert [evaluation.passed for evaluation in alone.get_asset_check_evaluations()] == [False]

    with duckdb.connect(home.home.folder / "warehouse.duckdb") as warehouse:
        warehouse.execute("DROP TABLE nba_precompute.player_composite_factors")
    home.backfill(date(2023, 10, 24), date(2023, 11, 13))
    assert look_once(home, MISSING_SENSOR).run_requests == []
    assert check_of(home).passed


def test_a_day_that_is_lost_again_is_made_again(home):
    for _ in range(2):
        with duckdb.connect(home.home.folder / "warehouse.duckdb") as warehouse:
            warehouse.execute("DELETE FROM nba_analytics.player_game_summary WHERE game_date = '2023-11-13'")
            warehouse.execute(
                "DELETE FROM nba_reference.partition_versions WHERE day = '2023-11-13' AND table_name LIKE '%player_game_summary'"
            )
        assert until_it_rests(home, MISSING_SENSOR) == [[(SUMMARIES, "11-13", "11-13")]]


def killed(platform, request, **others):
    """A run that was asked for and ended before a step could say anything."""
    run = platform.instance.create_run_for_job(
        build_definitions(platform.home).resolve_implicit_global_asset_job_def(),
        status=dg.DagsterRunStatus.STARTED,
        asset_selection=set(request.asset_selection),
        tags={**request.tags, "dagster/sensor_name": MISSING_SENSOR, "dagster/run_key": request.run_key},
        **others,
    )
    platform.instance.report_run_failed(run)
    return run


def test_a_range_whose_run_was_killed_goes_again_as_it_was_until_the_third_time_and_a_retry_is_the_same_time(home):
    """More days than go in one part after a failure of a step."""
    home.instance.wipe_assets([dg.AssetKey(name) for name in SUMMARIES])
    keys_seen = set()
    for _ in range(3):
        [request] = look_once(home, MISSING_SENSOR).run_requests
        assert in_short(request) == (SUMMARIES, "10-24", "11-13")
        keys_seen.add(request.run_key)
        run = killed(home, request)
        killed(home, request, parent_run_id=run.run_id, root_run_id=run.run_id)
    assert len(keys_seen) == 3
    assert "were stopped asking for" in look_once(home, MISSING_SENSOR).skip_message
    assert {record.data["why"] for record in check_of(home).metadata["why"].records} == {ENDED_EARLY}


def test_nobody_is_asked_while_a_run_a_command_or_a_backfill_of_the_ui_makes_tables(home):
    change(home, layout.BOX_SCORES, one_more_free_throw)
    job = build_definitions(home.home).resolve_implicit_global_asset_job_def()
    run = home.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, asset_selection={dg.AssetKey(ZONES)})
    for name in (STALE_SENSOR, MISSING_SENSOR):
        assert f"Waiting: run {run.run_id[:8]} of the UI (STARTED) makes {ZONES}" in look_once(home, name).skip_message
    home.instance.report_run_canceled(run)
    killed = home.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={PROCESS_TAG: "1@0.00"})
    command = home.instance.create_run_for_job(job, status=dg.DagsterRunStatus.SUCCESS, tags={PROCESS_TAG: this_process()})
    assert "a command, is between two of its runs" in look_once(home, STALE_SENSOR).skip_message
    of_a_command_that_is_gone = home.instance.get_run_by_id(killed.run_id)
    assert of_a_command_that_is_gone.status is dg.DagsterRunStatus.FAILURE
    home.instance.delete_run(command.run_id)
    backfill = PartitionBackfill("by hand", BulkActionStatus.REQUESTED, from_failure=False, tags={}, backfill_timestamp=0.0)
    home.instance.add_backfill(backfill)
    assert look_once(home, MISSING_SENSOR).skip_message == "Waiting: backfill by hand of the UI is REQUESTED."
    home.instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_SUCCESS))
    assert len(look_once(home, STALE_SENSOR).run_requests) == 1
