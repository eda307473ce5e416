"""Several processes on one home at once: they wait for each other, and leave what one after the other would have left."""

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from datetime import date, timedelta

import dagster as dg
import pandas as pd
import psutil
import pytest
from alembic.runtime.migration import HeadMaintainer

from nba_precompute.assets import CASCADE_TABLES, SUMMARY_TABLES, TABLES
from nba_precompute.backfill import days_to_make, next_runs
from nba_precompute.coverage import MISSING, STALE, THERE
from nba_precompute.event_log import BATCHED_EVENTS, WAITING_EVENTS, BatchedSqliteEventLogStorage
from nba_precompute.history import run_history
from nba_precompute.home import DAGSTER_FOLDER, Home
from nba_precompute.instance import PROCESS_TAG, UNFINISHED, end_runs_of_dead_processes, instance_of, this_process
from nba_precompute.storage import Publication, WarehouseBusy
from nba_precompute.storage.content_hash import hash_days
from nba_precompute.storage.duckdb import DuckDBWarehouse
from nba_precompute.tables import columns
from nba_precompute.turns import turn
from nba_precompute_tests.team_days import COLUMNS, rows
from nba_precompute_tests.test_command_line import REPOSITORY
from nba_precompute_tests.test_event_log import rows_of
from nba_precompute_tests.test_runs import Platform

forked = multiprocessing.get_context("fork")  # a spawned process would import Dagster again, 3 s each


# ----------------------------------------------------------------------------------------------------- eight writers

WRITERS, TIMES = 8, 2
TABLES_OF_WRITERS = [
    columns.table(
        dataset="nba_test",
        name=name,
        day="game_date",
        key=["game_date", "team_abbr"],
        code_version="1",
        description="A team's day.",
        columns=COLUMNS,
    )
    for name in ("team_days", "other_days")
]


def days_of(writer):
    return [date(2024, 1, 1) + timedelta(days=3 * writer + number) for number in range(3)]


def publish_several_times(path, writer, days, failed):
    """Rows of all days of both tables, in one publication, with points that say whose and which it is."""
    warehouse = DuckDBWarehouse(path)
    try:
        for time_round in range(TIMES):
            frame = pd.concat([rows(day, points=10 * writer + time_round) for day in days])
            publications = [Publication(table, frame, days, dict.fromkeys(days, "read")) for table in TABLES_OF_WRITERS]
            warehouse.publish(publications, run_id=f"{10 * writer + time_round}", source="games")
    except Exception as error:
        failed.put(f"writer {writer}: {error!r}")


def read_while(warehouse, processes):
    """What a reader sees of each table, again and again, until the processes have ended."""
    seen = []
    while any(process.is_alive() for process in processes):
        seen += [warehouse.read(table) for table in TABLES_OF_WRITERS]
    return seen


def points_by_day(frame):
    """{day: its points}, where a day has both of its teams once, with the same points."""
    found = {}
    for day, of_day in frame.groupby("game_date"):
        assert of_day["team_abbr"].tolist() == ["BOS", "NYK"]
        [found[day.date()]] = set(of_day["points"])
    return found


def run_writers(path, days_of_writer):
    failed = forked.Queue()
    processes = [
        forked.Process(target=publish_several_times, args=(path, writer, days_of_writer(writer), failed))
        for writer in range(WRITERS)
    ]
    for process in processes:
        process.start()
    seen = read_while(DuckDBWarehouse(path), processes)
    assert [failed.get() for _ in range(failed.qsize())] == []
    assert [process.exitcode for process in processes] == [0] * WRITERS
    return seen


def assert_versions_are_of_the_rows(warehouse):
    versions = warehouse.partition_versions().set_index(["table_name", "day"])
    for table in TABLES_OF_WRITERS:
        stored = warehouse.read(table)
        of_table = versions.loc[table.qualified_name]
        pd.testing.assert_series_equal(
            of_table["content_hash"], hash_days(stored, table.day, table.columns), check_names=False, check_index_type=False
        )
        assert of_table["run_id"].tolist() == [str(points) for points in points_by_day(stored).values()]
    assert len(versions) == sum(len(points_by_day(warehouse.read(table))) for table in TABLES_OF_WRITERS)


