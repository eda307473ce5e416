"""What a backfill costs as its user meets it: `python -m nba_precompute_tests.benchmarks.speed [--raw DIR]`.

Every measure is a process of its own, one after the other, on homes in a temporary folder: wall time and peak memory beside the
most that issue 4 allows. Nothing else should run on the machine meanwhile.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
from rich.console import Console
from rich.table import Table as Grid

from nba_precompute.assets import ASSETS, CASCADE_TABLES, SUMMARY_TABLES, TABLES
from nba_precompute.backfill import RangedRun, execute
from nba_precompute.game_days import SEASONS, days_between, eligible_days, game_days
from nba_precompute.home import Home
from nba_precompute.instance import instance_of
from nba_precompute.sources.parquet_folder import ParquetFolder
from nba_precompute.storage import Publication
from nba_precompute.storage.duckdb import DuckDBWarehouse
from nba_precompute_tests import cascade
from nba_precompute_tests.conftest import REAL_DATA

FIRST, LAST = "2021-10-19", "2026-01-02"
ONE_SEASON = ("2023-10-24", "2024-06-17")
ONE_DATE = "2025-12-31"


@dataclass(frozen=True)
class Cost:
    """What one process took."""

    seconds: float
    peak_gib: float


def main() -> None:
    """Measure everything, or (`--only`) what one of the processes does."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", type=Path, default=REAL_DATA)
    parser.add_argument("--only", choices=["empty", "without_dagster"], help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only == "empty":
        make_empty(Home(arguments.home))
    elif arguments.only == "without_dagster":
        make_without_dagster(arguments.raw, arguments.home)
    else:
        with tempfile.TemporaryDirectory() as folder:
            print_measures(arguments.raw.resolve(), Path(folder))


def print_measures(raw: Path, folder: Path) -> None:
    """The table of the issue."""
    five, one = folder / "five", folder / "one"
    real = ["backfill", "--raw", str(raw)]
    grid = Grid("measure", "seconds", "at most", "peak GiB")

    def row(measure: str, cost: Cost, most: str) -> Cost:
        grid.add_row(measure, f"{cost.seconds:.1f}", most, f"{cost.peak_gib:.2f}")
        return cost

    whole = row(
        f"real backfill from nothing, {FIRST} to {LAST}",
        command([*real, "--start", FIRST, "--end", LAST], five),
        "45 (1.2 GiB)",
    )
    empty = row("the same with empty asset bodies", itself("empty", raw, folder / "empty"), "")
    grid.add_row("ratio of the two", f"{whole.seconds / empty.seconds:.1f}", "", "")
    row("reading, formulas and publication without Dagster", itself("without_dagster", raw, folder / "plain"), "12")
    row(
        f"one date ({ONE_DATE}), all tables, as a fresh process",
        command([*real, "--start", ONE_DATE, "--end", ONE_DATE, "--force"], five),
        "10",
    )
    row("backfill with nothing to do", command([*real, "--start", FIRST, "--end", LAST], five), "5")
    row("status over five seasons", command(["status"], five), "4")
    season = row("one real season from nothing", command([*real, "--start", ONE_SEASON[0], "--end", ONE_SEASON[1]], one), "")
    a_date = whole.seconds / dates(FIRST, LAST), season.seconds / dates(*ONE_SEASON)
    grid.add_row("cost a date, five seasons against one", f"{a_date[0] / a_date[1]:.2f}", "1.15", "")
    row("simulated league, made and backfilled", command(["backfill"], folder / "simulated"), "75")
    Console(width=110).print(grid)


def command(arguments: Sequence[str], home: Path) -> Cost:
    """What a command of the command line takes; what is missing in the real data makes its exit code 1."""
    return cost_of([sys.executable, "-m", "nba_precompute", *arguments], home)


def itself(only: str, raw: Path, home: Path) -> Cost:
    """What one of the parts below takes in a process of its own."""
    return cost_of([sys.executable, "-m", __spec__.name, "--only", only, "--raw", str(raw), "--home", str(home)], home)


def cost_of(words: Sequence[str], home: Path) -> Cost:
    """Wall time and peak memory of a process."""
    began = time.monotonic()
    environment = {**os.environ, "NBA_PRECOMPUTE_HOME": str(home)}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(words)} ended with exit code {process.returncode}")
    return Cost(time.monotonic() - began, used.ru_maxrss / 2**20)


def dates(start: str, end: str) -> int:
    """Game days of a range."""
    return len(days_between(game_days, date.fromisoformat(start), date.fromisoformat(end)))


def make_empty(home: Home) -> None:
    """The runs of the whole real backfill, in the same settings, with asset bodies that do nothing: Dagster's floor."""
    definitions = dg.Definitions(
        assets=[emptied(asset) if isinstance(asset, dg.AssetsDefinition) else asset for asset in ASSETS],
        executor=dg.in_process_executor,
    )
    first, last = date.fromisoformat(FIRST), date.fromisoformat(LAST)
    with instance_of(home) as instance:
        for season in SEASONS:
            for tables, definition in ((SUMMARY_TABLES, game_days), (CASCADE_TABLES, eligible_days)):
                days = days_between(definition, max(first, season.first_game), min(last, season.last_game))
                run = RangedRun(tables, days)
                assert execute(definitions, instance, run, tags={}, on_materialization=lambda: None).success


def emptied(asset: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """The asset as it is but for what it does."""

    @dg.multi_asset(
        name=asset.op.name,
        specs=list(asset.specs),
        partitions_def=asset.partitions_def,
        backfill_policy=asset.backfill_policy,
        pool=asset.op.pool,
    )
    def nothing():
        for spec in asset.specs:
            yield dg.MaterializeResult(asset_key=spec.key)

    return nothing


def make_without_dagster(raw: Path, folder: Path) -> None:
    """All tables of all seasons read, computed and published, a season at a time."""
    source, warehouse = ParquetFolder(raw, name=str(raw)), DuckDBWarehouse(folder / "warehouse.duckdb")
    last = date.fromisoformat(LAST)
    for tables in cascade.by_season(source, date.fromisoformat(FIRST), last):
        publications = []
        for table in TABLES:
            days = sorted(tables[table.name][table.day].dt.date.unique())
            publications.append(Publication(table, tables[table.name], days, dict.fromkeys(days, "not asked")))
        warehouse.publish(publications, run_id="benchmark", source=source.name)


if __name__ == "__main__":
    main()
