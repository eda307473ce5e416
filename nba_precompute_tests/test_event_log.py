"""The batched event log against Dagster's own, in SQLite and in Postgres: the same real runs on disk, compared row by row."""

import asyncio
import multiprocessing
import os
import re
import signal
import sqlite3
import threading
import time
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import dagster as dg
import pytest
import sqlalchemy
from dagster._core.instance.ref import InstanceRef
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionResolvedStatus as Status
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster_postgres import PostgresEventLogStorage

from nba_precompute.cluster.event_log import BatchedPostgresEventLogStorage
from nba_precompute.event_log import BATCH_SIZE_VARIABLE, DEFAULT_BATCH_SIZE, BatchedSqliteEventLogStorage
from nba_precompute.game_days import days_between, eligible_days, game_days
from nba_precompute_tests.servers import running_postgres, server_or_skip

REPOSITORY = Path(__file__).parents[1]

DAYS = dg.DailyPartitionsDefinition(start_date="2022-01-01", end_date="2022-01-12", exclusions=[datetime(2022, 1, 3)])
KEYS = DAYS.get_partition_keys()  # 1, 2, 4, 5, ... 11 January: ten days
SQLITE = SqliteEventLogStorage, BatchedSqliteEventLogStorage
POSTGRES = PostgresEventLogStorage, BatchedPostgresEventLogStorage
TIMESTAMP_COLUMNS = {"timestamp", "event_timestamp", "last_materialization_timestamp", "evaluation_event_timestamp"}

forked = multiprocessing.get_context("fork")  # a spawned process would import Dagster again, 3 s each


@pytest.fixture(autouse=True)
def batches_of_four(monkeypatch):
    """Ten days are then two whole batches and a rest of two."""
    monkeypatch.setenv(BATCH_SIZE_VARIABLE, "4")


@pytest.fixture(scope="module")
def postgres():
    with running_postgres(server_or_skip("postgres")) as (address, _):
        yield address


@pytest.fixture(params=["sqlite", "postgres"])
def storages(request):
    """The stock storage and the batched one; each folder of a test is then a database of its own."""
    if request.param == "sqlite":
        return SQLITE
    request.getfixturevalue("addresses")
    return POSTGRES


address_of_server = []


@pytest.fixture
def addresses(postgres):
    address_of_server.append(postgres)
    yield
    address_of_server.clear()


def engine_of(folder):
    """The folder's database in Postgres."""
    server = sqlalchemy.make_url(address_of_server[0])
    name = f"of_{uuid5(NAMESPACE_OID, str(folder)).hex}"
    with sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool).connect() as connection:
        known = connection.execute(sqlalchemy.text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name}).all()
        if not known:
            connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    return sqlalchemy.create_engine(server.set(database=name), poolclass=sqlalchemy.NullPool)


def daily_asset(**arguments):
    return dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run(), **arguments)


@daily_asset(code_version="1")
def described(context: dg.AssetExecutionContext):
    for key in context.partition_keys:
        context.add_asset_metadata({"day_of_month": int(key[-2:])}, partition_key=key)
    return dg.MaterializeResult(metadata={"days": len(context.partition_keys)})


@daily_asset(deps=[described], check_specs=[dg.AssetCheckSpec(name, asset="checked") for name in ("is_whole", "is_new")])
def checked(context: dg.AssetExecutionContext):
    if os.environ.get("BREAK_CHECKED"):
        raise dg.Failure("broken before its checks")
    return dg.MaterializeResult(
        check_results=[
            dg.AssetCheckResult(check_name="is_whole", passed=True, metadata={"rows": 5}),
            dg.AssetCheckResult(check_name="is_new", passed=False, severity=dg.AssetCheckSeverity.WARN),
        ]
    )


@dg.asset_check(asset=checked)
def is_big():
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.ERROR, description="five rows")


CHECKS = ["is_whole", "is_new", "is_big"]


@daily_asset(output_required=False)
def half_trusted(context: dg.AssetExecutionContext):
    for key in context.partition_keys[:5]:
        hashed = {"dagster/data_version": f"hash of {key}"}
        context.log_event(dg.AssetMaterialization("half_trusted", partition=key, tags=hashed))
        context.log_event(dg.AssetObservation("half_trusted", partition=key, tags={"dagster/data_version": "seen"}))
    raise dg.Failure("five days cannot be trusted", metadata={"days": ", ".join(context.partition_keys[5:])})