def test_eight_writers_on_different_days_and_a_reader_lose_nothing(tmp_path):
    warehouse = DuckDBWarehouse(tmp_path / "warehouse.duckdb")
    assert warehouse.wait_limit_seconds == 60
    for frame in run_writers(warehouse.path, days_of):
        found = points_by_day(frame)
        for writer in range(WRITERS):
            of_writer = [found.get(day) for day in days_of(writer)]
            assert len(set(of_writer)) == 1  # all of its days from one publication, or none yet
    for table in TABLES_OF_WRITERS:
        last = {day: 10 * writer + TIMES - 1 for writer in range(WRITERS) for day in days_of(writer)}
        assert points_by_day(warehouse.read(table)) == last
    assert_versions_are_of_the_rows(warehouse)


def test_eight_writers_on_the_same_days_and_a_reader_see_one_of_them_at_a_time(tmp_path):
    warehouse = DuckDBWarehouse(tmp_path / "warehouse.duckdb")
    days = days_of(0)
    of_all = [points_by_day(frame) for frame in run_writers(warehouse.path, lambda writer: days)]
    assert all(found == {} or (list(found) == days and len(set(found.values())) == 1) for found in of_all)
    last_ones = {10 * writer + TIMES - 1 for writer in range(WRITERS)}
    both = [set(points_by_day(warehouse.read(table)).values()) for table in TABLES_OF_WRITERS]
    assert both[0] == both[1] <= last_ones
    assert_versions_are_of_the_rows(warehouse)


# ------------------------------------------------------------------------------------------------ one home, opened first


def open_and_pause(folder, paused):
    """Open a home's instance, pausing where Dagster has made its first tables and not yet said the version of their schema."""
    insert = HeadMaintainer._insert_version

    def insert_late(maintainer, version):
        if not paused.is_set():
            paused.set()
            time.sleep(2)
        insert(maintainer, version)

    HeadMaintainer._insert_version = insert_late
    instance_of(Home(folder)).dispose()


def test_a_home_that_two_processes_open_first_at_once_can_be_opened_afterwards(tmp_path):
    """Dagster's own opening leaves two schema versions in a database, and every later opening fails."""
    paused = forked.Event()
    process = forked.Process(target=open_and_pause, args=(tmp_path / "home", paused))
    process.start()
    assert paused.wait(60)
    instance_of(Home(tmp_path / "home")).dispose()
    process.join()
    assert process.exitcode == 0
    with instance_of(Home(tmp_path / "home")) as instance:
        assert instance.get_runs() == []
        assert type(instance.event_log_storage) is BatchedSqliteEventLogStorage


def test_the_settings_of_a_home_are_never_half_there(tmp_path):
    """An empty dagster.yaml means Dagster's defaults: another storage, an empty history."""
    home = Home(tmp_path)
    instance_of(home).dispose()
    settings = tmp_path / DAGSTER_FOLDER / "dagster.yaml"
    whole, found, done = settings.read_text(), set(), threading.Event()

    def read():
        while not done.is_set():
            found.add(settings.read_text())

    reading = threading.Thread(target=read)
    reading.start()
    for _ in range(10):
        instance_of(home).dispose()
    done.set()
    reading.join()
    assert found == {whole}


# ------------------------------------------------------------------------------------------------ one run at a time

START, MIDDLE, END = "2023-10-24", "2023-11-10", "2023-11-13"


@pytest.fixture(scope="module")
def undisturbed(simulated_season, tmp_path_factory):
    """A home filled by nobody else."""
    platform = Platform(tmp_path_factory.mktemp("undisturbed") / "home", simulated_season.path)
    platform.backfill(date.fromisoformat(START), date.fromisoformat(END))
    return platform


def take_turn_and_die(folder, taken):
    with turn(Home(folder), say=print):
        taken.set()
        os.kill(os.getpid(), signal.SIGKILL)


def take_turn(folder, taken, let_go):
    with turn(Home(folder), say=print):
        taken.set()
        let_go.wait(60)


def test_a_turn_of_another_process_is_waited_for_and_said(tmp_path):
    taken, let_go, said = forked.Event(), forked.Event(), []
    holder = forked.Process(target=take_turn, args=(tmp_path, taken, let_go))
    holder.start()
    assert taken.wait(60)

    def say(words):
        said.append(words)
        let_go.set()

    with turn(Home(tmp_path), say=say) as waited:
        assert waited
    assert said == [f"Waiting for process {holder.pid}, which makes tables in {tmp_path}."]
    holder.join()


