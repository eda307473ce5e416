"""Which run made which days of which table, when, and how it ended: read from Dagster's records of runs, whoever started them.

A run's tables and days are those that it planned, its rows those that it recorded. What is in the warehouse now, by the run that
made it last, is the view `nba_reference.processor_run_history`.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import dagster as dg
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._core.events import JobFailureData
from sqlalchemy import Row

from nba_precompute.assets import ASSETS, TABLES
from nba_precompute.backfill import SKIPPED_PREFLIGHT_TAG, error_in_words, reason_of_failure
from nba_precompute.event_log import BatchedEventLog
from nba_precompute.home import DAGSTER_FOLDER, Home
from nba_precompute.instance import PROCESS_TAG, in_words, instance_of, is_alive
from nba_precompute.materialization import ROW_COUNT
from nba_precompute.production import mode_of

SUCCESS, FAILURE, SKIPPED, CANCELED, KILLED = "SUCCESS", "FAILURE", "SKIPPED", "CANCELED", "KILLED"
"""Dagster's words, and KILLED: a command whose process is gone, until the next command records that as FAILURE."""

KILLED_IN_WORDS = "its process ({}) is gone; the next backfill records it as failed and makes what is missing"

CHECKS_ALONE = "(checks alone)"
"""In place of a table: a run that made nothing and evaluated checks."""

Event = dg.DagsterEventType

END_OF_STEP = {Event.STEP_SUCCESS: SUCCESS, Event.STEP_FAILURE: FAILURE, Event.STEP_SKIPPED: SKIPPED}

END_OF_RUN = {Event.RUN_FAILURE, Event.RUN_CANCELED}

TABLE_NAMES = [table.name for table in TABLES]

STEPS = {
    key.to_user_string(): asset.op.name for asset in ASSETS if isinstance(asset, dg.AssetsDefinition) for key in asset.keys
}
"""The step that makes each asset; the game summaries share one."""


@dataclass(frozen=True)
class TableOfRun:
    """What became of one table in one run; `days` and `rows` are those made, `first_day` and `last_day` those asked for.

    Times are UTC. `seconds` are of the table's step, which the three game summaries share; None where it never began or was
    killed.
    """

    run_id: str
    started: str
    table: str
    first_day: str | None
    last_day: str | None
    mode: str
    status: str
    days_planned: int
    days: int
    rows: int
    seconds: float | None
    skipped_preflight: bool
    error: str | None


@dataclass(frozen=True)
class Step:
    """What a run's events say of one step."""

    began: float | None = None
    ended: float | None = None
    status: str | None = None
    error: str | None = None


def run_history(home: Home, tables: Sequence[str] | None, limit: int) -> tuple[list[TableOfRun], int]:
    """The latest runs of the home, at most `limit`, latest first, a row a table; and how many there are in all.

    With `tables` only their rows, of the latest runs that have one.
    """
    if home.postgres is None and not (home.folder / DAGSTER_FOLDER).is_dir():
        return [], 0
    with instance_of(home) as instance:
        log = cast(BatchedEventLog, instance.event_log_storage)
        planned: dict[str, dict[str, Row[Any]]] = {}
        for of_asset in log.partitions_by_run_and_asset(ROW_COUNT):
            key = dg.AssetKey.from_db_string(of_asset.asset_key)
            if key is not None and (tables is None or key.to_user_string() in tables):
                planned.setdefault(of_asset.run_id, {})[key.to_user_string()] = of_asset
        if tables is not None and not planned:
            return [], 0  # to Dagster, no run ids are any run's
        wanted = None if tables is None else dg.RunsFilter(run_ids=list(planned))
        rows = []
        for record in instance.get_run_records(wanted, limit=limit):
            rows += tables_of(record, planned.get(record.dagster_run.run_id, {}), steps_of(home, instance, record))
        return rows, instance.get_runs_count(wanted)