@daily_asset(deps=[half_trusted])
def after_half_trusted():
    return dg.MaterializeResult()


@dg.multi_observable_source_asset(specs=[dg.AssetSpec("observed", partitions_def=DAYS)])
def observed():
    yield dg.ObserveResult("observed", metadata={"rows": 7}, data_version=dg.DataVersion("one"))


@dg.asset(check_specs=[dg.AssetCheckSpec("is_whole", asset="without_partitions")])
def without_partitions():
    return dg.MaterializeResult(
        metadata={"rows": 3}, check_results=[dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)]
    )


@daily_asset()
def around_another_run(context: dg.AssetExecutionContext):
    made = make(context.instance, "run within a run", [described], days=KEYS[:6])
    assert made.success
    return dg.MaterializeResult()


def with_checks(name, number):
    names = [f"check_{place}" for place in range(number)]

    @daily_asset(name=name, check_specs=[dg.AssetCheckSpec(check, asset=name) for check in names])
    def asset():
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(check_name=check, passed=True) for check in names])

    return asset


with_one_check, with_twenty_checks = with_checks("with_one_check", 1), with_checks("with_twenty_checks", 20)


DEFINITIONS = dg.Definitions(
    assets=[
        *(described, checked, half_trusted, after_half_trusted, observed, without_partitions, around_another_run),
        *(with_one_check, with_twenty_checks),
    ],
    asset_checks=[is_big],
)


def id_of(run):
    """Dagster wants UUIDs; this one is the same every time, so that a run on another storage differs in its times only."""
    return str(uuid5(NAMESPACE_OID, run))


def make(instance, run, assets, *, days=None, day=None, definitions=DEFINITIONS):
    """One run in this process."""
    ranged = {"dagster/asset_partition_range_start": days[0], "dagster/asset_partition_range_end": days[-1]} if days else {}
    return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        run_id=id_of(run),
        asset_selection=[asset.key for asset in assets],
        partition_key=day,
        tags=ranged,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )


def instance_on(folder, storage=BatchedSqliteEventLogStorage):
    def section(module, name, config=None):
        return {"module": module, "class": name, "config": config or {"base_dir": str(folder)}}

    folder.mkdir(exist_ok=True)
    at = {"postgres_url": engine_of(folder).url.render_as_string(hide_password=False)} if storage in POSTGRES else None
    sections = {
        "run_storage": section("dagster._core.storage.runs", "SqliteRunStorage"),
        "event_log_storage": section(storage.__module__, storage.__name__, at),
        "schedule_storage": section("dagster._core.storage.schedules", "SqliteScheduleStorage"),
        "compute_logs": {
            "module": "dagster._core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
            "config": {},
        },
        "telemetry": {"enabled": False},
    }
    instance = dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder), overrides=sections))
    assert type(instance.event_log_storage) is storage
    return instance


TABLES = ["event_logs", "asset_keys", "asset_event_tags", "asset_check_executions"]


def rows_of(folder, shard, table):
    with sqlite3.connect(folder / f"{shard}.db") as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"select * from {table} order by id")]


def rows_in_postgres(folder, table):
    with engine_of(folder).connect() as connection:
        rows = connection.execute(sqlalchemy.text(f"select * from {table} order by id")).mappings().all()
    words = [{name: str(value) if isinstance(value, datetime) else value for name, value in row.items()} for row in rows]
    # the stock storage inserts or updates an asset's row at every event, and each time uses up an id
    return [row | {"id": None} for row in words] if table == "asset_keys" else words


def contents(folder, storage=BatchedSqliteEventLogStorage):
    """All rows that events leave, by database and table. In Postgres the index has all events, and runs no database."""
    if storage in POSTGRES:
        return {("index", table): rows_in_postgres(folder, table) for table in TABLES}
    shards = sorted(path.stem for path in folder.glob("*.db") if path.stem not in ("index", "runs", "schedules"))
    return {(shard, "event_logs"): rows_of(folder, shard, "event_logs") for shard in shards} | {
        ("index", table): rows_of(folder, "index", table) for table in TABLES
    }


