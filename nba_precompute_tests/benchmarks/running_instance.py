"""What a running instance does when it is crowded, killed, lost, or given a bad day; and what a year of daily runs weighs.

`uv run python -m nba_precompute_tests.benchmarks.running_instance` prints a row a scenario, over a season of the simulated league
with `nba-precompute ui` beside it, and ends with exit code 1 where one did not end as it should.
"""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
from rich.console import Console
from rich.table import Table as Grid

from nba_precompute.assets import CASCADE_TABLES, SUMMARY_TABLES
from nba_precompute.backfill import RangedRun, execute
from nba_precompute.definitions import build_definitions
from nba_precompute.game_days import SEASONS, days_between, eligible_days, game_days
from nba_precompute.home import DAGSTER_FOLDER, Home
from nba_precompute.instance import instance_of
from nba_precompute.sources.simulated import write_simulated_league
from nba_precompute.tables.columns import Table
from nba_precompute_tests.benchmarks.kills import published
from nba_precompute_tests.test_runs import change_box_scores
from nba_precompute_tests.ui import ask, running_ui

SEASON = next(season for season in SEASONS if season.name == "2023-24")
START, MIDDLE, END = SEASON.first_game, date(2023, 12, 15), date(2024, 1, 31)

GIVE_UP_SECONDS = 3600.0

NO_RETRY_WITHIN_SECONDS = 60.0
"""The daemon retries a failed run within its next look, half a minute later at most."""

MAX_RUNTIME = {"dagster/max_runtime": "10"}
"""Dagster's tag for one run, in place of `max_runtime_seconds`, 1800, in dagster.yaml."""

LAUNCH = """
mutation ($backfill: LaunchBackfillParams!) {
    launchPartitionBackfill(backfillParams: $backfill) { ... on LaunchBackfillSuccess { backfillId } }
}
"""

ENDED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


def launch(url: str, tables: Sequence[Table], start: date, end: date) -> str:
    """Launch what the dialog of the UI launches; the backfill's id."""
    days = {"range": {"start": str(start), "end": str(end)}}
    wanted = [{"assetKey": {"path": [table.name]}, "partitions": days} for table in tables]
    return str(ask(url, LAUNCH, backfill={"partitionsByAssets": wanted})["launchPartitionBackfill"]["backfillId"])


def runs_of(instance: dg.DagsterInstance, backfill: str) -> Sequence[dg.RunRecord]:
    """The runs of a backfill, in the order in which they were made."""
    return sorted(
        instance.get_run_records(dg.RunsFilter(tags={"dagster/backfill": backfill})), key=lambda run: run.create_timestamp
    )


def until(look: Callable[[], bool]) -> float:
    """Wait until it is so; for how many seconds."""
    began = time.monotonic()
    while not look():
        assert time.monotonic() < began + GIVE_UP_SECONDS, "it does not end"
        time.sleep(0.5)
    return time.monotonic() - began


def typed(home: Home, start: date, end: date) -> subprocess.Popen[bytes]:
    """The command, started."""
    command = [sys.executable, "-m", "nba_precompute", "backfill", "--raw", str(home.raw), "--start", str(start)]
    environment = {**os.environ, "NBA_PRECOMPUTE_HOME": str(home.folder)}
    return subprocess.Popen(
        [*command, "--end", str(end)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def three_at_once(home: Home, instance: dg.DagsterInstance, url: str, undisturbed: Home) -> tuple[str, bool]:
    """Two backfills of the UI over overlapping days and a command over all of them."""
    typed(undisturbed, START, END).wait()
    backfills = [launch(url, SUMMARY_TABLES, START, MIDDLE), launch(url, SUMMARY_TABLES, START, END)]
    command = typed(home, START, END)
    command.wait()
    until(lambda: all(runs_of(instance, backfill) for backfill in backfills))
    until(lambda: {run.dagster_run.status for backfill in backfills for run in runs_of(instance, backfill)} <= ENDED)
    records = instance.get_run_records()
    good = all(record.dagster_run.is_success for record in records)
    typed(home, START, END).wait()  # what was made before another's earlier days is stale, and made again
    same = published(home)["content_hash"].equals(published(undisturbed)["content_hash"])
    words = f"{len(records)} runs, {'all' if good else 'NOT all'} succeeded; tables {'as' if same else 'NOT as'} of one alone"
    return words, good and same and command.returncode == 0


def worker_killed(instance: dg.DagsterInstance, url: str) -> tuple[str, bool]:
    """kill -9 of the worker of a run from the UI."""
    backfill = launch(url, CASCADE_TABLES, date(2023, 11, 8), END)
    worker: list[int] = []

    def look() -> bool:
        for record in runs_of(instance, backfill):
            if record.dagster_run.status is dg.DagsterRunStatus.STARTED:
                events = [entry.dagster_event for entry in instance.all_logs(record.dagster_run.run_id)]
                said = " ".join(event.message for event in events if event and event.message)
                worker.extend(int(pid) for pid in re.findall(r"Started process for run \(pid: (\d+)\)", said))
        return bool(worker)

    until(look)
    os.kill(worker[0], signal.SIGKILL)
    ended = until(lambda: runs_of(instance, backfill)[0].dagster_run.status in ENDED)
    again = until(lambda: len(runs_of(instance, backfill)) > 1)
    until(lambda: all(run.dagster_run.status in ENDED for run in runs_of(instance, backfill)))
    statuses = [run.dagster_run.status.value for run in runs_of(instance, backfill)]
    return f"{', '.join(statuses)}; ended {ended:.0f} s after the kill, retried {again:.0f} s later", statuses == [
        "FAILURE",
        "SUCCESS",
    ]


def run_once(home: Home) -> None:
    """A run, in a process that is killed."""
    with instance_of(home) as instance:
        run = RangedRun(CASCADE_TABLES, days_between(eligible_days, START, END))
        execute(build_definitions(home), instance, run, tags=MAX_RUNTIME, on_materialization=lambda: None)


def instance_lost(home: Home, instance: dg.DagsterInstance) -> tuple[str, bool]:
    """A run whose process is gone, without a code server above it."""
    known = {run.run_id for run in instance.get_runs()}
    process = multiprocessing.get_context("spawn").Process(target=run_once, args=(home,))
    process.start()

    def begun() -> list[dg.DagsterRun]:
        return [
            run for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])) if run.run_id not in known
        ]

    until(lambda: bool(begun()))
    [run] = begun()
    process.kill()
    seconds = until(lambda: instance.get_run_by_id(run.run_id).status in ENDED)  # type: ignore[union-attr]
    status = instance.get_run_by_id(run.run_id).status.value  # type: ignore[union-attr]
    return (
        f"{status} {seconds:.0f} s after the kill, with a limit of {MAX_RUNTIME['dagster/max_runtime']} s",
        status == "FAILURE",
    )


