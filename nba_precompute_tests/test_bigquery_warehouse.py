"""What is BigQuery's own in publication, over the wire: faults of network and service, kills, jobs known again, what is never written.

What every warehouse promises: test_warehouses.
"""

import dataclasses
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pandas as pd
import pytest

from nba_precompute.bigquery_requests import LABEL
from nba_precompute.home import BigQueryDatasets, Home
from nba_precompute.sources import RawDataError
from nba_precompute.storage import SourceMismatch, WarehouseBusy, WarehouseError, WarehouseUnreadable, WarehouseUnwritable
from nba_precompute.storage.bigquery import STAGING, BigQueryWarehouse
from nba_precompute.storage.content_hash import hash_days
from nba_precompute_tests.bigquery_bytes import MEGABYTE, Scanned, bytes_of, scanned_by
from nba_precompute_tests.local_bigquery import (
    PROJECT,
    answer_lost,
    bigquery_warehouse_at,
    job_fails,
    last_chunk,
    later_chunk,
    local_bigquery_or_skip,
    refused,
    reset,
    resumable_uploads,
)
from nba_precompute_tests.processes import imported
from nba_precompute_tests.team_days import MONDAY, TABLE, TUESDAY, many_rows, points, publish, rows, team_table


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    with local_bigquery_or_skip(tmp_path_factory.mktemp("bigquery")) as local:
        yield local
        assert local.proxy.paths
        assert [path for path in local.proxy.paths if "insertAll" in path] == []


@pytest.fixture(scope="module")
def of_module(local):
    """The warehouse of all these tests: each publishes Monday, of what it finds, and none Tuesday."""
    warehouse = local.warehouse("w_")
    publish(warehouse, rows(MONDAY), rows(TUESDAY, points=90))
    yield warehouse
    local.proxy.forget()
    assert points(warehouse)[TUESDAY] == [90, 90]
    assert_rows_and_versions_agree(warehouse)


@pytest.fixture
def warehouse(local, of_module):
    local.proxy.forget()
    return of_module


def assert_rows_and_versions_agree(warehouse):
    stored, versions = warehouse.read(TABLE), warehouse.partition_versions()
    assert versions["content_hash"].tolist() == hash_days(stored, TABLE.day, TABLE.columns).tolist()
    assert versions["row_count"].tolist() == stored.groupby(TABLE.day).size().tolist()


def job_ids(local, kind):
    """The ids of the jobs that were submitted, of one kind."""
    return [request.job["jobReference"]["jobId"] for request in local.proxy.requests if getattr(request, kind)]


def any_request(request):
    return True


def load(request):
    return request.loads


def publication(request):
    return request.publishes


def a_query(request):
    return "query" in request.job.get("configuration", {})


# ------------------------------------------------------------------------------------------------- what is tried again


@pytest.mark.parametrize(
    ("fault", "where", "times", "score"),
    [
        (refused(503, "backendError"), any_request, 3, 31),
        (refused(429, "rateLimitExceeded"), any_request, 3, 32),
        (refused(403, "rateLimitExceeded"), publication, 2, 33),
        (reset, any_request, 2, 34),
        (job_fails("backendError"), load, 1, 35),
    ],
    ids=["503", "429", "403 for a rate", "resets", "a load fails"],
)
def test_a_publication_comes_through(local, warehouse, fault, where, times, score):
    local.proxy.plan(fault, where, times)
    publish(warehouse, rows(MONDAY, points=score))
    assert local.proxy.faults_left == 0
    assert points(warehouse)[MONDAY] == [score, score]


def test_a_load_whose_connection_breaks_in_the_middle_is_sent_again(local, warehouse):
    local.proxy.cut_loads = 2
    publish(warehouse, rows(MONDAY, points=41))
    assert local.proxy.cut_loads == 0
    assert points(warehouse)[MONDAY] == [41, 41]


@pytest.mark.parametrize(("kind", "where"), [("loads", load), ("publishes", publication)])
def test_a_job_whose_answer_is_lost_is_known_again_and_not_done_twice(local, warehouse, kind, where):
    local.proxy.plan(answer_lost, where)
    publish(warehouse, rows(MONDAY, points=43))
    first, second, *_ = job_ids(local, kind)
    assert first == second
    done = [job.job_id for job in warehouse.client.list_jobs(max_results=50) if job.job_id == first]
    assert done == [first]
    assert points(warehouse)[MONDAY] == [43, 43]


