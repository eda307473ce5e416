"""Bad inputs: what is done to a good home or its raw games, and what its user is told. `test_bad_input` and its table share them.

The good home holds the first 15 game days of the simulated league's 2023-24, its raw games one day more. What breaks a day is done
to a day that the home has published (OLD) and to the one that it lacks (NEW).
"""

import contextlib
import io
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nba_precompute import cli
from nba_precompute.assets import SUMMARY_TABLES
from nba_precompute.sources import layout
from nba_precompute.sources.layout import RawFile
from nba_precompute.sources.parquet_folder import ParquetFolder
from nba_precompute.storage.duckdb import DuckDBWarehouse
from nba_precompute_tests.processes import Met, command_line
from nba_precompute_tests.test_storage import of_storage_version

OLD, NEW = date(2023, 11, 2), date(2023, 11, 9)
LAST_PUBLISHED, OFF_DAY = date(2023, 11, 8), date(2023, 11, 7)
"""2023-11-07, election day, has no game."""

SUMMARIES = [table.name for table in SUMMARY_TABLES]


@dataclass(frozen=True)
class Place:
    """A home with its folder of raw games."""

    folder: Path

    @property
    def home(self) -> Path:
        """The home's folder."""
        return self.folder / "home"

    @property
    def raw(self) -> Path:
        """The folder of raw games that the home is made from."""
        return self.folder / "raw"

    @property
    def warehouse(self) -> Path:
        """The home's warehouse."""
        return self.home / "warehouse.duckdb"


@dataclass(frozen=True)
class Case:
    """One bad input: its name, what is done, how a backfill then ends, and what it says on stderr (a regular expression).

    `room` is how large a file may become, where that is what is bad.
    """

    input: str
    spoil: Callable[[Place], None]
    exit_code: int
    says: str
    room: Callable[[Place], int] | None = None


def make_good(league: ParquetFolder, folder: Path) -> Place:
    """The good home, and raw games up to NEW."""
    place = Place(folder)
    place.raw.mkdir(parents=True)
    for file in layout.FILES:
        rows = pq.read_table(league.path / file.name)
        if file in (layout.BOX_SCORES, layout.SHOTS):
            rows = rows.filter(pc.less_equal(rows["game_date"], NEW))
        pq.write_table(rows, place.raw / file.name)
    made = run(place, "backfill", "--raw", str(place.raw), "--end", str(LAST_PUBLISHED))
    assert made.exit_code == 0, made
    return place


def copy_of(good: Place, folder: Path) -> Place:
    """A copy, whose home remembers the copied raw games as its source."""
    shutil.copytree(good.folder, folder, dirs_exist_ok=True)
    place = Place(folder)
    with duckdb.connect(place.warehouse) as connection:
        connection.execute("UPDATE nba_reference.source SET name = ?", [str(place.raw.resolve())])
    return place


def run(place: Place, *arguments: str) -> Met:
    """The command line in this process, over the place's home."""
    out, err = io.StringIO(), io.StringIO()
    before, typed = dict(os.environ), sys.argv
    os.environ["NBA_PRECOMPUTE_HOME"], sys.argv = str(place.home), ["nba-precompute", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            return Met(cli.main([]), out.getvalue(), err.getvalue())
    finally:
        os.environ.clear()
        os.environ.update(before)
        sys.argv = typed


def backfill(place: Place, *tables: str) -> Met:
    """A backfill of the tables, all by default, from the place's raw games."""
    return run(place, "backfill", "--raw", str(place.raw), *(["--tables", ",".join(tables)] if tables else []))


def meet(case: Case, place: Place, *tables: str) -> Met:
    """Do what is bad, then a backfill."""
    case.spoil(place)
    if case.room is None:
        return backfill(place, *tables)
    return command_line(place.home, "backfill", largest_file=case.room(place))


def in_one_line(words: str) -> str:
    """What was said, however it was wrapped."""
    return re.sub(r"\s+", " ", words).strip()


def hashes(place: Place) -> pd.Series:
    """The content hash of every published day of every table."""
    versions = DuckDBWarehouse(place.warehouse).partition_versions()
    return versions.set_index(["table_name", "day"])["content_hash"].sort_index()


def what_is_left(before: pd.Series, after: pd.Series) -> str:
    """In words, what became of the published days."""
    kept = before.index.intersection(after.index)
    same = int((before[kept] == after[kept]).sum())
    new = after.index.difference(before.index)
    days = f"{same} of {len(before)} days of tables as they were"
    remade = f", {len(kept) - same} made again" if len(kept) > same else ""
    lost = f", {len(before) - len(kept)} LOST" if len(before) > len(kept) else ""
    return f"{days}{remade}{lost}, {len(new)} new" if len(new) else f"{days}{remade}{lost}, none new"


# ---------------------------------------------------------------------------------------------------- what is done


def to_rows(file: RawFile, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Place], None]:
    """Change a file's rows and keep its columns and their types."""

    def spoil(place: Place) -> None:
        path = place.raw / file.name
        rows = pq.read_table(path)
        changed = change(rows.to_pandas(integer_object_nulls=True))
        pq.write_table(pa.Table.from_pandas(changed, schema=rows.schema, preserve_index=False), path)

    return spoil


