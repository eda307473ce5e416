"""What a set v3 could hold: each candidate's worth beside v2_33: `python -m nba_precompute_tests.benchmarks.candidates_v3 [--raw DIR]`.

Each is worked out from games before the day, or from the slate of the day, added to the 33 features, and the model trained and measured
as `nba-precompute ablation` does it. Its worth is told with its standard error from day to day.
"""

import argparse
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table as Grid

from nba_precompute.sources.parquet_folder import ParquetFolder
from nba_precompute.tables.ml_feature_store_v2 import FEATURES
from nba_precompute.training import model as points_model
from nba_precompute.training.ablation import SEEDS, absolute_errors, mean_by_day
from nba_precompute.training.evaluation import BASELINES
from nba_precompute.training.export import LABEL, joined
from nba_precompute.training.train import parts_of
from nba_precompute_tests import cascade
from nba_precompute_tests.conftest import REAL_DATA

HALF_LIFE_GAMES = 5.0
"""Games after which a game counts half in an exponentially weighted mean."""

ROUNDS_OF_PROJECTION = 250
"""As many as the points model needs on the real games."""

WEIGHTED = {"ew_points": "points", "ew_attempts": "fg_attempts", "ew_minutes": "minutes_played"}
LAST_GAME = ["last_game_minutes", "last_game_start"]
SLATE = ["team_minutes", "minutes_rank", "minutes_share", "team_best_points", "minutes_out", "opponent_minutes"]
PROJECTION, KNOWN_MINUTES = "projected_minutes", "minutes_really_played"

CANDIDATES: Mapping[str, Sequence[str]] = {
    "last game: start, minutes": LAST_GAME,
    "exponentially weighted points": ["ew_points"],
    "exponentially weighted attempts": ["ew_attempts"],
    "exponentially weighted minutes": ["ew_minutes"],
    "minutes and points of the slate's teammates": SLATE,
    "minutes projection": [PROJECTION],
    "all but the projection": [*LAST_GAME, *WEIGHTED, *SLATE],
    "all": [*LAST_GAME, *WEIGHTED, *SLATE, PROJECTION],
    "for comparison: the minutes of the game itself": [KNOWN_MINUTES],
}


