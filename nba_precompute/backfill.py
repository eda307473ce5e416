"""A backfill: the days that are missing or stale, as few ranged runs of the same assets and instance as the UI's.

Runs go season by season, in the order of the cascade. After each the states are looked at again, so that a recomputed table
whose days did not change wakes nothing downstream.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import count
from uuid import uuid4

import dagster as dg
import pandas as pd
from dagster._core.execution.plan.objects import StepFailureData
from dagster._utils.error import SerializableErrorInfo

from nba_precompute.assets import CASCADE_TABLES, SUMMARY_TABLES
from nba_precompute.coverage import MISSING, STALE, SourceState, partitions_of, survey
from nba_precompute.game_days import contiguous_ranges
from nba_precompute.home import Home, of_dagsters_storage
from nba_precompute.lineage import READS, Read, Window
from nba_precompute.production import BACKFILL, run_config_of
from nba_precompute.tables.columns import Table
from nba_precompute.turns import Making, turn

MODE_TAG = "nba_precompute/mode"
SKIPPED_PREFLIGHT_TAG = "nba_precompute/skipped_preflight"

RANGE_START_TAG, RANGE_END_TAG = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
"""Dagster's documented tags of a ranged run."""

NAME_OF_OUR_ERROR = r"^nba_precompute\.[\w.]+: "
"""Errors of this package are whole sentences; the names of others say something."""

