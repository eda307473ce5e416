"""A backfill by seasons over one worker and over two, as on several machines: equal tables, the time of each part, a worker killed.

`uv run python -m nba_precompute_tests.benchmarks.scale_out [--raw DIR] [--seasons 2023-24 ...] [--days 20] [--workers 1 2]
[--warehouse bigquery]` prints a row a number of workers, beside the command line's over DuckDB, and one of the kill. It ends with exit
code 1 where the content hashes are not the command line's, or there are none, where other runs failed than those with days that the
command line leaves out too (the play-in games of 2022 in the real games), where a worker got no run, where the queue did not keep its
limit, or where the killed run was not made once more. Servers, workers and the UI share this one machine.
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
from dataclasses import dataclass, field
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
def running_workers(logs: Sequence[Path]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Workers of the environment's home, ready for runs, one a log."""
    workers = []
    try:
        for log in logs:
            with log.open("w") as said:
                command = [sys.executable, "-m", "nba_precompute", "worker"]
                workers.append(subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True))
        until(lambda: all(" ready." in log.read_text() for log in logs))
        yield workers
    finally:
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


def days_of(season: Season, number: int) -> tuple[date, date]:
    """The first day of a season and the last of so many after its bootstrap."""
    return season.first_game, min(season.eligible_days[:number][-1], LAST_DAY)


ROUNDS = {"summaries": (SUMMARY_TABLES, game_days), "cascade": (CASCADE_TABLES, eligible_days)}
"""A backfill's tables, and whose days they have."""


def expected_failures(known: pd.Series, seasons: Sequence[Season], number: int) -> set[str]:
    """The backfills of which the command line left days out, because they cannot be trusted."""
    return {
        f"{name} of {season.name}"
        for name, (tables, partitions) in ROUNDS.items()
        for season in seasons
        for table in tables
        for day in days_between(partitions, *days_of(season, number))
        if (table.qualified_name, pd.Timestamp(day)) not in known.index
    }


@dataclass
class Story:
    """Some seasons on some workers, and what was seen of them."""

    url: str
    instance: dg.DagsterInstance
    logs: Sequence[Path]
    seasons: Sequence[Season]
    days: int
    most_at_once: int = 0
    runs: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)

    def backfill(self, round_name: str, season: Season) -> str:
        """Launch the backfill of a season."""
        tables, partitions = ROUNDS[round_name]
        days = days_between(partitions, *days_of(season, self.days))
        return launch(self.url, tables, days[0], days[-1])

    def tell(self) -> None:
        """A backfill a season, of the summaries and then of the cascade, until they have ended."""
        for name in ROUNDS:
            began = time.monotonic()
            backfills = {f"{name} of {season.name}": self.backfill(name, season) for season in self.seasons}
            until(lambda: self.look([*backfills.values()]))  # noqa: B023  it is called here
            self.seconds.append(time.monotonic() - began)
            self.failed |= {
                words for words, backfill in backfills.items() if not all(run.is_success for run in self.runs_of(backfill))
            }
        self.runs = [log.read_text().count(" received") for log in self.logs]

    def runs_of(self, backfill: str) -> list[dg.DagsterRun]:
        """The runs of a backfill, in order."""
        return [record.dagster_run for record in runs_of(self.instance, backfill)]

    def look(self, backfills: Sequence[str]) -> bool:
        """Whether all have ended; counts the runs that are launched now. One question, which costs Postgres a process."""
        runs = [(run.tags["dagster/backfill"], run.status) for run in self.instance.get_runs()]
        self.most_at_once = max(self.most_at_once, sum(status in LAUNCHED for _, status in runs))
        going = {backfill for backfill, status in runs if status not in ENDED}
        return set(backfills) <= {backfill for backfill, _ in runs} - going

    def differences(self, expected: set[str]) -> list[str]:
        """What failed and should not have, and what should have failed and did not."""
        failed, ended_well = sorted(self.failed - expected), sorted(expected - self.failed)
        return [f"{words} FAILED" for words in failed] + [f"{words} was to fail, and DID NOT" for words in ended_well]


@dataclass(frozen=True)
class Killed:
    """What became of a run whose worker was killed, in words, and whether it is as it should be."""

    words: str
    is_right: bool


def kill_a_worker(story: Story, workers: Sequence[subprocess.Popen[bytes]]) -> Killed:
    """kill -9 of the worker that makes a season again; how its run ended, and the one in its place."""
    backfill = story.backfill("cascade", story.seasons[0])

    def runs() -> list[dg.DagsterRun]:
        return story.runs_of(backfill)

    until(lambda: any(run.status is dg.DagsterRunStatus.STARTED for run in runs()))
    time.sleep(SOME_WAY_INTO_THE_RUN)
    task = runs()[0].tags["dagster-celery/task_id"]
    [worker] = [worker for worker, log in zip(workers, story.logs, strict=True) if task in log.read_text()]
    worker.kill()
    ended = until(lambda: runs()[0].status in ENDED)
    again = until(lambda: len(runs()) > 1 and runs()[1].status is dg.DagsterRunStatus.STARTED)
    rest = until(lambda: {run.status for run in runs()} <= ENDED)
    statuses = [run.status.value for run in runs()]
    words = f"{', '.join(statuses)}; ended {ended:.0f} s after the kill, begun again {again:.0f} s and done {rest:.0f} s later"
    return Killed(words, statuses == ["FAILURE", "SUCCESS"])