def bad_day(home: Home, instance: dg.DagsterInstance, url: str) -> tuple[str, bool]:
    """A day without box scores in the middle of a season."""
    lost = pd.Timestamp("2023-12-20")
    assert home.raw is not None
    change_box_scores(home.raw, lambda rows: rows[rows["game_date"] != lost])
    backfill = launch(url, SUMMARY_TABLES, START, END)
    until(lambda: any(run.dagster_run.status in ENDED for run in runs_of(instance, backfill)))
    time.sleep(NO_RETRY_WITHIN_SECONDS)
    runs = runs_of(instance, backfill)
    statuses = [run.dagster_run.status.value for run in runs]
    return f"{', '.join(statuses)}, and no other run within {NO_RETRY_WITHIN_SECONDS:.0f} s", statuses == ["FAILURE"]


def weight_of_daily_runs(home: Home, instance: dg.DagsterInstance, days: int) -> tuple[str, bool]:
    """Daily runs, yesterday's summaries and today's cascade, after a backfill of what was before."""

    def weight() -> float:
        return sum(file.stat().st_size for file in (home.folder / DAGSTER_FOLDER).rglob("*") if file.is_file()) / 1e6

    definitions = build_definitions(home)
    today = days_between(eligible_days, END + timedelta(days=1), END + timedelta(days=days + 7))[:days]
    before = weight()
    for day in today:
        yesterday = days_between(game_days, START, day - timedelta(days=1))[-1:]
        for run in RangedRun(SUMMARY_TABLES, yesterday), RangedRun(CASCADE_TABLES, [day]):
            execute(definitions, instance, run, tags={}, on_materialization=lambda: None)
    a_day = (weight() - before) / days
    return f"{a_day:.2f} MB a day, {a_day * len(SEASON.game_days):.0f} MB a season of {len(SEASON.game_days)} game days", True


def main() -> None:
    """Try each; print the table."""
    grid = Grid("scenario", "what happened", "as it should")
    right = []

    def tell(scenario: str, found: tuple[str, bool]) -> None:
        grid.add_row(scenario, found[0], "yes" if found[1] else "NO")
        right.append(found[1])
        Console(width=150, stderr=True).print(grid)

    with tempfile.TemporaryDirectory(prefix="running_instance-") as folder:
        raw = Path(folder) / "league"
        write_simulated_league(raw, [SEASON])
        home = Home(Path(folder) / "home", raw)
        with running_ui(home) as url, instance_of(home) as instance:
            tell(
                "two backfills of the UI and a command at once",
                three_at_once(home, instance, url, Home(Path(folder) / "undisturbed", raw)),
            )
            tell("a worker killed with -9", worker_killed(instance, url))
            tell("a run whose process and instance are gone", instance_lost(home, instance))
            tell("ten daily runs", weight_of_daily_runs(home, instance, days=10))
            tell("a day without box scores", bad_day(home, instance, url))
    Console(width=150).print(grid)
    sys.exit(not all(right))


if __name__ == "__main__":
    main()
