"""Processes as on several machines: one history in Postgres, turns by table and season, runs on Celery workers."""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import date

import dagster as dg
import duckdb
import pandas as pd
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon
from dagster._daemon.daemon import MonitoringDaemon
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster_celery.launcher import CeleryRunLauncher
from dagster_graphql.schema import create_schema
from redis import Redis
from sqlalchemy import create_engine

from nba_precompute import automation
from nba_precompute.assets import CASCADE_TABLES, SUMMARY_TABLES
from nba_precompute.backfill import RangedRun, run_request
from nba_precompute.cluster import launcher
from nba_precompute.cluster.locks import this_process_in_words
from nba_precompute.cluster.lost_runs import lost_runs
from nba_precompute.game_days import days_between, eligible_days, game_days, now_in_new_york
from nba_precompute.history import run_history
from nba_precompute.home import Home
from nba_precompute.instance import (
    REPOSITORY,
    HistoryUnreachable,
    end_runs_of_dead_processes,
    instance_of,
    is_alive,
    this_process,
)
from nba_precompute.production import BACKFILL
from nba_precompute.storage import WarehouseBusy
from nba_precompute.turns import Making, locks, require_turn, turn
from nba_precompute_tests.servers import running_postgres, running_redis, server_or_skip
from nba_precompute_tests.test_command_line import command_line

forked = multiprocessing.get_context("fork")  # a spawned process would import Dagster again, 3 s each

SUMMARIES, CASCADE = ([table.name for table in tables] for tables in (SUMMARY_TABLES, CASCADE_TABLES))


@pytest.fixture(scope="module")
def postgres():
    with running_postgres(server_or_skip("postgres")) as (address, _):
        yield address


# ------------------------------------------------------------------------------------------------------------- turns


def season(tables, year):
    return Making(tables, date(year, 11, 20), date(year + 1, 4, 1))


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        (season(CASCADE, 2022), season(CASCADE, 2022), True),
        (season(CASCADE, 2022), season(CASCADE, 2023), False),
        (season(SUMMARIES, 2022), season(SUMMARIES, 2023), False),
        (season(SUMMARIES, 2022), season(CASCADE, 2022), True),
        # ml_feature_store_v2 looks back a year, and at player_game_summary only
        (season(SUMMARIES, 2022), season(CASCADE, 2023), True),
        (season(["team_defense_game_summary"], 2022), season(CASCADE, 2023), False),
        (season(SUMMARIES, 2023), season(CASCADE, 2022), False),
        # a table reads what another makes of the same season, or the same days
        (season(["player_composite_factors"], 2022), season(["ml_feature_store_v2"], 2022), True),
        (season(["player_composite_factors"], 2022), season(["ml_feature_store_v2"], 2023), False),
        (season(["team_defense_zone_analysis"], 2022), season(["player_shot_zone_analysis"], 2022), False),
        # a range over two seasons
        (Making(CASCADE, date(2022, 11, 20), date(2023, 12, 1)), season(CASCADE, 2023), True),
        # the checks of all days and `coverage` read everything
        (Making(()), season(SUMMARIES, 2021), True),
        (Making(["coverage"]), season(["ml_feature_store_v2"], 2025), True),
        (Making(["coverage"]), Making(["coverage"]), True),
    ],
)
def test_runs_meet_where_one_makes_what_the_other_makes_or_reads(one, other, meet):
    exclusive_of_one, exclusive_of_other = locks(one), locks(other)
    shared = exclusive_of_one.keys() & exclusive_of_other.keys()
    assert any(exclusive_of_one[name] or exclusive_of_other[name] for name in shared) is meet


def home_at(folder, postgres):
    return Home(folder, postgres=postgres)


def take_turn(folder, postgres, making, taken, let_go):
    with turn(home_at(folder, postgres), say=print, making=making):
        taken.set()
        let_go.wait(60)


@contextlib.contextmanager
def holding(folder, postgres, making):
    """Another process whose turn it is."""
    taken, let_go = forked.Event(), forked.Event()
    holder = forked.Process(target=take_turn, args=(folder, postgres, making, taken, let_go))
    holder.start()
    assert taken.wait(60)
    try:
        yield holder, let_go
    finally:
        if holder.is_alive():  # an event waits for those that wait for it, the dead among them
            let_go.set()
        holder.join()


