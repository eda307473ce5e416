"""The warehouse of production: BigQuery. All of its SQL is here.

Rows go by load jobs into staging tables that expire, and from there, with their versions, by one script in one transaction. Every
job has an id that follows from what it does: when an answer is lost the job is submitted again, BigQuery answers that it knows it
(409), and nothing is applied twice. What is transient is tried again with growing pauses, for a bounded time; what is not, never.
"""

import functools
import hashlib
import io
import json
import logging
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from dagster_gcp import BigQueryResource
from google.api_core import exceptions as answers
from google.api_core.retry import Retry
from google.auth import exceptions as credentials
from google.cloud import bigquery

from nba_precompute.bigquery_requests import LABEL, LOG_IN, NETWORK_ERRORS, is_transient, query_config
from nba_precompute.errors import first_line
from nba_precompute.storage import (
    Publication,
    SchemaChanged,
    SourceMismatch,
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

WAIT_LIMIT_SECONDS = 300.0
"""How long to try again what is transient. Google asks for back-off of at least minutes where a rate limit is exceeded."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 32.0
"""Between tries; random up to a bound that doubles, so that waiting processes do not try in step."""

REQUEST_SECONDS = 120.0
"""After which a request that was not answered counts as lost. BigQuery itself answers a poll within 10 s."""

ONCE: dict[str, Any] = {"retry": None, "timeout": REQUEST_SECONDS}
"""Of every request: what is tried again, and how long, is decided in one place (`_patiently`)."""

STAGING_DAYS = 1
"""After which BigQuery deletes staging tables that a killed run left; a publication takes seconds."""

REFERENCE, STAGING = "nba_reference", "nba_staging"
"""The datasets (after the prefix) of versions and source, and of rows on their way."""

REFERENCE_TABLES = "source", "publications", "partition_versions", "processor_run_history"

SQL_TYPES = {
    columns.TEXT: "STRING",
    columns.INTEGER: "INT64",
    columns.NUMBER: "FLOAT64",
    columns.FLAG: "BOOL",
    columns.DAY: "DATE",
}

API_TYPES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
"""The API's older names of types that SQL calls otherwise."""

ARROW_TYPES = {
    columns.TEXT: pa.string(),
    columns.INTEGER: pa.int64(),
    columns.NUMBER: pa.float64(),
    columns.FLAG: pa.bool_(),
    columns.DAY: pa.date32(),
}

NULLABLE = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
"""Arrow's types that pandas would otherwise turn to doubles or objects where a value is missing."""

VERSION_COLUMNS = {
    "table_name": "STRING",
    "day": "DATE",
    "content_hash": "STRING",
    "read_hash": "STRING",
    "code_version": "STRING",
    "row_count": "INT64",
    "run_id": "STRING",
    "published_at": "TIMESTAMP",
}

VERSIONS_SCHEMA = pa.schema(
    [
        pa.field(
            name, {"DATE": pa.date32(), "INT64": pa.int64(), "TIMESTAMP": pa.timestamp("us", "UTC")}.get(kind, pa.string())
        )
        for name, kind in VERSION_COLUMNS.items()
    ]
)

ABOUT_VERSIONS = "One row a published day of a table: hashes of its rows and of what it read, code version, run and time (UTC)"
ABOUT_PUBLICATIONS = "How many publications there were: one row, which each of them changes, so that no two are made at once"
ABOUT_HISTORY = "One row a run and table: its days that are published, and of which no later run has made them again"

say = logging.getLogger(__name__)


@dataclass(frozen=True)
class BigQueryWarehouse:
    """A warehouse in the datasets of a project whose names begin with `prefix`.

    Rows are read through the Storage API where its client is given, else as JSON.
    """

    client: bigquery.Client
    prefix: str = ""
    storage_api: Any = None
    wait_limit_seconds: float = WAIT_LIMIT_SECONDS
    _spent: Counter[str] = field(default_factory=Counter, repr=False, compare=False)
    _counting: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def publish(
        self,
        publications: Sequence[Publication],
        *,
        run_id: str,
        source: str,
        before_commit: Callable[[], None] = lambda: None,
    ) -> pd.DataFrame:
        """Validate every frame against its contract, load all into staging, then replace days and versions in one transaction."""
        frames = validated(publications)
        versions = [versions_of(publication, frame, run_id) for publication, frame in zip(publications, frames, strict=True)]
        if not versions:
            return no_versions()
        published = pd.concat(versions, ignore_index=True)
        with self._refusals(writing=True):
            self._prepare([publication.table for publication in publications])
            known, replaced = self._before(publications)
            if known not in (None, source):
                raise self._source_mismatch(known, source)
            identity = _identity(self._place, run_id, source, published, replaced)
            staged = [
                self._load(f"{identity}_{number}", publication.table, frame)
                for number, (publication, frame) in enumerate(zip(publications, frames, strict=True))
            ]
            staged_versions = self._load_versions(f"{identity}_versions", published)
            try:
                self._replace(identity, publications, frames, staged, published, staged_versions, source, before_commit)
            except answers.BadRequest:
                if (known := self.source()) not in (None, source):  # somebody else was first to publish
                    raise self._source_mismatch(known, source) from None
                raise
            for name in [*staged, staged_versions]:
                with suppress(answers.GoogleAPICallError, *NETWORK_ERRORS):  # published is published; what is left expires
                    self.client.delete_table(name, not_found_ok=True, **ONCE)
        return published

    def read(
        self, table: Table, start: date | None = None, end: date | None = None, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Rows of the days from `start` to `end`, both included, in the contract's types and order of day and key."""
        with self._refusals():
            return self._rows(table, start or date.min, end or date.max, list(columns or table.columns))

    def read_together(self, wanted: Sequence[tuple[Table, date, date]]) -> list[pd.DataFrame]:
        """What `read` gives for each, as BigQuery had it at one moment of its own clock."""
        with self._refusals():
            [(moment,)] = self._query("SELECT CURRENT_TIMESTAMP()").itertuples(index=False, name=None)
            return [self._rows(table, start, end, table.columns, moment) for table, start, end in wanted]

    def partition_versions(self) -> pd.DataFrame:
        """A row a published day of a table that is there."""
        with self._refusals():
            named = ", ".join(VERSION_COLUMNS)
            try:
                found = self._query(f"SELECT {named} FROM {self._name(REFERENCE, 'partition_versions')}")
                there = self._tables_that_are_there(sorted({name.split(".")[0] for name in found["table_name"]}))
            except answers.NotFound:
                if self._stored(REFERENCE, "partition_versions") is not None:
                    raise  # queries look in another location
                return no_versions()
            found = found[found["table_name"].isin(there)].sort_values(["table_name", "day"], ignore_index=True)
            return found.assign(published_at=found["published_at"].dt.tz_convert(None)).astype(VERSION_TYPES)

    def source(self) -> str | None:
        """The source that the tables were made from; None before the first publication."""
        with self._refusals():
            try:
                found = self._query(f"SELECT name FROM {self._name(REFERENCE, 'source')}")
            except answers.NotFound:
                if self._stored(REFERENCE, "source") is not None:
                    raise  # queries look in another location
                return None
            return str(found["name"].iloc[0]) if len(found) else None

    def unwritable(self) -> str | None:
        """What BigQuery says to a deletion of no row that is only planned."""
        planned = bigquery.QueryJobConfig(dry_run=True)
        deletion = f"DELETE FROM {self._name(REFERENCE, 'partition_versions')} WHERE FALSE"
        for statement in (deletion, "SELECT 1"):
            try:
                self.client.query(statement, job_config=planned, job_retry=None, **ONCE)
            except answers.NotFound as error:
                if statement == deletion and self._stored(REFERENCE, "partition_versions") is None:  # nothing is published yet
                    continue
                return str(self._refusal(error, writing=True))
            except (answers.GoogleAPICallError, credentials.GoogleAuthError, *NETWORK_ERRORS) as error:
                return str(self._refusal(error, writing=True))
            return None
        return None

    def delete(self) -> None:
        """Remove the tables that were made here, and of their datasets those that were too and are then empty."""
        of_tables = {name.split(".")[0] for name in self.partition_versions()["table_name"]}
        with self._refusals(writing=True):
            for dataset in [*sorted(of_tables), STAGING, REFERENCE]:  # last what names the others
                self._patiently(functools.partial(self._delete_ours, dataset))

    def cost(self) -> Mapping[str, int]:
        """What this process has asked of BigQuery since it started, from the statistics of its jobs.

        Jobs; bytes loaded; bytes that queries processed and that were billed for them; slot time in milliseconds.
        """
        with self._counting:
            return dict(self._spent)

    # ------------------------------------------------------------------------------------------------------ names

    @property
    def _place(self) -> str:
        return f"{self.client.project}.{self.prefix}*"

    def _id(self, dataset: str, name: str) -> str:
        return f"{self.client.project}.{self.prefix}{dataset}.{name}"

    def _name(self, dataset: str, name: str) -> str:
        return f"`{self._id(dataset, name)}`"

    def _name_of(self, table: Table) -> str:
        return self._name(table.dataset, table.name)

    # -------------------------------------------------------------------------------------------------- tables

    def _stored(self, dataset: str, name: str) -> bigquery.Table | None:
        try:
            return self._patiently(lambda: self.client.get_table(self._id(dataset, name), **ONCE))
        except answers.NotFound:
            return None

    def _prepare(self, tables: Sequence[Table]) -> None:
        """Make what is not there, and give tables the columns, descriptions and NULLs that their contracts gained."""
        statements = []
        reference = [self._stored(REFERENCE, name) for name in REFERENCE_TABLES]
        for stored in reference:
            if stored is not None:
                _refuse_foreign(stored)
        if None in reference:
            self._refuse_foreign_staging()
            statements += self._reference_statements()
        made = {REFERENCE, STAGING} if statements else set()
        for table in {table.qualified_name: table for table in tables}.values():
            if self._patiently(functools.partial(self._migrated, table)):
                continue
            if table.dataset not in made:
                statements.append(self._schema_statement(table.dataset))
                made.add(table.dataset)
            # versions of a table of this name that was dropped, unless somebody else has made it meanwhile and published into it
            statements.append(
                f"DELETE FROM {self._name(REFERENCE, 'partition_versions')} WHERE table_name = {_quoted(table.qualified_name)} "
                f"AND NOT EXISTS (SELECT 1 FROM {self._name(table.dataset, 'INFORMATION_SCHEMA.TABLES')} AS known "
                f"WHERE known.table_name = {_quoted(table.name)})"
            )
            statements.append(self._table_statement(table))
        if statements:
            self._script(f"prepare_{uuid.uuid4().hex}", statements)

    def _schema_statement(self, dataset: str, days: int | None = None) -> str:
        options = [f"labels={_labels()}"]
        if self.client.location:
            options.append(f"location={_quoted(self.client.location)}")
        if days is not None:
            options.append(f"default_table_expiration_days={days}")
        return f"CREATE SCHEMA IF NOT EXISTS `{self.client.project}.{self.prefix}{dataset}` OPTIONS({', '.join(options)})"

    def _reference_statements(self) -> list[str]:
        versions = self._name(REFERENCE, "partition_versions")
        of_versions = ", ".join(f"{name} {kind} NOT NULL" for name, kind in VERSION_COLUMNS.items())
        return [
            self._schema_statement(REFERENCE),
            self._schema_statement(STAGING, STAGING_DAYS),
            f"CREATE TABLE IF NOT EXISTS {self._name(REFERENCE, 'source')} "
            f"(name STRING NOT NULL, first_published_at TIMESTAMP NOT NULL) OPTIONS(labels={_labels()})",
            f"CREATE TABLE IF NOT EXISTS {self._name(REFERENCE, 'publications')} (number INT64 NOT NULL) "
            f"OPTIONS(labels={_labels()}, description={_quoted(ABOUT_PUBLICATIONS)}) AS SELECT 0",
            f"CREATE TABLE IF NOT EXISTS {versions} ({of_versions}) CLUSTER BY table_name, day OPTIONS(labels={_labels()}, "
            f"description={_quoted(ABOUT_VERSIONS)})",
            f"CREATE OR REPLACE VIEW {self._name(REFERENCE, 'processor_run_history')} "
            f"OPTIONS(labels={_labels()}, description={_quoted(ABOUT_HISTORY)}) AS\n"
            "SELECT table_name AS processor_name, run_id, MIN(day) AS first_day, MAX(day) AS last_day, COUNT(*) AS days, "
            "SUM(row_count) AS records, MAX(code_version) AS code_version, MAX(published_at) AS finished_at\n"
            f"FROM {versions} GROUP BY table_name, run_id",
        ]

    def _table_statement(self, table: Table) -> str:
        named = ",\n".join(
            f"`{name}` {SQL_TYPES[kind]}{'' if table.schema.columns[name].nullable else ' NOT NULL'} "
            f"OPTIONS(description={_quoted(columns.meaning(table.schema.columns[name]))})"
            for name, kind in kinds_of(table, table.columns).items()
        )
        clustered = [name for name in table.key if name != table.day][:4]  # BigQuery clusters on four columns at most
        return (
            f"CREATE TABLE IF NOT EXISTS {self._name_of(table)} (\n{named}\n)\nPARTITION BY `{table.day}`\n"
            f"CLUSTER BY {', '.join(f'`{name}`' for name in clustered)}\n"
            f"OPTIONS(require_partition_filter=TRUE, labels={_labels()}, description={_quoted(table.description)})"
        )

    def _migrated(self, table: Table) -> bool:
        """Whether the table is there; then it has what its contract gained, in one change: BigQuery allows few in ten seconds."""
        stored = self._stored(table.dataset, table.name)
        if stored is None:
            return False
        _refuse_foreign(stored)
        self._refuse_changed_types(table, {one.name: one for one in stored.schema})
        schema = _schema_that_follows(table, stored.schema)
        if (schema, table.description) != (list(stored.schema), stored.description or ""):
            stored.schema, stored.description = schema, table.description
            self.client.update_table(stored, ["schema", "description"], **ONCE)  # refused where somebody else was faster
        return True

    def _refuse_changed_types(self, table: Table, fields: Mapping[str, bigquery.SchemaField]) -> None:
        stored = {name: API_TYPES.get(one.field_type, one.field_type) for name, one in fields.items()}
        wanted = {name: SQL_TYPES[kind] for name, kind in kinds_of(table, table.columns).items()}
        changed = [f"{name} ({stored[name]}, now {kind})" for name, kind in wanted.items() if stored.get(name, kind) != kind]
        if changed:
            name = self._id(table.dataset, table.name)
            raise SchemaChanged(
                f"{name} has columns of another type: {', '.join(changed)}. "
                f"Drop the table (DROP TABLE `{name}`) and backfill it, or give the column a new name."
            )

    def _tables_that_are_there(self, datasets: Sequence[str]) -> set[str]:
        def of_dataset(dataset: str) -> list[str]:
            try:
                found = list(self.client.list_tables(f"{self.prefix}{dataset}", **ONCE))
            except answers.NotFound:
                return []
            return [f"{dataset}.{table.table_id}" for table in found]

        return {name for dataset in datasets for name in self._patiently(functools.partial(of_dataset, dataset))}

    def _refuse_foreign_staging(self) -> None:
        """Raise WarehouseUnwritable where the staging dataset is somebody else's: what is left there would not expire."""
        try:
            dataset = self._patiently(lambda: self.client.get_dataset(f"{self.prefix}{STAGING}", **ONCE))
        except answers.NotFound:
            return
        _refuse_foreign(dataset)

    def _delete_ours(self, name: str) -> None:
        try:
            dataset = self.client.get_dataset(f"{self.prefix}{name}", **ONCE)
        except answers.NotFound:
            return
        made_here = LABEL.items() <= dataset.labels.items()
        kept = 0
        for table in self.client.list_tables(dataset, **ONCE):
            if LABEL.items() <= table.labels.items() or (name == STAGING and made_here):
                self.client.delete_table(table.reference, not_found_ok=True, **ONCE)
            else:
                kept += 1
        if made_here and not kept:
            self.client.delete_dataset(dataset, not_found_ok=True, **ONCE)

    # ------------------------------------------------------------------------------------------------ publication

    def _before(self, publications: Sequence[Publication]) -> tuple[str | None, str]:
        """The source, and a fingerprint of the versions that the publications replace."""
        days = [day for publication in publications for day in publication.days]
        found = self._query(
            "SELECT name, CAST(NULL AS STRING) AS table_name, CAST(NULL AS DATE) AS day, CAST(NULL AS TIMESTAMP) AS published_at "
            f"FROM {self._name(REFERENCE, 'source')} UNION ALL "
            f"SELECT CAST(NULL AS STRING), table_name, day, published_at FROM {self._name(REFERENCE, 'partition_versions')} "
            "WHERE table_name IN UNNEST(@tables) AND day BETWEEN @first AND @last",
            bigquery.ArrayQueryParameter("tables", "STRING", sorted({of.table.qualified_name for of in publications})),
            bigquery.ScalarQueryParameter("first", "DATE", min(days)),
            bigquery.ScalarQueryParameter("last", "DATE", max(days)),
        )
        sources = found["name"].dropna().tolist()
        replaced = found[found["name"].isna()].sort_values(["table_name", "day"], ignore_index=True)
        return (str(sources[0]) if sources else None), replaced.to_json(date_format="iso", date_unit="us")

    def _load(self, name: str, table: Table, frame: pd.DataFrame) -> str:
        kinds = kinds_of(table, table.columns)
        rows = pa.Table.from_pandas(
            frame, pa.schema([(column, ARROW_TYPES[kind]) for column, kind in kinds.items()]), preserve_index=False
        )
        return self._load_rows(name, rows, {column: SQL_TYPES[kind] for column, kind in kinds.items()})

    def _load_versions(self, name: str, versions: pd.DataFrame) -> str:
        in_utc = versions.assign(published_at=versions["published_at"].dt.tz_localize("UTC"))
        return self._load_rows(name, pa.Table.from_pandas(in_utc, VERSIONS_SCHEMA, preserve_index=False), VERSION_COLUMNS)

    def _load_rows(self, name: str, rows: pa.Table, kinds: Mapping[str, str]) -> str:
        destination = self._id(STAGING, name)
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
            schema=[bigquery.SchemaField(column, kind) for column, kind in kinds.items()],
            labels=LABEL,
        )
        file = io.BytesIO()
        pq.write_table(rows, file)

        def begin(job_id: str) -> bigquery.LoadJob:
            return self.client.load_table_from_file(
                file,
                destination,
                rewind=True,
                size=file.getbuffer().nbytes,
                num_retries=0,
                job_id=job_id,
                job_config=config,
                timeout=REQUEST_SECONDS,
            )

        self._job(f"load_{name}", begin, _finished)
        return destination

    def _replace(
        self,
        identity: str,
        publications: Sequence[Publication],
        frames: Sequence[pd.DataFrame],
        staged: Sequence[str],
        versions: pd.DataFrame,
        staged_versions: str,
        source: str,
        before_commit: Callable[[], None],
    ) -> None:
        """Delete the days of every table, insert what was staged, and the same of their versions, in one transaction."""
        sources, kept = self._name(REFERENCE, "source"), self._name(REFERENCE, "partition_versions")
        # within a transaction BigQuery allows SELECT and DML, and no ASSERT (cloud.google.com/bigquery/docs/transactions)
        statements = [
            "BEGIN TRANSACTION",
            # BigQuery lets what inserts alone pass: without this, two that are the first to make a day would both be applied
            f"UPDATE {self._name(REFERENCE, 'publications')} SET number = number + 1 WHERE TRUE",
            f"INSERT INTO {sources} (name, first_published_at) SELECT @source, CURRENT_TIMESTAMP() FROM (SELECT 1) "
            f"WHERE NOT EXISTS (SELECT 1 FROM {sources})",
            _refuse_unless(f"(SELECT MIN(name) FROM {sources}) = @source", "the tables were made from another source"),
            _refuse_unless_whole(staged_versions, len(versions)),
        ]
        parameters: list[Any] = [bigquery.ScalarQueryParameter("source", "STRING", source)]
        for number, (publication, frame, rows) in enumerate(zip(publications, frames, staged, strict=True)):
            table = publication.table
            named = ", ".join(f"`{name}`" for name in table.columns)
            first, last, days = f"first_{number}", f"last_{number}", f"days_{number}"
            parameters += [
                bigquery.ScalarQueryParameter(first, "DATE", min(publication.days)),
                bigquery.ScalarQueryParameter(last, "DATE", max(publication.days)),
                bigquery.ArrayQueryParameter(days, "DATE", sorted(publication.days)),
            ]
            statements += [
                _refuse_unless_whole(rows, len(frame)),
                f"DELETE FROM {self._name_of(table)} "
                f"WHERE `{table.day}` BETWEEN @{first} AND @{last} AND `{table.day}` IN UNNEST(@{days})",
                f"INSERT INTO {self._name_of(table)} ({named}) SELECT {named} FROM `{rows}`",
                f"DELETE FROM {kept} WHERE table_name = {_quoted(table.qualified_name)} AND day IN UNNEST(@{days})",
            ]
        named = ", ".join(VERSION_COLUMNS)
        statements += [f"INSERT INTO {kept} ({named}) SELECT {named} FROM `{staged_versions}`", "COMMIT TRANSACTION"]
        self._script(f"publish_{identity}", statements, *parameters, before=before_commit)

    def _source_mismatch(self, known: str, asked_for: str) -> SourceMismatch:
        another = "another prefix of datasets (NBA_PRECOMPUTE_BIGQUERY_PREFIX)"
        return source_mismatch(self._place, known, asked_for, another)

    # ---------------------------------------------------------------------------------------------------- reading

    def _rows(
        self, table: Table, start: date, end: date, wanted: Sequence[str], moment: datetime | None = None
    ) -> pd.DataFrame:
        stored = self._stored(table.dataset, table.name)
        if stored is None or (moment is not None and stored.created > moment):
            return no_rows(table, wanted)
        fields = {one.name: one for one in stored.schema}
        self._refuse_changed_types(table, fields)
        order = list(dict.fromkeys([table.day, *table.key]))
        kinds = kinds_of(table, list(dict.fromkeys([*wanted, *order])))
        named = ", ".join(
            f"`{name}`" if name in fields else f"CAST(NULL AS {SQL_TYPES[kind]}) AS `{name}`" for name, kind in kinds.items()
        )
        parameters = [
            bigquery.ScalarQueryParameter("start", "DATE", start),
            bigquery.ScalarQueryParameter("end", "DATE", end),
        ]
        as_of = ""
        if moment is not None:
            as_of = " FOR SYSTEM_TIME AS OF @moment"
            parameters.append(bigquery.ScalarQueryParameter("moment", "TIMESTAMP", moment))
        found = self._query(
            f"SELECT {named} FROM {self._name_of(table)}{as_of} WHERE `{table.day}` BETWEEN @start AND @end", *parameters
        )
        in_order = found.astype(kinds, copy=False).sort_values(order, kind="stable", ignore_index=True)
        return in_order[list(wanted)]

    # ------------------------------------------------------------------------------------------------------- jobs

    def _query(self, sql: str, *parameters: Any) -> pd.DataFrame:
        config = query_config(*parameters)

        def begin(job_id: str) -> bigquery.QueryJob:
            return self.client.query(sql, job_config=config, job_id=job_id, job_retry=None, **ONCE)

        def rows(job: bigquery.QueryJob) -> pa.Table:
            found = job.result(job_retry=None, **ONCE)
            return found.to_arrow(bqstorage_client=self.storage_api, create_bqstorage_client=False)

        return self._job(f"read_{uuid.uuid4().hex}", begin, rows).to_pandas(date_as_object=False, types_mapper=NULLABLE.get)

    def _script(
        self, job_id: str, statements: Sequence[str], *parameters: Any, before: Callable[[], None] = lambda: None
    ) -> None:
        config = query_config(*parameters)
        sql = ";\n".join(statements) + ";"

        def begin(of_try: str) -> bigquery.QueryJob:
            before()  # of every try: minutes may lie between them
            return self.client.query(sql, job_config=config, job_id=of_try, job_retry=None, **ONCE)

        self._job(job_id, begin, _finished)

    def _job(self, identity: str, begin: Callable[[str], Any], take: Callable[[Any], Answer]) -> Answer:
        """What `take` gets of a job that runs once, however often it has to be submitted or its answer to be asked for.

        One that ended in a transient error is another job.
        """
        failed = 0

        def submit() -> Answer:
            nonlocal failed
            job_id = f"{identity}_{failed}"
            try:
                job = begin(job_id)
            except answers.Conflict:  # it arrived, and its answer was lost
                job = self._known(job_id)
            try:
                taken = take(job)
            except Exception:
                if job.error_result is not None:
                    failed += 1
                raise
            self._count(job)
            return taken

        return self._patiently(submit)

    def _known(self, job_id: str) -> Any:
        """A job that BigQuery says it knows. It is asked for where it ran: outside of US and EU it is not found elsewhere."""
        location = self.client.location
        if location is None:
            with suppress(answers.NotFound):
                location = self.client.get_dataset(f"{self.prefix}{REFERENCE}", **ONCE).location
        try:
            return self.client.get_job(job_id, location=location, **ONCE)
        except answers.NotFound as error:  # for a moment: github.com/googleapis/python-bigquery/issues/2134
            raise answers.ServiceUnavailable(f"the job is known and not yet to be had: {error}") from error

    def _count(self, job: Any) -> None:
        with self._counting:
            self._spent["jobs"] += 1
            if job.job_type == "load":
                self._spent["bytes_loaded"] += job.input_file_bytes or 0
            else:
                self._spent["bytes_processed"] += job.total_bytes_processed or 0
                self._spent["bytes_billed"] += job.total_bytes_billed or 0
            self._spent["slot_milliseconds"] += getattr(job, "slot_millis", None) or 0

    def _patiently(self, work: Callable[[], Answer]) -> Answer:
        """What `work` answers; tried again, until patience ends, while what it meets is transient."""
        again = Retry(
            predicate=is_transient,
            initial=FIRST_PAUSE_SECONDS,
            maximum=LONGEST_PAUSE_SECONDS,
            timeout=self.wait_limit_seconds,
            on_error=lambda error: say.warning("BigQuery: %s; trying again", first_line(error)),
        )
        return again(work)()

    @contextmanager
    def _refusals(self, writing: bool = False) -> Iterator[None]:
        try:
            yield
        except (answers.GoogleAPIError, credentials.GoogleAuthError, *NETWORK_ERRORS) as error:
            raise self._refusal(error, writing) from error

    def _refusal(self, error: Exception, writing: bool) -> WarehouseError:
        unchanged = "; what was published before is as it was" if writing else ""
        cause = error.cause if isinstance(error, answers.RetryError) and error.cause is not None else error
        words = f"BigQuery ({self._place}): {first_line(cause)}"
        if isinstance(error, answers.RetryError) or is_transient(cause):
            tried = f" Tried again for {self.wait_limit_seconds:g} s." if isinstance(error, answers.RetryError) else ""
            return WarehouseBusy(
                f"{words}.{tried} Run the same command again later"
                f"{'; what was being published is there as a whole or not at all' if writing else ''}."
            )
        if isinstance(cause, credentials.GoogleAuthError | answers.Unauthorized):
            return WarehouseUnreadable(f"{words}. {LOG_IN}")
        if isinstance(cause, answers.Forbidden):
            return WarehouseUnwritable(
                f"{words}. It is no matter of time: the account needs the roles BigQuery Data Editor and BigQuery User in the "
                f"project, and its quota must not be spent{unchanged}."
            )
        if isinstance(cause, answers.NotFound):
            return WarehouseUnreadable(
                f"{words}. It is no matter of time: name the project, and the location that its datasets are in "
                f"(NBA_PRECOMPUTE_BIGQUERY_PROJECT, NBA_PRECOMPUTE_BIGQUERY_LOCATION){unchanged}."
            )
        return WarehouseError(f"{words}. It is no matter of time: the request itself is refused{unchanged}.")


def _finished(job: Any) -> None:
    job.result(**ONCE)


def _identity(place: str, run_id: str, source: str, versions: pd.DataFrame, replaced: str) -> str:
    """What a publication is known by: its place (ids are a project's), run, tables, days, contents, and the versions it replaces.

    Without the latter a run that publishes A, then B, then A again would have its third publication taken for the first.
    """
    said = [place, run_id, source, replaced, *versions.drop(columns="published_at").astype(str).to_numpy().ravel()]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:32]


