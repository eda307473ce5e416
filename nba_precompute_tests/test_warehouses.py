"""What every warehouse promises, asked of each: DuckDB's file, and BigQuery over the wire, on an emulator."""

import itertools
import os
import uuid
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from nba_precompute.storage import ContractError, Publication, SchemaChanged, SourceMismatch, WarehouseBusy, WarehouseError
from nba_precompute.storage.bigquery import bigquery_warehouse
from nba_precompute.storage.content_hash import hash_days
from nba_precompute.storage.duckdb import DuckDBWarehouse
from nba_precompute.tables import columns
from nba_precompute_tests.local_bigquery import bigquery_warehouse_at, live_project, local_bigquery_or_skip
from nba_precompute_tests.processes import imported
from nba_precompute_tests.team_days import (
    MONDAY,
    TABLE,
    TUESDAY,
    points,
    publication,
    publish,
    rows,
    team_table,
)


@dataclass(frozen=True)
class Place:
    """Where a warehouse is, for any process to open it: a file, or datasets that begin with a prefix, behind an emulator's addresses or
    in a real project."""

    file: Path | None = None
    prefix: str = ""
    addresses: tuple[str, int] | None = None
    project: str = ""
    location: str | None = None

    def open(self):
        if self.file is not None:
            return DuckDBWarehouse(self.file)
        if self.addresses is not None:
            return bigquery_warehouse_at(*self.addresses, self.prefix)
        return bigquery_warehouse(self.project, self.location, self.prefix, emulated="BIGQUERY_EMULATOR_HOST" in os.environ)


LIVE = pytest.param("a real project", marks=pytest.mark.bigquery_live)


@pytest.fixture(scope="module", params=["duckdb", "bigquery", LIVE])
def new_place(request, tmp_path_factory):
    """Makes places without a warehouse."""
    folder, number = tmp_path_factory.mktemp("places"), itertools.count()
    if request.param == "duckdb":
        yield lambda: Place(folder / f"{next(number)}.duckdb")
    elif request.param == "bigquery":
        with local_bigquery_or_skip(folder) as local:
            yield lambda: Place(prefix=f"p{next(number)}_", addresses=(local.proxy.url, local.storage_port))
    else:
        (project, location), of_these_tests = live_project(), uuid.uuid4().hex[:8]
        made = []

        def new():
            made.append(Place(prefix=f"test_{of_these_tests}_{next(number)}_", project=project, location=location))
            return made[-1]

        yield new
        for place in made:
            place.open().delete()


@pytest.fixture
def place(new_place):
    return new_place()


@pytest.fixture
def nothing(place):
    """A warehouse without tables."""
    return place.open()


@pytest.fixture
def warehouse(nothing):
    """A warehouse with two days of a table."""
    publish(nothing, rows(MONDAY), rows(TUESDAY, points=90))
    return nothing


@pytest.fixture(scope="module")
def unchanged(new_place):
    """The same for all tests that must not change it, and see that they did not."""
    filled = new_place().open()
    publish(filled, rows(MONDAY), rows(TUESDAY, points=90))
    yield filled
    assert points(filled) == {MONDAY: [100, 100], TUESDAY: [90, 90]}
    assert set(filled.partition_versions()["run_id"]) == {"run"}


# ------------------------------------------------------------------------------------------------------- publication


def test_a_day_is_replaced_and_the_others_stay_and_the_same_rows_again_have_the_same_hashes(warehouse):
    before, versions = warehouse.read(TABLE), warehouse.partition_versions()
    returned = publish(warehouse, rows(MONDAY, points=110, teams=["LAL"]))
    assert points(warehouse) == {MONDAY: [110], TUESDAY: [90, 90]}
    pd.testing.assert_frame_equal(returned, warehouse.partition_versions().iloc[:1])
    assert returned[["table_name", "row_count", "run_id"]].to_numpy().tolist() == [["nba_test.team_days", 1, "run"]]

    backwards = rows(MONDAY).iloc[::-1, ::-1]  # values go to their columns by name
    publish(warehouse, backwards)  # by the same run as the first rows, which it must not be taken for
    pd.testing.assert_frame_equal(warehouse.read(TABLE), before)
    again = warehouse.partition_versions()
    assert again["content_hash"].tolist() == versions["content_hash"].tolist()
    assert (again["published_at"] > versions["published_at"]).tolist() == [True, False]