def to_column(file: RawFile, column: str, kind: pa.DataType, change: Callable[[list], list]) -> Callable[[Place], None]:
    """Write a file with a column of another type."""

    def spoil(place: Place) -> None:
        path = place.raw / file.name
        rows = pq.read_table(path)
        values = pa.array(change(rows[column].to_pylist()), kind)
        pq.write_table(rows.set_column(rows.column_names.index(column), column, values), path)

    return spoil


def to_bytes(file: RawFile, change: Callable[[bytes], bytes]) -> Callable[[Place], None]:
    """Change what stands in a file, whatever it means."""

    def spoil(place: Place) -> None:
        path = place.raw / file.name
        path.write_bytes(change(path.read_bytes()))

    return spoil


def to_value(file: RawFile, column: str, value: object, days: tuple[date, ...] = (OLD, NEW)) -> Callable[[Place], None]:
    """Change a column in the second row of each of the days."""

    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows[column] = rows[column].astype("object")
        for day in days:
            place = rows.index[rows[file.day] == day][1]
            rows.loc[place, column] = value(rows.loc[place, column]) if callable(value) else value
        return rows

    return to_rows(file, change)


def to_table(file: RawFile, change: Callable[[pa.Table], pa.Table]) -> Callable[[Place], None]:
    """Write a file as another table."""
    return lambda place: pq.write_table(change(pq.read_table(place.raw / file.name)), place.raw / file.name)


def to_warehouse(change: Callable[[bytes], bytes]) -> Callable[[Place], None]:
    """Change what stands in the warehouse's file, whatever it means."""
    return lambda place: place.warehouse.write_bytes(change(place.warehouse.read_bytes())) and None


def by_sql(statement: str) -> Callable[[Place], None]:
    """Change the warehouse with SQL."""

    def spoil(place: Place) -> None:
        with duckdb.connect(place.warehouse) as connection:
            connection.execute(statement)

    return spoil


def all_of(*spoils: Callable[[Place], None]) -> Callable[[Place], None]:
    """One after the other."""

    def spoil(place: Place) -> None:
        for one in spoils:
            one(place)

    return spoil


def twice(day: date) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Rows with those of a day repeated."""
    return lambda rows: pd.concat([rows, rows[rows["game_date"] == day]])


def first_game(rows: pd.DataFrame, day: date) -> str:
    """The id of the day's first game."""
    return str(rows.loc[rows["game_date"] == day, "game_id"].min())


def of_first_games(change: Callable[[pd.DataFrame, pd.Series, date], pd.DataFrame], *days: date) -> Callable:
    """Rows with a change to those of the first game of each of the days."""

    def changed(rows: pd.DataFrame) -> pd.DataFrame:
        for day in days or (OLD, NEW):
            rows = change(rows, rows["game_id"] == first_game(rows, day), day)
        return rows

    return changed


def without(rows: pd.DataFrame, of_game: pd.Series, _day: date) -> pd.DataFrame:
    """The rows of other games."""
    return rows[~of_game]


def again_as(**values: object) -> Callable[[pd.DataFrame, pd.Series, date], pd.DataFrame]:
    """The rows, and those of the game once more with other values."""
    return lambda rows, of_game, _day: pd.concat([rows, rows[of_game].assign(**values)])


def with_values(**values: object) -> Callable[[pd.DataFrame, pd.Series, date], pd.DataFrame]:
    """The rows, those of the game with other values."""
    return lambda rows, of_game, _day: rows.assign(
        **{column: rows[column].mask(of_game, value) for column, value in values.items()}
    )