def test_two_seasons_take_their_turns_at_once(tmp_path, postgres):
    with (
        holding(tmp_path, postgres, season(CASCADE, 2022)),
        turn(home_at(tmp_path, postgres), say=pytest.fail, making=season(CASCADE, 2023)) as waited,
    ):
        assert not waited


def test_a_season_waits_for_its_summaries_which_another_process_makes(tmp_path, postgres):
    said = []
    with holding(tmp_path, postgres, season(SUMMARIES, 2022)) as (holder, let_go):

        def say(words):
            said.append(words)
            let_go.set()

        with turn(home_at(tmp_path, postgres), say=say, making=season(CASCADE, 2022)) as waited:
            assert waited
        named = f"process {holder.pid} on {socket.gethostname()}"
    assert said == [f"Waiting for {named}, which makes tables in {tmp_path}."]


def test_a_turn_that_does_not_come_is_given_up_with_process_and_machine(tmp_path, postgres):
    with holding(tmp_path, postgres, season(CASCADE, 2022)) as (holder, _):
        named = rf"process {holder.pid} on {socket.gethostname()} has been making tables in .* for 0.1 s"
        mine = turn(home_at(tmp_path, postgres), say=print, making=season(CASCADE, 2022), wait_limit_seconds=0.1)
        with pytest.raises(WarehouseBusy, match=named), mine:
            pass


def test_a_killed_process_has_no_turn_in_postgres_any_more(tmp_path, postgres):
    with holding(tmp_path, postgres, season(CASCADE, 2022)) as (holder, _):
        os.kill(holder.pid, signal.SIGKILL)
        holder.join()
        # Postgres hears of it when it next looks at the connection: at once, and not always before this process asks
        with turn(home_at(tmp_path, postgres), say=print, making=season(CASCADE, 2022), wait_limit_seconds=30):
            pass


def test_a_turn_whose_connection_breaks_is_told_of_when_it_ends(tmp_path, postgres):
    """As after a restart of Postgres: another may have had the turn meanwhile."""
    with (
        pytest.raises(WarehouseBusy, match=r"held the turn over .* broke before its run had ended"),
        turn(Home(tmp_path, postgres=postgres), print),
    ):
        assert cut_the_turns_of_others(postgres) > 0


def test_a_connection_that_breaks_before_its_turn_has_come_is_told_of_too(tmp_path, postgres):
    def cut(_):
        connections = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
        assert ask(postgres, connections, this_process_in_words()) == [True]

    with (
        holding(tmp_path, postgres, season(CASCADE, 2022)),
        pytest.raises(WarehouseBusy, match=r"held the turn over .* broke .* Run the same command again"),
        turn(home_at(tmp_path, postgres), say=cut, making=season(CASCADE, 2022)),
    ):
        pass


def ask(postgres, sql, *parameters):
    """The first column of what Postgres answers."""
    with create_engine(postgres).connect() as connection:
        return connection.exec_driver_sql(sql, parameters).scalars().all()


def cut_the_turns_of_others(postgres):
    """End the connections that hold locks, as a restart of Postgres or a broken network does; how many there were."""
    cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()"
    return len(ask(postgres, cut))


def cut_those_that_wait_for_a_turn(postgres):
    return len(ask(postgres, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))


def somebody_waits_for_a_turn(postgres):
    return ask(postgres, "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") != []


def test_a_turn_is_required_while_it_is_held_and_is_no_more_once_its_connection_broke(tmp_path, postgres):
    home = home_at(tmp_path, postgres)
    require_turn(home)  # what is published outside of turns needs none
    mine = contextlib.ExitStack()
    mine.enter_context(turn(home, print))
    require_turn(home)
    assert cut_the_turns_of_others(postgres) > 0
    for _ in range(2):  # a connection that broke is opened again when it is used
        with pytest.raises(WarehouseBusy, match="held the turn over"):
            require_turn(home)
    with pytest.raises(WarehouseBusy, match="held the turn over"):
        mine.close()
    require_turn(home)


def test_a_run_within_a_turn_of_its_own_command_waits_for_nobody_in_postgres(tmp_path, postgres):
    home, making = home_at(tmp_path, postgres), season(CASCADE, 2022)
    with turn(home, say=pytest.fail, making=making), turn(home, say=pytest.fail, making=making) as waited:
        assert not waited
    with holding(tmp_path, postgres, making), pytest.raises(WarehouseBusy), turn(home, print, making, wait_limit_seconds=0.1):
        pass