@pytest.mark.parametrize("lost", ["the job", "its rows"])
def test_a_query_whose_answer_is_lost_is_known_again_and_not_billed_twice(local, warehouse, lost):
    local.proxy.plan(answer_lost, a_query if lost == "the job" else of_results)
    before = warehouse.cost()["jobs"]
    assert len(warehouse.read(TABLE, TUESDAY, TUESDAY)) == 2
    assert local.proxy.faults_left == 0
    first, second = (request.job["jobReference"]["jobId"] for request in local.proxy.requests if a_query(request))
    assert first == second
    assert warehouse.cost()["jobs"] == before + 1


def of_a_job(request):
    return request.method == "GET" and "/jobs/" in request.path


def of_results(request):
    return request.method == "GET" and "/queries/" in request.path


def test_a_job_that_is_known_again_is_asked_for_where_the_datasets_are(local, warehouse):
    """Outside of US and EU BigQuery finds it nowhere else, and nobody had to name the location."""
    local.proxy.plan(answer_lost, load)
    local.proxy.plan(refused(404, "notFound"), lambda request: of_a_job(request) and "location=US" not in request.path, 1000)
    nowhere_named = bigquery_warehouse_at(local.proxy.url, local.storage_port, "w_", location=None)
    publish(nowhere_named, rows(MONDAY, points=46))
    assert points(warehouse)[MONDAY] == [46, 46]


def test_a_job_that_is_known_and_for_a_moment_not_to_be_had_is_waited_for(local, warehouse):
    local.proxy.plan(answer_lost, publication)
    local.proxy.plan(refused(404, "notFound"), of_a_job)
    publish(warehouse, rows(MONDAY, points=47))
    assert local.proxy.faults_left == 0
    assert points(warehouse)[MONDAY] == [47, 47]


# ---------------------------------------------------------------------------------------------------- resumable uploads


@pytest.fixture(scope="module")
def large(local):
    """A warehouse whose one table's rows take two chunks of a resumable upload."""
    with resumable_uploads():
        warehouse = local.warehouse("large_")
        publish(warehouse, many_rows(points=1))
        yield warehouse


@pytest.mark.parametrize(
    ("fault", "where"),
    [(refused(503, "backendError"), later_chunk), (answer_lost, last_chunk)],
    ids=["503 at a chunk", "the last answer lost"],
)
def test_a_large_load_comes_through_as_one_job(local, large, fault, where):
    score = points(large)[MONDAY][0] + 1
    local.proxy.forget()
    local.proxy.plan(fault, where)
    publish(large, many_rows(points=score))
    assert local.proxy.faults_left == 0
    first, second = (request.job["jobReference"]["jobId"] for request in local.proxy.requests if request.begins_upload)
    assert first == second
    assert {day: set(scores) for day, scores in points(large).items()} == {MONDAY: {score}, TUESDAY: {score}}
    assert_rows_and_versions_agree(large)


def test_a_large_load_whose_connection_breaks_in_the_middle_of_a_chunk_is_sent_again(local, large):
    local.proxy.forget()
    local.proxy.cut_loads = 1
    publish(large, many_rows(points=99))
    assert local.proxy.cut_loads == 0
    assert sum(request.begins_upload for request in local.proxy.requests) == 2
    assert set(points(large)[MONDAY]) == {99}


def test_a_job_that_failed_in_passing_is_submitted_as_another(local, warehouse):
    local.proxy.plan(job_fails("backendError"), publication)
    publish(warehouse, rows(MONDAY, points=44))
    first, second = job_ids(local, "publishes")
    assert (first[:-1], first[-1], second[-1]) == (second[:-1], "0", "1")