SQLITE = "sqlite3."
"""How an error of Dagster's storage begins that is met within a run."""

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Events go to the instance; on the terminal the progress bar is what is seen."""


@dataclass(frozen=True)
class RangedRun:
    """One run to be made: tables that share their partitions, and the first and last of consecutive days."""

    tables: Sequence[Table]
    days: Sequence[date]

    @property
    def partitions(self) -> int:
        """How many days of tables the run makes."""
        return len(self.tables) * len(self.days)


OnProgress = Callable[[RangedRun, int, int, int], None]
"""Told of a run: the run, the days of tables made so far, those to be made in all, and the dates among these."""


def backfill_days(
    definitions: dg.Definitions,
    home: Home,
    instance: dg.DagsterInstance,
    state: SourceState,
    tables: Sequence[Table],
    *,
    tags: dict[str, str],
    force: bool,
    on_progress: OnProgress,
    mode: str = BACKFILL,
) -> list[str]:
    """Make every missing or stale day of `tables` (with `force` every day that the source can fill) within `state`.

    No day is asked for twice, but for one that another process made stale in between, so the backfill ends. Returns what went
    wrong, a sentence a failed run.
    """
    attempted: dict[tuple[str, date], str | None] = {}
    failures: list[str] = []
    made = 0
    say = cache(logging.getLogger(__name__).warning)  # once, however many runs wait for the same process
    while True:
        to_make = days_to_make(survey(home, instance, state, tables), attempted, force)
        runs = next_runs(to_make)
        if not runs:
            return failures
        total = made + len(to_make)
        dates = len({day for _, day in attempted} | set(to_make["day"]))
        reads = dict(zip(zip(to_make["table"], to_make["day"], strict=True), to_make["reads"], strict=True))
        for run in runs:
            with turn(home, say, Making([table.name for table in run.tables], run.days[0], run.days[-1])) as waited:
                if waited:  # what was missing may be there by now
                    break
                on_progress(run, made, total, dates)
                count_one = counting(on_progress, run, made, total, dates)
                result = execute(definitions, instance, run, tags=tags, on_materialization=count_one, mode=mode)
            made += run.partitions
            attempted |= {(table, day): reads.get((table, day)) for table in tables_begun(run, result) for day in run.days}
            if not result.success:
                failures += [failure_in_words(home, run, event) for event in result.all_events if event.is_step_failure]


def counting(on_progress: OnProgress, run: RangedRun, made: int, total: int, dates: int) -> Callable[[], None]:
    """What to call for every day of a table that the run makes."""
    numbers = count(made + 1)
    return lambda: on_progress(run, next(numbers), total, dates)


def days_to_make(found: pd.DataFrame, attempted: Mapping[tuple[str, date], str | None], force: bool) -> pd.DataFrame:
    """Rows of the survey that ask to be made, can be, and were not asked for before, or are stale by what changed since.

    A day is not asked for in vain: where what it reads of the same day was asked for and is still missing.
    """
    wanted = found[found["reason"].isna() & (force | found["state"].isin([MISSING, STALE]))]
    missing = set(found.loc[found["state"] == MISSING, ["table", "day"]].itertuples(index=False, name=None))
    in_vain = {
        (table, day)
        for stream, day in missing & attempted.keys()
        for table, reads in READS.items()
        if Read(stream, Window.OWN_DAY) in reads
    }
    wanted = wanted.loc[[pair not in in_vain for pair in zip(wanted["table"], wanted["day"], strict=True)]]
    asked_before = pd.Series(
        [
            (table, day) in attempted and (state != STALE or attempted[table, day] == reads)
            for table, day, state, reads in wanted[["table", "day", "state", "reads"]].itertuples(index=False)
        ],
        wanted.index,
        bool,
    )
    return wanted[~asked_before].assign(may_run_along=lambda rows: force | (rows["state"] == MISSING))


def tables_begun(run: RangedRun, result: dg.ExecuteInProcessResult) -> list[str]:
    """The tables of a run whose turn came; those after a table that failed can still be made on its good days."""
    begun = {event.step_key for event in result.all_events if event.event_type == dg.DagsterEventType.STEP_START}
    of_cascade = [table.name for table in run.tables if table.name in begun]
    return of_cascade or [table.name for table in run.tables]


def next_runs(to_make: pd.DataFrame) -> list[RangedRun]:
    """The runs that can be made now: the first season with days to make, its summaries before its cascade."""
    for _, of_season in to_make.groupby("season", sort=True):
        for group in (SUMMARY_TABLES, CASCADE_TABLES):
            of_group = of_season[of_season["table"].isin([table.name for table in group])]
            if len(of_group):
                return runs_of_group(of_group, group)
    return []


def runs_of_group(to_make: pd.DataFrame, group: Sequence[Table]) -> list[RangedRun]:
    """Ranged runs of the first table with days to make, and of those after it that need not wait for another look.

    These have never been made on these days, or have the same days to make and read nothing of the run. All else waits: its
    inputs may turn out unchanged; and so does what reads something that waits. The game summaries go together, always.
    """
    if group is SUMMARY_TABLES:
        tables, days = list(group), set(to_make["day"])
    else:
        days_of = {name: set(rows["day"]) for name, rows in to_make.groupby("table")}
        along = {name: set(rows["day"]) for name, rows in to_make[to_make["may_run_along"]].groupby("table")}
        first = next(table for table in group if table.name in days_of)
        days = days_of[first.name]
        tables, waiting = [first], set[str]()
        for table in group[group.index(first) + 1 :]:
            reads = {read.stream for read in READS[table.name]}
            reads_the_run = not reads.isdisjoint(of_run.name for of_run in tables)
            alike = days_of.get(table.name) == days and not reads_the_run
            if reads.isdisjoint(waiting) and (alike or days <= along.get(table.name, set())):
                tables.append(table)
            elif table.name in days_of or reads_the_run or not reads.isdisjoint(waiting):
                waiting.add(table.name)
    return [RangedRun(tables, of_range) for of_range in contiguous_ranges(partitions_of(tables[0]), sorted(days))]


def execute(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    run: RangedRun,
    *,
    tags: dict[str, str],
    on_materialization: Callable[[], None],
    mode: str = BACKFILL,
) -> dg.ExecuteInProcessResult:
    """Make one run in this process, on the instance that the UI shows."""
    run_id = str(uuid4())

    def listen(entry: dg.EventLogEntry) -> None:
        if entry.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
            on_materialization()

    instance.add_event_listener(run_id, listen)
    return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        run_id=run_id,
        asset_selection=[dg.AssetKey(table.name) for table in run.tables],
        run_config={**QUIET, **run_config_of(mode)},
        raise_on_error=False,
        tags={**tags_of(run, mode), **tags},
    )


def tags_of(run: RangedRun, mode: str) -> dict[str, str]:
    """The tags by which Dagster knows the days of a run, and people its mode."""
    return {MODE_TAG: mode, RANGE_START_TAG: str(run.days[0]), RANGE_END_TAG: str(run.days[-1])}


def run_request(run: RangedRun, mode: str, key: str, tags: Mapping[str, str] | None = None) -> dg.RunRequest:
    """The run as a schedule or a sensor asks for it."""
    return dg.RunRequest(
        run_key=key,
        asset_selection=[dg.AssetKey(table.name) for table in run.tables],
        run_config=run_config_of(mode),
        tags={**tags_of(run, mode), **(tags or {})},
    )


def failure_in_words(home: Home, run: RangedRun, event: dg.DagsterEvent) -> str:
    """What failed and why, for the terminal."""
    return f"{event.step_key}, {run.days[0]} to {run.days[-1]}: {reason_of_failure(home, event.step_failure_data)}"


def reason_of_failure(home: Home, failed: StepFailureData) -> str:
    """Why a step failed, in one sentence or more."""
    said = failed.user_failure_data.description if failed.user_failure_data else None
    return said or (error_in_words(home, failed.error) if failed.error else "no error was recorded")


def error_in_words(home: Home, error: SerializableErrorInfo) -> str:
    """What an error that Dagster recorded says: the one that it wrapped in one of its own, where it did."""
    why = re.sub(NAME_OF_OUR_ERROR, "", (error.cause or error).message.strip())
    return of_dagsters_storage(home, why.removeprefix(SQLITE).partition(": ")[2]) if why.startswith(SQLITE) else why