def steps_of(home: Home, instance: dg.DagsterInstance, record: dg.RunRecord) -> Mapping[str | None, Step]:
    """The steps of a run by name; under None how the run itself ended, where that was badly."""
    steps: dict[str | None, Step] = {}
    kinds = {Event.STEP_START, *END_OF_STEP, *END_OF_RUN}
    for found in instance.get_records_for_run(record.dagster_run.run_id, of_type=kinds).records:
        entry = found.event_log_entry
        event, kind = entry.get_dagster_event(), entry.get_dagster_event().event_type
        if kind == Event.STEP_START:
            steps[entry.step_key] = Step(began=entry.timestamp)
        elif kind in END_OF_STEP:
            error = reason_of_failure(home, event.step_failure_data) if kind == Event.STEP_FAILURE else None
            began = steps.get(entry.step_key, Step()).began
            steps[entry.step_key] = Step(began, entry.timestamp, END_OF_STEP[kind], error)
        else:
            data = event.event_specific_data
            thrown = data.error if isinstance(data, JobFailureData) else None
            steps[None] = Step(error=error_in_words(home, thrown) if thrown else event.message)
    return steps


def tables_of(record: dg.RunRecord, planned: Mapping[str, Row[Any]], steps: Mapping[str | None, Step]) -> list[TableOfRun]:
    """A row a table of one run, in the order of the cascade; one row of the run itself where it makes no table."""
    run = record.dagster_run
    process = run.tags.get(PROCESS_TAG)
    killed = not run.is_finished and process is not None and not is_alive(process)
    failed_itself = all(step.status != FAILURE for step in steps.values())
    began = datetime.fromtimestamp(record.start_time, UTC) if record.start_time else record.create_timestamp
    why = KILLED_IN_WORDS.format(in_words(process)) if killed and process else steps.get(None, Step()).error

    def row(name: str, step: Step, of_table: Row[Any] | None) -> TableOfRun:
        status = status_of_table(run.status, step.status, killed=killed, failed_itself=failed_itself)
        days = of_table if of_table is not None and of_table.first is not None else None
        return TableOfRun(
            run_id=run.run_id,
            started=began.isoformat(timespec="seconds"),
            table=name,
            first_day=days.first if days else None,
            last_day=days.last if days else None,
            mode=mode_of(run),
            status=status,
            days_planned=days.planned if days else 0,
            days=days.materialized if days else 0,
            rows=days.total or 0 if days else 0,
            seconds=seconds_of(step, is_running=not run.is_finished and not killed),
            skipped_preflight=SKIPPED_PREFLIGHT_TAG in run.tags,
            error=step.error or (why if status in (FAILURE, CANCELED, KILLED) else None),
        )

    names = planned or {key.to_user_string() for key in run.asset_selection or ()}  # of one that has planned nothing yet
    if names:
        return [
            row(name, steps.get(STEPS.get(name, name), Step()), planned.get(name)) for name in sorted(names, key=in_cascade)
        ]
    name = CHECKS_ALONE if run.job_name == IMPLICIT_ASSET_JOB_NAME else run.job_name
    return [row(name, Step(record.start_time, record.end_time), None)]


def in_cascade(name: str) -> tuple[int, str]:
    """What sorts tables in the order of the cascade, and what is none after them."""
    return (TABLE_NAMES.index(name) if name in TABLE_NAMES else len(TABLE_NAMES), name)


def status_of_table(run: dg.DagsterRunStatus, step: str | None, *, killed: bool, failed_itself: bool) -> str:
    """What became of a table: how its step ended; where it has not, how its run did, or that another step stopped it."""
    if step is not None:
        return step
    if killed:
        return KILLED
    return SKIPPED if run == dg.DagsterRunStatus.FAILURE and not failed_itself else run.value


def seconds_of(step: Step, *, is_running: bool) -> float | None:
    """How long a step took, or takes so far; unknown where it was killed."""
    ended = step.ended or (time.time() if is_running else None)
    return None if step.began is None or ended is None else round(ended - step.began, 1)