def but_for_the_time(row):
    """The row without times and the random name of its logs; of its time columns, whether they agree with the row's event."""
    event = row.get("event") or row.get("evaluation_event") or row.get("last_materialization") or ""
    seconds = re.findall(r'"timestamp": ([\d.]+)', event)
    times = [datetime.fromtimestamp(float(second), UTC).replace(tzinfo=None) for second in seconds]
    without = {name: value for name, value in row.items() if name != "create_timestamp"}
    for name in TIMESTAMP_COLUMNS & without.keys():
        without[name] = datetime.fromisoformat(without[name]) in times
    for name in ("event", "evaluation_event", "last_materialization"):
        if without.get(name):
            text = re.sub(r'"(timestamp|duration_ms)": [\d.]+', r'"\1": 0', without[name])
            text = re.sub(r'"log_key": "\w+"', '"log_key": "random"', text)
            without[name] = re.sub(r'( in |")(\d+m)?[\d.]+m?s\b', r"\1no time", text)
    return without


def but_for_time_and_process(row):
    """For runs of several processes: without the number of the one that made the event, too."""
    return {
        name: re.sub(r'(pid: |"pid": |"text": ")\d+', r"\1any", value) if isinstance(value, str) else value
        for name, value in but_for_the_time(row).items()
    }


def assert_same_rows(one, other, but_for=but_for_the_time):
    assert one.keys() == other.keys()
    for database_and_table, rows in one.items():
        of_other = [but_for(row) for row in other[database_and_table]]
        assert [but_for(row) for row in rows] == of_other, database_and_table


def on_both_storages(tmp_path, monkeypatch, story, storages):
    """The contents that a story of runs leaves in the stock storage without batches and in the batched one."""
    stock, batched = storages
    monkeypatch.delenv(BATCH_SIZE_VARIABLE)
    story(instance_on(tmp_path / "stock", stock))
    monkeypatch.setenv(BATCH_SIZE_VARIABLE, "4")
    story(instance_on(tmp_path / "batched", batched))
    return contents(tmp_path / "stock", stock), contents(tmp_path / "batched", batched)


def count(folder, shard, event_type):
    return sum(row["dagster_event_type"] == event_type for row in rows_of(folder, shard, "event_logs"))


def test_ranged_and_single_runs_leave_the_rows_of_the_stock_storage(tmp_path, monkeypatch, storages):
    def story(instance):
        assert make(instance, "ranged", [described], days=KEYS).success
        assert make(instance, "again, a part", [described], days=KEYS[2:5]).success
        assert make(instance, "single", [described], day=KEYS[1]).success
        assert make(instance, "unpartitioned", [without_partitions]).success

    stock, batched = on_both_storages(tmp_path, monkeypatch, story, storages)
    assert_same_rows(stock, batched)
    materialised = [row for row in batched["index", "event_logs"] if row["dagster_event_type"] == "ASSET_MATERIALIZATION"]
    assert len(materialised) == 10 + 3 + 1 + 1
    assert '"value": 11' in materialised[9]["event"]  # the last day's own metadata
    assert [row["execution_status"] for row in batched["index", "asset_check_executions"]] == ["FAILED"]


def test_a_step_that_logs_its_good_days_and_fails_leaves_the_rows_of_the_stock_storage(tmp_path, monkeypatch, storages):
    def story(instance):
        assert not make(instance, "half", [half_trusted, after_half_trusted], days=KEYS).success
        assert instance.get_materialized_partitions(half_trusted.key) == set(KEYS[:5])

    stock, batched = on_both_storages(tmp_path, monkeypatch, story, storages)
    # the traceback in the failure names the lines of Dagster that ran, the same for both
    assert_same_rows(stock, batched)
    assert {row["value"] for row in batched["index", "asset_event_tags"]} >= {f"hash of {KEYS[0]}", "seen"}


def test_observations_of_a_range_leave_the_rows_of_the_stock_storage(tmp_path, monkeypatch, storages):
    def story(instance):
        assert make(instance, "observed", [observed], days=KEYS).success

    stock, batched = on_both_storages(tmp_path, monkeypatch, story, storages)
    assert_same_rows(stock, batched)
    assert sum(row["dagster_event_type"] == "ASSET_OBSERVATION" for row in batched["index", "event_logs"]) == 10


def test_a_run_within_a_run_leaves_the_rows_of_the_stock_storage(tmp_path, monkeypatch, storages):
    stock, batched = on_both_storages(
        tmp_path, monkeypatch, lambda instance: make(instance, "outer run", [around_another_run], days=KEYS), storages
    )
    assert_same_rows(stock, batched)
    runs = [row["run_id"] for row in batched["index", "event_logs"]]
    inner, outer = id_of("run within a run"), id_of("outer run")
    first, last = runs.index(inner), len(runs) - runs[::-1].index(inner)
    assert set(runs[first:last]) == {inner}
    assert runs[0] == runs[-1] == outer


