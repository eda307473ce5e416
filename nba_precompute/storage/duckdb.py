"""The embedded warehouse: one DuckDB file. All SQL of DuckDB's is here.

DuckDB lets one process write, and lets nobody else read meanwhile: connections are short, and whoever finds the file locked
waits for a bounded time.
"""

import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeVar

import duckdb
import pandas as pd
import pyarrow as pa

from nba_precompute.errors import first_line
from nba_precompute.storage import (
    Publication,
    SchemaChanged,
    WarehouseBusy,
    WarehouseError,
    WarehouseUnreadable,
    WarehouseUnwritable,
    source_mismatch,
)
from nba_precompute.storage.contract import VERSION_TYPES, kinds_of, no_rows, no_versions, validated, versions_of
from nba_precompute.tables import columns
from nba_precompute.tables.columns import Table

Answer = TypeVar("Answer")

WAIT_LIMIT_SECONDS = 60.0
"""How long to wait for whoever holds the warehouse: far above the longest publication seen (about 3 s a season)."""

SHORTEST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.05, 0.2
"""Between tries; random, so that waiting processes do not try in step."""

SQL_TYPES = {
    columns.TEXT: "VARCHAR",
    columns.INTEGER: "INTEGER",
    columns.NUMBER: "DOUBLE",
    columns.FLAG: "BOOLEAN",
    columns.DAY: "DATE",
}

NULLABLE = {pa.int32(): pd.Int32Dtype(), pa.bool_(): pd.BooleanDtype()}
"""Arrow's types that pandas would otherwise turn to doubles or objects where a value is missing."""

CONNECTION: dict[str, Any] = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
"""Nothing is downloaded at run time. All connections of a process must have the same settings."""

REFERENCE_TABLES = """
CREATE SCHEMA IF NOT EXISTS nba_reference;
CREATE TABLE IF NOT EXISTS nba_reference.source (name VARCHAR NOT NULL, first_published_at TIMESTAMP NOT NULL);
CREATE TABLE IF NOT EXISTS nba_reference.partition_versions (
    table_name VARCHAR NOT NULL,
    day DATE NOT NULL,
    content_hash VARCHAR NOT NULL,
    read_hash VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL,
    row_count INTEGER NOT NULL,
    run_id VARCHAR NOT NULL,
    published_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE nba_reference.partition_versions IS
    'One row a published day of a table: hashes of its rows and of what it read, code version, run and time (UTC)';
CREATE OR REPLACE VIEW nba_reference.processor_run_history AS
    SELECT
        table_name AS processor_name, run_id, min(day) AS first_day, max(day) AS last_day, count(*) AS days,
        sum(row_count) AS records, max(code_version) AS code_version, max(published_at) AS finished_at
    FROM nba_reference.partition_versions
    GROUP BY table_name, run_id;
COMMENT ON VIEW nba_reference.processor_run_history IS
    'One row a run and table: its days that are published, and of which no later run has made them again';
"""

VERSIONS_OF_TABLES_THAT_ARE_THERE = """
FROM nba_reference.partition_versions
WHERE table_name IN (SELECT schema_name || '.' || table_name FROM duckdb_tables())
ORDER BY table_name, day
"""
"""A table that was dropped, as the refusal of a changed type asks for, has no day any more."""

HINDRANCES = {
    r"No space left on device|File too large|Disk quota exceeded": "Free space on its disk",
    r"Permission denied|Read-only file system": "Allow this user to write it and its folder",
}
"""What keeps a file from being written, in the operating system's words, and what to do."""

_locks_of_paths: dict[str, threading.Lock] = {}


