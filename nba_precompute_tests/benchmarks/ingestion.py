"""Print what ingesting a whole season costs and whether its tables are the same: `... benchmarks.ingestion --raw DIR`.

A server on loopback answers from the folder's season in the API's shapes, nba_api's client asks it without a pause, and what is
written is compared with the folder cell by cell in the columns of the layout. A real run has the pause on top: a second a request.
"""

import argparse
import tempfile
import time
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

from nba_precompute.ingestion import ingest
from nba_precompute.sources import layout, raw_folder
from nba_precompute.sources.stats_api import PAUSE_SECONDS, RESPONSES, StatsApi
from nba_precompute_tests.conftest import REAL_DATA
from nba_precompute_tests.stats_server import league_of, serving

SEASON = "2024-25"
AFTERWARDS = date(2025, 8, 1)


def in_order(rows, file):
    """The layout's columns as it stores them, in an order that follows from the rows alone."""
    rows = rows.assign(**{name: rows[name].dt.tz_localize(None) for name in rows if getattr(rows[name].dtype, "tz", None)})
    return raw_folder.as_stored(rows, file).sort_values(list(file.columns), ignore_index=True)


def cells_that_differ(folder, file, expected):
    """How many cells differ, and in how many rows; every cell where the numbers of rows do."""
    found, expected = (
        in_order(rows, file)
        for rows in (raw_folder.read(folder, file, "game_id", list(expected["game_id"].unique())), expected)
    )
    if len(found) != len(expected):
        return max(found.size, expected.size)
    return int(((found != expected) & ~(found.isna() & expected.isna())).to_numpy().sum())


def main(raw: Path) -> bool:
    league = league_of(raw, AFTERWARDS, SEASON)
    console = Console(width=120)
    runs = Grid("run", "requests", "seconds", f"with {PAUSE_SECONDS:g} s a request, minutes", title=f"Ingesting {SEASON}")
    with tempfile.TemporaryDirectory() as temporary, serving(league) as server:
        folder = Path(temporary)
        for name, api in [
            ("first", StatsApi(server.url, pause_seconds=0)),
            ("again", StatsApi(server.url, pause_seconds=0)),
            ("offline, tables removed", None),
        ]:
            if api is None:
                for file in (layout.SCHEDULE, layout.BOX_SCORES, layout.SHOTS, layout.PLAYERS):
                    (folder / file.name).unlink()
            server.forget()
            started = time.monotonic()
            found = ingest(folder, api, SEASON, date(2024, 8, 1), AFTERWARDS, AFTERWARDS, play_by_play=True)
            seconds, asked = time.monotonic() - started, len(server.asked)
            runs.add_row(name, f"{asked:,}", f"{seconds:.0f}", f"{(seconds + PAUSE_SECONDS * asked) / 60:.0f}")
            assert found.is_complete, found
        kept = list((folder / RESPONSES).rglob("*.gz"))
        console.print(runs)
        size = sum(file.stat().st_size for file in kept)
        console.print(f"{len(kept):,} answers kept, {size / 1e6:.0f} MB; {len(found.without_shots)} games without a shot chart")
        tables = Grid("table", "rows", "columns", "cells", "cells that differ", title="Against the folder, cell by cell")
        same = True
        for file, expected in [
            (layout.SCHEDULE, league.schedule),
            (layout.BOX_SCORES, league.box_scores),
            (layout.SHOTS, league.shots),
        ]:
            differ = cells_that_differ(folder, file, expected)
            columns = len(file.columns)
            tables.add_row(file.name, f"{len(expected):,}", str(columns), f"{len(expected) * columns:,}", f"{differ:,}")
            same = same and differ == 0
        console.print(tables)
    return same


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", type=Path, default=REAL_DATA)
    raise SystemExit(0 if main(parser.parse_args().raw) else 1)