# ------------------------------------------------------------------------------------------------- other machines


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("postgresql+psycopg2://postgres@127.0.0.1:1/postgres", "Connection refused"),
        ("postgresql://postgres@127.0.0.1:1/postgres", "No module named 'psycopg'"),
        ("the database", "it is no address"),
        ("postgresql+psycopg2://user:se@cret@127.0.0.1/postgres", "it is no address"),
        ("postgresql+psycopg2://user:secret@127.0.0.1:port/postgres", "it is no address"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_with_what_it_must_be(tmp_path, address, why):
    home = Home(tmp_path / "home", postgres=address)
    with pytest.raises(HistoryUnreachable, match=rf"{why}.*postgresql\+psycopg2://.*--extra cluster") as said:
        instance_of(home)
    assert "cret" not in f"{said.value} {home}"
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (None, "it is not set"),
        ("redis://127.0.0.1:1/0", "Connection refused"),
        ("queue://127.0.0.1/0", "No such transport: queue"),
        ("redis://:se:cret@127.0.0.1:1/0", "Connection refused"),
    ],
)
def test_a_worker_whose_queue_cannot_be_used_says_so_in_a_sentence(tmp_path, postgres, address, why):
    named = {"NBA_PRECOMPUTE_POSTGRES": postgres} | ({"NBA_PRECOMPUTE_REDIS": address} if address else {})
    met = command_line(tmp_path / "home", "worker", environment=named)
    said = " ".join(met.err.split())
    assert met.exit_code == 2
    assert "Could not run: The queue in NBA_PRECOMPUTE_REDIS cannot be used: " in said
    assert why in said
    assert "redis://HOST:6379/0" in said
    assert "cret" not in said


def test_a_process_of_another_machine_is_not_taken_for_dead(tmp_path):
    number, created, here = this_process().split("@")
    assert here == socket.gethostname()
    assert is_alive(this_process())
    assert is_alive(f"{number}@{created}"), "as it was named before there were several machines"
    assert not is_alive(f"{number}@{float(created) - 100}@{here}")
    elsewhere = f"{number}@{float(created) - 100}@another-machine"
    assert is_alive(elsewhere)
    with instance_of(Home(tmp_path)) as instance:
        job = dg.GraphDefinition("of_a_command").to_job()
        tags = {"nba_precompute/process": elsewhere}
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
        end_runs_of_dead_processes(instance)
        assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.STARTED


# ------------------------------------------------------------------------------------------------------- workers

LAUNCH = """
mutation ($params: ExecutionParams!) {
    launchPipelineExecution(executionParams: $params) {
        __typename
        ... on LaunchRunSuccess { run { runId } }
        ... on PythonError { message stack }
        ... on RunConfigValidationInvalid { errors { message } }
    }
}
"""

ENDED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
GIVE_UP_SECONDS = 120


def until(look):
    give_up_at = time.monotonic() + GIVE_UP_SECONDS
    while not look():
        assert time.monotonic() < give_up_at, "it does not end"
        time.sleep(0.1)