def test_a_check_over_a_range_leaves_one_row_that_its_evaluation_completes(tmp_path, monkeypatch, storages):
    def story(instance):
        make(instance, "ranged", [described, checked], days=KEYS)

    stock, batched = on_both_storages(tmp_path, monkeypatch, story, storages)

    def executions(found):
        return found["index", "asset_check_executions"]

    def rows_by_status(found, check):
        return [(row["partition"], row["execution_status"]) for row in executions(found) if row["check_name"] == check]

    # what the override is for: if this fails, Dagster has mended it and `without_check_partitions` can go
    assert rows_by_status(stock, "is_whole") == [(key, "PLANNED") for key in KEYS] + [(None, "SUCCEEDED")]
    assert rows_by_status(batched, "is_whole") == [(None, "SUCCEEDED")]
    assert rows_by_status(batched, "is_new") == [(None, "FAILED")]
    assert rows_by_status(batched, "is_big") == [(None, "FAILED")]
    warned = {row["check_name"]: '"AssetCheckSeverity.WARN"' in row["evaluation_event"] for row in executions(batched)}
    assert warned == {"is_whole": False, "is_new": True, "is_big": False}


def many_checks(days):
    """An asset with the project's days and 60 checks: half evaluated in its own step, half in one after it."""
    within = [dg.AssetCheckSpec(f"within_{number}", asset="five_seasons") for number in range(30)]
    after = [dg.AssetCheckSpec(f"after_{number}", asset="five_seasons") for number in range(30)]

    @dg.asset(partitions_def=days, backfill_policy=dg.BackfillPolicy.single_run(), check_specs=within)
    def five_seasons():
        results = [dg.AssetCheckResult(check_name=check.name, passed=True) for check in within]
        return dg.MaterializeResult(check_results=results)

    @dg.multi_asset_check(specs=after)
    def checks_after():
        for check in after:
            yield dg.AssetCheckResult(check_name=check.name, asset_key="five_seasons", passed=False)

    return dg.Definitions(assets=[five_seasons], asset_checks=[checks_after]), five_seasons


@pytest.mark.parametrize(("days", "wanted"), [(game_days, 916), (eligible_days, 846)], ids=["game_days", "eligible_days"])
def test_sixty_checks_over_five_seasons_leave_a_row_each_and_a_small_database(tmp_path, monkeypatch, days, wanted):
    """8 MB, of which the checks are 0.4. The stock storage leaves a row a day and check, each with all days that are excluded."""
    monkeypatch.setenv(BATCH_SIZE_VARIABLE, DEFAULT_BATCH_SIZE)
    instance = instance_on(tmp_path)
    keys = [str(day) for day in days_between(days, date(2021, 10, 19), date(2026, 1, 2))]
    assert len(keys) == wanted
    definitions, asset = many_checks(days)
    assert make(instance, "five seasons", [asset], days=keys, definitions=definitions).success
    assert instance.get_materialized_partitions(asset.key) == set(keys)
    executions = rows_of(tmp_path, "index", "asset_check_executions")
    statuses = Counter((row["check_name"].split("_")[0], row["partition"], row["execution_status"]) for row in executions)
    assert statuses == {("within", None, "SUCCEEDED"): 30, ("after", None, "FAILED"): 30}
    megabytes = sum(file.stat().st_size for file in tmp_path.glob("*.db*")) / 1e6
    assert megabytes < 10


def read_status(instance, check):
    """The status of a check as the UI reads it."""
    key = dg.AssetCheckKey(checked.key, check)
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    return asyncio.run(record.resolve_status(LoadingContextForTest(instance)))


def test_a_check_that_a_failed_run_did_not_evaluate_reads_as_failed_to_execute(tmp_path, monkeypatch, storages):
    """Its row stays planned in the database, the stock storage's too: Dagster reads it with the status of its run."""

    def story(instance):
        monkeypatch.setenv("BREAK_CHECKED", "yes")
        assert not make(instance, "broken", [checked], days=KEYS).success
        read_after_failure = {check: read_status(instance, check) for check in CHECKS}
        monkeypatch.delenv("BREAK_CHECKED")
        make(instance, "repaired", [checked], days=KEYS)
        read.append((read_after_failure, {check: read_status(instance, check) for check in CHECKS}))

    read = []
    stock, batched = on_both_storages(tmp_path, monkeypatch, story, storages)
    after_failure = dict.fromkeys(CHECKS, Status.EXECUTION_FAILED)
    after_repair = {"is_whole": Status.SUCCEEDED, "is_new": Status.FAILED, "is_big": Status.FAILED}
    assert read == [(after_failure, after_repair)] * 2

    def planned_of_broken(found):
        rows = found["index", "asset_check_executions"]
        return sum(row["execution_status"] == "PLANNED" and row["run_id"] == id_of("broken") for row in rows)

    assert planned_of_broken(stock) == len(CHECKS) * len(KEYS)
    assert planned_of_broken(batched) == len(CHECKS)


