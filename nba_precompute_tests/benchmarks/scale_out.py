"""A backfill by seasons over one worker and over two, as on several machines: equal tables, the time of each part, a worker killed.

`uv run python -m nba_precompute_tests.benchmarks.scale_out [--raw DIR] [--seasons 2023-24 ...] [--days 20] [--warehouse bigquery]`
prints a row a number of workers, beside the command line alone, and one of the kill. It ends with exit code 1 where tables differ,
where the queue did not keep its limits, or where the killed run was not made once more. Servers, workers and the UI share this one
machine. A run of which some days cannot be trusted publishes the others and counts as failed (the play-in games of 2022 in the real
games).
"""

import argparse
import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
import pandas as pd
import psutil
import yaml
from rich.console import Console
from rich.table import Table as Grid

from nba_precompute.assets import CASCADE_TABLES, SUMMARY_TABLES
from nba_precompute.definitions import home_of_environment
from nba_precompute.game_days import SEASONS, Season, days_between, eligible_days, game_days
from nba_precompute.instance import SETTINGS_OF_SEVERAL_MACHINES, instance_of
from nba_precompute_tests.benchmarks.running_instance import ENDED, launch, runs_of, until
from nba_precompute_tests.conftest import REAL_DATA
from nba_precompute_tests.local_bigquery import local_bigquery
from nba_precompute_tests.servers import program, running_postgres, running_redis
from nba_precompute_tests.ui import running_ui

LAST_DAY = date(2026, 1, 2)
"""The last with games in the development data."""

ALL_DAYS = 220
"""More than a season has."""

PARTS = ["workers", "Postgres", "Redis", "UI and queue", "emulator"]

LAUNCHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]

SOME_WAY_INTO_THE_RUN = 5.0


@dataclass
class Parts:
    """The processes of each part, and the CPU time that they and all that they started have had."""

    roots: Mapping[str, Sequence[psutil.Process]]

    def cpu_seconds(self) -> pd.Series:
        """User and system time, of living processes and of those that these have waited for."""
        return pd.Series({part: sum(cpu_of_tree(root) for root in roots) for part, roots in self.roots.items()}, dtype=float)


def cpu_of_tree(root: psutil.Process) -> float:
    """CPU seconds of a process and all below it; nothing where it is gone."""
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in [root, *root.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])
    return total


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """The environment of this process and of those that it starts, while this lasts."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def running_workers(number: int, folder: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Workers of the environment's home, ready for runs."""
    workers = []
    try:
        for place in range(number):
            with (folder / f"worker-{place}.log").open("w") as said:
                command = [sys.executable, "-m", "nba_precompute", "worker"]
                workers.append(subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True))
        until(lambda: all(" ready." in (folder / f"worker-{place}.log").read_text() for place in range(number)))
        yield workers
    finally:
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


def days_of(season: Season, number: int) -> tuple[date, date]:
    """The first day of a season and the last of so many after its bootstrap."""
    return season.first_game, min(season.eligible_days[:number][-1], LAST_DAY)


@dataclass
class Story:
    """Some seasons on some workers, and what was seen of them."""

    url: str
    instance: dg.DagsterInstance
    parts: Parts
    seasons: Sequence[Season]
    days: int
    most_at_once: int = 0
    runs: int = 0
    failed: int = 0

    def round(self, tables: Sequence, partitions: dg.PartitionsDefinition) -> float:
        """A backfill a season; for how many seconds."""
        began = time.monotonic()
        backfills = []
        for season in self.seasons:
            days = days_between(partitions, *days_of(season, self.days))
            backfills.append(launch(self.url, tables, days[0], days[-1]))
        until(lambda: self.look(backfills))
        found = [run.dagster_run for backfill in backfills for run in runs_of(self.instance, backfill)]
        self.runs += len(found)
        self.failed += sum(not run.is_success for run in found)
        return time.monotonic() - began

    def look(self, backfills: Sequence[str]) -> bool:
        """Whether all have ended; counts the runs that are launched now."""
        self.most_at_once = max(self.most_at_once, self.instance.get_runs_count(dg.RunsFilter(statuses=LAUNCHED)))
        runs = [runs_of(self.instance, backfill) for backfill in backfills]
        return all(found and {run.dagster_run.status for run in found} <= ENDED for found in runs)


def kill_a_worker(story: Story, workers: Sequence[subprocess.Popen[bytes]], folder: Path) -> tuple[str, bool]:
    """kill -9 of the worker that makes a season; how its run ended, and the one in its place."""
    days = days_between(eligible_days, *days_of(story.seasons[0], story.days))
    backfill = launch(story.url, CASCADE_TABLES, days[0], days[-1])

    def runs() -> list[dg.DagsterRun]:
        return [record.dagster_run for record in runs_of(story.instance, backfill)]

    until(lambda: any(run.status is dg.DagsterRunStatus.STARTED for run in runs()))
    time.sleep(SOME_WAY_INTO_THE_RUN)
    task = runs()[0].tags["dagster-celery/task_id"]
    [worker] = [place for place in range(len(workers)) if task in (folder / f"worker-{place}.log").read_text()]
    workers[worker].kill()
    ended = until(lambda: runs()[0].status in ENDED)
    again = until(lambda: len(runs()) > 1 and runs()[1].status is dg.DagsterRunStatus.STARTED)
    rest = until(lambda: {run.status for run in runs()} <= ENDED)
    statuses = [run.status.value for run in runs()]
    words = f"{', '.join(statuses)}; ended {ended:.0f} s after the kill, begun again {again:.0f} s and done {rest:.0f} s later"
    return words, statuses == ["FAILURE", "SUCCESS"]


