"""A tiny table for tests of warehouses: a team's day."""

import itertools
import string
from collections.abc import Callable, Sequence
from datetime import date

import numpy as np
import pandas as pd

from nba_precompute.storage import Publication, Warehouse
from nba_precompute.tables import columns
from nba_precompute.tables.columns import Table

MONDAY, TUESDAY = date(2024, 1, 1), date(2024, 1, 2)
COLUMNS = {
    "game_date": columns.day("partition"),
    "team_abbr": columns.team_abbr("a team"),
    "points": columns.integer("scored", "points", le=200),
    "pace": columns.number("fast or slow", "possessions"),
    "won": columns.flag("won its game", nullable=True),
}


def team_table(name: str = "team_days", description: str = "A team's day.", **changes: object) -> Table:
    """The table, with some of its columns changed or more of them."""
    return columns.table(
        dataset="nba_test",
        name=name,
        day="game_date",
        key=["game_date", "team_abbr"],
        code_version="1",
        description=description,
        columns={**COLUMNS, **changes},
    )


TABLE = team_table()


def rows(day: date, points: int = 100, teams: Sequence[str] = ("BOS", "NYK")) -> pd.DataFrame:
    """A row a team; the second's pace is missing."""
    return pd.DataFrame(
        {
            "game_date": pd.Timestamp(day),
            "team_abbr": list(teams),
            "points": points,
            "pace": [99.5, None][: len(teams)],
            "won": True,
        }
    )


def many_rows(points: int) -> pd.DataFrame:
    """A row a team of every three letters on both days, with a pace that Parquet cannot make smaller: 0.4 MB."""
    teams = ["".join(letters) for letters in itertools.product(string.ascii_uppercase, repeat=3)]
    pace = np.random.default_rng(points).uniform(90, 110, 2 * len(teams))
    days = pd.to_datetime([MONDAY, TUESDAY]).repeat(len(teams))
    return pd.DataFrame({"game_date": days, "team_abbr": [*teams, *teams], "points": points, "pace": pace, "won": True})


def publication(frame: pd.DataFrame, *days: date, table: Table = TABLE) -> Publication:
    """The rows of the days."""
    return Publication(table, frame, days, dict.fromkeys(days, "what it read"))


def publish(
    warehouse: Warehouse,
    *frames: pd.DataFrame,
    days: Sequence[date] | None = None,
    table: Table = TABLE,
    source: str = "games",
    run_id: str = "run",
    before_commit: Callable[[], None] = lambda: None,
) -> pd.DataFrame:
    """Publish the frames' days in one publication; the versions that they have from now on."""
    frame = pd.concat(frames) if frames else rows(MONDAY).head(0)
    days = days or sorted(set(frame["game_date"].dt.date))
    together = [publication(frame, *days, table=table)]
    return warehouse.publish(together, run_id=run_id, source=source, before_commit=before_commit)


def points(warehouse: Warehouse, table: Table = TABLE) -> dict[date, list[int]]:
    """The points of each day's rows."""
    found = warehouse.read(table)
    return {day.date(): sorted(of_day["points"]) for day, of_day in found.groupby("game_date")}