def test_a_check_of_a_killed_run_is_in_progress_until_the_run_is_ended(tmp_path):
    process = forked.Process(target=make_and_die, args=(tmp_path, "between two batches", [described, checked]))
    process.start()
    process.join()
    instance = instance_on(tmp_path)
    assert read_status(instance, "is_whole") is Status.IN_PROGRESS
    instance.report_run_failed(instance.get_run_by_id(id_of("killed")))
    assert read_status(instance, "is_whole") is Status.EXECUTION_FAILED


def test_nothing_but_the_planned_checks_differs_where_a_range_is_checked(tmp_path, monkeypatch, storages):
    def story(instance):
        make(instance, "ranged", [described, checked], days=KEYS)

    stock, batched = on_both_storages(tmp_path, monkeypatch, story, storages)
    assert_same_rows(*but_for_planned_checks(stock, batched))


def but_for_planned_checks(*contents):
    """Contents without the planned events of checks and the rows that they make."""
    return [
        {
            (database, table): [row for row in rows if row.get("dagster_event_type") != "ASSET_CHECK_EVALUATION_PLANNED"]
            for (database, table), rows in found.items()
            if table != "asset_check_executions"
        }
        for found in contents
    ]


def test_events_that_dagster_does_not_batch_are_stored_as_the_parent_stores_them(tmp_path):
    instance = instance_on(tmp_path / "source")
    make(instance, "one", [described], days=KEYS)
    make(instance, "other", [checked], day=KEYS[0])
    # of two runs, their starts and successes among them
    entries = [*instance.all_logs(id_of("one")), *instance.all_logs(id_of("other"))]
    for storage in SQLITE:
        folder = tmp_path / storage.__name__
        storage(str(folder)).store_event_batch(entries)
    stock, batched = (contents(tmp_path / storage.__name__) for storage in SQLITE)
    for rows in [*stock.values(), *batched.values()]:
        for row in rows:
            row.pop("create_timestamp", None)
    assert len(stock["index", "event_logs"]) > 20
    assert batched == stock


def test_the_number_of_commits_does_not_grow_with_the_days_of_a_range(tmp_path, monkeypatch):
    monkeypatch.setenv(BATCH_SIZE_VARIABLE, DEFAULT_BATCH_SIZE)
    instance = instance_on(tmp_path)
    make(instance, "first", [described], days=KEYS[:2])
    commits = []

    def on_commit(connection):
        commits.append(connection.engine.url.database)

    sqlalchemy.event.listen(sqlalchemy.Engine, "commit", on_commit)
    try:
        make(instance, "three days", [described], days=KEYS[:3])
        of_three_days = len(commits)
        make(instance, "ten days", [described], days=KEYS)
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "commit", on_commit)
    assert of_three_days > 0
    assert len(commits) == 2 * of_three_days


@pytest.mark.parametrize(("storage", "grows"), [(PostgresEventLogStorage, True), (BatchedPostgresEventLogStorage, False)])
def test_the_number_of_connections_to_postgres_does_not_grow_with_the_days_of_a_range(
    tmp_path, monkeypatch, addresses, storage, grows
):
    monkeypatch.setenv(BATCH_SIZE_VARIABLE, DEFAULT_BATCH_SIZE)
    instance = instance_on(tmp_path, storage)
    make(instance, "first", [described], days=KEYS[:2])
    opened = []

    def on_connect(connection):
        opened.append(connection.engine.dialect.name)

    sqlalchemy.event.listen(sqlalchemy.Engine, "engine_connect", on_connect)
    try:
        make(instance, "three days", [described], days=KEYS[:3])
        of_three_days = opened.count("postgresql")
        make(instance, "ten days", [described], days=KEYS)
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "engine_connect", on_connect)
    assert of_three_days > 0
    assert (opened.count("postgresql") > 2 * of_three_days) is grows