class Machines:
    """A home with Postgres, Redis and workers; what the daemon does is done when it is asked for."""

    def __init__(self, home, folder, redis, servers):
        self.home, self.folder, self.redis, self.servers = home, folder, redis, servers
        self.instance = instance_of(home)
        self.context = WorkspaceProcessContext(self.instance, WorkspaceFileTarget([str(REPOSITORY / "workspace.yaml")]))
        self.workers = []

    def start_afresh(self):
        """Two workers that wait for runs, and no run, whatever a test has left."""
        for worker in self.workers:
            worker.send_signal(signal.SIGCONT)  # nothing, where it is dead
        self.retry()  # now, and in no test to come
        for run in self.instance.get_runs(dg.RunsFilter(statuses=[*set(dg.DagsterRunStatus) - ENDED])):
            if not self.instance.run_launcher.terminate(run.run_id):
                self.instance.report_run_canceled(run)
        while len(self.living_workers()) < 2:
            self.start_worker()
        until(lambda: self.workers_that_answer() == 2)

    def living_workers(self):
        return [worker for worker in self.workers if worker.poll() is None]

    def start_worker(self):
        number = len(self.workers)
        with (self.folder / f"worker-{number}.log").open("w") as said:
            command = [sys.executable, "-m", "nba_precompute", "worker"]
            self.workers.append(subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True))

    def restart_redis(self):
        """What it had is lost."""
        [port] = {connection.laddr.port for connection in self.redis.net_connections("tcp")}
        self.redis.kill()
        self.redis.wait()
        _, self.redis = self.servers.enter_context(running_redis(server_or_skip("redis-server"), port))

    def stop_workers(self):
        """None takes a run any more, neither one that Redis still has a worker's question for."""
        for worker in self.workers:
            worker.send_signal(signal.SIGSTOP)
        queue = Redis.from_url(os.environ["NBA_PRECOMPUTE_REDIS"])
        until(lambda: queue.info("clients")["blocked_clients"] == 0)

    def workers_that_answer(self):
        return len(self.instance.run_launcher.celery.control.ping(timeout=1.0, limit=2))

    def said(self, number):
        return (self.folder / f"worker-{number}.log").read_text()

    def launch(self, tables, days, **tags):
        asked = run_request(RangedRun(tables, days), BACKFILL, key="")
        params = {
            "mode": "default",
            "selector": {
                "repositoryLocationName": "nba_precompute",
                "repositoryName": "__repository__",
                "pipelineName": "__ASSET_JOB",
                "assetSelection": [{"path": key.path} for key in asked.asset_selection],
                "assetCheckSelection": [],
            },
            "runConfigData": asked.run_config,
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in {**asked.tags, **tags}.items()]},
        }
        context = self.context.create_request_context()
        answer = asyncio.run(create_schema().execute_async(LAUNCH, context_value=context, variables={"params": params}))
        assert answer.errors is None, answer.errors
        found = answer.data["launchPipelineExecution"]
        assert found["__typename"] == "LaunchRunSuccess", found
        return found["run"]["runId"]

    def let(self, daemon):
        """One look of a daemon."""
        assert [error for error in daemon.run_iteration(self.context) if error] == []

    def dequeue(self):
        self.let(QueuedRunCoordinatorDaemon(interval_seconds=5))

    def look_after_runs(self):
        self.let(MonitoringDaemon(interval_seconds=10))

    def look_for_lost_runs(self):
        """One tick of the sensor."""
        context = dg.build_sensor_context(self.instance, sensor_name=lost_runs.name)
        return lost_runs.evaluate_tick(context).skip_message

    def retry(self):
        self.let(EventLogConsumerDaemon())

    def status(self, run_id):
        return self.instance.get_run_by_id(run_id).status

    def state_of_task(self, run_id):
        """What Celery last wrote of the run."""
        task = self.instance.get_run_by_id(run_id).tags["dagster-celery/task_id"]
        return self.instance.run_launcher.celery.AsyncResult(task).state

    def until_ended(self, *runs):
        until(lambda: {self.status(run) for run in runs} <= ENDED)
        return {self.status(run) for run in runs}

    def worker_of(self, run_id):
        """The number of the worker that has the run, when one has it."""
        task = self.instance.get_run_by_id(run_id).tags["dagster-celery/task_id"]
        until(lambda: any(task in self.said(number) for number in range(len(self.workers))))
        [number] = [number for number in range(len(self.workers)) if task in self.said(number)]
        return number


@pytest.fixture
def machines(machines_of_all_tests):
    machines_of_all_tests.start_afresh()
    return machines_of_all_tests


@pytest.fixture(scope="module")
def machines_of_all_tests(postgres, simulated_season, tmp_path_factory):
    folder = tmp_path_factory.mktemp("machines")
    with contextlib.ExitStack() as servers, pytest.MonkeyPatch.context() as environment:
        address, process = servers.enter_context(running_redis(server_or_skip("redis-server")))
        environment.setenv("NBA_PRECOMPUTE_POSTGRES", postgres)
        environment.setenv("NBA_PRECOMPUTE_REDIS", address)
        environment.setenv("NBA_PRECOMPUTE_HOME", str(folder / "home"))
        environment.setenv("NBA_PRECOMPUTE_RAW", str(simulated_season.path))
        found = Machines(Home(folder / "home", simulated_season.path, postgres=postgres), folder, process, servers)
        try:
            with found.context:
                found.retry()  # begins with what ends from now on
                yield found
        finally:
            for worker in found.workers:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()
            found.instance.dispose()