def hashes() -> pd.Series:
    """The content hash of each table's day, in the warehouse of the environment."""
    return home_of_environment().warehouse.partition_versions().set_index(["table_name", "day"])["content_hash"].sort_index()


def emulators() -> list[psutil.Process]:
    """The BigQuery emulator that this process has started."""
    return [child for child in psutil.Process().children() if "local_bigquery" in " ".join(child.cmdline())]


def spread(number: int, seasons: Sequence[Season], days: int, folder: Path) -> tuple[Story, pd.Series, Killed | None]:
    """The seasons over a number of workers, the CPU seconds of each part, and where there are several the kill of one."""
    postgres, redis = program("postgres"), program("redis-server")
    assert postgres, "no Postgres: apt-get install postgresql"
    assert redis, "no Redis: apt-get install redis-server"
    with contextlib.ExitStack() as stack:
        database, of_postgres = stack.enter_context(running_postgres(postgres))
        queue, of_redis = stack.enter_context(running_redis(redis))
        stack.enter_context(environment({"NBA_PRECOMPUTE_POSTGRES": database, "NBA_PRECOMPUTE_REDIS": queue}))
        home = home_of_environment()
        url = stack.enter_context(running_ui(home))
        logs = [folder / f"worker-{place}.log" for place in range(number)]
        workers = stack.enter_context(running_workers(logs))
        instance = stack.enter_context(instance_of(home))
        processes = [psutil.Process(worker.pid) for worker in workers]
        of_ui = [child for child in psutil.Process().children() if "dagster" in child.cmdline()]
        parts = Parts(dict(zip(PARTS, (processes, [of_postgres], [of_redis], of_ui, emulators()), strict=True)))
        story = Story(url, instance, logs, seasons, days)
        before = parts.cpu_seconds()
        story.tell()
        spent = parts.cpu_seconds() - before
        return story, spent, kill_a_worker(story, workers) if number > 1 else None


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
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    asked = parser.parse_args()
    seasons = [season for season in SEASONS if season.name in asked.seasons]
    [of_backfills] = yaml.safe_load(SETTINGS_OF_SEVERAL_MACHINES.read_text())["concurrency"]["runs"]["tag_concurrency_limits"]
    grid = Grid(
        "",
        "runs a worker",
        "failed",
        "most at once",
        "summaries s",
        "cascade s",
        *(f"{part} CPU s" for part in PARTS),
        "hashes",
    )
    grid.title = f"{', '.join(season.name for season in seasons)} of {asked.raw}, {asked.days} days, {asked.warehouse}"
    right, said = [], []
    with tempfile.TemporaryDirectory(prefix="scale_out-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        of_raw = {"NBA_PRECOMPUTE_RAW": str(asked.raw.resolve())}
        with environment(of_raw | {"NBA_PRECOMPUTE_HOME": str(folder / "typed")}):
            seconds, cpu = typed(seasons, asked.days)
            known = hashes()
        grid.add_row(
            "command line, DuckDB", "", "", "", f"{seconds:.0f} s in all", "", f"{cpu:.0f}", "", "", "", "", str(len(known))
        )
        right += [len(known) > 0]
        local = stack.enter_context(local_bigquery(folder)) if asked.warehouse == "bigquery" else None
        for number in asked.workers:
            of_workers = folder / f"workers-{number}"
            of_workers.mkdir()
            of_home = {"NBA_PRECOMPUTE_HOME": str(of_workers / "home")}
            with environment(of_raw | of_home | (local.environment(f"workers_{number}_") if local else {})):
                story, spent, killed = spread(number, seasons, asked.days, of_workers)
                same = hashes().equals(known)
            expected = expected_failures(known, seasons, asked.days)
            right += [
                same,
                story.failed == expected,
                min(story.runs) > 0,
                story.most_at_once <= of_backfills["limit"],
                killed is None or killed.is_right,
            ]
            said += [f"{number} workers: {words}" for words in story.differences(expected)]
            said += [f"One of {number} workers killed with -9 in {seasons[0].name}: {killed.words}"] if killed else []
            grid.add_row(
                f"{number} worker{'s' * (number > 1)}",
                " + ".join(map(str, story.runs)),
                f"{len(story.failed)}",
                f"{story.most_at_once} of {of_backfills['limit']}",
                *(f"{second:.0f}" for second in story.seconds),
                *(f"{spent[part]:.0f}" for part in PARTS),
                "equal" if same else "NOT EQUAL",
            )
            Console(width=160, stderr=True).print(grid)
    Console(width=160).print(grid, *said, sep="\n")
    sys.exit(not all(right))


if __name__ == "__main__":
    main()
