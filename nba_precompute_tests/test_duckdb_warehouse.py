"""What is DuckDB's own in publication: its file, its lock, kills between statements. What every warehouse promises: test_warehouses."""

import os
import signal
import subprocess
import sys
import threading
from datetime import date

import pytest

from nba_precompute.storage import WarehouseBusy, WarehouseUnreadable
from nba_precompute.storage.duckdb import DuckDBWarehouse
from nba_precompute_tests.team_days import MONDAY, TUESDAY, points, publish, rows


@pytest.fixture
def warehouse(tmp_path):
    filled = DuckDBWarehouse(tmp_path / "home" / "warehouse.duckdb")
    publish(filled, rows(MONDAY), rows(TUESDAY, points=90))
    return filled


def test_a_folder_in_the_warehouses_place_is_named(tmp_path):
    (tmp_path / "warehouse.duckdb").mkdir()
    with pytest.raises(WarehouseUnreadable, match="is a folder"):
        publish(DuckDBWarehouse(tmp_path / "warehouse.duckdb"), rows(MONDAY))


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "warehouse.duckdb").write_text("not a database" * 1000)
    with pytest.raises(WarehouseUnreadable, match="cannot be opened as a DuckDB"):
        publish(DuckDBWarehouse(tmp_path / "warehouse.duckdb"), rows(MONDAY))


CODE_OF_A_WRITER = """
import sys, os, signal
from datetime import date
from pathlib import Path
from nba_precompute_tests.team_days import *
from nba_precompute.storage.duckdb import DuckDBWarehouse
from nba_precompute.storage import duckdb as room
warehouse = DuckDBWarehouse(Path(sys.argv[1]))
"""


def writer(code, warehouse):
    return subprocess.Popen(
        [sys.executable, "-c", CODE_OF_A_WRITER + code, str(warehouse.path)], stdout=subprocess.PIPE, text=True
    )


def test_a_kill_between_delete_and_insert_leaves_the_old_rows(warehouse):
    code = """
def killed_after_delete(connection, name, day, days, frame):
    connection.execute(f"DELETE FROM {name}")
    os.kill(os.getpid(), signal.SIGKILL)
room._replace_days = killed_after_delete
publish(warehouse, rows(MONDAY, points=1))
"""
    assert writer(code, warehouse).wait(60) == -signal.SIGKILL
    assert points(warehouse) == {MONDAY: [100, 100], TUESDAY: [90, 90]}


def test_readers_never_see_half_of_a_publication(warehouse):
    code = """
for number in range(20):
    publish(warehouse, rows(MONDAY, points=number), rows(TUESDAY, points=number))
"""
    writing = writer(code, warehouse)
    seen = []
    while writing.poll() is None:
        seen.append({tuple(of_day) for of_day in points(warehouse).values()})
    assert writing.returncode == 0
    assert points(warehouse) == {MONDAY: [19, 19], TUESDAY: [19, 19]}
    assert len(seen) > 1
    assert all(len(values) == 1 or values == {(100, 100), (90, 90)} for values in seen)


def test_writers_of_several_processes_and_threads_lose_nothing(warehouse):
    code = """
for number in range(5):
    publish(warehouse, rows(date(2024, 2, int(os.environ["DAY"])), points=number), run_id=os.environ["DAY"])
"""
    writers = []
    for day in (1, 2, 2):
        os.environ["DAY"] = str(day)
        writers.append(writer(code, warehouse))
    threads = [threading.Thread(target=publish, args=(warehouse, rows(date(2024, 3, day), points=day))) for day in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait(60) for process in writers] == [0, 0, 0]
    found = points(warehouse)
    assert found[date(2024, 2, 1)] == found[date(2024, 2, 2)] == [4, 4]
    assert [found[date(2024, 3, day)] for day in range(1, 5)] == [[day, day] for day in range(1, 5)]
    assert len(warehouse.partition_versions()) == 8


def test_a_warehouse_held_past_the_wait_limit_names_its_holder(warehouse):
    holder = writer(
        "import duckdb, time; kept = duckdb.connect(sys.argv[1]); print('held', flush=True); time.sleep(60)", warehouse
    )
    assert holder.stdout.readline() == "held\n"
    try:
        with pytest.raises(WarehouseBusy, match=rf"PID {holder.pid}"):
            publish(DuckDBWarehouse(warehouse.path, wait_limit_seconds=0.3), rows(MONDAY))
    finally:
        holder.kill()
        holder.wait()
    publish(warehouse, rows(MONDAY, points=3))
    assert points(warehouse)[MONDAY] == [3, 3]


def test_a_warehouse_held_for_a_while_is_waited_for(warehouse):
    holder = writer(
        "import duckdb, time; kept = duckdb.connect(sys.argv[1]); print('held', flush=True); time.sleep(1)", warehouse
    )
    assert holder.stdout.readline() == "held\n"
    publish(warehouse, rows(MONDAY, points=4))
    assert points(warehouse)[MONDAY] == [4, 4]
    assert holder.wait(60) == 0
