"""Builders of tiny games with basketball defaults, and where the development data is."""

import os
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from nba_precompute.game_days import SEASONS
from nba_precompute.home import Home
from nba_precompute.sources.parquet_folder import ParquetFolder
from nba_precompute.sources.simulated import write_simulated_league

# a shell that was set up for a real warehouse must not lend it to tests; those of `bigquery_live` ask for project and location alone
for name in [*os.environ]:
    if name.startswith("NBA_PRECOMPUTE_") and name not in (
        "NBA_PRECOMPUTE_BIGQUERY_PROJECT",
        "NBA_PRECOMPUTE_BIGQUERY_LOCATION",
    ):
        del os.environ[name]

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"
needs_real_data = pytest.mark.skipif(not REAL_DATA.is_dir(), reason=f"the development data is not at {REAL_DATA}")


def box_row(player_id: int, team: str, **values: object) -> dict[str, object]:
    """A raw box-score row: two of four from the field and a free throw in 30 minutes, unless told otherwise.

    `pts` follows from the shots unless given.
    """
    row = {
        "game_id": "0022100001",
        "game_date": pd.Timestamp("2021-10-19"),
        "season": "2021-22",
        "season_type": "Regular Season",
        "team": team,
        "player_id": player_id,
        "player_name": f"Player {player_id}",
        "starter": True,
        "minutes": 30.0,
        "fgm": 2,
        "fga": 4,
        "fg3m": 0,
        "fg3a": 0,
        "ftm": 1,
        "fta": 1,
        "oreb": 1,
        "dreb": 2,
        "reb": 3,
        "ast": 2,
        "stl": 1,
        "blk": 0,
        "tov": 1,
        "pf": 2,
        "plus_minus": 0,
        **values,
    }
    row.setdefault("pts", 2 * row["fgm"] + row["fg3m"] + row["ftm"])
    return row


def schedule_row(game_id: str, day: date | str, home: str, away: str, **values: object) -> dict[str, object]:
    """A scheduled game at 7 p.m. New York in winter."""
    day = pd.Timestamp(day)
    return {
        "game_id": game_id,
        "game_date": day,
        "season": "2021-22",
        "season_type": "Regular Season",
        "start_utc": day + pd.Timedelta(hours=24),
        "home_team": home,
        "away_team": away,
        **values,
    }


def shot_rows(
    player_id: int, places: dict[str, tuple[int, int]], game_id: str = "0022100001", **values: object
) -> pd.DataFrame:
    """Shots of a player: {place: (made, attempted)}; assisted where made unless told otherwise."""
    rows = []
    for place, (made, attempted) in places.items():
        for number in range(attempted):
            rows.append(
                {
                    "game_id": game_id,
                    "game_date": pd.Timestamp("2021-10-19"),
                    "player_id": player_id,
                    "zone": place,
                    "is_three": "3" in place,
                    "made": number < made,
                    "assisted": number < made,
                    **values,
                }
            )
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def simulated_season(tmp_path_factory: pytest.TempPathFactory) -> ParquetFolder:
    """The simulated league's 2023-24, with all its days."""
    folder = tmp_path_factory.mktemp("raw") / "league"
    write_simulated_league(folder, [season for season in SEASONS if season.name == "2023-24"])
    return ParquetFolder(folder, name="one simulated season")


@pytest.fixture(scope="session")
def home_of_weeks(simulated_season: ParquetFolder, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with all tables of the season's first weeks, ten days of the cascade among them. Whoever changes it copies its folder."""
    from nba_precompute_tests.test_runs import Platform  # which takes its builders from here

    platform = Platform(tmp_path_factory.mktemp("weeks") / "home", simulated_season.path)
    assert platform.backfill()[1] == []
    return platform.home