def renamed_team(place: Place) -> None:
    """Brooklyn as another source spells it, everywhere."""
    for file in (layout.BOX_SCORES, layout.SCHEDULE):
        to_rows(file, lambda rows: rows.replace({"team": "BKN", "home_team": "BKN", "away_team": "BKN"}, "BRK"))(place)


def with_short_ids(place: Place) -> None:
    """Game ids that a spreadsheet has taken for numbers."""
    for file in (layout.BOX_SCORES, layout.SHOTS, layout.SCHEDULE):
        to_rows(file, lambda rows: rows.assign(game_id=rows["game_id"].str.lstrip("0")))(place)


def a_folder_instead(path: Callable[[Place], Path]) -> Callable[[Place], None]:
    """A folder in the place of a file."""

    def spoil(place: Place) -> None:
        path(place).unlink()
        path(place).mkdir()

    return spoil


def a_file_instead(path: Callable[[Place], Path]) -> Callable[[Place], None]:
    """A file in the place of a folder, which is kept beside it."""

    def spoil(place: Place) -> None:
        path(place).rename(path(place).with_suffix(".kept"))
        path(place).write_text("in the way")

    return spoil


BOX, SHOTS, SCHEDULE, LINES, PROPS, NEWS, PLAYERS = layout.FILES