def test_a_turn_that_does_not_come_is_given_up_with_the_name_of_the_holder(tmp_path):
    taken, let_go = forked.Event(), forked.Event()
    holder = forked.Process(target=take_turn, args=(tmp_path, taken, let_go))
    holder.start()
    assert taken.wait(60)
    named = rf"process {holder.pid} has been making tables in .* for 0.1 s"
    with pytest.raises(WarehouseBusy, match=named), turn(Home(tmp_path), say=print, wait_limit_seconds=0.1):
        pass
    let_go.set()
    holder.join()


def test_a_killed_process_has_no_turn_any_more(tmp_path):
    killed = forked.Process(target=take_turn_and_die, args=(tmp_path, forked.Event()))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    with turn(Home(tmp_path), say=pytest.fail) as waited:
        assert not waited


def test_a_run_within_a_turn_of_its_own_command_waits_for_nobody(tmp_path):
    with turn(Home(tmp_path), say=pytest.fail), turn(Home(tmp_path), say=pytest.fail) as waited:
        assert not waited


def test_a_table_waits_for_one_that_it_reads_and_that_is_made_in_another_run():
    """Half of another process's run: the zone tables have days that the factors lack."""
    first, second = date(2023, 11, 8), date(2023, 11, 9)
    there = {("team_defense_zone_analysis", first), ("player_shot_zone_analysis", first)}
    to_make = pd.DataFrame(
        [(table.name, day) for table in CASCADE_TABLES for day in (first, second) if (table.name, day) not in there],
        columns=["table", "day"],
    ).assign(season="2023-24", may_run_along=True)
    [run] = next_runs(to_make)
    assert [table.name for table in run.tables] == ["upcoming_team_game_context", "upcoming_player_game_context"]


def test_a_day_is_asked_for_again_only_where_what_it_reads_has_changed_since():
    def state(table, state, reads):
        return (table, "2023-24", date(2023, 11, 8), state, None, reads)

    found = pd.DataFrame(
        [state("a", STALE, "now"), state("b", STALE, "as asked"), state("c", MISSING, "now"), state("d", STALE, "now")],
        columns=["table", "season", "day", "state", "reason", "reads"],
    )
    attempted = {(table, date(2023, 11, 8)): "as asked" for table in ("a", "b", "c")}
    for force in (False, True):
        assert days_to_make(found, attempted, force)["table"].tolist() == ["a", "d"]


# ------------------------------------------------------------------------------------------------------ two commands


def test_a_command_ends_the_runs_of_a_dead_one_and_no_others(tmp_path):
    """At any moment of theirs: before the first step, too."""
    dead = forked.Process(target=time.sleep, args=(60,))
    dead.start()
    of_dead = f"{dead.pid}@{psutil.Process(dead.pid).create_time():.2f}"
    with instance_of(Home(tmp_path)) as instance:
        job = dg.GraphDefinition("of_a_command").to_job()
        runs = [
            instance.create_run_for_job(job, status=status, tags={PROCESS_TAG: process})
            for process in (of_dead, this_process())
            for status in UNFINISHED
        ]
        end_runs_of_dead_processes(instance)
        assert [instance.get_run_by_id(run.run_id).status for run in runs] == UNFINISHED * 2
        dead.kill()
        dead.join()
        dead_ones = [dg.DagsterRunStatus.FAILURE] * len(UNFINISHED)
        end_runs_of_dead_processes(instance)
        assert [instance.get_run_by_id(run.run_id).status for run in runs] == dead_ones + UNFINISHED


def without_settings(environment):
    return {name: value for name, value in environment.items() if not name.startswith(("NBA_PRECOMPUTE", "DAGSTER"))}


