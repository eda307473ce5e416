"""kill -9 at random moments of a backfill, then the same command again, beside a home that was left in peace.

`uv run python -m nba_precompute_tests.benchmarks.kills [--raw DIR] [--season 2023-24] [--kills 20] [--seed 1]` prints a row a kill
and ends with exit code 1 if a home differs, or if the second command made more or less than what was not there.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from rich.console import Console
from rich.table import Table as Grid

from nba_precompute.assets import SUMMARY_TABLES, TABLES
from nba_precompute.coverage import partitions_of
from nba_precompute.game_days import SEASONS
from nba_precompute.home import Home
from nba_precompute.instance import UNFINISHED, instance_of
from nba_precompute_tests.conftest import REAL_DATA


def published(home: Home) -> pd.DataFrame:
    """What the warehouse has, by table and day: content hash and run."""
    versions = home.warehouse.partition_versions()
    names = versions["table_name"].str.split(".").str[1]
    return versions.assign(table=names).set_index(["table", "day"])[["content_hash", "run_id"]].sort_index()


def recorded(instance: dg.DagsterInstance) -> set[tuple[str, pd.Timestamp]]:
    """What Dagster has recorded as materialised, by table and day."""
    return {
        (table.name, pd.Timestamp(key))
        for table in TABLES
        for key in instance.get_materialized_partitions(dg.AssetKey(table.name))
    }


def there(home: Home, instance: dg.DagsterInstance) -> pd.DataFrame:
    """What is published and recorded, and must not be made again; of a day's game summaries all three or none, as they are made."""
    found = published(home)
    found = found[found.index.isin(recorded(instance))]
    tables, days = (found.index.get_level_values(level) for level in ("table", "day"))
    of_summaries = tables.isin([table.name for table in SUMMARY_TABLES])
    whole_days = days[of_summaries].value_counts()
    return found[~of_summaries | days.isin(whole_days.index[whole_days == len(SUMMARY_TABLES)])]


def partition_status(instance: dg.DagsterInstance) -> dict[str, dict[str, set[str]]]:
    """The partitions of each table that the UI shows as materialised, as failed and as in progress."""
    shown = {}
    for table in TABLES:
        days = partitions_of(table)
        status = get_and_update_asset_status_cache_value(instance, dg.AssetKey(table.name), days)
        subsets = status and {
            "materialised": status.deserialize_materialized_partition_subsets(days),
            "failed": status.deserialize_failed_partition_subsets(days),
            "in progress": status.deserialize_in_progress_partition_subsets(days),
        }
        shown[table.name] = {words: set(subset.get_partition_keys()) for words, subset in (subsets or {}).items()}
    return shown


def differences(home: Home, undisturbed: Home) -> list[str]:
    """In what a home differs from one that was left in peace: rows, hashes, what Dagster shows; runs without an end."""
    found = []
    for table in TABLES:
        if not home.warehouse.read(table).equals(undisturbed.warehouse.read(table)):
            found.append(f"rows of {table.name}")
    if not published(home)["content_hash"].equals(published(undisturbed)["content_hash"]):
        found.append("content hashes")
    with instance_of(home) as instance, instance_of(undisturbed) as other:
        if partition_status(instance) != partition_status(other):
            found.append("partition status")
        if recorded(instance) != recorded(other):
            found.append("recorded partitions")
        found += [f"run {run.run_id} is {run.status.value}" for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))]
    return found


def going_on(instance: dg.DagsterInstance) -> str:
    """What a command was doing when it died, by the records that it left."""
    runs = instance.get_runs(limit=1)
    if not runs:
        return "before the first run"
    if runs[0].status is dg.DagsterRunStatus.SUCCESS:
        return "between or after runs"
    events = [entry.dagster_event for entry in instance.all_logs(runs[0].run_id) if entry.dagster_event]
    steps = [event for event in events if event.is_step_event]
    if not steps:
        return "run planned"
    last = steps[-1]
    return (
        f"{last.step_key}: {str(last.event_type_value).removeprefix('STEP_').removeprefix('ASSET_').lower().replace('_', ' ')}"
    )


def command_over(home: Home, season: str) -> dict[str, Any]:
    """The command over one season, as `subprocess` takes it."""
    [days] = [known for known in SEASONS if known.name == season]
    command = [sys.executable, "-m", "nba_precompute", "backfill", "--raw", str(home.raw)]
    return {
        "args": [*command, "--start", str(days.first_game), "--end", str(days.last_game)],
        "env": {**os.environ, "NBA_PRECOMPUTE_HOME": str(home.folder)},
        "text": True,
    }


def start_backfill(home: Home, season: str) -> subprocess.Popen[str]:
    """Start the command; returns when it has said which home and source it uses, which it does before it reads."""
    process = subprocess.Popen(**command_over(home, season), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    while not process.stdout.readline().startswith("Source"):
        assert process.poll() is None, "the backfill could not run"
    return process


def main() -> None:
    """Kill, go on, compare; print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", type=Path, default=REAL_DATA)
    parser.add_argument("--season", default="2023-24", choices=[season.name for season in SEASONS])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    moments = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        undisturbed = Home(Path(folder) / "undisturbed", asked.raw)
        process = start_backfill(undisturbed, asked.season)
        started = time.monotonic()
        process.communicate()
        duration = time.monotonic() - started
        total = len(published(undisturbed))
        grid = Grid("kill", "after", "going on", "published", "recorded", "made by the second", "differs")
        grid.title = (
            f"{asked.season} of {asked.raw}, seed {asked.seed}: {total} days of tables, undisturbed in {duration:.1f} s"
        )
        is_right = True
        number = 0
        while number < asked.kills:
            home = Home(Path(folder) / "killed", asked.raw)
            moment = moments.uniform(0, duration)
            process = start_backfill(home, asked.season)
            time.sleep(moment)
            process.kill()
            process.communicate()
            with instance_of(home) as instance:
                words, was_recorded, before = going_on(instance), len(recorded(instance)), there(home, instance)
            if len(before) == total:  # too late
                shutil.rmtree(home.folder)
                continue
            number += 1
            was_published = len(published(home))
            start_backfill(home, asked.season).communicate()
            after = published(home)
            made = after[after["run_id"] != before["run_id"].reindex(after.index)]
            found = differences(home, undisturbed)
            if len(made) != total - len(before):
                found.append(f"{total - len(before)} were not there")
            is_right &= not found
            counts = map(str, (was_published, was_recorded, len(made)))
            shutil.rmtree(home.folder)
            grid.add_row(str(number), f"{moment:.1f} s", words, *counts, ", ".join(found) or "in nothing")
        Console(width=140).print(grid)
    sys.exit(not is_right)


if __name__ == "__main__":
    main()
