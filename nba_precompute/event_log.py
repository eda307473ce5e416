"""Dagster's event log, written in batches: what every storage does, and the SQLite storage that `dagster.yaml` names.

Everything but the writing of a batch is Dagster's. It leans on internals of Dagster 1.13 (the project stays below 1.14), so its
tests compare each storage with its parent row by row. No asset, table or warehouse is known here.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any, ClassVar, Self, cast

from dagster import DagsterEventType, EventLogEntry
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData
from dagster_shared.record import replace
from sqlalchemy import Connection, Engine, Row, TextClause, create_engine, text
from sqlalchemy.pool import NullPool

BATCH_SIZE_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
"""Dagster's switch of batched writing, read at every event by the process that writes it; unset, nothing is batched."""

DEFAULT_BATCH_SIZE = "1000"
"""Above the 213 game days of the longest season, so that what one asset materialises in a ranged run is one batch; few enough
that the index is locked for a tenth of a second, where other writers wait up to 30."""

BATCHED_EVENTS = {
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_OBSERVATION,
    DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
}
"""What Dagster sends in batches. None of them changes the status of a run, which the parent mirrors in the index."""

WAITING_EVENTS = {DagsterEventType.STEP_OUTPUT, DagsterEventType.ASSET_CHECK_EVALUATION}
"""What a step leaves two and two for each of its checks, and Dagster sends one by one. None of them ends a step."""

PARTITIONS_IN_SQLITE = text("""
    SELECT
        run_id, asset_key,
        sum(dagster_event_type = 'ASSET_MATERIALIZATION_PLANNED') AS planned,
        sum(dagster_event_type = 'ASSET_MATERIALIZATION') AS materialized,
        min(partition) AS first, max(partition) AS last,
        sum((
            SELECT json_extract(entry.value, '$.entry_data.value')
            FROM json_each(event, '$.dagster_event.event_specific_data.materialization.metadata_entries') AS entry
            WHERE json_extract(entry.value, '$.label') = :label
        )) AS total
    FROM event_logs
    WHERE dagster_event_type IN ('ASSET_MATERIALIZATION_PLANNED', 'ASSET_MATERIALIZATION')
    GROUP BY run_id, asset_key
""")
"""Dagster's own methods make an object of every event: 3 s for five seasons, this 0.1 s."""

INSERT_EVENTS = SqlEventLogStorageTable.insert()
INSERT_EVENTS_FOR_IDS = INSERT_EVENTS.returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True)


class OfThread(threading.local):
    """This thread's open transactions, by database, and the events of a step that wait for its next one."""

    def __init__(self) -> None:
        """No transaction is open and no event waits."""
        self.by_shard: dict[str, Connection] = {}
        self.waiting: list[EventLogEntry] = []


