"""A folder of Parquet files in the layout of `sources.layout`, read by date range. Rows are judged in `sources.trust`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nba_precompute.errors import first_line
from nba_precompute.sources import RawDataError, layout, trust
from nba_precompute.sources.layout import RawFile

IS_KIND = {
    layout.WORDS: lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
    layout.WHOLE: pa.types.is_integer,
    layout.MEASURED: lambda kind: pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind),
    layout.YES_NO: pa.types.is_boolean,
    layout.DATE: pa.types.is_date,
    layout.TIME: pa.types.is_timestamp,
}
EMPTY_OF_KIND = {
    layout.WORDS: pa.string(),
    layout.WHOLE: pa.int64(),
    layout.MEASURED: pa.float64(),
    layout.YES_NO: pa.bool_(),
    layout.DATE: pa.date32(),
    layout.TIME: pa.timestamp("us"),
}
HOW_TO_WRITE = {
    layout.WORDS: "as text, ids with their leading zeros",
    layout.WHOLE: "as whole numbers (in pandas Int64, which stays whole where a value is empty)",
    layout.MEASURED: "as decimal numbers (34:30 is 34.5)",
    layout.YES_NO: "as true and false",
    layout.DATE: "as dates without a time (in pandas .dt.date)",
    layout.TIME: "as timestamps in UTC",
}
UNREADABLE = (pa.ArrowException, OSError, MemoryError, UnicodeDecodeError)
"""What pyarrow raises over a damaged file; a damaged length may ask for any amount of memory."""

FIRST_YEAR, LAST_YEAR = 1900, 2200
"""Nobody in these files was born before or plays after; a date beyond is a year that lost or gained a digit."""

PROBLEMS_SHOWN = 3
"""How many problems of a file its refusal names."""


def parquet_folder(path: Path, name: str) -> "ParquetFolder":
    """The folder as it is now: the same one, with what it has read, as long as its files are the same."""
    files = [path / file.name for file in layout.FILES]
    found = tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) if (stat := _stat(file)) else None for file in files)
    return _folder_of_files(path, name, found)


@lru_cache(maxsize=1)
def _folder_of_files(path: Path, name: str, files: tuple[tuple[int, int, int] | None, ...]) -> "ParquetFolder":
    return ParquetFolder(path, name)


def _stat(file: Path) -> os.stat_result | None:
    try:
        return file.stat()
    except OSError:
        return None


@dataclass(frozen=True)
class LastRead:
    """The range of days that was read of a file last, and its rows."""

    start: date
    end: date
    rows: pd.DataFrame


@dataclass(frozen=True)
class ParquetFolder:
    """The raw games of one folder; `name` is what a home remembers it by.

    Raises RawDataError, naming the file and what to do, where the folder or a required file is missing or a file cannot be
    read, lacks a column or holds another kind of values in it.
    """

    path: Path
    name: str
    _last_reads: dict[str, LastRead] = field(default_factory=dict, init=False, repr=False, compare=False)

    def box_scores(self, start: date, end: date) -> pd.DataFrame:
        """A row a player who appeared in a game."""
        return self._between(layout.BOX_SCORES, start, end)

    def shots(self, start: date, end: date) -> pd.DataFrame:
        """A row a field-goal attempt."""
        return self._between(layout.SHOTS, start, end)

    def schedule(self) -> pd.DataFrame:
        """A row a game; the tip-off in UTC without a time zone."""
        return self._schedule.copy()

    @cached_property
    def _schedule(self) -> pd.DataFrame:
        return self._read(layout.SCHEDULE)

    def lines(self, start: date, end: date) -> pd.DataFrame:
        """A row a game: point spread and total."""
        return self._between(layout.LINES, start, end)

    def props(self, start: date, end: date) -> pd.DataFrame:
        """A row a bookmaker's line on a player's points in one snapshot; `snapshot_time` is in UTC without a time zone."""
        props = self._between(layout.PROPS, start, end)
        return props[props["game_id"].notna()].rename(columns={"snapshot_file_time": "snapshot_time"})

    def injuries(self) -> pd.DataFrame:
        """A row a news item, in the file's order."""
        return self._read(layout.INJURIES)

    def injuries_cover(self) -> tuple[date, date] | None:
        """The dates that the file says it covers; without its word the first and the last date of its rows."""
        if not _is_there(self.path / layout.INJURIES.name):
            return None
        said = self._open(layout.INJURIES).schema_arrow.metadata or {}
        dates = self.injuries()["date"]
        if dates.empty and not {b"covered_from", b"covered_to"} <= said.keys():
            return None
        start = self._date_said(said, "covered_from") or dates.min().date()
        end = self._date_said(said, "covered_to") or dates.max().date()
        if start > end:
            raise RawDataError(
                f"{self.path / layout.INJURIES.name}: its metadata say that it covers {start} to {end}. "
                "Write covered_from, the earlier, and covered_to."
            )
        return start, end

    def _date_said(self, said: dict[bytes, bytes], key: str) -> date | None:
        if key.encode() not in said:
            return None
        words = said[key.encode()].decode(errors="replace")
        try:
            return date.fromisoformat(words)
        except ValueError:
            raise RawDataError(
                f"{self.path / layout.INJURIES.name}: its metadata have {words!r} for {key}, which is no date. "
                "Write it as 2024-01-31."
            ) from None

    def players(self) -> pd.DataFrame:
        """A row a player: his birth date."""
        return self._read(layout.PLAYERS)

    def days_with_box_scores(self) -> Sequence[date]:
        """The days on which there are box scores, in order."""
        return self._days(layout.BOX_SCORES)

    def days_with_shots(self) -> Sequence[date]:
        """The days on which there are shots, in order."""
        return self._days(layout.SHOTS)

    def _days(self, file: RawFile) -> Sequence[date]:
        return sorted(self._table(file, [file.day])[file.day].unique().to_pylist())

    def _between(self, file: RawFile, start: date, end: date) -> pd.DataFrame:
        # a run hashes, checks and computes from the same days: it reads them once, so all three are of the same rows
        last = self._last_reads.get(file.name)
        if last is None or start < last.start or last.end < end:
            rows = self._read(file, [("game_date", ">=", start), ("game_date", "<=", end)])
            last = self._last_reads[file.name] = LastRead(start, end, rows)
        within = last.rows["game_date"].between(pd.Timestamp(start), pd.Timestamp(end))
        return last.rows[within].reset_index(drop=True)

    def _read(self, file: RawFile, filters: list[tuple[str, str, date]] | None = None) -> pd.DataFrame:
        if not file.required and self.path.is_dir() and not _is_there(self.path / file.name):
            empty = pa.schema([(name, EMPTY_OF_KIND[kind]) for name, kind in file.columns.items()])
            return _to_pandas(empty.empty_table())
        table = self._table(file, list(file.columns), filters)
        try:
            rows = _to_pandas(_with_types_of_empty_columns(table, file))
        except UNREADABLE as error:
            raise self._unreadable(file, error) from error
        if file not in (layout.BOX_SCORES, layout.SHOTS):
            self._refuse(trust.problems_of_file(file, rows))
        return rows

    def _table(self, file: RawFile, columns: list[str], filters: list[tuple[str, str, date]] | None = None) -> pa.Table:
        self._open(file)
        try:
            table = pq.read_table(self.path / file.name, columns=columns, filters=filters, page_checksum_verification=True)
        except UNREADABLE as error:
            raise self._unreadable(file, error) from error
        self._refuse_impossible_dates(table, file)
        return table

    def _refuse(self, problems: pd.DataFrame) -> None:
        if problems.empty:
            return
        said = [f"{self.path}/{trust.describe(problem)}." for _, problem in problems.head(PROBLEMS_SHOWN).iterrows()]
        if len(problems) > PROBLEMS_SHOWN:
            said.append(f"There are {len(problems) - PROBLEMS_SHOWN} more problems in the file.")
        raise RawDataError("\n".join(said))

    def _refuse_impossible_dates(self, table: pa.Table, file: RawFile) -> None:
        for column, kind in zip(table.column_names, table.schema.types, strict=True):
            if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
                years = pc.year(table[column])
                impossible = pc.or_(pc.less(years, FIRST_YEAR), pc.greater(years, LAST_YEAR))
                if not pc.any(impossible).as_py():
                    continue
                keys = _keys(list(file.columns), file)
                if not set(keys) <= set(table.column_names):
                    self._table(file, list({*keys, column}))  # refuses with the keys of the row
                first = table.filter(impossible).slice(0, 1)
                raise RawDataError(
                    f"{self.path / file.name}: column {column} holds {first[column].cast(pa.string())[0]}"
                    f"{_where(first, file, column)}, which is no date of the league. Correct it."
                )

    def _open(self, file: RawFile) -> pq.ParquetFile:
        path = self.path / file.name
        if not self.path.is_dir():
            raise RawDataError(f"{self.path} is no folder. Give the folder that holds {layout.BOX_SCORES.name} with --raw.")
        if not _is_there(path):
            raise RawDataError(f"{path} is missing. Put the file there, or give another folder with --raw.")
        try:
            opened = pq.ParquetFile(path)
            self._refuse_wrong_kinds(opened, file)
            days_missing = _nulls(opened, file.day) if file.day in file.columns else 0
            if days_missing:
                undated = opened.read()
                undated = undated.filter(undated[file.day].is_null()).slice(0, 1)
                raise RawDataError(
                    f"{path}: {file.day} is empty in {days_missing} rows (first:{_where(undated, file, file.day)[1:]}), "
                    "so their day is not known. Fill it in or remove the rows."
                )
        except UNREADABLE as error:
            raise self._unreadable(file, error) from error
        if file.required and opened.metadata.num_rows == 0:
            raise RawDataError(f"{path} has no rows. Write or copy the file again, or give another folder with --raw.")
        return opened

    def _refuse_wrong_kinds(self, opened: pq.ParquetFile, file: RawFile) -> None:
        path = self.path / file.name
        names = opened.schema_arrow.names
        for column, kind in file.columns.items():
            if names.count(column) != 1:
                raise RawDataError(
                    f"{path}: column {column} ({kind}) {'stands twice' if column in names else 'is missing'}. "
                    "Write the file again with it, once."
                )
        for column, kind in file.columns.items():
            stored = opened.schema_arrow.field(column).type
            if not IS_KIND[kind](stored) and not pa.types.is_null(stored):
                raise RawDataError(
                    f"{path}: column {column} holds {stored}{_first_that_does_not_fit(opened, column, file)}, a {kind} is "
                    f"expected. Write the column again {HOW_TO_WRITE[kind]}."
                )

    def _unreadable(self, file: RawFile, error: BaseException) -> RawDataError:
        return RawDataError(
            f"{self.path / file.name} cannot be read as Parquet ({first_line(error)}). Write or copy the file again."
        )


