"""How soon a backfill ends when it is interrupted, from its first moment to its last.

`uv run python -m nba_precompute_tests.benchmarks.interruptions [--raw DIR] [--season 2023-24] [--times 16]` prints a row an
interruption, Ctrl-C and SIGTERM in turn, and ends with exit code 1 if one took longer than two seconds or was not as it must be.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

from nba_precompute.game_days import SEASONS
from nba_precompute.home import DAGSTER_FOLDER, Home
from nba_precompute.instance import instance_of
from nba_precompute_tests.benchmarks.kills import command_over, going_on
from nba_precompute_tests.conftest import REAL_DATA

LIMIT_SECONDS = 2.0

FIRST_MOMENT_SECONDS = 0.2
"""Before, it is Python that starts."""


def interrupted(home: Home, season: str, moment: float, number: signal.Signals) -> tuple[str, float, list[str]]:
    """What was going on, how long the end took, and what is wrong with it."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(**command_over(home, season), stdout=subprocess.DEVNULL, stderr=said)
        time.sleep(moment)
        process.send_signal(number)
        sent = time.monotonic()
        code = process.wait()
        took = time.monotonic() - sent
        said.seek(0)
        lines = said.read().splitlines()
    words, statuses = "before the first run", set()
    if (home.folder / DAGSTER_FOLDER).exists():
        with instance_of(home) as instance:
            words = going_on(instance)
            statuses = {run.status.value for run in instance.get_runs()}
    wrong = [f"exit code {code}"] if code != 2 else []
    wrong += [f"a run is {status}" for status in statuses - {"CANCELED", "SUCCESS"}]
    wrong += [] if lines and lines[-1].startswith("Interrupted. ") and "Traceback" not in "".join(lines) else ["its last words"]
    wrong += [f"more than {LIMIT_SECONDS:g} s"] if took > LIMIT_SECONDS else []
    return words, took, wrong


def main() -> None:
    """Interrupt, measure, print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", type=Path, default=REAL_DATA)
    parser.add_argument("--season", default="2023-24", choices=[season.name for season in SEASONS])
    parser.add_argument("--times", type=int, default=16)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        subprocess.run(**command_over(Home(Path(folder) / "whole", asked.raw), asked.season), capture_output=True, check=False)
        duration = time.monotonic() - started
        grid = Grid("signal", "after", "last record", "ended after", "wrong", title=f"Undisturbed in {duration:.1f} s")
        is_right = True
        for number in range(asked.times):
            moment = FIRST_MOMENT_SECONDS + (duration - 2 * FIRST_MOMENT_SECONDS) * number / asked.times
            name = signal.SIGTERM if number % 2 else signal.SIGINT
            home = Home(Path(folder) / f"interrupted {number}", asked.raw)
            words, took, wrong = interrupted(home, asked.season, moment, name)
            is_right &= not wrong
            grid.add_row(name.name, f"{moment:.1f} s", words, f"{took:.2f} s", ", ".join(wrong) or "nothing")
        Console(width=120).print(grid)
    sys.exit(not is_right)


if __name__ == "__main__":
    main()
