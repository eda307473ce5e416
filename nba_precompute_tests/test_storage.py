"""What the warehouse does when something is in its way: broken first publications, other connections, changed contracts.

Its file and lock in their ordinary course: test_duckdb_warehouse. What every warehouse promises: test_warehouses.
"""

import os
import signal
import struct
import threading

import duckdb
import pytest

from nba_precompute.storage import SchemaChanged, WarehouseBusy, WarehouseUnreadable
from nba_precompute.storage.duckdb import DuckDBWarehouse
from nba_precompute.tables import columns
from nba_precompute_tests.team_days import MONDAY, TABLE, TUESDAY, points, publish, rows, team_table
from nba_precompute_tests.test_duckdb_warehouse import writer


@pytest.fixture
def warehouse(tmp_path):
    filled = DuckDBWarehouse(tmp_path / "home" / "warehouse.duckdb", wait_limit_seconds=0.3)
    publish(filled, rows(MONDAY), rows(TUESDAY, points=90))
    return filled


# --------------------------------------------------------------------------------------------- killed on the way

KILLED_AFTER = """
step = getattr(room, os.environ["KILLED_AFTER"])
def then_killed(*arguments):
    step(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(room, os.environ["KILLED_AFTER"], then_killed)
publish(warehouse, rows(MONDAY, points=1), run_id="killed")
"""


@pytest.mark.parametrize("step", ["_replace_days", "_replace_versions"])
def test_a_kill_after_the_replacement_and_before_the_commit_leaves_rows_and_versions_as_they_were(warehouse, monkeypatch, step):
    monkeypatch.setenv("KILLED_AFTER", step)
    assert writer(KILLED_AFTER, warehouse).wait(60) == -signal.SIGKILL
    assert points(warehouse) == {MONDAY: [100, 100], TUESDAY: [90, 90]}
    assert set(warehouse.partition_versions()["run_id"]) == {"run"}


def test_a_first_publication_that_was_killed_leaves_an_empty_warehouse(tmp_path, monkeypatch):
    warehouse = DuckDBWarehouse(tmp_path / "warehouse.duckdb")
    monkeypatch.setenv("KILLED_AFTER", "_replace_days")
    assert writer(KILLED_AFTER, warehouse).wait(60) == -signal.SIGKILL
    assert warehouse.path.exists()
    assert warehouse.source() is None
    assert warehouse.partition_versions().empty
    assert warehouse.read(TABLE).empty
    publish(warehouse, rows(MONDAY), source="another")
    assert warehouse.source() == "another"


# ---------------------------------------------------------------------------------------------- somebody in the way