def test_a_turn_that_is_lost_between_two_tries_ends_the_publication(local, warehouse):
    before, held = points(warehouse), ["at the first try"]

    def require_turn():
        if not held:
            raise WarehouseBusy("the turn is over")
        held.pop()

    local.proxy.plan(refused(503, "backendError"), publication)
    with pytest.raises(WarehouseBusy, match="the turn is over"):
        publish(warehouse, rows(MONDAY, points=45), before_commit=require_turn)
    assert len(job_ids(local, "publishes")) == 1
    assert points(warehouse) == before


def test_patience_ends_and_says_so(local, warehouse):
    before = points(warehouse)
    local.proxy.plan(refused(503, "backendError"), load, 1000)
    with pytest.raises(
        WarehouseBusy, match=r"503.*Tried again for 0.5 s. Run the same command again later; what was being published is"
    ):
        publish(dataclasses.replace(warehouse, wait_limit_seconds=0.5), rows(MONDAY, points=45))
    local.proxy.forget()
    assert points(warehouse) == before


# --------------------------------------------------------------------------------------------- what is not tried again


@pytest.mark.parametrize(
    ("fault", "where", "error", "words"),
    [
        (refused(400, "invalid"), load, WarehouseError, "400.*made by the test: invalid.*It is no matter of time"),
        (refused(403, "accessDenied"), publication, WarehouseUnwritable, "403.*roles BigQuery Data Editor and BigQuery User"),
        (refused(404, "notFound"), load, WarehouseError, "404.*It is no matter of time"),
        (refused(401, "authError"), publication, WarehouseUnreadable, "gcloud auth application-default login"),
        (job_fails("invalidQuery"), publication, WarehouseError, "400.*made by the test: invalidQuery"),
    ],
    ids=["400", "403", "404", "401", "a job that is wrong"],
)
def test_what_is_permanent_is_asked_once_and_leaves_the_old_rows(local, warehouse, fault, where, error, words):
    before = points(warehouse)
    local.proxy.plan(fault, where, 1000)
    with pytest.raises(error, match=words) as said:
        publish(warehouse, rows(MONDAY, points=51), run_id="refused")
    assert "what was published before is as it was" in str(said.value) or error is WarehouseUnreadable
    assert len(job_ids(local, "loads" if where is load else "publishes")) == 1
    local.proxy.forget()
    assert points(warehouse) == before


def test_a_staging_table_that_lost_a_row_is_not_published(local, warehouse):
    def a_row_is_lost(proxy, handler, request):
        [staged] = [name for name in request.sql.split("`") if f"_{STAGING}." in name and name.endswith("_0")][:1]
        warehouse.client.query(f"DELETE FROM `{staged}` WHERE team_abbr = 'NYK'").result()
        handler.answer(*proxy.forward(request, dict(handler.headers)))

    before = points(warehouse)
    local.proxy.plan(a_row_is_lost, publication)
    with pytest.raises(WarehouseError, match="a staging table is not whole"):
        publish(warehouse, rows(MONDAY, points=52), run_id="refused")
    assert points(warehouse) == before


def test_of_two_first_publications_of_different_sources_one_is_refused(local):
    """Both found an empty warehouse; the second learns in its transaction that it was not alone."""

    def another_is_first(proxy, handler, request):
        publish(local.warehouse("first_"), rows(MONDAY, points=1), source="games")
        handler.answer(*proxy.forward(request, dict(handler.headers)))

    local.proxy.plan(another_is_first, publication)
    with pytest.raises(SourceMismatch, match=r"made from games, other games was asked for.*NBA_PRECOMPUTE_BIGQUERY_PREFIX"):
        publish(local.warehouse("first_"), rows(MONDAY, points=2), source="other games")
    assert points(local.warehouse("first_"))[MONDAY] == [1, 1]


def test_a_first_publication_that_is_refused_says_why(local):
    local.proxy.plan(job_fails("invalidQuery"), publication, 1)
    with pytest.raises(WarehouseError, match=r"made by the test: invalidQuery.*the request itself is refused"):
        publish(local.warehouse("refused_"), rows(MONDAY))
    assert local.warehouse("refused_").source() is None