def _is_there(path: Path) -> bool:
    # a link that leads nowhere is no absent optional file
    return path.exists() or path.is_symlink()


def _first_that_does_not_fit(opened: pq.ParquetFile, column: str, file: RawFile) -> str:
    """The first value that shows why the column has another type, with the keys of its row."""
    table = opened.read(columns=list(dict.fromkeys([*_keys(opened.schema_arrow.names, file), column])))
    if table.num_rows == 0:
        return ""
    values = table[column]
    if file.columns[column] == layout.WHOLE and pa.types.is_floating(values.type):
        fits = pc.fill_null(pc.equal(pc.floor(values), values), False)
        table = table if pc.all(fits).as_py() else table.filter(pc.invert(fits))
    first = table.slice(0, 1)
    value = first[column][0].as_py()
    return (
        f" (first: {value!r}{_where(first, file, column)})"
        if isinstance(value, str)
        else (f" (first: {value}{_where(first, file, column)})")
    )


def _where(first: pa.Table, file: RawFile, column: str) -> str:
    """The keys of a row, as a message names them."""
    return "".join(f", {key} {first[key][0].as_py()}" for key in _keys(first.column_names, file) if key != column)


def _keys(there: Sequence[str], file: RawFile) -> list[str]:
    return [key for key in (file.day, "game_id", "player_id") if key in file.columns and key in there]