def test_days_of_one_table_in_two_publications_have_one_version_each(nothing):
    nothing.publish([publication(rows(MONDAY), MONDAY), publication(rows(TUESDAY), TUESDAY)], run_id="one", source="games")
    assert points(nothing) == {MONDAY: [100, 100], TUESDAY: [100, 100]}
    publish(nothing, rows(MONDAY, points=55), run_id="another")
    versions = nothing.partition_versions().set_index("day")
    assert versions["run_id"].tolist() == ["another", "one"]
    assert versions["row_count"].tolist() == [2, 2]
    assert versions["read_hash"].tolist() == ["what it read"] * 2
    assert history(nothing) == [("another", 1, 2), ("one", 1, 2)]


def history(warehouse):
    """Run, days and records of nba_reference.processor_run_history, by run."""
    asked = "SELECT run_id, days, records FROM {}nba_reference.processor_run_history ORDER BY 1"
    if isinstance(warehouse, DuckDBWarehouse):
        with duckdb.connect(warehouse.path, read_only=True) as connection:
            return connection.execute(asked.format("")).fetchall()
    return [tuple(row) for row in warehouse.client.query(asked.format(warehouse.prefix)).result()]


def test_a_write_that_fails_after_its_rows_were_inserted_leaves_the_old_rows(unchanged):
    broken = Publication(TABLE, rows(MONDAY, points=1), [MONDAY], {MONDAY: None})  # read_hash is NOT NULL
    with pytest.raises((WarehouseError, duckdb.ConstraintException)):
        unchanged.publish([broken], run_id="failed", source="games")


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
def test_a_broken_contract_publishes_nothing_and_says_where(unchanged, frame, days, words):
    with pytest.raises(ContractError) as refused:
        publish(unchanged, frame, days=days, run_id="broken")
    assert all(word in str(refused.value) for word in words), str(refused.value)


def test_all_failures_of_a_run_are_said_at_once(unchanged):
    with pytest.raises(ContractError) as refused:
        publish(unchanged, rows(MONDAY, points=201, teams=["Boston", "NYK"]), run_id="broken")
    assert "team_days.points" in str(refused.value)
    assert "team_days.team_abbr" in str(refused.value)


def test_one_broken_table_keeps_the_others_of_the_run_from_being_published(unchanged):
    good, broken = publication(rows(MONDAY, points=1), MONDAY), publication(rows(TUESDAY, points=201), TUESDAY)
    with pytest.raises(ContractError):
        unchanged.publish([good, broken], run_id="broken", source="games")


def test_a_day_published_twice_in_one_run_is_refused(unchanged):
    twice = [publication(rows(MONDAY, points=1), MONDAY), publication(rows(MONDAY, points=2), MONDAY)]
    with pytest.raises(ContractError, match=r"nba_test.team_days: 2024-01-01 is published 2 times"):
        unchanged.publish(twice, run_id="broken", source="games")


def test_a_time_of_day_where_a_day_belongs_is_refused(unchanged):
    """The warehouse would cut it off, so that the stored rows were not the hashed ones and a day had two versions."""
    at_three_and_four = rows(MONDAY).assign(game_date=pd.to_datetime(["2024-01-01 15:00", "2024-01-01 16:00"]))
    with pytest.raises(ContractError, match=r"game_date has a time of day in 2 rows: 2024-01-01 15:00"):
        publish(unchanged, at_three_and_four, run_id="broken")


def test_a_row_without_a_day_is_refused_as_a_broken_contract(unchanged):
    frame = rows(MONDAY).assign(game_date=pd.to_datetime([None, "2024-01-05"]))
    with pytest.raises(ContractError, match=r"(?s)game_date breaks not_nullable.*rows of 2024-01-05.*no rows of 2024-01-01"):
        publish(unchanged, frame, days=[MONDAY], run_id="broken")


def test_a_day_without_the_hash_of_what_it_read_is_refused(unchanged):
    with pytest.raises(ContractError, match=r"the hash of what was read is not given for 2024-01-01"):
        unchanged.publish([Publication(TABLE, rows(MONDAY, points=1), [MONDAY], {})], run_id="broken", source="games")