@pytest.mark.parametrize("there", [[], [MONDAY]], ids=["no day", "another day"])
def test_of_two_that_are_the_first_to_make_a_day_one_comes_after_the_other(local, there):
    """Neither deletes a row, and BigQuery lets what inserts alone pass."""
    prefix = f"new_{len(there)}_"
    for day in there:
        publish(local.warehouse(prefix), rows(day))
    both_are_ready = threading.Barrier(2, timeout=60)

    def make(score):
        waits = iter([both_are_ready.wait])  # before the first try alone
        before_commit = lambda: next(waits, int)()  # noqa: E731
        publish(local.warehouse(prefix), rows(TUESDAY, points=score), run_id=str(score), before_commit=before_commit)

    with ThreadPoolExecutor() as at_once:
        list(at_once.map(make, [1, 2]))
    warehouse = local.warehouse(prefix)
    [score] = set(points(warehouse)[TUESDAY])
    assert len(points(warehouse)[TUESDAY]) == 2
    of_day = warehouse.partition_versions().set_index("day").loc[[pd.Timestamp(TUESDAY)], "run_id"]
    assert of_day.tolist() == [str(score)]
    assert_rows_and_versions_agree(warehouse)


# ---------------------------------------------------------------------------------------------------------------- kills


def publish_monday(url, storage_port, score):
    publish(bigquery_warehouse_at(url, storage_port, "w_"), rows(MONDAY, points=score), run_id="killed")


@pytest.mark.parametrize(
    ("where", "arrives", "score"),
    [(load, True, 61), (publication, False, 62), (publication, True, 63)],
    ids=["loading", "before the publication arrives", "after it arrived"],
)
def test_a_kill_of_the_client_leaves_all_of_the_old_rows_or_all_of_the_new(local, warehouse, where, arrives, score):
    old = points(warehouse)[MONDAY]

    def killed(proxy, handler, request):
        os.kill(client.pid, signal.SIGKILL)
        if arrives:
            proxy.forward(request, dict(handler.headers))

    local.proxy.plan(killed, where)
    client = imported.Process(target=publish_monday, args=(local.proxy.url, local.storage_port, score))
    client.start()
    client.join()
    assert client.exitcode == -signal.SIGKILL
    done = where is publication and arrives
    if done:
        wait_for_jobs(warehouse.client)
    assert points(warehouse)[MONDAY] == ([score, score] if done else old)
    assert_rows_and_versions_agree(warehouse)


def wait_for_jobs(client):
    for job in client.list_jobs(max_results=5):
        job.result()


# ---------------------------------------------------------------------------------------------------------- the tables


def test_a_table_is_partitioned_clustered_and_cannot_be_read_without_its_day(warehouse):
    table = warehouse.client.get_table("w_nba_test.team_days")
    assert table.time_partitioning.field == "game_date"
    assert table.time_partitioning.type_ == "DAY"
    assert table.clustering_fields == ["team_abbr"]
    assert table.labels == LABEL
    assert {field.name: field.mode for field in table.schema} == {
        "game_date": "REQUIRED",
        "team_abbr": "REQUIRED",
        "points": "NULLABLE",
        "pace": "NULLABLE",
        "won": "NULLABLE",
    }
    with pytest.raises(Exception, match="without a filter"):
        warehouse.client.query("SELECT * FROM w_nba_test.team_days").result()


def test_staging_tables_are_removed_and_expire_where_they_are_not(warehouse):
    left = {table.table_id for table in warehouse.client.list_tables("w_nba_staging")}  # by kills and refusals
    publish(warehouse, rows(MONDAY, points=69))
    assert {table.table_id for table in warehouse.client.list_tables("w_nba_staging")} == left
    assert warehouse.client.get_dataset("w_nba_staging").default_table_expiration_ms == 24 * 3600 * 1000


def test_every_query_has_a_limit_of_its_bill_and_every_job_the_label(local, warehouse):
    publish(warehouse, rows(MONDAY, points=70))
    warehouse.read_together([(TABLE, MONDAY, TUESDAY)])
    jobs = [request.job["configuration"] for request in local.proxy.requests if request.job]
    assert [request.path for request in local.proxy.requests if request.method == "PATCH"] == []  # no schema changed
    assert len(jobs) == 6  # what is there, two loads, the publication, the moment, the rows
    assert [job["labels"] for job in jobs] == [LABEL] * 6
    assert {job["query"]["maximumBytesBilled"] for job in jobs if "query" in job} == {str(20 * 2**30)}