def test_both_storages_count_the_days_and_rows_of_a_run_alike(tmp_path, addresses):
    counted = []
    for storage in (BatchedSqliteEventLogStorage, BatchedPostgresEventLogStorage):
        instance = instance_on(tmp_path / storage.__name__, storage)
        make(instance, "ranged", [described], days=KEYS)
        make(instance, "half", [half_trusted], days=KEYS)
        counted.append({tuple(row) for row in instance.event_log_storage.partitions_by_run_and_asset("day_of_month")})
    ranged = (id_of("ranged"), described.key.to_string(), 10, 10, KEYS[0], KEYS[-1], 1 + 2 + sum(range(4, 12)))
    half = (id_of("half"), half_trusted.key.to_string(), 10, 5, KEYS[0], KEYS[-1], None)
    assert counted == [{ranged, half}] * 2


def test_a_batch_that_postgres_refuses_leaves_nothing(tmp_path, addresses):
    source = instance_on(tmp_path / "source")
    make(source, "one", [described], days=KEYS)
    batch = [entry for entry in source.all_logs(id_of("one")) if entry.dagster_event_type is MATERIALIZATION]
    storage = instance_on(tmp_path / "refused", BatchedPostgresEventLogStorage).event_log_storage
    with engine_of(tmp_path / "refused").begin() as connection:
        connection.execute(sqlalchemy.text("ALTER TABLE asset_keys RENAME TO away"))
    with pytest.raises(sqlalchemy.exc.ProgrammingError, match="asset_keys"):
        storage.store_event_batch(batch)
    # Dagster then stores the batch's events one by one: any left here would be there twice
    assert rows_in_postgres(tmp_path / "refused", "event_logs") == []
    with engine_of(tmp_path / "refused").begin() as connection:
        connection.execute(sqlalchemy.text("ALTER TABLE away RENAME TO asset_keys"))
    storage.store_event_batch(batch)
    assert len(rows_in_postgres(tmp_path / "refused", "event_logs")) == 10


def test_the_number_of_commits_does_not_grow_with_the_checks_of_a_step(tmp_path, monkeypatch):
    monkeypatch.setenv(BATCH_SIZE_VARIABLE, DEFAULT_BATCH_SIZE)
    instance = instance_on(tmp_path)

    def commits_of(assets):
        commits = []

        def on_commit(connection):
            commits.append(connection.engine.url.database)

        make(instance, f"first of {assets[0].key}", assets, days=KEYS[:2])
        sqlalchemy.event.listen(sqlalchemy.Engine, "commit", on_commit)
        try:
            make(instance, f"commits of {assets[0].key}", assets, days=KEYS[:2])
        finally:
            sqlalchemy.event.remove(sqlalchemy.Engine, "commit", on_commit)
        return len(commits)

    assert commits_of([with_twenty_checks]) == commits_of([with_one_check])


def test_listeners_and_watchers_see_every_event_of_a_batch_once_and_in_order(tmp_path):
    instance = instance_on(tmp_path)
    heard, watched = [], []

    def listen(entry):
        heard.append(entry)

    def watch(entry, _cursor):
        watched.append(entry)

    instance.add_event_listener(id_of("watched"), listen)
    instance.watch_event_logs(id_of("watched"), None, watch)
    make(instance, "watched", [described], days=KEYS)
    stored = instance.all_logs(id_of("watched"))
    deadline = time.monotonic() + 20
    while len(watched) < len(stored) and time.monotonic() < deadline:
        time.sleep(0.05)
    instance.end_watch_event_logs(id_of("watched"), watch)
    instance.dispose()
    assert heard == stored
    assert watched == stored
    assert [entry.get_dagster_event().partition for entry in heard if entry.dagster_event_type is MATERIALIZATION] == KEYS


MATERIALIZATION = dg.DagsterEventType.ASSET_MATERIALIZATION


def make_and_die(folder, moment, assets, storage=BatchedSqliteEventLogStorage):
    """A ranged run in a process that kills itself at a moment of its second batch of materialisations."""
    instance = instance_on(folder, storage)
    heard = []
    batches_begun = []

    def after_a_batch(entry):
        if entry.dagster_event_type is MATERIALIZATION:
            heard.append(entry)
            if moment == "between two batches" and len(heard) == 4:
                os.kill(os.getpid(), signal.SIGKILL)

    def before_tags(_connection, _cursor, statement, *_):
        if statement.startswith("INSERT INTO asset_event_tags"):  # planned events have none; both databases hold the batch now
            batches_begun.append(statement)
            if moment == "before its commits" and len(batches_begun) == 2:
                os.kill(os.getpid(), signal.SIGKILL)

    def before_commit(connection):
        if moment == "between its commits" and len(batches_begun) == 2 and connection.engine.url.database.endswith("index.db"):
            os.kill(os.getpid(), signal.SIGKILL)

    instance.add_event_listener(id_of("killed"), after_a_batch)
    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", before_tags)
    sqlalchemy.event.listen(sqlalchemy.Engine, "commit", before_commit)
    make(instance, "killed", assets, days=KEYS)