def _with_types_of_empty_columns(table: pa.Table, file: RawFile) -> pa.Table:
    """A column without a single value is written without a type; it gets the layout's."""
    for place, column in enumerate(table.schema):
        if pa.types.is_null(column.type):
            table = table.set_column(place, column.name, table[column.name].cast(EMPTY_OF_KIND[file.columns[column.name]]))
    return table


def _nulls(opened: pq.ParquetFile, column: str) -> int:
    position = opened.schema_arrow.get_field_index(column)
    groups = [opened.metadata.row_group(group).column(position).statistics for group in range(opened.num_row_groups)]
    if any(statistics is None or not statistics.has_null_count for statistics in groups):
        return opened.read(columns=[column])[column].null_count
    return sum(statistics.null_count for statistics in groups)


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    """Dates and times as datetime64[ns] without a time zone, true/false as boolean: types that do not depend on the rows."""
    frame = table.to_pandas(date_as_object=False)
    for column, kind in zip(table.column_names, table.schema.types, strict=True):
        if pa.types.is_timestamp(kind) and kind.tz is not None:
            frame[column] = frame[column].dt.tz_convert("UTC").dt.tz_localize(None)
        if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
            frame[column] = frame[column].astype("datetime64[ns]")
        if pa.types.is_boolean(kind):
            frame[column] = frame[column].astype("boolean")
        if pa.types.is_decimal(kind):
            frame[column] = frame[column].astype("float64")
    return frame