def start_backfill(folder, raw, start, end):
    """The command in a process of its own, in a folder whose home is .nba."""
    return subprocess.Popen(
        [sys.executable, "-m", "nba_precompute", "backfill", "--raw", str(raw), "--start", start, "--end", end],
        env=without_settings(os.environ),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until_it_waits(command):
    """For whom the command says that it waits; all that it has found missing is still missing then."""
    said = []
    for line in command.stderr:
        if line.startswith("Waiting"):
            return line
        said.append(line)
    return pytest.fail(command.stdout.read() + "".join(said))


def ended(command):
    """What a command printed, once it has ended as one that found or made everything."""
    printed, said = command.communicate(timeout=300)
    assert command.returncode == 0, printed + said
    assert "Traceback" not in printed + said
    return printed, said


def assert_nothing_is_left_over(platform):
    """Every day that the warehouse has is recorded, no run is unfinished or failed, no check planned and not evaluated."""
    assert {run.status for run in platform.instance.get_runs()} == {dg.DagsterRunStatus.SUCCESS}
    checks = rows_of(platform.home.folder / DAGSTER_FOLDER, "index", "asset_check_executions")
    assert {check["execution_status"] for check in checks} <= {"SUCCEEDED", "FAILED"}
    assert max(Counter(check["run_id"] for check in checks).values()) <= 100
    versions = platform.home.warehouse.partition_versions()
    for table in TABLES:
        days = versions.loc[versions["table_name"] == table.qualified_name, "day"]
        assert platform.recorded(table) == {str(day.date()) for day in days}


def test_of_two_backfills_at_once_the_second_makes_nothing_that_the_first_made(undisturbed, tmp_path):
    raw = undisturbed.home.raw
    with turn(Home(tmp_path / ".nba"), say=print):
        commands = [start_backfill(tmp_path, raw, START, END) for _ in range(2)]
        for command in commands:
            assert until_it_waits(command) == f"Waiting for process {os.getpid()}, which makes tables in .nba.\n"
    for command in commands:
        ended(command)
    platform = Platform(tmp_path / ".nba", raw)
    pd.testing.assert_series_equal(platform.hashes(), undisturbed.hashes())
    assert set(platform.states(date.fromisoformat(START), date.fromisoformat(END))) == {THERE}
    assert_nothing_is_left_over(platform)
    assert len(platform.instance.get_runs()) == 2  # the summaries and the cascade, each once


def test_two_backfills_at_once_of_ranges_that_overlap_leave_what_one_after_the_other_would(undisturbed, tmp_path):
    """Made before the other's earlier days, a day is stale afterwards; the next backfill makes it again."""
    raw = undisturbed.home.raw
    with turn(Home(tmp_path / ".nba"), say=print):
        commands = [start_backfill(tmp_path, raw, START, MIDDLE), start_backfill(tmp_path, raw, "2023-11-01", END)]
        for command in commands:
            until_it_waits(command)
    for command in commands:
        ended(command)
    platform = Platform(tmp_path / ".nba", raw)
    assert_nothing_is_left_over(platform)
    assert platform.hashes().index.equals(undisturbed.hashes().index)
    states = platform.states(date.fromisoformat(START), date.fromisoformat(END))
    assert {day for (_, day), state in states.items() if state != THERE} <= {
        date(2023, 11, 11),
        date(2023, 11, 12),
        date(2023, 11, 13),
    }
    assert platform.backfill(date.fromisoformat(START), date.fromisoformat(END))[1] == []
    pd.testing.assert_series_equal(platform.hashes(), undisturbed.hashes())


# --------------------------------------------------------------------------------------------- a command beside the UI

COUNT_COMMITS = """
import os
from sqlalchemy import Engine, event

@event.listens_for(Engine, "before_cursor_execute")
def remember(connection, cursor, statement, *_):
    connection.info["stores"] = statement.startswith("INSERT INTO event_logs")

@event.listens_for(Engine, "commit")
def note(connection):
    if connection.info.pop("stores", False):
        with open(os.environ["COMMITS"], "a") as file:
            print(os.path.basename(connection.engine.url.database), file=file)
"""
"""As `sitecustomize`: what every process of `dagster dev` does before anything else."""

LOADED = """
{
    workspaceOrError {
        ... on Workspace { locationEntries { loadStatus locationOrLoadError { ... on PythonError { message } } } }
    }
}
"""

LAUNCH = """
mutation ($backfill: LaunchBackfillParams!) {
    launchPartitionBackfill(backfillParams: $backfill) {
        __typename
        ... on LaunchBackfillSuccess { backfillId }
    }
}
"""

STATUS = "query ($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"


class PlainUI:
    """`dagster dev` as the README has it, in a folder with the repository's two settings files."""

    def __init__(self, folder, raw):
        for name in ("dagster.yaml", "workspace.yaml"):
            shutil.copy(REPOSITORY / name, folder)
        (folder / "counting").mkdir()
        (folder / "counting" / "sitecustomize.py").write_text(COUNT_COMMITS)
        self.commits = folder / "commits"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dagster", "dev", "--port", str(self.port)],
            env={
                **without_settings(os.environ),
                "NBA_PRECOMPUTE_RAW": str(raw),
                "PYTHONPATH": os.pathsep.join([str(folder / "counting"), *sys.path]),
                "COMMITS": str(self.commits),
            },
            cwd=folder,
            stdout=(folder / "said").open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def ask(self, query, **variables):
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["data"]

    def is_up(self):
        assert self.process.poll() is None
        try:
            [location] = self.ask(LOADED)["workspaceOrError"]["locationEntries"]
        except OSError:
            return False
        error = (location["locationOrLoadError"] or {}).get("message")
        assert error is None, error
        return location["loadStatus"] == "LOADED"

    def launch(self, tables, start, end):
        """Start a backfill as the dialog of the UI does; what its status is from then on."""
        days = {"range": {"start": start, "end": end}}
        wanted = [{"assetKey": {"path": [table.name]}, "partitions": days} for table in tables]
        launched = self.ask(LAUNCH, backfill={"partitionsByAssets": wanted})["launchPartitionBackfill"]
        return lambda: self.ask(STATUS, id=launched["backfillId"])["partitionBackfillOrError"]["status"]

    def end(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        finally:
            with contextlib.suppress(ProcessLookupError):  # as it should be: they have ended with it
                os.killpg(self.process.pid, signal.SIGKILL)


def until(look, seconds=240):
    """What `look` answers, as soon as that is anything."""
    give_up_at = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < give_up_at
        time.sleep(0.3)
    return found


def test_a_backfill_beside_one_from_the_ui_of_plain_dagster_dev(undisturbed, tmp_path):
    raw = undisturbed.home.raw
    ui = PlainUI(tmp_path, raw)
    try:
        until(ui.is_up)
        platform = Platform(tmp_path / ".nba", raw)

        def waiting_run():
            for run in platform.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
                if any(
                    f"Waiting for process {os.getpid()}" in entry.user_message
                    for entry in platform.instance.all_logs(run.run_id)
                ):
                    return run

        with turn(platform.home, say=print):
            status = ui.launch(SUMMARY_TABLES, START, END)
            command = start_backfill(tmp_path, raw, START, END)
            run_of_ui = until(waiting_run)
            until_it_waits(command)
        ended(command)
        assert until(lambda: status() not in ("REQUESTED", "COMPLETING") and status()) == "COMPLETED_SUCCESS"
    finally:
        ui.end()
    assert_nothing_is_left_over(platform)
    pd.testing.assert_series_equal(platform.hashes(), undisturbed.hashes())
    assert set(platform.states(date.fromisoformat(START), date.fromisoformat(END))) == {THERE}
    made, _ = run_history(platform.home, None, 100)
    assert {row.run_id for row in made} == {run.run_id for run in platform.instance.get_runs()}
    of_ui = {row.table: row for row in made if row.run_id == run_of_ui.run_id}
    assert of_ui.keys() == {table.name for table in SUMMARY_TABLES}
    for table in SUMMARY_TABLES:
        row, stored = of_ui[table.name], platform.home.warehouse.read(table)
        assert (row.first_day, row.last_day, row.status, row.mode) == (START, END, "SUCCESS", "backfill")
        assert (row.days, row.rows) == (stored["game_date"].nunique(), len(stored))
    # decision 10: planned by the UI's daemon, made by its worker; of the three tables' days and checks no event has its own commit
    events = platform.instance.all_logs(run_of_ui.run_id)
    together = sum(event.dagster_event_type in BATCHED_EVENTS | WAITING_EVENTS for event in events)
    commits = ui.commits.read_text().split().count(f"{run_of_ui.run_id}.db")
    assert together > 200
    assert 0 < commits - (len(events) - together) < 12