def hashes() -> pd.Series:
    """The content hash of each table's day, in the warehouse of the environment."""
    return home_of_environment().warehouse.partition_versions().set_index(["table_name", "day"])["content_hash"].sort_index()


def emulators() -> list[psutil.Process]:
    """The BigQuery emulator that this process has started."""
    return [child for child in psutil.Process().children() if "local_bigquery" in " ".join(child.cmdline())]


def spread(
    number: int, seasons: Sequence[Season], days: int, folder: Path, with_kill: bool
) -> tuple[Story, list[float], pd.Series, str, bool]:
    """The seasons over a number of workers: seconds of the two rounds, CPU seconds of each part, and the kill."""
    postgres, redis = program("postgres"), program("redis-server")
    assert postgres, "no Postgres: apt-get install postgresql"
    assert redis, "no Redis: apt-get install redis-server"
    with contextlib.ExitStack() as stack:
        database, of_postgres = stack.enter_context(running_postgres(postgres))
        queue, of_redis = stack.enter_context(running_redis(redis))
        stack.enter_context(environment({"NBA_PRECOMPUTE_POSTGRES": database, "NBA_PRECOMPUTE_REDIS": queue}))
        home = home_of_environment()
        url = stack.enter_context(running_ui(home))
        workers = stack.enter_context(running_workers(number, folder))
        instance = stack.enter_context(instance_of(home))
        processes = [psutil.Process(worker.pid) for worker in workers]
        of_ui = [child for child in psutil.Process().children() if "dagster" in child.cmdline()]
        parts = Parts(dict(zip(PARTS, (processes, [of_postgres], [of_redis], of_ui, emulators()), strict=True)))
        story = Story(url, instance, parts, seasons, days)
        before = parts.cpu_seconds()
        seconds = [story.round(SUMMARY_TABLES, game_days), story.round(CASCADE_TABLES, eligible_days)]
        spent = parts.cpu_seconds() - before
        words, is_right = kill_a_worker(story, workers, folder) if with_kill else ("", True)
        return story, seconds, spent, words, is_right


def typed(seasons: Sequence[Season], number: int) -> tuple[float, float]:
    """The same days by the command line, in one process: seconds and CPU seconds."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    for season in seasons:
        first, last = days_of(season, number)
        days = ["--start", str(first), "--end", str(last)]
        subprocess.run([sys.executable, "-m", "nba_precompute", "backfill", *days], stdout=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Make the seasons in each way, compare, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", type=Path, default=REAL_DATA)
    parser.add_argument("--seasons", nargs="+", default=[season.name for season in SEASONS if season.first_game < LAST_DAY])
    parser.add_argument("--days", type=int, default=ALL_DAYS, help="of each season's cascade")
    parser.add_argument("--warehouse", choices=["duckdb", "bigquery"], default="duckdb")
    asked = parser.parse_args()
    seasons = [season for season in SEASONS if season.name in asked.seasons]
    limit = yaml.safe_load(SETTINGS_OF_SEVERAL_MACHINES.read_text())["concurrency"]["runs"]["tag_concurrency_limits"][0][
        "limit"
    ]
    grid = Grid(
        "", "runs", "failed", "most at once", "summaries s", "cascade s", *(f"{part} CPU s" for part in PARTS), "content hashes"
    )
    grid.title = f"{', '.join(asked.seasons)} of {asked.raw}, {asked.warehouse}"
    right, known = [], None
    with tempfile.TemporaryDirectory(prefix="scale_out-") as name, contextlib.ExitStack() as stack:
        local = stack.enter_context(local_bigquery(Path(name))) if asked.warehouse == "bigquery" else None
        for number in 0, 1, 2:
            folder = Path(name) / f"workers-{number}"
            folder.mkdir()
            of_home = {"NBA_PRECOMPUTE_HOME": str(folder / "home"), "NBA_PRECOMPUTE_RAW": str(asked.raw.resolve())}
            with environment(of_home | (local.environment(f"workers_{number}_") if local else {})):
                if number == 0:
                    before = sum(map(cpu_of_tree, emulators()))
                    seconds, cpu = typed(seasons, asked.days)
                    emulator = f"{sum(map(cpu_of_tree, emulators())) - before:.0f}"
                    known = hashes()
                    grid.add_row(
                        "command line", "", "1", "", f"{seconds:.0f}", f"{cpu:.0f}", "", "", "", emulator, str(len(known))
                    )
                    continue
                story, rounds, spent, killed, is_right = spread(number, seasons, asked.days, folder, with_kill=number == 2)
                same = hashes().equals(known)
                right += [same, is_right, story.most_at_once <= limit]
                cells = [f"{second:.0f}" for second in rounds] + [f"{spent[part]:.0f}" for part in PARTS]
                words = f"{len(known)} {'equal' if same else 'NOT EQUAL'}"
                grid.add_row(
                    f"{number} worker{'s' * (number > 1)}",
                    str(story.runs),
                    str(story.failed),
                    f"{story.most_at_once} of {limit}",
                    *cells,
                    words,
                )
            Console(width=160, stderr=True).print(grid)
    Console(width=160).print(grid)
    Console(width=160).print(f"A worker killed with -9 in {seasons[0].name}: {killed}")
    sys.exit(not all(right))


if __name__ == "__main__":
    main()