def _schema_that_follows(table: Table, stored: Sequence[bigquery.SchemaField]) -> list[bigquery.SchemaField]:
    """The stored columns and those that the contract gained, with the contract's descriptions; required where it requires them.

    A column that became nullable, or left the contract and gets no value any more, must not go on refusing rows.
    """
    followed = []
    for one in stored:
        wanted = table.schema.columns.get(one.name)
        mode = one.mode if wanted is not None and not wanted.nullable else "NULLABLE"
        said = {"description": columns.meaning(wanted)} if wanted is not None else {}
        followed.append(bigquery.SchemaField.from_api_repr({**one.to_api_repr(), **said, "mode": mode}))
    known = {one.name for one in stored}
    gained = [(name, kind) for name, kind in table.kinds.items() if name not in known]
    return followed + [
        bigquery.SchemaField(name, SQL_TYPES[kind], description=columns.meaning(table.schema.columns[name]))
        for name, kind in gained
    ]


def _refuse_foreign(stored: bigquery.Table | bigquery.Dataset) -> None:
    if not LABEL.items() <= stored.labels.items():
        raise WarehouseUnwritable(
            f"{stored.reference} was not made by nba_precompute (it lacks the label {LABEL}), and "
            "is left alone. Use another prefix of datasets (NBA_PRECOMPUTE_BIGQUERY_PREFIX)."
        )


