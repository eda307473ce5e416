"""The same seasons made in both warehouses, DuckDB's file and BigQuery on its emulator, and compared row by row; what was asked of it.

`uv run python -m nba_precompute_tests.benchmarks.warehouses [--raw DIR] [--seasons 2023-24 ...]` prints a row a table, then the jobs
and bytes of each season and of one date made again, and ends with exit code 1 if a key or a value differs. The emulator's seconds
say nothing of BigQuery's. It scans and bills nothing by its statistics: that is computed from the days and columns of each query, those
of the command line around its runs among them (`bigquery_bytes`), and is counted on a real project.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table as Grid

from nba_precompute.assets import TABLES
from nba_precompute.game_days import SEASONS
from nba_precompute.home import Home
from nba_precompute.instance import instance_of
from nba_precompute.materialization import COST_TAG
from nba_precompute.storage import Warehouse
from nba_precompute.tables.columns import Table
from nba_precompute_tests.bigquery_bytes import Scanned, scanned_by
from nba_precompute_tests.conftest import REAL_DATA
from nba_precompute_tests.local_bigquery import local_bigquery

PREFIX = "seasons_"


def backfill(home: Path, raw: Path | None, environment: dict[str, str], *arguments: str) -> float:
    """Seconds that the command takes over the home."""
    started = time.perf_counter()
    of_home = {name: value for name, value in os.environ.items() if not name.startswith("NBA_PRECOMPUTE")}
    command = [sys.executable, "-m", "nba_precompute", "backfill", *(["--raw", str(raw)] if raw else []), *arguments]
    done = subprocess.run(
        command, env=of_home | environment | {"NBA_PRECOMPUTE_HOME": str(home)}, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return time.perf_counter() - started


def comparison(table: Table, one: Warehouse, other: Warehouse) -> tuple[int, int, int]:
    """Rows in the first; keys that only one has; values that differ, of columns compared one by one in the rows of both."""
    left, right = (warehouse.read(table).set_index(list(table.key)) for warehouse in (one, other))
    both = left.index.intersection(right.index)
    missing = len(left.index.symmetric_difference(right.index))
    left, right = left.loc[both], right.loc[both]
    different = sum(
        int((~(left[name].eq(right[name]).fillna(False) | (left[name].isna() & right[name].isna()))).sum()) for name in left
    )
    return len(left) + missing, missing, different


def cost(home: Path) -> Counter[str]:
    """What all runs in the history of the home asked of the warehouse."""
    total: Counter[str] = Counter()
    with instance_of(Home(home)) as instance:
        for run in instance.get_runs():
            total.update({name.removeprefix(COST_TAG): int(value) for name, value in run.tags.items() if COST_TAG in name})
    return total


def main() -> None:
    """Make, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=REAL_DATA if REAL_DATA.is_dir() else None)
    parser.add_argument("--seasons", nargs="+", default=["2023-24"])
    asked = parser.parse_args()
    wanted = [season for season in SEASONS if season.name in asked.seasons]
    console = Console(width=140)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with local_bigquery(folder) as local:
            environment = local.environment(PREFIX)
            seconds = {"DuckDB": 0.0, "BigQuery's emulator": 0.0}
            one, other = Home(folder / "file").warehouse, local.warehouse(PREFIX)
            asked_for = [(Counter(), 0)]  # what all runs asked of BigQuery, and how many requests there were
            for season in wanted:
                days = ["--start", str(season.first_game), "--end", str(season.last_game)]
                seconds["DuckDB"] += backfill(folder / "file", asked.raw, {}, *days)
                seconds["BigQuery's emulator"] += backfill(folder / "bigquery", asked.raw, environment, *days)
                asked_for.append((cost(folder / "bigquery"), len(local.proxy.requests)))
            grid = Grid(title=f"{', '.join(asked.seasons)} of {asked.raw or 'the simulated league'}")
            for heading in ("table", "rows", "columns", "keys of one alone", "values that differ", "content hashes"):
                grid.add_column(heading, justify="left" if heading == "table" else "right")
            differing = 0
            hashes = [
                warehouse.partition_versions().set_index(["table_name", "day"])["content_hash"] for warehouse in (one, other)
            ]
            for table in TABLES:
                rows, missing, different = comparison(table, one, other)
                of_table = [found[table.qualified_name] for found in hashes]
                same = of_table[0].equals(of_table[1])
                differing += missing + different + (not same)
                grid.add_row(
                    table.name, f"{rows:,}", str(len(table.columns)), str(missing), str(different),
                    f"{len(of_table[0])} {'equal' if same else 'DIFFER'}",
                )  # fmt: skip
            console.print(grid)

            last = str(pd.Timestamp(hashes[1].index.get_level_values("day").max()).date())
            before_date = (cost(folder / "bigquery"), len(local.proxy.requests))
            seconds[f"BigQuery's emulator, {last} alone"] = backfill(
                folder / "bigquery", asked.raw, environment, "--start", last, "--end", last, "--force"
            )
            of_date = (before_date, (cost(folder / "bigquery"), len(local.proxy.requests)))
            bill = Grid(
                title="What was asked of BigQuery: jobs and loads by its statistics, what is scanned and billed by its rules"
            )
            for heading in ("", "jobs", "bytes loaded", "bytes scanned, computed", "bytes billed, computed"):
                bill.add_column(heading, justify="right" if heading else "left")
            scanned = scanned_by(local.proxy.requests, other, TABLES)
            names = [f"{season.name}, made" for season in wanted]
            periods = [*zip(names, pairwise(asked_for), strict=True), (f"{last}, made again", of_date)]
            if len(wanted) > 1:
                periods.insert(-1, (f"{len(wanted)} seasons, made", (asked_for[0], asked_for[-1])))
            for title, ((before, first), (after, end)) in periods:
                queries, by_statistics = Scanned.all_of(scanned[first:end]), after - before
                bill.add_row(
                    title, f"{by_statistics['jobs']:,}", f"{by_statistics['bytes_loaded']:,}",
                    f"{queries.scanned:,}", f"{queries.billed:,}",
                )  # fmt: skip
            console.print(bill)
            console.print(", ".join(f"{title}: {value:.0f} s" for title, value in seconds.items()))
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