@contextlib.contextmanager
def patience(*seconds):
    """How long workers have for their answers, so that a test of a silent one takes less than a minute."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(launcher, "PATIENCE_SECONDS", seconds)
        yield


FIRST_WEEK = days_between(game_days, date(2023, 10, 24), date(2023, 10, 31))


def test_a_run_of_the_queue_is_made_by_a_worker(machines):
    run = machines.launch(SUMMARY_TABLES, FIRST_WEEK)
    assert machines.status(run) is dg.DagsterRunStatus.QUEUED
    machines.dequeue()
    assert machines.until_ended(run) == {dg.DagsterRunStatus.SUCCESS}
    assert machines.worker_of(run) in (0, 1)
    rows, _ = run_history(machines.home, None, limit=1)
    assert [(row.table, row.status, row.days) for row in rows] == [(name, "SUCCESS", len(FIRST_WEEK)) for name in SUMMARIES]
    assert len(machines.home.warehouse.partition_versions()) == 3 * len(FIRST_WEEK)


def test_a_run_that_is_terminated_is_canceled_lets_go_of_its_turn_and_is_not_made_again(machines):
    with turn(machines.home, say=print):
        run = machines.launch(SUMMARY_TABLES, FIRST_WEEK)
        machines.dequeue()
        until(lambda: machines.status(run) is dg.DagsterRunStatus.STARTED)
        assert machines.instance.run_launcher.terminate(run)
        assert machines.status(run) is dg.DagsterRunStatus.CANCELED
        assert not machines.instance.run_launcher.terminate(run)
    with turn(machines.home, say=print, wait_limit_seconds=30):  # its process is gone
        machines.look_after_runs()
        machines.retry()
        assert machines.status(run) is dg.DagsterRunStatus.CANCELED
        assert [found for found in machines.instance.get_runs() if found.parent_run_id == run] == []


def test_a_run_that_lost_its_turn_publishes_nothing_and_says_what_to_do(machines, postgres):
    path = machines.home.folder / "warehouse.duckdb"
    before = machines.home.warehouse.partition_versions()
    with turn(machines.home, say=print):
        run = machines.launch(SUMMARY_TABLES, FIRST_WEEK)
        machines.dequeue()
        until(lambda: somebody_waits_for_a_turn(postgres))
        file = duckdb.connect(path)  # when its turn comes, it waits for the file
    until(lambda: cut_the_turns_of_others(postgres))
    file.close()
    assert machines.until_ended(run) == {dg.DagsterRunStatus.FAILURE}
    assert_history_says_what_to_do(machines)
    pd.testing.assert_frame_equal(machines.home.warehouse.partition_versions(), before)


def test_a_run_that_lost_its_place_among_those_that_wait_says_what_to_do(machines, postgres):
    with turn(machines.home, say=print):
        run = machines.launch(SUMMARY_TABLES, FIRST_WEEK)
        machines.dequeue()
        until(lambda: cut_those_that_wait_for_a_turn(postgres))
        assert machines.until_ended(run) == {dg.DagsterRunStatus.FAILURE}
    assert_history_says_what_to_do(machines)


def assert_history_says_what_to_do(machines):
    rows, _ = run_history(machines.home, None, limit=1)
    assert {row.status for row in rows} == {"FAILURE"}
    assert all("held the turn over" in row.error and "Run the same command again" in row.error for row in rows)


def test_a_run_goes_on_where_its_worker_answers_late_or_redis_lost_its_data(machines):
    with turn(machines.home, say=print):  # it waits for its turn meanwhile
        run = machines.launch(SUMMARY_TABLES, FIRST_WEEK)
        machines.dequeue()
        until(lambda: machines.status(run) is dg.DagsterRunStatus.STARTED)
        worker = machines.workers[machines.worker_of(run)]
        worker.send_signal(signal.SIGSTOP)
        late = threading.Timer(1.0, worker.send_signal, [signal.SIGCONT])
        late.start()
        with patience(0.5, 8.0):
            machines.look_after_runs()
        assert machines.status(run) is dg.DagsterRunStatus.STARTED
        late.join()

        machines.restart_redis()
        record = machines.instance.get_run_by_id(run)
        stock = CeleryRunLauncher.check_run_worker_health(machines.instance.run_launcher, record)
        assert stock.status.value == "UNKNOWN"  # it has lost its data, and what is unknown is ended
        list(MonitoringDaemon(interval_seconds=10).run_iteration(machines.context))  # finds its connection to Redis closed
        assert machines.status(run) is dg.DagsterRunStatus.STARTED
        until(lambda: machines.workers_that_answer() == 2)
        machines.look_after_runs()
        assert machines.status(run) is dg.DagsterRunStatus.STARTED
    assert machines.until_ended(run) == {dg.DagsterRunStatus.SUCCESS}


def test_lost_runs_are_looked_for_on_several_machines_alone_and_without_being_turned_on(tmp_path):
    on_by_themselves = [
        {
            sensor.name
            for sensor in automation.sensors(home, now_in_new_york, webhook=None)
            if sensor.default_status is dg.DefaultSensorStatus.RUNNING
        }
        for home in (Home(tmp_path), home_at(tmp_path, "postgresql+psycopg2://any"))
    ]
    assert on_by_themselves == [set(), {lost_runs.name}]


def test_a_run_waits_in_redis_for_a_worker_and_one_whose_worker_died_before_it_began_is_made_once_more(machines, postgres):
    machines.stop_workers()
    run = machines.launch(SUMMARY_TABLES, FIRST_WEEK)
    machines.dequeue()
    machines.look_for_lost_runs()
    assert machines.status(run) is dg.DagsterRunStatus.STARTING
    with create_engine(postgres).begin() as connection:
        connection.exec_driver_sql("LOCK TABLE event_logs IN SHARE MODE")
        [killed, other] = machines.living_workers()
        killed.send_signal(signal.SIGCONT)
        until(lambda: machines.state_of_task(run) == "STARTED")  # and cannot say to Dagster that it began
        killed.kill()
        killed.wait()
    machines.look_after_runs()
    assert machines.status(run) is dg.DagsterRunStatus.STARTING
    with patience(0.5, 0.5):
        machines.look_for_lost_runs()
    assert machines.status(run) is dg.DagsterRunStatus.FAILURE
    other.send_signal(signal.SIGCONT)
    machines.retry()
    [again] = [found.run_id for found in machines.instance.get_runs() if found.parent_run_id == run]
    machines.dequeue()
    assert machines.until_ended(again) == {dg.DagsterRunStatus.SUCCESS}


def test_a_worker_killed_with_9_is_seen_and_its_run_made_once_more(machines):
    days = days_between(eligible_days, date(2023, 11, 8), date(2023, 11, 10))
    with turn(machines.home, say=print, making=Making(CASCADE, days[0], days[-1])):
        run = machines.launch(CASCADE_TABLES, days)
        machines.dequeue()
        killed = machines.worker_of(run)
        until(lambda: machines.status(run) is dg.DagsterRunStatus.STARTED)  # and waits for its turn
        machines.look_after_runs()
        assert machines.status(run) is dg.DagsterRunStatus.STARTED
        machines.workers[killed].kill()
        machines.workers[killed].wait()
        # what Dagster's own launcher sees: the run has begun
        record = machines.instance.get_run_by_id(run)
        stock = CeleryRunLauncher.check_run_worker_health(machines.instance.run_launcher, record)
        assert stock.status.value == "RUNNING"
        with patience(0.5, 0.5):
            machines.look_after_runs()
        assert machines.status(run) is dg.DagsterRunStatus.FAILURE
        machines.retry()
        [again] = [found.run_id for found in machines.instance.get_runs() if found.parent_run_id == run]
        machines.dequeue()
        assert machines.worker_of(again) != killed
    assert machines.until_ended(again) == {dg.DagsterRunStatus.SUCCESS}
    made = machines.home.warehouse.partition_versions().groupby("run_id").size()
    assert run not in made.index
    assert made[again] == len(days) * len(CASCADE)


def test_the_queue_keeps_its_limits(machines):
    """Four runs at once, three of them of backfills (cluster/dagster.yaml)."""
    with turn(machines.home, say=print):  # none ends meanwhile
        of_backfills = [machines.launch(SUMMARY_TABLES, [day], **{"dagster/backfill": f"of {day}"}) for day in FIRST_WEEK[:5]]
        others = [machines.launch(SUMMARY_TABLES, [day]) for day in FIRST_WEEK[5:7]]
        for _ in range(2):
            machines.dequeue()
        waiting = [machines.status(run) is dg.DagsterRunStatus.QUEUED for run in of_backfills + others]
        assert waiting == [False, False, False, True, True, False, True]
        [ended, *_] = of_backfills
        # one that begins meanwhile would say so afterwards
        until(lambda: machines.status(ended) is dg.DagsterRunStatus.STARTED)
        assert machines.instance.run_launcher.terminate(ended)
        machines.dequeue()
        assert [machines.status(run) for run in of_backfills].count(dg.DagsterRunStatus.QUEUED) == 1
        assert machines.status(others[-1]) is dg.DagsterRunStatus.QUEUED