def _refuse_unless_whole(name: str, rows: int) -> str:
    return _refuse_unless(f"(SELECT COUNT(*) FROM `{name}`) = {rows}", "a staging table is not whole")


def _refuse_unless(condition: str, words: str) -> str:
    return f"SELECT IF({condition}, TRUE, ERROR({_quoted(words)}))"


def _labels() -> str:
    return "[" + ", ".join(f"({_quoted(key)}, {_quoted(value)})" for key, value in LABEL.items()) + "]"


def _quoted(words: str) -> str:
    return json.dumps(words, ensure_ascii=False)  # GoogleSQL's escapes of text are those of JSON


@functools.cache
def bigquery_warehouse(project: str, location: str | None, prefix: str, emulated: bool) -> BigQueryWarehouse:
    """The warehouse of a project's datasets, one a process: its client keeps connections and counts what they cost.

    The emulator's address is of its JSON interface alone, so there the Storage API is not used.
    """
    try:
        with BigQueryResource(project=project, location=location).get_client() as client:
            return BigQueryWarehouse(client, prefix, None if emulated else _storage_api())
    except credentials.GoogleAuthError as error:
        raise WarehouseUnreadable(f"BigQuery ({project}): {first_line(error)}. {LOG_IN}") from error


def _storage_api() -> Any:
    """The client of the Storage API where it is installed (the extra `bigquery`), else None."""
    try:
        from google.cloud import bigquery_storage
    except ImportError:
        return None
    return bigquery_storage.BigQueryReadClient()