@pytest.mark.parametrize(
    ("moment", "in_shard", "in_index"),
    [
        ("between two batches", 4, 4),
        ("before its commits", 4, 4),
        # the window that the stock storage has too, there of one event; the index decides what is materialised
        ("between its commits", 8, 4),
    ],
)
def test_a_killed_run_leaves_whole_batches_and_the_storage_goes_on(tmp_path, moment, in_shard, in_index):
    process = forked.Process(target=make_and_die, args=(tmp_path, moment, [described]))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert count(tmp_path, id_of("killed"), "ASSET_MATERIALIZATION_PLANNED") == 10
    assert count(tmp_path, id_of("killed"), "ASSET_MATERIALIZATION") == in_shard
    assert count(tmp_path, "index", "ASSET_MATERIALIZATION") == in_index
    instance = instance_on(tmp_path)
    assert instance.get_materialized_partitions(described.key) == set(KEYS[:in_index])
    assert make(instance, "after", [described], days=KEYS[in_index:]).success
    assert instance.get_materialized_partitions(described.key) == set(KEYS)


@pytest.mark.parametrize("moment", ["between two batches", "before its commits"])
def test_a_killed_run_leaves_whole_batches_in_postgres(tmp_path, addresses, moment):
    process = forked.Process(target=make_and_die, args=(tmp_path, moment, [described], BatchedPostgresEventLogStorage))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    kinds = Counter(row["dagster_event_type"] for row in rows_in_postgres(tmp_path, "event_logs"))
    assert (kinds["ASSET_MATERIALIZATION_PLANNED"], kinds["ASSET_MATERIALIZATION"]) == (10, 4)
    instance = instance_on(tmp_path, BatchedPostgresEventLogStorage)
    assert instance.get_materialized_partitions(described.key) == set(KEYS[:4])
    assert make(instance, "after", [described], days=KEYS[4:]).success
    assert instance.get_materialized_partitions(described.key) == set(KEYS)


def test_a_run_killed_between_two_batches_leaves_the_rows_of_the_stock_storage_killed_there(tmp_path, monkeypatch, storages):
    for storage, batch_size in zip(storages, ("0", "4"), strict=True):
        monkeypatch.setenv(BATCH_SIZE_VARIABLE, batch_size)
        arguments = (tmp_path / storage.__name__, "between two batches", [described, checked], storage)
        process = forked.Process(target=make_and_die, args=arguments)
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    stock, batched = (contents(tmp_path / storage.__name__, storage) for storage in storages)
    assert len([row for row in batched["index", "event_logs"] if row["dagster_event_type"] == "ASSET_MATERIALIZATION"]) == 4
    assert_same_rows(*but_for_planned_checks(stock, batched), but_for_time_and_process)


def make_in_process(folder, run, storage):
    assert make(instance_on(folder, storage), run, [described], days=KEYS).success


RUNS_AT_ONCE = [f"run {number}" for number in range(3)]


def by_run(found):
    """The index's events and tags by run: what the order of runs at once leaves open is left out."""
    index = [but_for_time_and_process(row) for row in found["index", "event_logs"]]
    event_of = {row["id"]: (row["run_id"], row["dagster_event_type"], row["asset_key"], row["partition"]) for row in index}
    events = {run: [{**row, "id": None} for row in index if row["run_id"] == id_of(run)] for run in RUNS_AT_ONCE}
    tags = sorted((*event_of[row["event_id"]], row["key"], row["value"]) for row in found["index", "asset_event_tags"])
    return events, tags