def test_threads_that_name_one_file_differently_do_not_collide(warehouse, tmp_path):
    (tmp_path / "link").symlink_to(warehouse.path.parent)
    other_name = DuckDBWarehouse(tmp_path / "link" / "warehouse.duckdb")
    failed = []

    def publish_ten_times(of, day):
        try:
            for number in range(10):
                publish(of, rows(day, points=number))
        except Exception as error:
            failed.append(error)

    by_first_name = DuckDBWarehouse(warehouse.path)  # with the ordinary wait limit
    threads = [
        threading.Thread(target=publish_ten_times, args=(by_first_name, MONDAY)),
        threading.Thread(target=publish_ten_times, args=(other_name, TUESDAY)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert points(warehouse) == {MONDAY: [9, 9], TUESDAY: [9, 9]}


@pytest.mark.parametrize("read_only", [True, False], ids=["read-only", "writing"])
def test_a_connection_opened_elsewhere_in_the_process_is_named_and_no_move_is_advised(warehouse, read_only):
    with duckdb.connect(warehouse.path, read_only=read_only), pytest.raises(WarehouseBusy) as refused:
        publish(warehouse, rows(MONDAY, points=1))
    assert f"PID {os.getpid()}" in str(refused.value)
    assert "move it away" not in str(refused.value)
    assert points(warehouse)[MONDAY] == [100, 100]


def test_a_conflicting_transaction_is_waited_for_until_the_limit(warehouse):
    as_the_warehouse_connects = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    with duckdb.connect(warehouse.path, config=as_the_warehouse_connects) as connection:
        connection.begin()
        connection.execute("DELETE FROM nba_test.team_days")
        with pytest.raises(WarehouseBusy, match="a transaction of this process"):
            publish(warehouse, rows(MONDAY, points=1))
        connection.rollback()
        publish(warehouse, rows(MONDAY, points=2))
    assert points(warehouse) == {MONDAY: [2, 2], TUESDAY: [90, 90]}


def test_a_wait_for_a_thread_of_the_same_process_ends_at_the_limit(warehouse):
    held, let_go = threading.Event(), threading.Event()

    def hold(connection):
        held.set()
        let_go.wait(30)

    thread = threading.Thread(target=warehouse._patiently, args=(hold,), kwargs={"read_only": True})
    thread.start()
    try:
        assert held.wait(30)
        with pytest.raises(WarehouseBusy, match="another thread of this process"):
            warehouse.read(TABLE)
    finally:
        let_go.set()
        thread.join()
    assert points(warehouse)[MONDAY] == [100, 100]


# ------------------------------------------------------------------------------------- what is no warehouse of ours


def test_a_damaged_file_is_unreadable_and_not_taken_for_a_locked_one(warehouse):
    """DuckDB's words for it, "checksum ... in block", hold the word lock; so may a path."""
    contents = bytearray(warehouse.path.read_bytes())
    contents[3 * 4096 : 4 * 4096] = b"\xff" * 4096  # the first block after the three headers
    warehouse.path.write_bytes(contents)
    with pytest.raises(WarehouseUnreadable, match="move it away and backfill"):
        warehouse.read(TABLE)


def test_a_path_with_the_word_lock_is_a_path(tmp_path):
    (tmp_path / "warlock.duckdb").write_text("not a database" * 1000)
    with pytest.raises(WarehouseUnreadable):
        DuckDBWarehouse(tmp_path / "warlock.duckdb", wait_limit_seconds=0.3).read(TABLE)


def test_a_file_of_a_newer_duckdb_is_refused_with_the_upgrade(warehouse):
    warehouse.path.write_bytes(of_storage_version(9999, warehouse.path.read_bytes()))
    with pytest.raises(WarehouseUnreadable, match=r"(?s)storage version number 9999.*upgrade with `uv sync`"):
        warehouse.read(TABLE)


def of_storage_version(version, contents):
    """A DuckDB file with another version in its main header: checksum (8 bytes), "DUCK", version (8), to 4096."""
    header = contents[8:12] + struct.pack("<Q", version) + contents[20:4096]
    return struct.pack("<Q", checksum(header)) + header + contents[4096:]


def checksum(block):
    """DuckDB's: each 8 bytes times a constant, xor of all, from 5381 on."""
    total = 5381
    for (word,) in struct.iter_unpack("<Q", block):
        total ^= word * 0xBF58476D1CE4E5B9 % 2**64
    return total


def test_the_end_of_a_truncated_file_is_unreadable(warehouse):
    warehouse.path.write_bytes(warehouse.path.read_bytes()[:20_000])
    with pytest.raises(
        WarehouseUnreadable, match=r"Put back a copy of it, or move it away and backfill again \(warehouse.duckdb.wal"
    ):
        warehouse.partition_versions()


# --------------------------------------------------------------------------------------------------------- a full disk

ON_A_FULL_DISK = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ["LARGEST_FILE"]), resource.RLIM_INFINITY))
try:
    publish(warehouse, rows(MONDAY, points=1), run_id="too much")
except Exception as refused:
    print(type(refused).__name__, refused)
"""


@pytest.mark.parametrize("largest_file", [0, 100])
def test_a_publication_that_finds_the_disk_full_leaves_rows_and_versions_as_they_were(warehouse, monkeypatch, largest_file):
    monkeypatch.setenv("LARGEST_FILE", str(largest_file))
    said, _ = writer(ON_A_FULL_DISK, warehouse).communicate()
    assert said.startswith(f"WarehouseUnwritable {warehouse.path} cannot be written (File too large). Free space on its disk")
    assert points(warehouse) == {MONDAY: [100, 100], TUESDAY: [90, 90]}
    assert set(warehouse.partition_versions()["run_id"]) == {"run"}
    publish(warehouse, rows(MONDAY, points=2))
    assert points(warehouse) == {MONDAY: [2, 2], TUESDAY: [90, 90]}


@pytest.mark.parametrize("largest_file", [0, 4096, 12_000])
def test_a_first_publication_that_finds_the_disk_full_leaves_no_half_made_file_in_the_way(tmp_path, monkeypatch, largest_file):
    """DuckDB writes three headers of 4,096 bytes, and refuses a file with fewer for ever."""
    warehouse = DuckDBWarehouse(tmp_path / "warehouse.duckdb")
    monkeypatch.setenv("LARGEST_FILE", str(largest_file))
    said, _ = writer(ON_A_FULL_DISK, warehouse).communicate()
    assert said.startswith("WarehouseUnwritable")
    assert {file.name for file in tmp_path.iterdir()} <= {"warehouse.duckdb", "warehouse.duckdb.wal"}
    publish(warehouse, rows(MONDAY, points=2))
    assert points(warehouse) == {MONDAY: [2, 2]}


# --------------------------------------------------------------------------------------------- contracts that change


def test_a_column_of_another_type_is_refused_on_reading_too(warehouse):
    retyped = team_table(points=columns.number("scored", "points"))
    with pytest.raises(SchemaChanged, match=rf"nba_test.team_days in {warehouse.path} .*points \(INTEGER, now DOUBLE\)"):
        warehouse.read(retyped)