def test_what_was_asked_of_bigquery_is_counted(warehouse):
    before = warehouse.cost()
    publish(warehouse, rows(MONDAY, points=71))
    spent = {name: value - before[name] for name, value in warehouse.cost().items()}
    assert spent["jobs"] == 4
    assert spent["bytes_loaded"] > 1000
    assert set(spent) == {"jobs", "bytes_loaded", "bytes_processed", "bytes_billed", "slot_milliseconds"}


MONDAYS = 2 * (8 + 5 + 8 + 1) + 8
"""Two rows of a day, three letters, points and a truth; one of them has a pace."""

A_VERSION = (2 + 18) + 8 + (2 + 16) + (2 + 12) + (2 + 1) + 8 + (2 + 3) + 8
"""Table, day, hash of the content, of what was read, code version, rows, run, time."""


@pytest.mark.parametrize(
    ("values", "sizes"),
    [
        (pd.Series(["BOS", "Jokić", "", None]), [5, 8, 2, 0]),
        (pd.Series([1, None], dtype="Int32"), [8, 0]),
        (pd.Series([0.5, None]), [8, 0]),
        (pd.Series([True, None], dtype="boolean"), [1, 0]),
        (pd.to_datetime(pd.Series(["2024-01-01", None])), [8, 0]),
    ],
    ids=["text", "whole number", "number", "truth", "day"],
)
def test_a_value_takes_what_bigquery_says(values, sizes):
    assert bytes_of(values).tolist() == sizes


def test_queries_scan_the_days_that_were_there_and_the_columns_that_they_name(local):
    local.proxy.forget()
    warehouse = local.warehouse("b_")

    def asked(work):
        begun = len(local.proxy.requests)
        work()
        return begun, len(local.proxy.requests)

    spans = [
        asked(lambda: publish(warehouse, rows(MONDAY))),
        asked(lambda: publish(warehouse, rows(TUESDAY))),
        asked(lambda: publish(warehouse, rows(MONDAY))),
        asked(lambda: warehouse.read(TABLE, TUESDAY, TUESDAY, ["points"])),
        asked(warehouse.partition_versions),
        asked(warehouse.unwritable),
    ]
    found = scanned_by(local.proxy.requests, warehouse, [TABLE])
    first, second, again, read, versions, planned = (Scanned.all_of(found[begin:end]) for begin, end in spans)
    inserted = 2 * 8 + MONDAYS + A_VERSION  # and the number of publications
    assert first == Scanned(inserted, 30 * MEGABYTE)
    named = (2 + 18) + 8  # of a version: its table and its day
    assert second == Scanned(inserted + (named + 8) + (named + A_VERSION), 50 * MEGABYTE)
    replaced = MONDAYS + 2 * 8  # all columns of the day, and the day once more to find it
    assert again == Scanned(inserted + 2 * (named + 8) + 2 * (named + A_VERSION) + replaced, 60 * MEGABYTE)
    assert read == Scanned(2 * (8 + 8 + 5), 10 * MEGABYTE)  # the key too, for the order
    assert versions == Scanned(2 * A_VERSION, 10 * MEGABYTE)
    assert planned == Scanned(0, 0)

    warehouse.client.query("SELECT 1 AS something_else").result()
    with pytest.raises(ValueError, match="what this reads is not known: SELECT 1 AS something_else"):
        scanned_by(local.proxy.requests, warehouse, [TABLE])


def test_tables_of_others_are_not_written_and_not_deleted(local, of_module):
    warehouse = local.warehouse("shared_")
    warehouse.client.create_dataset("shared_nba_test")
    warehouse.client.query("CREATE TABLE shared_nba_test.team_days (game_date DATE, precious STRING)").result()
    with pytest.raises(WarehouseUnwritable, match=r"nba-test.shared_nba_test.team_days was not made by nba_precompute"):
        publish(warehouse, rows(MONDAY))
    publish(warehouse, rows(MONDAY), table=team_table("other_days"))
    warehouse.delete()
    assert [table.table_id for table in warehouse.client.list_tables("shared_nba_test")] == ["team_days"]
    assert [found.dataset_id for found in warehouse.client.list_datasets() if found.dataset_id.startswith("shared_")] == [
        "shared_nba_test"
    ]
    assert warehouse.source() is None
    local.warehouse("").delete()  # datasets with a prefix are those of another warehouse
    assert of_module.source() == "games"


