"""Raw games in tables of BigQuery that somebody else's platform fills: which tables, and what their columns are called there.

A YAML file says so (README, "Games that are in BigQuery"). Each table is copied, in the layout of `sources.layout`, into a file that
is read as every folder of raw games is, so days are judged by the same rules; it is copied again when BigQuery says that it changed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
from dagster_gcp import BigQueryResource
from google.api_core.exceptions import GoogleAPIError, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY
from google.cloud.bigquery.table import RowIterator
from requests.exceptions import RequestException

from nba_precompute.bigquery_requests import LOG_IN, is_transient, query_config
from nba_precompute.errors import first_line
from nba_precompute.files import place, written_whole
from nba_precompute.sources import RawDataError, layout
from nba_precompute.sources.layout import RawFile
from nba_precompute.sources.parquet_folder import ParquetFolder, parquet_folder

EVERY_DAY, EVERY_NUMBER = "'0001-01-01'", str(-(2**63))
"""From where a table that demands a filter on its partitions is asked: the least that its column can be."""

PATIENCE = DEFAULT_RETRY.with_timeout(300.0)
"""Of every request: as long as the warehouse has, in place of the ten minutes of Google's client."""

COPIED_FROM = b"copied_from"
"""In the metadata of a copy: a hash of table, version and columns, by which it is known whether it is that of now."""

FILES = {file.name.removesuffix(".parquet"): file for file in layout.FILES}


@dataclass(frozen=True)
class HeldIn:
    """A table that holds a file of the layout: an expression for each column of it, and what the order of news follows from."""

    table: str
    columns: Mapping[str, str]
    order_by: str | None


@dataclass(frozen=True)
class TablesNamed:
    """What the YAML file says: whose project it is, where it is, and the table of each file of the layout.

    `storage_api`: rows are read through BigQuery's Storage API, where its client is installed; else as JSON, which is slower and
    needs no other permission than to query.
    """

    project: str
    location: str | None
    storage_api: bool
    tables: Mapping[str, HeldIn]


def bigquery_tables(file: Path, copies: Path) -> ParquetFolder:
    """The raw games in the tables that the file names, as they are now; `copies` is the folder for their copies.

    Raises RawDataError, naming the file or the table, where the file cannot be read, a table is not there, is none, lacks a column, or
    BigQuery refuses or does not answer.
    """
    named = tables_named(file)
    copies.mkdir(parents=True, exist_ok=True)
    try:
        with BigQueryResource(project=named.project, location=named.location).get_client() as client:
            for raw in layout.FILES:
                held = named.tables.get(raw.name)
                if held is None:
                    (copies / raw.name).unlink(missing_ok=True)
                else:
                    _copy_unless_unchanged(client, raw, held, copies / raw.name, named.storage_api)
    except GoogleAuthError as error:
        if is_transient(error):
            raise RawDataError(
                f"BigQuery ({named.project}), for {file}: Google, who gives the tokens, does not answer: {error}. Run the same command "
                "again when the network is there."
            ) from error
        raise RawDataError(f"BigQuery ({named.project}), for {file}: {error}. {LOG_IN}") from error
    return parquet_folder(copies, name=str(file))


def tables_named(file: Path) -> TablesNamed:
    """What the file says."""
    try:
        said = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RawDataError(
            f"{file} cannot be read: {error}. It names the tables of BigQuery that hold raw games, as YAML."
        ) from error
    if not isinstance(said, dict) or not isinstance(said.get("project"), str) or not isinstance(said.get("tables"), dict):
        raise RawDataError(f"{file} must have `project`, and `tables` with a table for each of {', '.join(FILES)}.")
    _refuse_others(file, "", said, {"project", "location", "storage_api", "tables"})
    _refuse_others(file, "tables.", said["tables"], FILES.keys())
    missing = [name for name, raw in FILES.items() if raw.required and name not in said["tables"]]
    if missing:
        raise RawDataError(f"{file}: tables has no {', '.join(missing)}; these are needed.")
    tables = {FILES[name].name: _held_in(file, name, table) for name, table in said["tables"].items()}
    return TablesNamed(said["project"], said.get("location"), bool(said.get("storage_api", True)), tables)


