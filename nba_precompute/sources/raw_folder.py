"""Writes files of the raw layout, each whole or not at all. What stands in a file and is not replaced stays as it is."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from upath import UPath

from nba_precompute.files import written_whole
from nba_precompute.sources import RawDataError, layout
from nba_precompute.sources.layout import RawFile
from nba_precompute.sources.parquet_folder import UNREADABLE

ARROW_TYPES = {
    layout.WORDS: pa.string(),
    layout.WHOLE: pa.int32(),
    layout.MEASURED: pa.float32(),
    layout.YES_NO: pa.bool_(),
    layout.DATE: pa.date32(),
    layout.TIME: pa.timestamp("us", tz="UTC"),
}

ROW_GROUP_ROWS = 131_072
"""A reader of a season skips the groups of the others."""


def write(folder: Path, file: RawFile, rows: pd.DataFrame, metadata: Mapping[str, str] | None = None) -> None:
    """Write a file of the layout with these rows and no others."""
    _write(folder, file, _as_arrow(rows, file), metadata)


def read(folder: Path, file: RawFile, column: str, values: Sequence[object]) -> pd.DataFrame:
    """The rows of a file whose column has one of the values, as `as_stored` has them; none where there is no file."""
    table = _stored(folder, file)
    if table is None:
        return as_stored(pd.DataFrame(columns=list(file.columns)), file)
    return _in_layout(table.filter(_has(table, column, values)), file)


def read_all(folder: Path, file: RawFile) -> pd.DataFrame:
    """All rows of a file, as `as_stored` has them; none where there is no file."""
    table = _stored(folder, file)
    if table is None:
        return as_stored(pd.DataFrame(columns=list(file.columns)), file)
    return _in_layout(table, file)


def _in_layout(table: pa.Table, file: RawFile) -> pd.DataFrame:
    return table.select(list(file.columns)).cast(_schema(file)).to_pandas(date_as_object=False)


def as_stored(rows: pd.DataFrame, file: RawFile) -> pd.DataFrame:
    """The rows in the layout's columns and in the kinds that it is stored in, so that they can be compared with stored ones."""
    return _as_arrow(rows, file).to_pandas(date_as_object=False)


def replace(
    folder: Path,
    file: RawFile,
    column: str,
    values: Sequence[object],
    rows: pd.DataFrame,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Put rows in the place of those whose column has one of the values, in the order of the days; other columns and rows stay."""
    added = _as_arrow(rows, file)
    table = _stored(folder, file)
    if table is None:
        _write(folder, file, added, metadata)
        return
    columns = [field.with_nullable(True) for field in table.schema]
    stays = table.filter(pc.invert(_has(table, column, values))).cast(pa.schema(columns, metadata=table.schema.metadata))
    fields = {field.name: field for field in columns}
    added = added.cast(pa.schema([fields[name] for name in added.column_names]))
    together = pa.concat_tables([stays, added], promote_options="default")
    # news of a day stays in the order that it came in: the last item holds
    keys = [file.day, "game_id", "player_id"] if "game_id" in file.columns else [file.day]
    order = [(key, "ascending") for key in keys if key in together.column_names]
    _write(folder, file, together.sort_by(order) if order else together, metadata)


def _has(table: pa.Table, column: str, values: Sequence[object]) -> pa.Array:
    return pc.is_in(table[column], pa.array(list(values), type=table.schema.field(column).type))


def _stored(folder: Path, file: RawFile) -> pa.Table | None:
    path = folder / file.name
    if not path.exists():
        return None
    try:
        table = pq.read_table(path)
    except UNREADABLE as error:
        raise RawDataError(
            f"{path} cannot be read as Parquet ({error}). Move it away, then run the same command again."
        ) from error
    absent = [column for column in file.columns if column not in table.column_names]
    if absent:
        raise RawDataError(f"{path}: column {absent[0]} is missing. Give another folder with --raw, or move the file away.")
    return table


def _schema(file: RawFile) -> pa.Schema:
    return pa.schema([(name, ARROW_TYPES[kind]) for name, kind in file.columns.items()])


def _as_arrow(rows: pd.DataFrame, file: RawFile) -> pa.Table:
    table = pa.Table.from_pandas(rows[list(file.columns)], schema=_schema(file), preserve_index=False)
    return table.replace_schema_metadata(None)


def _write(folder: Path, file: RawFile, table: pa.Table, metadata: Mapping[str, str] | None) -> None:
    metadata = metadata or {
        key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items() if key != b"pandas"
    }
    with written_whole(UPath(folder / file.name)) as complete:
        pq.write_table(
            table.replace_schema_metadata(metadata or None), complete, compression="zstd", row_group_size=ROW_GROUP_ROWS
        )
