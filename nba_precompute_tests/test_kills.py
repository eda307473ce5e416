"""kill -9 at any moment of a backfill, then the same again: as a home that was left in peace, and nothing made twice.

On three simulated weeks; on a real season: `benchmarks.kills`. The processes that die are forks of one that has only imported.
"""

import os
import random
import signal
import time
from datetime import date

import dagster as dg
import pytest
import sqlalchemy

from nba_precompute.assets import SUMMARY_TABLES, TABLES
from nba_precompute.backfill import backfill_days
from nba_precompute.coverage import look_at_source
from nba_precompute.definitions import build_definitions
from nba_precompute.event_log import BatchedSqliteEventLogStorage
from nba_precompute.home import Home
from nba_precompute.instance import PROCESS_TAG, end_runs_of_dead_processes, instance_of, this_process
from nba_precompute.storage import duckdb as storage
from nba_precompute_tests.benchmarks.kills import differences, going_on, partition_status, published, recorded, there
from nba_precompute_tests.processes import imported
from nba_precompute_tests.test_runs import folder_of

THREE_WEEKS = (len(TABLES), date(2023, 10, 24), date(2023, 11, 13))
THREE_DAYS = (len(SUMMARY_TABLES), date(2023, 10, 24), date(2023, 10, 26))
"""How many of the tables, and the days."""

KILLS, SEED = 20, 20231024


def backfill(home, how_many, first, last):
    """As the command does it."""
    with instance_of(home) as instance:
        end_runs_of_dead_processes(instance)
        failures = backfill_days(
            build_definitions(home),
            home,
            instance,
            look_at_source(home.source(), first, last),
            TABLES[:how_many],
            tags={PROCESS_TAG: this_process()},
            force=False,
            on_progress=lambda *_: None,
        )
    assert failures == []


def start(target, *arguments):
    process = imported.Process(target=target, args=arguments)
    process.start()
    return process


def left_in_peace(home, what):
    process = start(backfill, home, *what)
    process.join()
    assert process.exitcode == 0
    return home


@pytest.fixture(scope="module")
def raw(simulated_season, tmp_path_factory):
    return folder_of(simulated_season, tmp_path_factory)


def test_twenty_kills_at_random_moments_of_three_weeks(raw, tmp_path):
    """A home is killed again and again until it is complete, then the next one; what was there stays as it was made."""
    started = time.monotonic()
    undisturbed = left_in_peace(Home(tmp_path / "undisturbed", raw), THREE_WEEKS)
    duration = time.monotonic() - started
    moments = random.Random(SEED)
    kills = homes = 0
    print(f"seed {SEED}, undisturbed in {duration:.1f} s")
    while kills < KILLS:
        homes += 1
        home, before = Home(tmp_path / str(homes), raw), None
        process = None
        while process is None or process.exitcode != 0:
            moment = moments.uniform(0, duration / 2) if kills < KILLS else None
            process = start(backfill, home, *THREE_WEEKS)
            process.join(moment)
            process.kill()
            process.join()
            assert process.exitcode in (0, -signal.SIGKILL)
            kills += process.exitcode != 0
            with instance_of(home) as instance:
                after, words = there(home, instance), going_on(instance)
                partition_status(instance)  # as the UI, which keeps what it has once seen
                counts = f"{len(published(home))} published, {len(recorded(instance))} recorded"
            killed = f"kill {kills} at {moment:.1f} s, {words}" if process.exitcode else "complete"
            print(f"home {homes}", killed, counts, sep=", ")
            if before is not None:
                assert after["run_id"].reindex(before.index).equals(before["run_id"])
            before = after
        assert differences(home, undisturbed) == []


# ------------------------------------------------------------------------------------------------------ named moments


def kill_itself(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def before_event(kind):
    """Die with the event at hand and not yet stored."""

    def store_event(log, event):
        if event.dagster_event_type is kind:
            kill_itself()
        stored(log, event)

    stored, BatchedSqliteEventLogStorage.store_event = BatchedSqliteEventLogStorage.store_event, store_event


def planned_and_not_started():
    before_event(dg.DagsterEventType.RUN_START)


def in_the_transaction_of_the_warehouse():
    storage._replace_versions = kill_itself


def published_and_not_recorded():
    def publish(*arguments, **named):
        make_public(*arguments, **named)
        kill_itself()

    make_public, storage.DuckDBWarehouse.publish = storage.DuckDBWarehouse.publish, publish


def in_the_log_of_the_run_and_not_in_the_index():
    batches = []

    def remember(log, events):
        batches.append(events[0].dagster_event_type)
        stored(log, events)

    def before_commit(connection):
        if batches[-1:] == [dg.DagsterEventType.ASSET_MATERIALIZATION] and connection.engine.url.database.endswith("index.db"):
            kill_itself()

    stored, BatchedSqliteEventLogStorage.store_event_batch = BatchedSqliteEventLogStorage.store_event_batch, remember
    sqlalchemy.event.listen(sqlalchemy.Engine, "commit", before_commit)


def recorded_and_the_run_not_ended():
    before_event(dg.DagsterEventType.RUN_SUCCESS)


def backfill_and_die(moment, home, what):
    moment()
    backfill(home, *what)


@pytest.fixture(scope="module")
def three_days(raw, tmp_path_factory):
    return left_in_peace(Home(tmp_path_factory.mktemp("three_days") / "home", raw), THREE_DAYS)


@pytest.mark.parametrize(
    ("moment", "were_published", "were_recorded", "made_again"),
    [
        (planned_and_not_started, 0, 0, 9),
        (in_the_transaction_of_the_warehouse, 0, 0, 9),
        (published_and_not_recorded, 9, 0, 9),
        (in_the_log_of_the_run_and_not_in_the_index, 9, 0, 9),
        (recorded_and_the_run_not_ended, 9, 9, 0),
    ],
)
def test_killed_at(moment, were_published, were_recorded, made_again, three_days, raw, tmp_path):
    """Three days of three tables."""
    home = Home(tmp_path / "home", raw)
    process = start(backfill_and_die, moment, home, THREE_DAYS)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    was = published(home)
    with instance_of(home) as instance:
        assert (len(was), len(recorded(instance))) == (were_published, were_recorded)
    left_in_peace(home, THREE_DAYS)
    now = published(home)
    assert (now["run_id"] != was["run_id"].reindex(now.index)).sum() == made_again
    assert differences(home, three_days) == []