def test_a_table_of_others_among_those_of_versions_is_not_written(local):
    warehouse = local.warehouse("foreign_")
    warehouse.client.create_dataset("foreign_nba_reference")
    warehouse.client.query("CREATE TABLE foreign_nba_reference.source (name STRING)").result()
    with pytest.raises(WarehouseUnwritable, match=r"nba-test.foreign_nba_reference.source was not made by nba_precompute"):
        publish(warehouse, rows(MONDAY))
    assert [table.table_id for table in warehouse.client.list_tables("foreign_nba_reference")] == ["source"]


def test_a_staging_dataset_of_others_in_which_nothing_expires_is_not_used(local):
    warehouse = local.warehouse("theirs_")
    warehouse.client.create_dataset("theirs_nba_staging")
    with pytest.raises(WarehouseUnwritable, match=r"nba-test.theirs_nba_staging was not made by nba_precompute"):
        publish(warehouse, rows(MONDAY))


def test_a_table_that_somebody_else_made_since_it_was_looked_for_keeps_the_versions_of_its_days(local, monkeypatch):
    warehouse = local.warehouse("race_")
    publish(warehouse, rows(MONDAY))
    monkeypatch.setattr(BigQueryWarehouse, "_migrated", lambda *_: False)
    publish(warehouse, rows(TUESDAY))
    assert warehouse.partition_versions()["day"].dt.date.tolist() == [MONDAY, TUESDAY]
    assert_rows_and_versions_agree(warehouse)


def test_versions_of_a_table_that_was_dropped_go_when_it_is_made_again(local):
    warehouse = local.warehouse("dropped_")
    publish(warehouse, rows(MONDAY))
    warehouse.client.query("DROP TABLE dropped_nba_test.team_days").result()
    publish(warehouse, rows(TUESDAY))
    assert warehouse.partition_versions()["day"].dt.date.tolist() == [TUESDAY]


def test_tables_that_queries_do_not_find_though_they_are_there_are_no_empty_warehouse(local, warehouse):
    """So BigQuery answers in another location than that of the datasets."""
    for ask in (warehouse.source, warehouse.partition_versions):
        local.proxy.plan(refused(404, "notFound"), a_query)
        with pytest.raises(WarehouseUnreadable, match="NBA_PRECOMPUTE_BIGQUERY_LOCATION"):
            ask()
    local.proxy.plan(refused(404, "notFound"), a_query)
    assert "NBA_PRECOMPUTE_BIGQUERY_LOCATION" in warehouse.unwritable()


def test_an_account_that_may_not_write_is_named_before_anything_is_made(local, warehouse):
    assert warehouse.unwritable() is None
    local.proxy.plan(refused(403, "accessDenied"), any_request)
    assert "BigQuery Data Editor" in warehouse.unwritable()


# -------------------------------------------------------------------------------------------------------- configuration


def test_invented_games_go_to_an_emulator_alone(tmp_path, monkeypatch, local):
    monkeypatch.setattr(Home, "warehouse", local.warehouse("nothing_"))
    with pytest.raises(RawDataError, match=r"Invented games do not go into BigQuery nba-test.x_\*. .*--raw DIR"):
        Home(tmp_path, bigquery=BigQueryDatasets(PROJECT, "US", "x_")).source()
    assert not (tmp_path / "simulated").exists()


def test_days_are_dates_whatever_their_hour_is_elsewhere(warehouse):
    """A partition is the day of the contract: BigQuery's dates have no zone."""
    found = warehouse.client.query(
        "SELECT partition_id FROM w_nba_test.INFORMATION_SCHEMA.PARTITIONS WHERE table_name = 'team_days' ORDER BY 1"
    )
    assert [row["partition_id"] for row in found.result()] == [f"{day:%Y%m%d}" for day in (MONDAY, date(2024, 1, 2))]
