"""How long the sensors `refresh_stale` and `missing_partitions` look: with nothing to do, and after a correction of any season.

`uv run python -m nba_precompute_tests.benchmarks.ticks [--raw DIR] [--home DIR]` copies the raw games, fills a home from them (or
copies one that was filled from the same games), prints a row a look and what is asked for, and ends with exit code 1 where a look
with nothing to do took longer than a second, one after a correction longer than ten, or asked for nothing. What is asked for is not
run.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table as Grid

from nba_precompute.backfill import RANGE_END_TAG, RANGE_START_TAG
from nba_precompute.definitions import build_definitions
from nba_precompute.home import Home
from nba_precompute.instance import instance_of
from nba_precompute.refresh import MISSING_SENSOR, STALE_SENSOR
from nba_precompute.sources import layout
from nba_precompute_tests.conftest import REAL_DATA

IDLE_LIMIT_SECONDS, CORRECTION_LIMIT_SECONDS = 1.0, 10.0
"""What the project promises of a look."""


def filled_home(folder: Path, raw: Path, filled: Path | None) -> Home:
    """A home over the raw games with everything that can be made."""
    home = Home(folder / "home", raw)
    if filled is None:
        command = [sys.executable, "-m", "nba_precompute", "backfill", "--raw", str(raw)]
        subprocess.run(command, env={**os.environ, "NBA_PRECOMPUTE_HOME": str(home.folder)}, check=False)
        return home
    shutil.copytree(filled, home.folder)
    with duckdb.connect(home.folder / "warehouse.duckdb") as warehouse:
        warehouse.execute("UPDATE nba_reference.source SET name = ?", [str(raw.resolve())])
    return home


def days_to_correct(raw: Path) -> list[pd.Timestamp]:
    """The first, the middle and the last day of every season of box scores."""
    rows = pd.read_parquet(raw / layout.BOX_SCORES.name, columns=["season", "game_date"]).drop_duplicates()
    chosen = []
    for _, of_season in rows.sort_values("game_date").groupby("season"):
        days = pd.to_datetime(of_season["game_date"]).tolist()
        chosen += [days[0], days[len(days) // 2], days[-1]]
    return chosen


def correct(path: Path, day: pd.Timestamp) -> None:
    """One more free throw, made, of the first player of the day."""
    was = pq.read_table(path)
    rows = was.to_pandas(date_as_object=False)
    rows.loc[rows.index[rows["game_date"] == day][0], ["pts", "ftm", "fta"]] += 1
    pq.write_table(pa.Table.from_pandas(rows, schema=was.schema, preserve_index=False), path)


def look(home: Home, instance: dg.DagsterInstance, sensor: str) -> tuple[float, str]:
    """How long one look of a sensor takes, and what it asks for."""
    definitions = build_definitions(home)
    with dg.build_sensor_context(instance=instance, definitions=definitions) as context:
        started = time.monotonic()
        ticked = definitions.resolve_sensor_def(sensor).evaluate_tick(context)
        took = time.monotonic() - started
    runs = [
        f"{len(request.asset_selection)} tables {request.tags[RANGE_START_TAG]} to {request.tags[RANGE_END_TAG]}"
        for request in ticked.run_requests
    ]
    return took, "; ".join(runs) or str(ticked.skip_message)


def main() -> None:
    """Look, correct, look; print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", type=Path, default=REAL_DATA)
    parser.add_argument("--home", type=Path, help="a home that was filled from the same games")
    asked = parser.parse_args()
    grid = Grid("look", "of", "seconds", "limit", "asks for", title=f"Looks at {asked.raw}, in one process")
    wrong = False
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        shutil.copytree(asked.raw, raw)
        games = raw / layout.BOX_SCORES.name
        games.chmod(0o644)
        as_it_was = games.read_bytes()
        home = filled_home(Path(folder), raw, asked.home)

        def row(words: str, sensor: str, limit: float, must_ask: bool = False) -> None:
            nonlocal wrong
            took, asks = look(home, instance, sensor)
            wrong |= took > limit or (must_ask != (" tables " in asks))
            grid.add_row(words, sensor, f"{took:.2f}", f"{limit:g}", asks)

        with instance_of(home) as instance:
            row("first of the process", STALE_SENSOR, CORRECTION_LIMIT_SECONDS)
            for _ in range(3):
                for sensor in (STALE_SENSOR, MISSING_SENSOR):
                    row("nothing to do", sensor, IDLE_LIMIT_SECONDS)
            for day in days_to_correct(raw):
                correct(games, day)
                row(f"box score of {day.date()} corrected", STALE_SENSOR, CORRECTION_LIMIT_SECONDS, must_ask=True)
                games.write_bytes(as_it_was)
            row("all as it was, files read again", STALE_SENSOR, CORRECTION_LIMIT_SECONDS)
    Console(width=160).print(grid)
    sys.exit(wrong)


if __name__ == "__main__":
    main()
