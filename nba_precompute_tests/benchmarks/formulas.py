"""What the formulas cost alone, without Dagster and storage: `python -m nba_precompute_tests.benchmarks.formulas [--raw DIR]`.

All nine tables of every season of the folder (by default the development data), a season at a time; reading is counted apart.
"""

import argparse
import resource
import time
from collections import defaultdict
from datetime import date
from functools import wraps
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

from nba_precompute.sources.parquet_folder import ParquetFolder
from nba_precompute_tests import cascade
from nba_precompute_tests.conftest import REAL_DATA

STEPS = [
    "raw_games",
    "player_game_summary",
    "team_offense_game_summary",
    "team_defense_game_summary",
    "upcoming_team_game_context",
    "upcoming_player_game_context",
    "team_defense_zone_analysis",
    "player_shot_zone_analysis",
    "player_composite_factors",
    "ml_feature_store_v2",
]


def main() -> None:
    """Time each table's formulas over all seasons and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", type=Path, default=REAL_DATA)
    source = ParquetFolder(parser.parse_args().raw, name="benchmark")
    days = source.days_with_box_scores()
    seconds: dict[str, float] = defaultdict(float)
    for step in STEPS:
        setattr(cascade, step, timed(getattr(cascade, step), step, seconds))
    began = time.monotonic()
    tables = cascade.everything(source, days[0], min(days[-1], date.today()))
    total = time.monotonic() - began
    grid = Grid("step", "seconds", "rows")
    for step in STEPS:
        grid.add_row("reading" if step == "raw_games" else step, f"{seconds[step]:.2f}", f"{len(tables.get(step, [])):,}")
    other = total - sum(seconds.values())
    grid.add_row("checks of raw games, concatenation", f"{other:.2f}", "")
    grid.add_row("formulas alone (without reading)", f"{total - seconds['raw_games']:.2f}", "")
    console = Console(width=110)
    console.print(grid)
    console.print(f"{days[0]} to {days[-1]}, {total:.1f} s in all, peak memory {peak_gib():.2f} GiB")


def timed(function, step, seconds):
    """The function, adding its time to `seconds`."""

    @wraps(function)
    def measured(*args, **kwargs):
        began = time.monotonic()
        result = function(*args, **kwargs)
        seconds[step] += time.monotonic() - began
        return result

    return measured


def peak_gib() -> float:
    """Peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