def test_rows_of_another_source_are_refused(unchanged):
    assert unchanged.source() == "games"
    with pytest.raises(SourceMismatch, match=r"made from games, simulated was asked for.*NBA_PRECOMPUTE_.*--reset"):
        publish(unchanged, rows(MONDAY, points=1), source="simulated", run_id="broken")


# -------------------------------------------------------------------------------------------------------------- reading


def test_rows_come_back_in_the_contracts_types_and_in_order(unchanged):
    found = unchanged.read(TABLE)
    assert found.dtypes.astype(str).to_dict() == {
        "game_date": "datetime64[ns]",
        "team_abbr": "object",
        "points": "Int32",
        "pace": "float64",
        "won": "boolean",
    }
    assert found["pace"].isna().tolist() == [False, True, False, True]
    assert found["team_abbr"].tolist() == ["BOS", "NYK", "BOS", "NYK"]
    assert unchanged.read(TABLE, TUESDAY, TUESDAY, ["points", "won"]).to_numpy().tolist() == [[90, True], [90, True]]


def test_a_number_comes_back_as_the_same_number(nothing):
    numbers = [0.1 + 0.2, 1e-300, 1 / 3, -0.0, 123456789.123456789, 5e-324, None]
    frame = pd.concat([rows(MONDAY, teams=[f"T{letter}X"]) for letter in "ABCDEFG"]).assign(pace=numbers)
    publish(nothing, frame)
    found = nothing.read(TABLE)
    assert found["pace"].tolist()[:-1] == numbers[:-1]
    assert nothing.partition_versions()["content_hash"].tolist() == hash_days(found, TABLE.day, TABLE.columns).tolist()


def test_tables_read_together_are_as_read_one_by_one(unchanged):
    other, absent = team_table(assists=columns.integer("not there yet")), team_table("absent")
    together = unchanged.read_together([(TABLE, MONDAY, MONDAY), (other, MONDAY, TUESDAY), (absent, MONDAY, TUESDAY)])
    pd.testing.assert_frame_equal(together[0], unchanged.read(TABLE, MONDAY, MONDAY))
    pd.testing.assert_frame_equal(together[1], unchanged.read(other))
    pd.testing.assert_frame_equal(together[2], unchanged.read(TABLE).head(0))
    assert [len(rows) for rows in together] == [2, 4, 0]


def test_what_is_not_there_reads_as_no_rows(nothing, unchanged):
    assert nothing.read(TABLE).empty
    assert nothing.read(TABLE).dtypes["points"] == "Int32"
    assert nothing.source() is None
    assert nothing.unwritable() is None
    assert nothing.publish([], run_id="run", source="games").empty
    assert nothing.source() is None
    pd.testing.assert_series_equal(nothing.partition_versions().dtypes, unchanged.partition_versions().dtypes)


def test_what_is_raised_before_the_commit_ends_the_publication_and_the_old_rows_stay(unchanged):
    def refuse():
        raise WarehouseBusy("the turn is over")

    with pytest.raises(WarehouseBusy, match="the turn is over"):
        publish(unchanged, rows(MONDAY, points=1), run_id="late", before_commit=refuse)


# --------------------------------------------------------------------------------------------- contracts that change


def test_a_table_follows_its_contract(nothing):
    """A column gained, a required one that left, one that became nullable, other descriptions."""
    required = columns.integer("place in the league", nullable=False)
    first = team_table(rank=required, wins=required)
    publish(nothing, rows(MONDAY).assign(rank=1, wins=2), table=first)
    about = 'A "day",\nin other words.'
    later = team_table(description=about, rank=columns.integer("place"), assists=columns.integer("passes that led to a basket"))
    publish(nothing, rows(TUESDAY).assign(rank=[1, None], assists=20), table=later)
    found = nothing.read(later)
    assert found["assists"].tolist() == [pd.NA, pd.NA, 20, 20]
    assert found["rank"].tolist() == [1, 1, 1, pd.NA]
    assert nothing.read(first)["wins"].tolist() == [2, 2, pd.NA, pd.NA]
    said, about_table = meanings(nothing)
    assert said["points"] == "scored (points)"
    assert said["rank"] == "place (count)"
    assert said["assists"] == "passes that led to a basket (count)"
    assert about_table == about