def half_of_a_file(contents: bytes) -> bytes:
    """The first half of a file: a copy that was interrupted."""
    return contents[: len(contents) // 2]


def damaged_in_the_middle(contents: bytes) -> bytes:
    """A file whose end, which says where all else is, is right, and whose rows are not."""
    return contents[:4] + b"\xff" * 2000 + contents[2004:]


WHOLE_FILES = [
    *(
        Case(
            f"{file.name}: half of it",
            to_bytes(file, half_of_a_file),
            2,
            rf"raw/{file.name} cannot be read as Parquet .*copy the file",
        )
        for file in layout.FILES
    ),
    *(
        Case(
            f"{file.name}: rows damaged, footer right",
            to_bytes(file, damaged_in_the_middle),
            2,
            rf"raw/{file.name} cannot be read",
        )
        for file in (BOX, SHOTS, LINES)
    ),
    Case(
        f"{BOX.name}: 0 bytes", to_bytes(BOX, lambda _: b""), 2, r"player_box_scores.parquet cannot be read .*size is 0 bytes"
    ),
    Case(
        f"{BOX.name}: CSV", to_bytes(BOX, lambda _: b"game_id,pts\n1,2\n" * 9), 2, r"player_box_scores.parquet cannot be read"
    ),
    *(
        Case(
            f"{file.name}: no rows",
            to_table(file, lambda rows: rows[:0]),
            2,
            rf"{file.name} has no rows\. .*copy the file again",
        )
        for file in (BOX, SHOTS, SCHEDULE)
    ),
    Case(f"{SHOTS.name}: absent", lambda place: (place.raw / SHOTS.name).unlink(), 2, r"raw/shots.parquet is missing\. Put"),
    Case(
        f"{SHOTS.name}: a folder",
        a_folder_instead(lambda place: place.raw / SHOTS.name),
        2,
        r"shots.parquet cannot be .*directory",
    ),
    Case("raw folder: not there", lambda place: shutil.rmtree(place.raw), 2, r"raw is no folder\. Give the folder .*--raw"),
    Case(
        "raw folder: another than the home's",
        by_sql("UPDATE nba_reference.source SET name = '/elsewhere/raw'"),
        2,
        r"home was made from /elsewhere/raw, .*/raw was asked for.*NBA_PRECOMPUTE_HOME.*--reset",
    ),
]

COLUMNS = [
    Case(
        f"{BOX.name}: no column fga",
        to_table(BOX, lambda rows: rows.drop_columns(["fga"])),
        2,
        r"player_box_scores.parquet: column fga \(whole number\) is missing\. Write the file again",
    ),
    Case(
        f"{BOX.name}: column pts twice",
        to_table(BOX, lambda rows: rows.append_column("pts", rows["pts"])),
        2,
        r"player_box_scores.parquet: column pts \(whole number\) stands twice",
    ),
    Case(
        f"{LINES.name}: no column total",
        to_table(LINES, lambda rows: rows.drop_columns(["total"])),
        2,
        r"column total .*is missing",
    ),
    Case(
        f"{BOX.name}: minutes as MM:SS text",
        to_column(BOX, "minutes", pa.string(), lambda values: ["34:12" for _ in values]),
        2,
        r"column minutes holds string \(first: '34:12', game_date 2023-10-24, game_id \d{10}, player_id \d+\), .*34:30 is 34.5",
    ),
    Case(
        f"{BOX.name}: game_id as a number",
        to_column(BOX, "game_id", pa.int64(), lambda values: [int(value) for value in values]),
        2,
        r"column game_id holds int64 \(first: 22300001, .*a text is expected.*leading zeros",
    ),
    Case(
        f"{BOX.name}: player_id a float for a NaN",
        to_column(BOX, "player_id", pa.float64(), lambda values: [float("nan"), *values[1:]]),
        2,
        r"column player_id holds double \(first: nan, game_date 2023-10-24, game_id \d{10}\), a whole number.*Int64",
    ),
    Case(
        f"{BOX.name}: game_date as text",
        to_column(BOX, "game_date", pa.string(), lambda values: [str(value) for value in values]),
        2,
        r"column game_date holds string \(first: '2023-10-24', game_id \d{10}, player_id \d+\), a date is expected.*\.dt\.date",
    ),
    Case(
        f"{BOX.name}: game_date as a timestamp",
        to_column(BOX, "game_date", pa.timestamp("us"), lambda values: [pd.Timestamp(value) for value in values]),
        2,
        r"column game_date holds timestamp\[us\] \(first: 2023-10-24 00:00:00, .*a date is expected.*\.dt\.date",
    ),
    Case(
        f"{BOX.name}: starter as Y and N",
        to_column(BOX, "starter", pa.string(), lambda values: ["Y" if value else "N" for value in values]),
        2,
        r"column starter holds string \(first: 'Y', .*true/false is expected",
    ),
    Case(
        f"{SHOTS.name}: is_three as 0 and 1",
        to_column(SHOTS, "is_three", pa.int8(), lambda values: [int(value) for value in values]),
        2,
        r"shots.parquet: column is_three holds int8 \(first: [01], .*true/false is expected",
    ),
    Case(
        f"{SCHEDULE.name}: start_utc as text",
        to_column(SCHEDULE, "start_utc", pa.string(), lambda values: [str(value) for value in values]),
        2,
        r"schedule.parquet: column start_utc holds string .*a timestamp is expected.*in UTC",
    ),
    Case(
        f"{LINES.name}: spread_home as text",
        to_column(LINES, "spread_home", pa.string(), lambda values: [str(value) for value in values]),
        2,
        r"game_lines.parquet: column spread_home holds string .*a number is expected",
    ),
    Case(
        f"{PROPS.name}: american_over as a float",
        to_column(PROPS, "american_over", pa.float64(), lambda values: [value and value + 0.5 for value in values]),
        2,
        r"player_points_props.parquet: column american_over holds double \(first: -?\d+\.5, .*a whole number is expected",
    ),
]

FILES_JUDGED_WHOLE = [
    Case(
        f"{BOX.name}: NULL in game_date",
        to_value(BOX, "game_date", None),
        2,
        r"game_date is empty in 2 rows \(first: game_id \d{10}",
    ),
    Case(
        f"{SHOTS.name}: NULL in game_date",
        to_value(SHOTS, "game_date", None),
        2,
        r"shots.parquet: game_date is empty in 2 rows",
    ),
    Case(
        f"{BOX.name}: a date of the year 23",
        to_value(BOX, "game_date", date(23, 11, 2), days=(OLD,)),
        2,
        r"game_date holds 0023-11-02, game_id \d{10}, player_id \d+, which is no date of the league",
    ),
    *(
        Case(
            f"{SCHEDULE.name}: NULL in {column}",
            to_value(SCHEDULE, column, None),
            2,
            rf"2023-11-02.*column {column}: is empty; fill",
        )
        for column in ("game_id", "season", "home_team")
    ),
    Case(
        f"{SCHEDULE.name}: NULL in game_date",
        to_value(SCHEDULE, "game_date", None),
        2,
        r"schedule.parquet: game_date is empty in 2",
    ),
    Case(
        f"{SCHEDULE.name}: unknown team in one game",
        to_value(SCHEDULE, "home_team", "XXX"),
        2,
        r"schedule.parquet: 2023-11-02, game \d{10}, column home_team: is XXX, none of the league's 30 teams; correct it",
    ),
    Case(
        "schedule and box scores: unknown team BRK",
        renamed_team,
        2,
        r"schedule.parquet: 2023-10-2\d, game \d{10}, column \w+_team: is BRK, none of .*\d+ more problems in the file",
    ),
    Case(
        f"{SCHEDULE.name}: a game twice",
        to_rows(SCHEDULE, of_first_games(again_as(), NEW)),
        2,
        r"schedule.parquet: 2023-11-09, game \d{10}, column game_id: stands twice; keep the row",
    ),
    Case(
        "schedule, box scores, shots: a game under two ids",
        all_of(*(to_rows(file, of_first_games(again_as(game_id="0022309999"), NEW)) for file in (SCHEDULE, BOX, SHOTS))),
        2,
        r"schedule.parquet: 2023-11-09, game 0022309999, column away_team: \w{3} plays game \d{10} on this day already",
    ),
    Case(
        f"{SCHEDULE.name}: another season",
        to_value(SCHEDULE, "season", "2022-23"),
        2,
        r"schedule.parquet: 2023-11-02, game \d{10}, column season: is 2022-23, the day belongs to 2023-24",
    ),
    Case(
        "all files: ids without zeros",
        with_short_ids,
        2,
        r"schedule.parquet: .*game 22300001, column game_id: has not the ten digits",
    ),
    Case(
        f"{LINES.name}: NULL in game_id",
        to_value(LINES, "game_id", None),
        2,
        r"game_lines.parquet: 2023-11-02, column game_id: is",
    ),
    Case(
        f"{LINES.name}: a game twice",
        to_rows(LINES, of_first_games(again_as(), NEW)),
        2,
        r"game_lines.parquet: 2023-11-09, game \d{10}, column game_id: stands twice",
    ),
    Case(
        f"{LINES.name}: total below zero",
        to_value(LINES, "total", -5.0),
        2,
        r"game_lines.parquet: 2023-11-02, game \d{10}, column total: is -5.0, no line; correct it",
    ),
    Case(
        f"{PROPS.name}: line below zero",
        to_rows(PROPS, lambda rows: rows.assign(line=-0.5, game_date=NEW)[:1]),
        2,
        r"player_points_props.parquet: 2023-11-09, game \d{10}, player \d+, column line: is -0.5, no line on points",
    ),
    Case(
        f"{NEWS.name}: NULL in date",
        to_rows(NEWS, lambda rows: rows.assign(date=rows["date"].where(rows.index != 7))),
        2,
        r"injury_transactions.parquet: date is empty in 1 rows \(first: player_id \d+\)",
    ),
    Case(
        f"{NEWS.name}: status Out",
        to_rows(NEWS, lambda rows: rows.assign(status=rows["status"].where(rows.index != 7, "Out"))),
        2,
        r"injury_transactions.parquet: 2023-1\d-\d\d, player \d+, column status: is Out; write one of out, returned",
    ),
    Case(
        f"{NEWS.name}: covered_from no date",
        to_table(NEWS, lambda rows: rows.replace_schema_metadata({"covered_from": "last year"})),
        2,
        r"injury_transactions.parquet: its metadata have 'last year' for covered_from, which is no date",
    ),
    Case(
        f"{PLAYERS.name}: NULL in player_id",
        to_rows(PLAYERS, lambda rows: rows.assign(player_id=rows["player_id"].astype("object").where(rows.index != 7, None))),
        2,
        r"players.parquet: column player_id: is empty; fill it in",
    ),
    Case(
        f"{PLAYERS.name}: born in 2023",
        to_rows(PLAYERS, lambda rows: rows.assign(birth_date=rows["birth_date"].where(rows.index != 7, date(2023, 1, 1)))),
        2,
        r"players.parquet: player \d+, column birth_date: is 2023-01-01, too late for a player; correct it",
    ),
]

ROW = r"2023-11-02, game \d{10}, player \d+"
"""How the first of the two broken days is named, where one row is broken."""

DAYS = [
    Case(
        f"{BOX.name}: NULL in game_id",
        to_value(BOX, "game_id", None),
        1,
        r"2 days, .*: 2023-11-02, player \d+, column game_id: is empty",
    ),
    Case(
        f"{BOX.name}: NULL in player_id",
        to_value(BOX, "player_id", None),
        1,
        r"2 days, .*, game \d{10}, column player_id: is empty",
    ),
    *(
        Case(
            f"{BOX.name}: NULL in {column}",
            to_value(BOX, column, None),
            1,
            rf"2 days, .*{ROW}, column {column}: is empty; fill it in",
        )
        for column in ("team", "season", "season_type", "minutes", "ast")
    ),
    Case(
        f"{BOX.name}: points that do not add up",
        to_value(BOX, "pts", lambda points: points + 1),
        1,
        rf"2 days, .*{ROW}, column pts: is \d+, but 2 fgm \+ fg3m \+ ftm is \d+; correct the box score",
    ),
    Case(
        f"{BOX.name}: more makes than attempts",
        to_value(BOX, "fta", -1),
        1,
        rf"2 days, .*{ROW}, column ft[am]: (\d+ exceeds fta -1|-1 is below zero)",
    ),
    Case(
        f"{BOX.name}: minutes in seconds",
        to_value(BOX, "minutes", 2040.0),
        1,
        rf"2 days, .*{ROW}, column minutes: 2040.0 is outside 0-70",
    ),
    Case(
        f"{BOX.name}: unknown team",
        to_value(BOX, "team", "XXX"),
        1,
        rf"2 days, .*{ROW}, column team: XXX does not play in this game \(.* at .*\)",
    ),
    Case(
        f"{BOX.name}: a player twice in a game",
        to_rows(BOX, lambda rows: twice(NEW)(twice(OLD)(rows))),
        1,
        rf"2 days, .*{ROW}: the player stands twice in the game; keep one row",
    ),
    Case(
        f"{BOX.name}: player_id of 13 digits",
        to_column(BOX, "player_id", pa.int64(), lambda values: [value + 10**12 for value in values]),
        1,
        r"16 days, .*2023-10-24, game \d{10}, player \d{13}, column player_id: is \d{13}, above",
    ),
    Case(
        f"{BOX.name}: another season",
        to_value(BOX, "season", "2022-23"),
        1,
        rf"2 days, .*{ROW}, column season: is 2022-23, schedule.parquet has",
    ),
    Case(
        f"{BOX.name}: a game is missing",
        to_rows(BOX, of_first_games(without)),
        1,
        r"2 days, .*2023-11-02, game \d{10}: the schedule has \w{3} at \w{3}, the file has no row of it: add the box score",
    ),
    Case(
        f"{BOX.name}: a game under another id",
        to_rows(BOX, of_first_games(with_values(game_id="0022309999"))),
        1,
        r"2 days, .*game \d{10}: the schedule has",
    ),
    Case(
        f"{BOX.name}: a game once more under another id",
        to_rows(BOX, of_first_games(again_as(game_id="0022309999"), NEW)),
        1,
        r"1 day .*2023-11-09, game 0022309999, column game_id: is not in schedule.parquet; add the game",
    ),
    Case(
        f"{BOX.name}: a game on a day without games",
        to_rows(BOX, of_first_games(with_values(game_date=OFF_DAY), NEW)),
        1,
        r"2 days, .*: 2023-11-07, game \d{10}, column game_date: the calendar has no game day here .*nba-precompute calendar",
    ),
    Case(
        f"{BOX.name}: a player's row on a day without games",
        to_value(BOX, "game_date", OFF_DAY),
        1,
        r"3 days, .*: 2023-11-02, game \d{10}, column game_date: the file has rows of it on 2023-11-07; correct their date",
    ),
    Case(
        f"{BOX.name}: a game in the year 2062",
        to_rows(BOX, of_first_games(with_values(game_date=date(2062, 11, 9)), NEW)),
        1,
        r"2 days, .*2023-11-09, game \d{10}",
    ),
    Case(
        f"{SCHEDULE.name}: without a game of the box scores",
        to_rows(SCHEDULE, of_first_games(without)),
        1,
        r"2 days, .*player_box_scores.parquet: 2023-11-02, game \d{10}, column game_id: is not in schedule.parquet; add the game",
    ),
    Case(
        f"{SCHEDULE.name}: without a day of the box scores",
        to_rows(SCHEDULE, lambda rows: rows[~rows["game_date"].isin([OLD, NEW])]),
        1,
        r"2 days, .*schedule.parquet: 2023-11-02: has no game on this game day; add its games, or correct the calendar with",
    ),
    Case(
        f"{SCHEDULE.name}: a game on another day",
        to_rows(SCHEDULE, of_first_games(with_values(game_date=OFF_DAY), NEW)),
        1,
        r"1 day .*2023-11-09, game \d{10}, column game_date: differs from schedule.parquet, which has 2023-11-07",
    ),
    Case(
        f"{SHOTS.name}: NULL in game_id",
        to_value(SHOTS, "game_id", None),
        1,
        r"2 days, .*shots.parquet: 2023-11-02, player \d+, column game_id: is",
    ),
    Case(
        f"{SHOTS.name}: NULL in player_id",
        to_value(SHOTS, "player_id", None),
        1,
        r"2 days, .*shots.parquet: .*column player_id: is empty",
    ),
    *(
        Case(
            f"{SHOTS.name}: NULL in {column}",
            to_value(SHOTS, column, None),
            1,
            rf"2 days, .*shots.parquet: {ROW}, column {column}: is empty",
        )
        for column in ("zone", "is_three", "made")
    ),
    Case(
        f"{SHOTS.name}: unknown place",
        to_value(SHOTS, "zone", "paint"),
        1,
        rf"2 days, .*shots.parquet: {ROW}, column zone: is paint, no place",
    ),
    Case(
        f"{SHOTS.name}: unknown game",
        to_value(SHOTS, "game_id", "0022309999"),
        1,
        r"2 days, .*shots.parquet: 2023-11-02, game 0022309999, column game_id: is not in schedule.parquet",
    ),
    Case(
        f"{SHOTS.name}: rows twice",
        to_rows(SHOTS, lambda rows: twice(NEW)(twice(OLD)(rows))),
        1,
        r"2 days, .*shots.parquet: 2023-11-02, game \d{10}: the file has \d+ shots, the box score \d+ attempts, so they stand twice",
    ),
    Case(
        f"{SHOTS.name}: a game on a day without games",
        to_rows(SHOTS, of_first_games(with_values(game_date=OFF_DAY), NEW)),
        1,
        r"2 days, .*shots.parquet: 2023-11-07, game \d{10}, column game_date: the calendar has no game day",
    ),
]

HOMES = [
    Case(
        "warehouse: a folder",
        a_folder_instead(lambda place: place.warehouse),
        2,
        r"warehouse.duckdb is a folder, .*Move the folder away",
    ),
    Case(
        "warehouse: a text file",
        to_warehouse(lambda _: b"no database" * 999),
        2,
        r"warehouse.duckdb cannot be opened as a DuckDB .*move it away",
    ),
    Case(
        "warehouse: 0 bytes",
        to_warehouse(lambda _: b""),
        2,
        r"warehouse.duckdb cannot be opened as a DuckDB .*move it away and backfill again",
    ),
    Case(
        "warehouse: half of it",
        to_warehouse(half_of_a_file),
        2,
        r"warehouse.duckdb cannot be opened as a DuckDB .*Put back a copy",
    ),
    Case(
        "warehouse: of a newer DuckDB",
        to_warehouse(lambda contents: of_storage_version(9999, contents)),
        2,
        r"warehouse.duckdb cannot be opened .*version number 9999.*upgrade with `uv sync`, or use another home",
    ),
    Case(
        "warehouse: a column of another type",
        by_sql("ALTER TABLE nba_analytics.player_game_summary ALTER points TYPE VARCHAR"),
        1,
        r"nba_analytics.player_game_summary in .*warehouse.duckdb has columns of another type: points \(VARCHAR, now INTEGER\)\. Drop",
    ),
    Case(
        "home: a file",
        a_file_instead(lambda place: place.home),
        2,
        r"home cannot be made: a file stands where a folder must be\. Move",
    ),
    Case(
        "Dagster's history: no database",
        lambda place: (place.home / "dagster" / "index.db").write_bytes(b"no database" * 999) and None,
        2,
        r"Dagster's storage in .*dagster is damaged .*Move it away: .*makes all days again",
    ),
]

FULL = r"cannot be written \((File too large|No space left on device|disk I/O error|database or disk is full)\)\. Free space"

FULL_DISKS = [
    Case("disk: no room at all", lambda place: None, 2, rf"home {FULL}", room=lambda place: 0),
    # the largest file of those that a backfill makes grow, so that it ends wherever it comes to be written
    Case(
        "disk: no room for Dagster's index",
        lambda place: None,
        1,
        FULL,
        room=lambda place: (place.home / "dagster" / "index.db").stat().st_size,
    ),
]

CASES = [*WHOLE_FILES, *COLUMNS, *FILES_JUDGED_WHOLE, *DAYS, *HOMES, *FULL_DISKS]
