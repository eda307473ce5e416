"""A backfill: the days that are missing or stale, as few ranged runs of the same assets and instance as the UI's.

Runs go season by season, in the order of the cascade. After each the states are looked at again, so that a recomputed table
whose days did not change wakes nothing downstream.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import dagster as dg
import pandas as pd
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from nba_precompute.assets import CASCADE_TABLES, SUMMARY_TABLES
from nba_precompute.coverage import MISSING, STALE, SourceState, partitions_of, survey
from nba_precompute.game_days import contiguous_ranges
from nba_precompute.home import Home
from nba_precompute.tables.columns import Table

MODE_TAG = "nba_precompute/mode"
SKIPPED_PREFLIGHT_TAG = "nba_precompute/skipped_preflight"

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


def next_runs(found: pd.DataFrame, attempted: set[tuple[str, date]]) -> list[RangedRun]:
    """The runs that can be made now: the first season and table with days to make, and what is missing with it.

    `attempted` are days of tables that were asked for already; none is asked for twice.
    """
    to_make = found[found["state"].isin([MISSING, STALE])]
    to_make = to_make[[pair not in attempted for pair in zip(to_make["table"], to_make["day"], strict=True)]]
    for _, of_season in to_make.groupby("season", sort=True):
        for group in (SUMMARY_TABLES, CASCADE_TABLES):
            runs = _runs_of_group(of_season, group)
            if runs:
                return runs
    return []


def _runs_of_group(to_make: pd.DataFrame, group: Sequence[Table]) -> list[RangedRun]:
    days_of = {table.name: set(to_make.loc[to_make["table"] == table.name, "day"]) for table in group}
    missing_of = {
        table.name: set(to_make.loc[(to_make["table"] == table.name) & (to_make["state"] == MISSING), "day"]) for table in group
    }
    if group is SUMMARY_TABLES:
        days = set().union(*days_of.values())
        tables = list(group)
    else:
        first = next((table for table in group if days_of[table.name]), None)
        if first is None:
            return []
        days = days_of[first.name]
        # what has never been made goes along in the same run; what is there waits to see whether its inputs changed
        later = group[list(group).index(first) + 1 :]
        tables = [first, *(table for table in later if days <= missing_of[table.name])]
    return [RangedRun(tables, run_days) for run_days in contiguous_ranges(partitions_of(tables[0]), sorted(days))]


def execute(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    run: RangedRun,
    *,
    tags: dict[str, str],
    on_materialization: Callable[[], None],
) -> dg.ExecuteInProcessResult:
    """Make one run in this process, on the instance that the UI shows."""
    run_id = dg._core.utils.make_new_run_id()
    job = definitions.resolve_implicit_global_asset_job_def()

    def listen(entry: dg.EventLogEntry) -> None:
        if entry.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
            on_materialization()

    instance.add_event_listener(run_id, listen)
    return job.execute_in_process(
        instance=instance,
        run_id=run_id,
        asset_selection=[dg.AssetKey(table.name) for table in run.tables],
        run_config=QUIET,
        raise_on_error=False,
        tags={
            ASSET_PARTITION_RANGE_START_TAG: str(run.days[0]),
            ASSET_PARTITION_RANGE_END_TAG: str(run.days[-1]),
            **tags,
        },
    )