def _held_in(file: Path, name: str, said: Any) -> HeldIn:
    if not isinstance(said, dict) or not isinstance(said.get("table"), str):
        raise RawDataError(f"{file}: tables.{name} must have `table`, as dataset.table or project.dataset.table.")
    _refuse_others(file, f"tables.{name}.", said, {"table", "columns", "order_by"})
    columns = said.get("columns") or {}
    _refuse_others(file, f"tables.{name}.columns.", columns, FILES[name].columns.keys())
    expressions = {column: str(columns.get(column, f"`{column}`")) for column in FILES[name].columns}
    return HeldIn(said["table"], expressions, said.get("order_by"))


def _refuse_others(file: Path, where: str, said: Mapping[str, Any], known: Any) -> None:
    others = sorted(set(said) - set(known))
    if others:
        raise RawDataError(f"{file}: {where}{others[0]} is not known. Known are {', '.join(known)}.")


def _copy_unless_unchanged(client: bigquery.Client, raw: RawFile, held: HeldIn, copy: Path, storage_api: bool) -> None:
    try:
        table = client.get_table(held.table if held.table.count(".") > 1 else f"{client.project}.{held.table}", retry=PATIENCE)
        if table.table_type != "TABLE":
            raise RawDataError(
                f"{held.table}, which holds {raw.name}, is a {table.table_type}: BigQuery does not say when its rows changed. Name "
                "the table below it; what it computes may stand in `columns`."
            )
        version = _version(table, held)
        if not copy.exists() or (pq.read_schema(copy).metadata or {}).get(COPIED_FROM) != version:
            rows = _query(client, raw, held, table).to_arrow(create_bqstorage_client=storage_api)
            with written_whole(place(str(copy))) as file:
                pq.write_table(rows.replace_schema_metadata({COPIED_FROM: version}), file)
    except (GoogleAPIError, RequestException) as error:
        advice = (
            "Run the same command again later"
            if _time_mends(error)
            else "Correct the table or its columns in the file that names it"
        )
        raise RawDataError(f"BigQuery, table {held.table}, which holds {raw.name}: {first_line(error)}. {advice}.") from error


def _time_mends(error: Exception) -> bool:
    return isinstance(error, RetryError) or is_transient(error)


def _version(table: bigquery.Table, held: HeldIn) -> bytes:
    said = [table.full_table_id, table.modified.isoformat(), table.num_rows, dict(held.columns), held.order_by]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16].encode()


def _query(client: bigquery.Client, raw: RawFile, held: HeldIn, table: bigquery.Table) -> RowIterator:
    name = f"`{table.project}.{table.dataset_id}.{table.table_id}`"
    named = ", ".join(f"{expression} AS `{column}`" for column, expression in held.columns.items())
    query = f"SELECT {named} FROM {_every_row(table) if table.require_partition_filter else name}"
    # of two news items of one day the later counts, and a table has no order of its own
    order = held.order_by or (", ".join(f"`{column}`" for column in raw.columns) if raw is layout.INJURIES else None)
    if order:
        query += f" ORDER BY {order}"
    return client.query(query, query_config(), retry=PATIENCE).result(retry=PATIENCE)


def _every_row(table: bigquery.Table) -> str:
    """A table that demands a filter on its partitions, as SQL: the rows whose partition is known, and those without one.

    Each half has one comparison of the partitioning column with a constant, which BigQuery takes for a filter. Where the time of
    arrival is the partition, rows that came a moment ago have none yet.
    """
    partition = (table.range_partitioning or table.time_partitioning).field or "_PARTITIONTIME"
    whole_number = any(column.name == partition and column.field_type == "INTEGER" for column in table.schema)
    least = EVERY_NUMBER if whole_number else EVERY_DAY
    rows = f"SELECT * FROM `{table.project}.{table.dataset_id}.{table.table_id}`"
    return f"({rows} WHERE `{partition}` >= {least} UNION ALL {rows} WHERE `{partition}` IS NULL) AS `{table.table_id}`"
