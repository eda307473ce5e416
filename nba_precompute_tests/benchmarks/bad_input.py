"""The table of bad inputs: `python -m nba_precompute_tests.benchmarks.bad_input [WORD ...]`, of all or of those with a word in them.

Each is done to a copy of a good home, whose user then backfills all tables: what he is told, the exit code, and what is left.
"""

import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

from nba_precompute.game_days import SEASONS
from nba_precompute.sources.parquet_folder import ParquetFolder
from nba_precompute.sources.simulated import write_simulated_league
from nba_precompute.storage import WarehouseError
from nba_precompute_tests.bad_input import CASES, Case, Place, copy_of, hashes, in_one_line, make_good, meet, what_is_left

WIDTH = 200

UNTOUCHED = "not touched"
"""What cannot be read; the test compares its bytes."""


def row(case: Case, good: Place, folder: Path) -> tuple[str, str, str, str]:
    """What is done, what is said of it (without the folders of this trial), how the backfill ends, and what is left."""
    place = copy_of(good, folder)
    before = hashes(place)
    met = meet(case, place)
    try:
        left = what_is_left(before, hashes(place)) if place.warehouse.exists() else UNTOUCHED
    except WarehouseError:
        left = UNTOUCHED
    return case.input, in_one_line(met.err).replace(f"{place.folder}/", ""), str(met.exit_code), left


def main() -> None:
    """Make a good home, meet every case and print the table."""
    words = sys.argv[1:]
    grid = Grid("input", "message", "exit code", "what is left", show_lines=True)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_simulated_league(folder / "league", [season for season in SEASONS if season.name == "2023-24"])
        good = make_good(ParquetFolder(folder / "league", name="league"), folder / "good")
        for number, case in enumerate(case for case in CASES if not words or any(word in case.input for word in words)):
            grid.add_row(*row(case, good, folder / str(number)))
    Console(width=WIDTH).print(grid, markup=False)


if __name__ == "__main__":
    main()
