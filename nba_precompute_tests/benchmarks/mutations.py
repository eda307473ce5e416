"""What catches each damage to good tables: `python -m nba_precompute_tests.benchmarks.mutations [--raw DIR] [--season 2024-25]`.

The damages of test_mutations, with every check that finds them and not only those that the test asks for.
"""

import argparse
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

from nba_precompute_tests.conftest import REAL_DATA
from nba_precompute_tests.test_mutations import MUTATIONS, catch, make_good, season_named


def main() -> None:
    """Damage the first fifty days of a season in every way, and print what found it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", type=Path, default=REAL_DATA)
    parser.add_argument("--season", default="2024-25")
    arguments = parser.parse_args()
    grid = Grid("damage", "row", "found by", show_lines=True)
    not_found = []
    with tempfile.TemporaryDirectory() as folder:
        good = make_good(Path(folder) / "good", arguments.raw.resolve(), season_named(arguments.season))
        for damage, (row, must_find) in MUTATIONS.items():
            caught = catch(good, damage, Path(folder) / damage.__name__)
            errors, warnings = (sorted(name for name, of in caught.items() if of == level) for level in ("ERROR", "WARN"))
            grid.add_row(
                f"{damage.__name__.replace('_', ' ')}: {damage.__doc__}",
                "" if row is None else str(row),
                "\n".join([*errors, *(f"{name} (WARN)" for name in warnings)]),
            )
            not_found += [f"{damage.__name__}: {name}" for name in sorted(must_find - set(caught))]
    console = Console(width=128)
    console.print(grid)
    console.print(f"{len(MUTATIONS)} damages; not found as wanted: {'; '.join(not_found) or 'none'}")


if __name__ == "__main__":
    main()