class BatchedEventLog(SqlEventLogStorage):
    """What batches are to a storage of Dagster's, which stands after this among the bases of the class that is configured.

    The stock storages commit for every event. The rows are the same but for the planned event of a check, which is stored without
    its partitions (`without_check_partitions`): a row a check and run, which its evaluation completes. Where a run ends without
    evaluating it, the row stays as planned, here as in the stock storage, and Dagster reads it as "execution failed" or
    "skipped". A check that is itself partitioned, of which this project has none, would leave its planned row behind.
    """

    partitions_query: ClassVar[TextClause]
    """What `partitions_by_run_and_asset` asks, in the database's SQL."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Open the storage, and switch batches on in this process unless the environment has a batch size."""
        os.environ.setdefault(BATCH_SIZE_VARIABLE, DEFAULT_BATCH_SIZE)
        self._open = OfThread()
        self._has_checks = False
        super().__init__(*arguments, **named)

    @property
    def supports_asset_checks(self) -> bool:
        """Whether the index has the tables of checks. The parent looks for every event of a check; a table that is there stays."""
        self._has_checks = self._has_checks or super().supports_asset_checks
        return self._has_checks

    def store_event(self, event: EventLogEntry) -> None:
        """Store one event, in the parent's way; outputs and evaluated checks of a step wait for its next event, and go together.

        A step always has a next event, if only that of its end. Killed before, its checks stay planned.
        """
        if is_waiting(event):
            if self._open.waiting and self._open.waiting[-1].run_id != event.run_id:
                self._store_waiting()
            self._open.waiting.append(event)
            return
        self._store_waiting()
        super().store_event(without_check_partitions(event))

    def partitions_by_run_and_asset(self, label: str) -> Sequence[Row[Any]]:
        """Of each run and asset: partitions planned and materialised, the first and last, the sum of what metadata call `label`."""
        with self.index_connection() as index:
            return index.execute(self.partitions_query, {"label": label}).all()

    def _store_waiting(self) -> None:
        waiting, self._open.waiting = self._open.waiting, []
        if waiting:
            self._write(waiting)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store all events or none; those that Dagster does not batch go one by one, in the parent's way."""
        self._store_waiting()
        if are_of_one_batch(events):
            self._write([without_check_partitions(event) for event in events])
        else:
            super().store_event_batch(events)

    def _write(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of one run, all or none."""
        raise NotImplementedError

    def _write_index(self, index: Connection, indexed: Sequence[EventLogEntry], ids: Sequence[int]) -> None:
        """What events of assets and checks leave besides their own row, by which Dagster finds them."""
        stored = list(zip(indexed, ids, strict=True))
        of_assets = [(event, event_id) for event, event_id in stored if event.dagster_event_type in ASSET_EVENTS]
        self._store_asset_event_tags(index, [event for event, _ in of_assets], [event_id for _, event_id in of_assets])
        # an asset's row keeps its last event, and a batch has events of one type for an asset
        last = {event.get_dagster_event().asset_key: (event, event_id) for event, event_id in of_assets}
        for event, event_id in last.values():
            self._store_asset_event(index, event, event_id)
        for event, event_id in stored:
            if event.dagster_event_type in ASSET_CHECK_EVENTS:
                self.store_asset_check_event(event, event_id)


class BatchedSqliteEventLogStorage(BatchedEventLog, SqliteEventLogStorage):
    """The stock SQLite event log, with one transaction a database for a batch of events of one run.

    The stock storage opens a connection for every event, and commits in the run's shard and in the index: 65 s for 906 partitions
    of 5 empty assets, here 2 s.

    A batch commits in the shard, then in the index, as the parent does with each event. Killed in between, the index lacks the
    batch, and Dagster counts its days as not materialised.
    """

    partitions_query = PARTITIONS_IN_SQLITE

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Open the databases in `base_dir`."""
        self._empty_shard: bytes | None = None
        super().__init__(base_dir, inst_data)
        # a batch has both databases open at once, and a thread must not wait for itself
        self._db_lock = threading.RLock()  # type: ignore[assignment]

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """The storage as `dagster.yaml` configures it. The parent's method makes a parent, whatever class was named."""
        return cls(inst_data=inst_data, **config_value)

    def _initdb(self, engine: Engine, for_index_shard: bool = False) -> None:
        shard = Path(str(engine.url.database))
        if not for_index_shard and not shard.exists():
            self._put_empty_shard(shard)
        super()._initdb(engine, for_index_shard)

    def _put_empty_shard(self, shard: Path) -> None:
        # the parent makes the tables of every run's database anew, 0.1 s and a dozen commits; those of the first are copied
        if self._empty_shard is None:
            with TemporaryDirectory() as folder:
                first = Path(folder) / "first.db"
                engine = create_engine(f"sqlite:///{first}", poolclass=NullPool)
                super()._initdb(engine)
                self._empty_shard = first.read_bytes()
        with NamedTemporaryFile(dir=shard.parent, prefix=f"{shard.stem}.of-") as beside:
            beside.write(self._empty_shard)
            beside.flush()
            os.fsync(beside.fileno())
            with suppress(FileExistsError):  # another process was faster
                os.link(beside.name, shard)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        """The parent's transaction; within one of this thread on the same database, that one."""
        if shard in self._open.by_shard:
            yield self._open.by_shard[shard]
            return
        with super()._connect(shard) as connection:
            self._open.by_shard[shard] = connection
            try:
                yield connection
            finally:
                del self._open.by_shard[shard]

    def _write(self, events: Sequence[EventLogEntry]) -> None:
        rows = {id(event): self._event_to_row(event) for event in events}
        indexed = [event for event in events if event.dagster_event_type in ASSET_EVENTS | ASSET_CHECK_EVENTS]
        if not indexed:
            with self.run_connection(events[0].run_id) as shard:
                shard.execute(INSERT_EVENTS, list(rows.values()))
            return
        # left first, the shard commits first
        with self.index_connection() as index, self.run_connection(events[0].run_id) as shard:
            shard.execute(INSERT_EVENTS, list(rows.values()))
            ids = index.scalars(INSERT_EVENTS_FOR_IDS, [rows[id(event)] for event in indexed]).all()
            self._write_index(index, indexed, ids)


def are_of_one_batch(events: Sequence[EventLogEntry]) -> bool:
    """Whether the events are of one run and of types that Dagster sends in batches."""
    return len({event.run_id for event in events}) == 1 and {event.dagster_event_type for event in events} <= BATCHED_EVENTS


def is_waiting(event: EventLogEntry) -> bool:
    """Whether the event may wait for the next one of its step; a check that is reported from outside of runs has no next event."""
    return event.dagster_event_type in WAITING_EVENTS and event.step_key is not None


def without_check_partitions(event: EventLogEntry) -> EventLogEntry:
    """The planned event of a check without the run's partitions; any other event as it is.

    An unpartitioned check of a partitioned asset is evaluated once a run, for no partition. Were the run's partitions left in
    its planned event, the storage would make a row for each that stays planned for ever, each with all days that the calendar
    excludes.
    """
    if event.dagster_event_type is not DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
        return event
    of_dagster = event.get_dagster_event()
    planned = cast(AssetCheckEvaluationPlanned, of_dagster.event_specific_data)
    return event._replace(dagster_event=of_dagster._replace(event_specific_data=replace(planned, partitions_subset=None)))
