"""Publication on a real DuckDB file: all of a run's days or none, by name, whatever happens in between."""

import os
import signal
import subprocess
import sys
import threading
from datetime import date

import duckdb
import pandas as pd
import pytest

from nba_precompute.storage import (
    ContractError,
    Publication,
    SchemaChanged,
    SourceMismatch,
    WarehouseBusy,
    WarehouseUnreadable,
)
from nba_precompute.storage.duckdb import DuckDBWarehouse
from nba_precompute.tables import columns

MONDAY, TUESDAY = date(2024, 1, 1), date(2024, 1, 2)
COLUMNS = {
    "game_date": columns.day("partition"),
    "team_abbr": columns.team_abbr("a team"),
    "points": columns.integer("scored", "points", le=200),
    "pace": columns.number("fast or slow", "possessions"),
    "won": columns.flag("won its game", nullable=True),
}


def team_table(**changes):
    return columns.table(
        dataset="nba_test",
        name="team_days",
        day="game_date",
        key=["game_date", "team_abbr"],
        code_version="1",
        description="A team's day.",
        columns={**COLUMNS, **changes},
    )


TABLE = team_table()


def rows(day, points=100, teams=("BOS", "NYK")):
    return pd.DataFrame(
        {
            "game_date": pd.Timestamp(day),
            "team_abbr": list(teams),
            "points": points,
            "pace": [99.5, None][: len(teams)],
            "won": True,
        }
    )


def publish(warehouse, *frames, days=None, table=TABLE, source="games", run_id="run"):
    frame = pd.concat(frames) if frames else rows(MONDAY).head(0)
    days = days or sorted(set(frame["game_date"].dt.date))
    publication = Publication(table, frame, days, dict.fromkeys(days, "what it read"))
    warehouse.publish([publication], run_id=run_id, source=source)


@pytest.fixture
def warehouse(tmp_path):
    filled = DuckDBWarehouse(tmp_path / "home" / "warehouse.duckdb")
    publish(filled, rows(MONDAY), rows(TUESDAY, points=90))
    return filled


def points(warehouse):
    found = warehouse.read(TABLE)
    return {day.date(): sorted(of_day["points"]) for day, of_day in found.groupby("game_date")}


def test_a_day_is_replaced_and_the_others_stay(warehouse):
    publish(warehouse, rows(MONDAY, points=110, teams=["LAL"]))
    assert points(warehouse) == {MONDAY: [110], TUESDAY: [90, 90]}


def test_publishing_again_gives_the_same_rows_and_hashes(warehouse):
    before, versions = warehouse.read(TABLE), warehouse.partition_versions()
    publish(warehouse, rows(TUESDAY, points=90).iloc[::-1], rows(MONDAY).iloc[::-1])
    pd.testing.assert_frame_equal(warehouse.read(TABLE), before)
    assert warehouse.partition_versions()["content_hash"].tolist() == versions["content_hash"].tolist()


def test_values_go_to_their_columns_by_name(warehouse):
    backwards = rows(MONDAY, points=55)[list(COLUMNS)[::-1]]
    publish(warehouse, backwards)
    assert points(warehouse)[MONDAY] == [55, 55]


def test_rows_come_back_in_the_contracts_types(warehouse):
    found = warehouse.read(TABLE)
    assert found.dtypes.astype(str).to_dict() == {
        "game_date": "datetime64[ns]",
        "team_abbr": "object",
        "points": "Int32",
        "pace": "float64",
        "won": "boolean",
    }
    assert found["pace"].isna().tolist() == [False, True, False, True]


def test_tables_read_together_are_as_read_one_by_one(warehouse):
    other = team_table(assists=columns.integer("not there yet"))
    together = warehouse.read_together([(TABLE, MONDAY, MONDAY), (other, MONDAY, TUESDAY)])
    pd.testing.assert_frame_equal(together[0], warehouse.read(TABLE, MONDAY, MONDAY))
    pd.testing.assert_frame_equal(together[1], warehouse.read(other))
    assert [len(rows) for rows in together] == [2, 4]
    nothing = DuckDBWarehouse(warehouse.path.with_name("nothing.duckdb")).read_together([(TABLE, MONDAY, TUESDAY)])
    pd.testing.assert_frame_equal(nothing[0], warehouse.read(TABLE).head(0))


def test_what_is_not_there_reads_as_no_rows(tmp_path):
    warehouse = DuckDBWarehouse(tmp_path / "warehouse.duckdb")
    assert warehouse.read(TABLE).empty
    assert warehouse.read(TABLE).dtypes["points"] == "Int32"
    assert warehouse.partition_versions().empty
    assert warehouse.source() is None