def test_a_column_of_another_type_is_refused_with_what_to_do(unchanged):
    changed = team_table(points=columns.text("scored, in words"))
    said = r"points \(INT\w+, now (VARCHAR|STRING)\).*DROP TABLE .*nba_test.team_days"
    with pytest.raises(SchemaChanged, match=said):
        publish(unchanged, rows(MONDAY).assign(points="many"), table=changed, run_id="broken")
    with pytest.raises(SchemaChanged, match=said):
        unchanged.read(changed)


def test_a_table_that_was_dropped_has_no_day_before_it_is_made_again_and_then_only_those_made(warehouse):
    if isinstance(warehouse, DuckDBWarehouse):
        with duckdb.connect(warehouse.path) as connection:
            connection.execute("DROP TABLE nba_test.team_days")
    else:
        warehouse.client.query(f"DROP TABLE {warehouse.prefix}nba_test.team_days").result()
    assert warehouse.partition_versions().empty
    publish(warehouse, rows(TUESDAY, points=1), run_id="again")
    assert warehouse.partition_versions()[["day", "run_id"]].to_numpy().tolist() == [[pd.Timestamp(TUESDAY), "again"]]
    assert points(warehouse) == {TUESDAY: [1, 1]}


def meanings(warehouse):
    """The description of each column of the table, and its own."""
    if isinstance(warehouse, DuckDBWarehouse):
        with duckdb.connect(warehouse.path, read_only=True) as connection:
            asked = "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'team_days'"
            [about] = connection.execute("SELECT comment FROM duckdb_tables() WHERE table_name = 'team_days'").fetchone()
            return dict(connection.execute(asked).fetchall()), about
    stored = warehouse.client.get_table(f"{warehouse.prefix}nba_test.team_days")
    return {column.name: column.description for column in stored.schema}, stored.description


# ------------------------------------------------------------------------------------------------------ several at once

OTHER = team_table("other_days")
TIMES = 2
FIRST_IDS = [1, 51, 101, 151]
"""Of four writers, as many as there are runs at once on several machines."""


def publish_several_times(place, run_ids):
    """Two days of two tables in one publication, with points that say which it is."""
    warehouse = place.open()
    for number in run_ids:
        frame = pd.concat([rows(MONDAY, points=number), rows(TUESDAY, points=number)])
        together = [publication(frame, MONDAY, TUESDAY, table=table) for table in (TABLE, OTHER)]
        warehouse.publish(together, run_id=str(number), source="games")


def test_readers_never_see_half_of_a_publication_of_four_writers_and_versions_are_of_the_rows(place):
    publish_several_times(place, [0])
    writers = [imported.Process(target=publish_several_times, args=(place, range(start, start + TIMES))) for start in FIRST_IDS]
    for writer in writers:
        writer.start()
    warehouse, seen = place.open(), []
    while any(writer.is_alive() for writer in writers):
        of_both = pd.concat(warehouse.read_together([(table, MONDAY, TUESDAY) for table in (TABLE, OTHER)]))
        assert len(of_both) == 8
        seen.append(set(of_both["points"]))
    assert [writer.exitcode for writer in writers] == [0] * len(FIRST_IDS)
    assert [values for values in seen if len(values) != 1] == []
    assert len(seen) > 1

    versions = warehouse.partition_versions()
    assert len(versions) == 4
    assert set(versions["run_id"]) == {str(points(warehouse)[MONDAY][0])} <= {str(first + TIMES - 1) for first in FIRST_IDS}
    for table in (TABLE, OTHER):
        stored = warehouse.read(table)
        of_table = versions[versions["table_name"] == table.qualified_name]["content_hash"]
        assert of_table.tolist() == hash_days(stored, table.day, table.columns).tolist()


def test_writers_of_different_days_lose_nothing(place):
    publish(place.open(), rows(MONDAY))
    days = [date(2024, 2, number) for number in (1, 2)]
    writers = [imported.Process(target=publish_day, args=(place, day)) for day in days]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * len(days)
    warehouse = place.open()
    assert points(warehouse) == {MONDAY: [100, 100], **{day: [day.day, day.day] for day in days}}
    assert len(warehouse.partition_versions()) == 1 + len(days)


def publish_day(place, day):
    """A day whose points are its number in the month."""
    publish(place.open(), rows(day, points=day.day))
