"""A folder of Parquet files in the layout of `sources.layout`, read by date range. Rows are checked in `sources.trust`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from nba_precompute.sources import RawDataError, layout
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


@dataclass(frozen=True)
class ParquetFolder:
    """The raw games of one folder; `name` is what a home remembers it by.

    Raises RawDataError, naming the file and what to do, where the folder or a required file is missing or a file cannot be
    read, lacks a column or holds another kind of values in it.
    """

    path: Path
    name: str

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
        schedule = self._read(layout.SCHEDULE)
        for column in layout.SCHEDULE.filled:
            if schedule[column].isna().any():
                games = ", ".join(schedule.loc[schedule[column].isna(), "game_id"].astype(str).head(5))
                raise RawDataError(
                    f"{self.path / layout.SCHEDULE.name}: column {column} is empty for game {games}. Fill it in or remove the row."
                )
        return schedule

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
        file = self.path / layout.INJURIES.name
        if not file.exists():
            return None
        said = self._open(layout.INJURIES).schema_arrow.metadata or {}
        dates = self.injuries()["date"]
        if dates.empty and not {b"covered_from", b"covered_to"} <= said.keys():
            return None
        return (
            date.fromisoformat(said[b"covered_from"].decode()) if b"covered_from" in said else dates.min().date(),
            date.fromisoformat(said[b"covered_to"].decode()) if b"covered_to" in said else dates.max().date(),
        )

    def players(self) -> pd.DataFrame:
        """A row a player: his birth date."""
        return self._read(layout.PLAYERS)

    def days_with_box_scores(self) -> Sequence[date]:
        """The days on which there are box scores, in order."""
        self._open(layout.BOX_SCORES)
        days = pq.read_table(self.path / layout.BOX_SCORES.name, columns=["game_date"])["game_date"].unique()
        return sorted(day for day in days.to_pylist() if day is not None)

    def _between(self, file: RawFile, start: date, end: date) -> pd.DataFrame:
        return self._read(file, [("game_date", ">=", start), ("game_date", "<=", end)])

    def _read(self, file: RawFile, filters: list[tuple[str, str, date]] | None = None) -> pd.DataFrame:
        if not file.required and self.path.is_dir() and not (self.path / file.name).exists():
            empty = pa.schema([(name, EMPTY_OF_KIND[kind]) for name, kind in file.columns.items()])
            return _to_pandas(empty.empty_table())
        self._open(file)
        try:
            table = pq.read_table(self.path / file.name, columns=list(file.columns), filters=filters)
        except (pa.ArrowInvalid, OSError) as error:
            raise self._unreadable(file, error) from error
        rows = _to_pandas(_with_types_of_empty_columns(table, file))
        if file.unique is not None and rows[file.unique].duplicated().any():
            twice = ", ".join(rows.loc[rows[file.unique].duplicated(), file.unique].astype(str).head(5))
            raise RawDataError(f"{self.path / file.name}: {file.unique} {twice} stands twice. Keep the row that is right.")
        return rows

    def _open(self, file: RawFile) -> pq.ParquetFile:
        path = self.path / file.name
        if not self.path.is_dir():
            raise RawDataError(f"{self.path} is no folder. Give the folder that holds {layout.BOX_SCORES.name} with --raw.")
        if not path.exists():
            raise RawDataError(f"{path} is missing. Put the file there, or give another folder with --raw.")
        try:
            opened = pq.ParquetFile(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise self._unreadable(file, error) from error
        kinds = {field.name: field.type for field in opened.schema_arrow}
        for column, kind in file.columns.items():
            if column not in kinds:
                raise RawDataError(f"{path}: column {column} ({kind}) is missing. Write the file again with it.")
            if not IS_KIND[kind](kinds[column]) and not pa.types.is_null(kinds[column]):
                raise RawDataError(
                    f"{path}: column {column} holds {kinds[column]}{_first_row(opened, column, file)}, a {kind} is expected. "
                    "Write the file again with the right type."
                )
        if file.day in file.columns and _nulls(opened, file.day):
            raise RawDataError(
                f"{path}: {file.day} is empty in {_nulls(opened, file.day)} rows, so their day is not known. "
                "Fill it in or remove the rows."
            )
        return opened

    def _unreadable(self, file: RawFile, error: Exception) -> RawDataError:
        return RawDataError(f"{self.path / file.name} cannot be read as Parquet ({error}). Write or copy the file again.")


def _first_row(opened: pq.ParquetFile, column: str, file: RawFile) -> str:
    if opened.metadata.num_rows == 0:
        return ""
    keys = [key for key in ("game_date", "game_id", "player_id") if key in file.columns and key in opened.schema_arrow.names]
    first = opened.read_row_group(0, columns=list(dict.fromkeys([*keys, column]))).slice(0, 1).to_pylist()[0]
    where = ", ".join(f"{key} {first[key]}" for key in keys)
    return f" (first: {first[column]!r}, {where})"


def _with_types_of_empty_columns(table: pa.Table, file: RawFile) -> pa.Table:
    """A column without a single value is written without a type; it gets the layout's."""
    for place, field in enumerate(table.schema):
        if pa.types.is_null(field.type):
            table = table.set_column(place, field.name, table[field.name].cast(EMPTY_OF_KIND[file.columns[field.name]]))
    return table


def _nulls(opened: pq.ParquetFile, column: str) -> int:
    position = opened.schema_arrow.get_field_index(column)
    groups = [opened.metadata.row_group(group).column(position).statistics for group in range(opened.num_row_groups)]
    return sum(statistics.null_count for statistics in groups if statistics is not None and statistics.has_null_count)


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    """Dates and times as datetime64[ns] without a time zone, true/false as boolean, so that types do not depend on the rows."""
    frame = table.to_pandas(date_as_object=False)
    for column, kind in zip(table.column_names, table.schema.types, strict=True):
        if pa.types.is_timestamp(kind) and kind.tz is not None:
            frame[column] = frame[column].dt.tz_convert("UTC").dt.tz_localize(None)
        if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
            frame[column] = frame[column].astype("datetime64[ns]")
        if pa.types.is_boolean(kind):
            frame[column] = frame[column].astype("boolean")
    return frame