@dataclass(frozen=True)
class DuckDBWarehouse:
    """A warehouse in the file `path`."""

    path: Path
    wait_limit_seconds: float = WAIT_LIMIT_SECONDS

    def publish(
        self,
        publications: Sequence[Publication],
        *,
        run_id: str,
        source: str,
        before_commit: Callable[[], None] = lambda: None,
    ) -> pd.DataFrame:
        """Validate every frame against its contract, then replace all days and their versions in one transaction."""
        frames = validated(publications)
        versions = [versions_of(publication, frame, run_id) for publication, frame in zip(publications, frames, strict=True)]
        if not versions:
            return no_versions()

        def write(connection: duckdb.DuckDBPyConnection) -> None:
            with _transaction(connection):
                connection.execute(REFERENCE_TABLES)
                _remember_source(connection, source, self.path)
                for publication, frame, of_days in zip(publications, frames, versions, strict=True):
                    table = publication.table
                    _prepare_table(connection, table)
                    _replace_days(connection, table.qualified_name, table.day, publication.days, frame)
                    _replace_versions(connection, table.qualified_name, publication.days, of_days)
                before_commit()

        self._patiently(write, read_only=False)
        return pd.concat(versions, ignore_index=True)

    def read(
        self, table: Table, start: date | None = None, end: date | None = None, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Rows of the days from `start` to `end`, both included, in the contract's types and order of day and key."""
        wanted = list(columns or table.columns)
        if not self.path.exists():
            return no_rows(table, wanted)
        return self._patiently(
            lambda connection: _rows(connection, table, start or date.min, end or date.max, wanted), read_only=True
        )

    def read_together(self, wanted: Sequence[tuple[Table, date, date]]) -> list[pd.DataFrame]:
        """What `read` gives for each, on one connection: no publication comes in between."""
        if not self.path.exists():
            return [no_rows(table, table.columns) for table, _, _ in wanted]
        return self._patiently(
            lambda connection: [_rows(connection, table, start, end, table.columns) for table, start, end in wanted],
            read_only=True,
        )

    def partition_versions(self) -> pd.DataFrame:
        """A row a published day of a table."""

        def versions(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
            if not _stored_types(connection, "nba_reference", "partition_versions"):
                return no_versions()
            return connection.execute(VERSIONS_OF_TABLES_THAT_ARE_THERE).df().astype(VERSION_TYPES)

        return self._patiently(versions, read_only=True) if self.path.exists() else no_versions()

    def source(self) -> str | None:
        """The source that the tables were made from; None before the first publication."""

        def remembered(connection: duckdb.DuckDBPyConnection) -> str | None:
            if not _stored_types(connection, "nba_reference", "source"):
                return None
            found = connection.execute("SELECT name FROM nba_reference.source").fetchone()
            return found[0] if found else None

        return self._patiently(remembered, read_only=True) if self.path.exists() else None

    def unwritable(self) -> str | None:
        """Why the file could not be written or its log be made beside it, in the operating system's words."""
        try:
            with TemporaryFile(dir=self.path.parent):  # permissions alone say nothing of a read-only disk, or to root
                pass
            if self.path.exists():
                with self.path.open("ab"):
                    pass
        except OSError as wrong:
            return f"{self.path} cannot be written ({wrong.strerror}). Allow this user to write it and its folder, or use another home."
        return None

    def delete(self) -> None:
        """Remove the file and DuckDB's log beside it."""
        with self._lock_of_process(time.monotonic() + self.wait_limit_seconds):
            self._refuse_a_folder()
            for file in (self.path, self._log):
                file.unlink(missing_ok=True)

    def cost(self) -> dict[str, int]:
        """Nothing: nobody sends a bill."""
        return {}

    def _refuse_a_folder(self) -> None:
        if self.path.is_dir():
            raise WarehouseUnreadable(f"{self.path} is a folder, the warehouse is a file. Move the folder away.")

    @property
    def _log(self) -> Path:
        return self.path.with_name(f"{self.path.name}.wal")

    def _patiently(self, work: Callable[[duckdb.DuckDBPyConnection], Answer], *, read_only: bool) -> Answer:
        """What `work` answers on a connection of its own; tried again, until the wait limit, while somebody is in its way."""
        give_up_at = time.monotonic() + self.wait_limit_seconds
        while True:
            try:
                with self._lock_of_process(give_up_at), self._connect(read_only) as connection:
                    return work(connection)
            except duckdb.Error as error:
                holder = _holder(error)
                if holder is None:
                    if not _is_of_the_file(error):
                        raise
                    raise self._refusal(error) from error
                if time.monotonic() > give_up_at:
                    raise self._busy(holder) from error
            time.sleep(random.uniform(SHORTEST_WAIT_SECONDS, LONGEST_WAIT_SECONDS))

    @contextmanager
    def _lock_of_process(self, give_up_at: float) -> Iterator[None]:
        # within a process DuckDB shares one database between connections and refuses to mix read-only with writing ones
        lock = _locks_of_paths.setdefault(str(self.path.resolve()), threading.Lock())
        if not lock.acquire(timeout=max(0.0, give_up_at - time.monotonic())):
            raise self._busy(f"another thread of this process (PID {os.getpid()})")
        try:
            yield
        finally:
            lock.release()

    def _connect(self, read_only: bool) -> duckdb.DuckDBPyConnection:
        self._refuse_a_folder()
        if not read_only and not self.path.exists():
            self._create()
        return duckdb.connect(self.path, read_only=read_only, config=CONNECTION)

    def _create(self) -> None:
        """Make an empty warehouse, whole or not at all: DuckDB writes a new file's headers one by one."""
        beside = self.path.with_name(f"{self.path.name}.of-{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            duckdb.connect(beside, config=CONNECTION).close()
            with suppress(FileExistsError):  # another process was faster
                os.link(beside, self.path)
        finally:
            beside.unlink(missing_ok=True)

    def _refusal(self, error: duckdb.Error) -> WarehouseError:
        words = str(error)
        for hindrance, advice in HINDRANCES.items():
            if found := re.search(hindrance, words):
                return WarehouseUnwritable(
                    f"{self.path} cannot be written ({found.group()}). {advice}, then run the same command again; "
                    "what was published before is as it was."
                )
        if "newer version of DuckDB" in words:
            advice = "A newer DuckDB wrote it: upgrade with `uv sync`, or use another home (NBA_PRECOMPUTE_HOME=DIR)."
        else:
            advice = f"Put back a copy of it, or move it away and backfill again ({self._log.name} beside it goes with it)."
        return WarehouseUnreadable(
            f"{self.path} cannot be opened as a DuckDB {duckdb.__version__} file ({first_line(error)}). {advice}"
        )

    def _busy(self, holder: str) -> WarehouseBusy:
        return WarehouseBusy(
            f"{self.path} was held for {self.wait_limit_seconds:g} s by {holder}. "
            "Wait for it or end it, then run the same command again; nothing was changed."
        )


def _holder(error: duckdb.Error) -> str | None:
    """Who is in the way, where the error means that somebody is; None for every other error."""
    words = str(error)
    if isinstance(error, duckdb.IOException) and words.startswith("IO Error: Could not set lock on file"):
        found = re.search(r"held in (.*?\(PID \d+\))", words)
        return found.group(1) if found else f"another process ({words})"
    if isinstance(error, duckdb.ConnectionException) and "different configuration" in words:
        return f"a connection of this process (PID {os.getpid()}) that was opened elsewhere, with duckdb.connect"
    if isinstance(error, duckdb.TransactionException) and "onflict" in words:
        return f"a transaction of this process (PID {os.getpid()}) that was begun elsewhere, with duckdb.connect"
    return None


def _is_of_the_file(error: duckdb.Error) -> bool:
    """Whether the error says something of the file, its disk or its damage, and nothing of what was asked of it."""
    of_damage = duckdb.IOException | duckdb.FatalException | duckdb.SerializationException | duckdb.InternalException
    # "Corrupt database file" has no class of its own, a commit that finds the disk full is a TransactionException
    return (
        isinstance(error, of_damage) or type(error) is duckdb.Error or any(re.search(words, str(error)) for words in HINDRANCES)
    )


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _rows(connection: duckdb.DuckDBPyConnection, table: Table, start: date, end: date, wanted: Sequence[str]) -> pd.DataFrame:
    stored = _stored_types(connection, table.dataset, table.name)
    if not stored:
        return no_rows(table, wanted)
    _refuse_changed_types(connection, table, stored)
    kinds = kinds_of(table, wanted)
    named = ", ".join(
        f'"{name}"' if name in stored else f'CAST(NULL AS {SQL_TYPES[kind]}) AS "{name}"' for name, kind in kinds.items()
    )
    order = ", ".join(dict.fromkeys([table.day, *table.key]))
    found = connection.sql(
        f"SELECT {named} FROM {table.qualified_name} WHERE {table.day} BETWEEN ? AND ? ORDER BY {order}", params=[start, end]
    ).to_arrow_table()
    return found.to_pandas(date_as_object=False, types_mapper=NULLABLE.get).astype(kinds, copy=False)


def _sql_types(table: Table) -> dict[str, str]:
    return {name: SQL_TYPES[kind] for name, kind in kinds_of(table, table.columns).items()}


def _remember_source(connection: duckdb.DuckDBPyConnection, source: str, path: Path) -> None:
    known = connection.execute("SELECT name FROM nba_reference.source").fetchone()
    if known is None:
        connection.execute("INSERT INTO nba_reference.source VALUES (?, ?)", [source, datetime.now(UTC).replace(tzinfo=None)])
    elif known[0] != source:
        raise source_mismatch(str(path), known[0], source)


def _stored_types(connection: duckdb.DuckDBPyConnection, dataset: str, name: str) -> dict[str, str]:
    return dict(
        connection.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = ? AND table_name = ? ORDER BY column_index",
            [dataset, name],
        ).fetchall()
    )


def _refuse_changed_types(connection: duckdb.DuckDBPyConnection, table: Table, stored: dict[str, str]) -> None:
    wanted = _sql_types(table)
    changed = [f"{name} ({stored[name]}, now {kind})" for name, kind in wanted.items() if stored.get(name, kind) != kind]
    if changed:
        [(file,)] = connection.execute(
            "SELECT path FROM duckdb_databases() WHERE database_name = current_database()"
        ).fetchall()
        raise SchemaChanged(
            f"{table.qualified_name} in {file} has columns of another type: {', '.join(changed)}. "
            f"Drop the table (DROP TABLE {table.qualified_name}) and backfill it, or give the column a new name."
        )


def _prepare_table(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    wanted = _sql_types(table)
    stored = _stored_types(connection, table.dataset, table.name)
    _refuse_changed_types(connection, table, stored)
    if not stored:
        columns_in_sql = ", ".join(
            f'"{name}" {kind}{"" if table.schema.columns[name].nullable else " NOT NULL"}' for name, kind in wanted.items()
        )
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {table.dataset}")
        connection.execute(f"CREATE TABLE {table.qualified_name} ({columns_in_sql})")
        # those of a table of this name that was dropped
        connection.execute("DELETE FROM nba_reference.partition_versions WHERE table_name = ?", [table.qualified_name])
    for name, kind in wanted.items():
        if stored and name not in stored:
            connection.execute(f'ALTER TABLE {table.qualified_name} ADD COLUMN "{name}" {kind}')
    _allow_missing_where_the_contract_does(connection, table)
    _comment(connection, table)


def _allow_missing_where_the_contract_does(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    # a column that became nullable, or left the schema and gets no value any more, must not go on refusing rows
    required = {name for name, column in table.schema.columns.items() if not column.nullable}
    never_null = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE schema_name = ? AND table_name = ? AND NOT is_nullable",
        [table.dataset, table.name],
    ).fetchall()
    for (name,) in never_null:
        if name not in required:
            connection.execute(f'ALTER TABLE {table.qualified_name} ALTER COLUMN "{name}" DROP NOT NULL')


def _comment(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    known = dict(
        connection.execute(
            "SELECT column_name, comment FROM duckdb_columns() WHERE schema_name = ? AND table_name = ?",
            [table.dataset, table.name],
        ).fetchall()
    )
    said = {name: columns.meaning(column) for name, column in table.schema.columns.items()}
    for name, words in said.items():
        if known.get(name) != words:
            connection.execute(f'COMMENT ON COLUMN {table.qualified_name}."{name}" IS {_quoted(words)}')
    of_table = connection.execute(
        "SELECT comment FROM duckdb_tables() WHERE schema_name = ? AND table_name = ?", [table.dataset, table.name]
    ).fetchone()
    if of_table != (table.description,):
        connection.execute(f"COMMENT ON TABLE {table.qualified_name} IS {_quoted(table.description)}")


def _quoted(words: str) -> str:
    return "'" + words.replace("'", "''") + "'"


def _replace_days(
    connection: duckdb.DuckDBPyConnection, name: str, day: str, days: Sequence[date], frame: pd.DataFrame
) -> None:
    connection.execute(f'DELETE FROM {name} WHERE list_contains(?, "{day}")', [list(days)])
    connection.register("new_rows", frame)
    connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM new_rows")
    connection.unregister("new_rows")


def _replace_versions(connection: duckdb.DuckDBPyConnection, name: str, days: Sequence[date], versions: pd.DataFrame) -> None:
    connection.execute(
        "DELETE FROM nba_reference.partition_versions WHERE table_name = ? AND list_contains(?, day)", [name, list(days)]
    )
    connection.register("new_rows", versions)
    connection.execute("INSERT INTO nba_reference.partition_versions BY NAME SELECT * FROM new_rows")
    connection.unregister("new_rows")