@pytest.mark.parametrize(
    ("frame", "days", "words"),
    [
        (rows(MONDAY, points=201), None, ["team_days.points", "less_than_or_equal_to(200)", "2 rows", "team_abbr BOS"]),
        (rows(MONDAY, teams=["BOS", "BOS"]), None, ["unique", "game_date 2024-01-01"]),
        (rows(MONDAY, teams=["Boston", "NYK"]), None, ["team_days.team_abbr", "1 rows", "Boston"]),
        (rows(MONDAY).assign(team_abbr=[None, "BOS"]), None, ["team_days.team_abbr", "not_nullable"]),
        (rows(MONDAY).drop(columns="pace"), None, ["column pace is not in the rows"]),
        (rows(MONDAY).assign(points="many"), None, ["does not have its type", "many"]),
        (rows(MONDAY).assign(points=10.5), None, ["does not have its type"]),
        (rows(MONDAY), [MONDAY, TUESDAY], ["no rows of 2024-01-02"]),
        (pd.concat([rows(MONDAY), rows(TUESDAY)]), [MONDAY], ["rows of 2024-01-02, which the run does not publish"]),
    ],
    ids=["bound", "key", "pattern", "null", "no column", "type", "half a point", "empty day", "another day"],
)
def test_a_broken_contract_publishes_nothing_and_says_where(warehouse, frame, days, words):
    with pytest.raises(ContractError) as refused:
        publish(warehouse, frame, days=days)
    assert all(word in str(refused.value) for word in words), str(refused.value)
    assert points(warehouse) == {MONDAY: [100, 100], TUESDAY: [90, 90]}


def test_all_failures_of_a_run_are_said_at_once(warehouse):
    with pytest.raises(ContractError) as refused:
        publish(warehouse, rows(MONDAY, points=201, teams=["Boston", "NYK"]))
    assert "team_days.points" in str(refused.value)
    assert "team_days.team_abbr" in str(refused.value)


def test_one_broken_table_keeps_the_others_of_the_run_from_being_published(warehouse):
    good = Publication(TABLE, rows(MONDAY, points=1), [MONDAY], {MONDAY: "x"})
    broken = Publication(TABLE, rows(TUESDAY, points=201), [TUESDAY], {TUESDAY: "x"})
    with pytest.raises(ContractError):
        warehouse.publish([good, broken], run_id="run", source="games")
    assert points(warehouse)[MONDAY] == [100, 100]


def test_a_column_that_the_schema_gained_is_added(warehouse):
    wider = team_table(assists=columns.integer("passes that led to a basket"))
    publish(warehouse, rows(MONDAY).assign(assists=20), table=wider)
    assert warehouse.read(wider)["assists"].tolist() == [20, 20, pd.NA, pd.NA]


def test_a_column_of_another_type_is_refused_with_what_to_do(warehouse):
    changed = team_table(points=columns.text("scored, in words"))
    with pytest.raises(SchemaChanged, match=r"points \(INTEGER, now VARCHAR\).*DROP TABLE nba_test.team_days"):
        publish(warehouse, rows(MONDAY).assign(points="many"), table=changed)
    assert points(warehouse)[MONDAY] == [100, 100]


def test_the_warehouse_carries_the_meaning_of_tables_and_columns(warehouse):
    with duckdb.connect(warehouse.path, read_only=True) as connection:
        comments = dict(
            connection.execute("SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'team_days'").fetchall()
        )
        [about] = connection.execute("SELECT comment FROM duckdb_tables() WHERE table_name = 'team_days'").fetchone()
    assert comments["points"] == "scored (points)"
    assert comments["won"] == "won its game"
    assert about == "A team's day."


def test_a_version_of_each_day_is_kept_with_its_rows(warehouse):
    publish(warehouse, rows(MONDAY, points=7), run_id="another")
    versions = warehouse.partition_versions().set_index("day")
    assert versions["run_id"].tolist() == ["another", "run"]
    assert versions["row_count"].tolist() == [2, 2]
    assert versions["read_hash"].tolist() == ["what it read"] * 2
    with duckdb.connect(warehouse.path, read_only=True) as connection:
        runs = connection.execute("SELECT run_id, days, records FROM nba_reference.processor_run_history ORDER BY 1").fetchall()
    assert runs == [("another", 1, 2), ("run", 1, 2)]


def test_rows_of_another_source_are_refused(warehouse):
    assert warehouse.source() == "games"
    with pytest.raises(SourceMismatch, match=r"made from games, simulated was asked for.*NBA_PRECOMPUTE_HOME.*--reset"):
        publish(warehouse, rows(MONDAY, points=1), source="simulated")
    assert points(warehouse)[MONDAY] == [100, 100]


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
from nba_precompute_tests.test_duckdb_warehouse import *
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


def test_a_write_that_fails_after_its_rows_were_inserted_leaves_the_old_rows(warehouse):
    broken = Publication(TABLE, rows(MONDAY, points=1), [MONDAY], {MONDAY: None})  # read_hash is NOT NULL
    with pytest.raises(duckdb.ConstraintException):
        warehouse.publish([broken], run_id="run", source="games")
    assert points(warehouse) == {MONDAY: [100, 100], TUESDAY: [90, 90]}
    assert warehouse.partition_versions()["run_id"].tolist() == ["run", "run"]


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