def test_runs_of_several_processes_at_once_leave_the_rows_of_the_stock_storage_one_after_the_other(
    tmp_path, monkeypatch, storages
):
    stock, batched = tmp_path / "stock", tmp_path / "batched"
    monkeypatch.setenv(BATCH_SIZE_VARIABLE, "0")
    for run in RUNS_AT_ONCE:
        make_in_process(stock, run, storages[0])
    monkeypatch.setenv(BATCH_SIZE_VARIABLE, "4")
    instance = instance_on(batched, storages[1])
    processes = [forked.Process(target=make_in_process, args=(batched, run, storages[1])) for run in RUNS_AT_ONCE]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    of_stock, of_batched = contents(stock, storages[0]), contents(batched, storages[1])
    for shard in of_stock.keys() & {(id_of(run), "event_logs") for run in RUNS_AT_ONCE}:
        assert_same_rows({shard: of_stock[shard]}, {shard: of_batched[shard]}, but_for_time_and_process)
    assert by_run(of_batched) == by_run(of_stock)
    materialised = [row for row in of_batched["index", "event_logs"] if row["dagster_event_type"] == "ASSET_MATERIALIZATION"]
    last = next(row for row in reversed(materialised) if row["asset_key"] == described.key.to_string())
    assert instance.get_latest_materialization_event(described.key).run_id == last["run_id"]


def test_a_writer_waits_for_another_process_that_holds_the_index(tmp_path):
    instance = instance_on(tmp_path)
    holder = sqlite3.connect(tmp_path / "index.db", isolation_level=None, check_same_thread=False)
    holder.execute("begin immediate")
    release = threading.Timer(0.5, lambda: holder.execute("rollback"))
    release.start()
    assert make(instance, "patient", [described], days=KEYS).success
    release.join()
    assert count(tmp_path, "index", "ASSET_MATERIALIZATION") == 10


def test_a_batch_that_cannot_have_the_lock_leaves_nothing_in_the_shard(tmp_path, monkeypatch):
    source = instance_on(tmp_path / "source")
    make(source, "one", [described], days=KEYS)
    batch = [entry for entry in source.all_logs(id_of("one")) if entry.dagster_event_type is MATERIALIZATION]
    folder = tmp_path / "locked"
    storage = BatchedSqliteEventLogStorage(str(folder))
    monkeypatch.setattr(sqlite_event_log, "SQLITE_BUSY_TIMEOUT_SECONDS", 0.1)  # 30 s in earnest
    holder = sqlite3.connect(folder / "index.db", isolation_level=None)
    holder.execute("begin immediate")
    with pytest.raises(sqlalchemy.exc.OperationalError, match="database is locked"):
        storage.store_event_batch(batch)
    # Dagster then stores the batch's events one by one: any left here would be there twice
    assert rows_of(folder, id_of("one"), "event_logs") == []
    holder.execute("rollback")
    storage.store_event_batch(batch)
    assert len(rows_of(folder, id_of("one"), "event_logs")) == len(rows_of(folder, "index", "event_logs")) == 10


def test_the_repositorys_settings_name_this_storage_and_it_switches_batches_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(BATCH_SIZE_VARIABLE)
    instance = dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path), config_dir=str(REPOSITORY)))
    assert make(instance, "by settings", [described], days=KEYS).success
    assert type(instance.event_log_storage) is BatchedSqliteEventLogStorage
    assert os.environ[BATCH_SIZE_VARIABLE] == DEFAULT_BATCH_SIZE
    assert count(tmp_path / ".nba" / "dagster", "index", "ASSET_MATERIALIZATION") == 10
    assert {path.name for path in tmp_path.iterdir()} == {".nba"}


def test_the_database_of_every_run_is_as_the_parent_makes_it(tmp_path):
    made = {}
    for storage in (SqliteEventLogStorage, BatchedSqliteEventLogStorage):
        log = storage(str(tmp_path / storage.__name__))
        for run_id in ("first", "second"):
            with log.run_connection(run_id):
                pass
            with sqlite3.connect(log.path_for_shard(run_id)) as database:
                words = [
                    database.execute(statement).fetchall()
                    for statement in ("SELECT sql FROM sqlite_master", "SELECT * FROM alembic_version", "PRAGMA journal_mode")
                ]
            made[storage, run_id] = words
        assert set(log.get_all_run_ids()) == {"first", "second"}
    assert all(words == made[SqliteEventLogStorage, "first"] for words in made.values())
    assert made[SqliteEventLogStorage, "first"][2] == [("wal",)]


def test_a_batch_size_of_the_environment_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv(BATCH_SIZE_VARIABLE, "7")
    BatchedSqliteEventLogStorage(str(tmp_path))
    assert os.environ[BATCH_SIZE_VARIABLE] == "7"