def of_games_before(games: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Of each row what the player's games of the season before the day say; NULL without one."""
    games = games.sort_values(["player_id", "game_date"], kind="stable").reset_index(drop=True)
    known = games[["game_date", "season", "player_id"]].assign(
        last_game_minutes=games["minutes_played"], last_game_start=games["starter"].astype("float64")
    )
    for name, column in WEIGHTED.items():
        values = games.assign(value=games[column].astype("float64")).groupby(["season", "player_id"], sort=False)["value"]
        known[name] = values.transform(lambda game: game.ewm(halflife=HALF_LIFE_GAMES).mean())
    found = pd.merge_asof(
        rows[["game_date", "season", "player_id"]].reset_index().sort_values("game_date", kind="stable"),
        known.sort_values("game_date", kind="stable"),
        on="game_date",
        by=["season", "player_id"],
        allow_exact_matches=False,
    )
    return found.set_index("index").reindex(rows.index)[[*LAST_GAME, *WEIGHTED]]


def of_slate(slate: pd.DataFrame) -> pd.DataFrame:
    """Of each row of a slate its place among its team's, by average minutes of the last 10 games; the doubtful count as out."""
    available = slate["injury_risk"].fillna(0) < 2
    minutes, points = slate["minutes_avg_last_10"].fillna(0.0), slate["points_avg_season"]
    team = [slate["game_date"], slate["team_abbr"]]
    found = slate[["game_date", "player_id", "team_abbr", "opponent_team_abbr"]].assign(
        team_minutes=minutes.where(available, 0.0).groupby(team).transform("sum"),
        minutes_rank=minutes.where(available).groupby(team).rank(ascending=False),
        team_best_points=points.where(available).groupby(team).transform("max"),
        minutes_out=minutes.where(~available, 0.0).groupby(team).transform("sum"),
    )
    found["minutes_share"] = minutes / found["team_minutes"].where(found["team_minutes"] > 0)
    opponents = found.drop_duplicates(["game_date", "team_abbr"])[["game_date", "team_abbr", "team_minutes"]]
    opponents = opponents.rename(columns={"team_abbr": "opponent_team_abbr", "team_minutes": "opponent_minutes"})
    found = found.merge(opponents, how="left", on=["game_date", "opponent_team_abbr"], validate="many_to_one")
    return found[["game_date", "player_id", *SLATE]]


def projected_minutes(rows: pd.DataFrame, features: Sequence[str]) -> pd.Series:
    """The minutes that a model of all earlier seasons expects; half a season for the first, whose first half has none."""
    first = rows["season"] == rows["season"].min()
    half = rows.loc[first, "game_date"].quantile(0.5)
    chunk = rows["season"].where(~first, np.where(rows["game_date"] > half, "0 second half", "0 first half"))
    projected = pd.Series(np.nan, rows.index)
    for name in sorted(chunk.unique())[1:]:
        known = rows[chunk < name].assign(**{LABEL: rows["minutes_played"]})
        model = points_model.fit(known, features, ROUNDS_OF_PROJECTION, {}, seeds=SEEDS)
        projected[chunk == name] = model.score(rows.loc[chunk == name, list(features)])
    return projected


def training_rows(source: ParquetFolder, last: date) -> pd.DataFrame:
    """The training set with every candidate."""
    tables = cascade.everything(source, source.days_with_box_scores()[0], last)
    slate, games = tables["ml_feature_store_v2"], tables["player_game_summary"]
    played = games[["game_id", "player_id", "season", LABEL, "minutes_played", "starter"]]
    rows = joined(slate, played, list(FEATURES))
    rows = rows.join(of_games_before(games, rows))
    rows = rows.merge(of_slate(slate), how="left", on=["game_date", "player_id"], validate="one_to_one")
    before = [*FEATURES, *LAST_GAME, *WEIGHTED, *SLATE]
    # minutes are no points: what the trees begin with is left out
    projection = projected_minutes(rows, [name for name in before if name not in points_model.START])
    return rows.assign(**{PROJECTION: projection, KNOWN_MINUTES: rows["minutes_played"]})


def main() -> None:
    """Train with each candidate and print what it is worth."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", type=Path, default=REAL_DATA)
    parser.add_argument("--end", type=date.fromisoformat, default=date(2025, 6, 30))
    asked = parser.parse_args()
    parts = parts_of(training_rows(ParquetFolder(asked.raw, name="benchmark"), asked.end))
    test = parts["test"]
    best = min((test[feature] - test[LABEL]).abs().mean() for feature in BASELINES.values())
    console = Console(width=120)
    alone = absolute_errors(parts, list(FEATURES))
    grid = Grid("added to v2_33", "MAE", "better than v2_33 %", "standard error %", "better than the best baseline %")
    grid.add_row("nothing", f"{alone.mean():.4f}", "", "", f"{100 * (1 - alone.mean() / best):.2f}")
    for name, added in CANDIDATES.items():
        errors = absolute_errors(parts, [*FEATURES, *added])
        worth, margin = (100 * value / alone.mean() for value in mean_by_day(alone - errors, test["game_date"]))
        of_best = 100 * (1 - errors.mean() / best)
        grid.add_row(name, f"{errors.mean():.4f}", f"{worth:+.2f}", f"{margin:.2f}", f"{of_best:.2f}")
        console.print(f"{name}: {errors.mean():.4f}")
    console.print(grid)
    console.print(f"{len(test):,} rows of {test['game_date'].min().date()} to {test['game_date'].max().date()}.")


if __name__ == "__main__":
    main()
