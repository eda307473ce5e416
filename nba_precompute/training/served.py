"""What was said of days that are over: beside what the model says of the features as they are now, what was scored, and baselines.

Grain: one row a prediction of a day with box scores that its model had not seen. Points; an error is prediction minus points.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from nba_precompute.home import Home
from nba_precompute.tables.ml_feature_store_v2 import ML_FEATURE_STORE_V2
from nba_precompute.tables.player_game_summary import PLAYER_GAME_SUMMARY
from nba_precompute.tables.points_predictions import POINTS_PREDICTIONS
from nba_precompute.training import TrainingError
from nba_precompute.training.evaluation import BASELINES
from nba_precompute.training.export import LABEL

if TYPE_CHECKING:
    from nba_precompute.training.model import PointsModel

MODEL_GONE = "its model is not there any more"
"""In place of the names of features, of a prediction that cannot be compared with what its model would say today."""

MOVED_POINTS = 0.5
"""From here on a prediction that comes out otherwise today is told of: a tenth of the usual error."""

EXAMPLES = 5
"""Of predictions that moved, named with the features that changed."""

FEWEST_ROWS = 1000
"""Below it the mean errors of model and baseline differ by chance: their difference settles to 0.1 points."""


@dataclass(frozen=True)
class Judged:
    """What a check says."""

    passed: bool
    words: str
    numbers: Mapping[str, float]


def compare(home: Home, model_of: Callable[[str], "PointsModel"]) -> pd.DataFrame:
    """A row a prediction: keys, is_before_tip_off, predicted_points, refreshed_points (NULL where he is not on the slate any more),
    changed (names of features), points (NULL where he did not play), and the baselines.

    `model_of` gives the model of a version, or raises TrainingError: then refreshed_points are NULL, and changed says why.
    """
    said = home.warehouse.read(POINTS_PREDICTIONS)
    said = said[said["is_unseen_day"].astype(bool)]
    if said.empty:
        return frame_of(
            said, said["predicted_points"], pd.Series(dtype="object"), home.warehouse.read(PLAYER_GAME_SUMMARY).head(0)
        )
    first, last = said["game_date"].min().date(), said["game_date"].max().date()
    games = home.warehouse.read(PLAYER_GAME_SUMMARY, first, last, ["game_date", "game_id", "player_id", LABEL])
    said = said[said["game_date"].isin(games["game_date"])].reset_index(drop=True)
    now = said[["game_date", "player_id"]].merge(
        home.warehouse.read(ML_FEATURE_STORE_V2, first, last), how="left", on=["game_date", "player_id"], validate="one_to_one"
    )
    refreshed = pd.Series(np.nan, said.index)
    changed = pd.Series("", said.index)
    for version, rows in said.groupby("model_version"):
        try:
            model = model_of(str(version))
        except TrainingError:
            changed[rows.index] = MODEL_GONE
            continue
        features = now.loc[rows.index, list(model.features)]
        on_slate = now.loc[rows.index, "game_id"].notna()
        refreshed[rows.index[on_slate]] = model.score(features[on_slate])
        used = pd.DataFrame(map(json.loads, rows["feature_row"]), rows.index)[list(model.features)]
        changed[rows.index] = names_of_changes(used, features)
    return frame_of(said, refreshed, changed, games)


def frame_of(said: pd.DataFrame, refreshed: pd.Series, changed: pd.Series, games: pd.DataFrame) -> pd.DataFrame:
    """The rows that `compare` gives."""
    used = pd.DataFrame([json.loads(row) for row in said["feature_row"]], said.index, columns=list(BASELINES.values()))
    rows = said[["game_date", "game_id", "player_id", "player_lookup", "is_before_tip_off", "predicted_points"]].assign(
        refreshed_points=refreshed, changed=changed, **{name: used[feature] for name, feature in BASELINES.items()}
    )
    return rows.merge(games[["game_id", "player_id", LABEL]], how="left", on=["game_id", "player_id"], validate="one_to_one")


def names_of_changes(used: pd.DataFrame, now: pd.DataFrame) -> pd.Series:
    """Of each row the features that are others now, in words."""
    before, after = (frame.to_numpy("float64", na_value=np.nan) for frame in (used.astype("float64"), now))
    differs = ~np.isclose(before, after, rtol=1e-9, atol=1e-9, equal_nan=True)
    return pd.Series([", ".join(used.columns[row]) for row in differs], used.index, dtype="object")


def moved(found: pd.DataFrame) -> Judged:
    """Whether what was said is what would be said today, of those whose model is still there."""
    found = found[found["changed"] != MODEL_GONE]
    gone = found["refreshed_points"].isna()
    by = (found["refreshed_points"] - found["predicted_points"]).abs()
    far = found[(by >= MOVED_POINTS) | gone]
    examples = "; ".join(
        f"{row.game_date.date()} {row.player_lookup}: "
        + (
            "not on the slate any more"
            if pd.isna(row.refreshed_points)
            else f"{row.predicted_points:.1f} then, {row.refreshed_points:.1f} now ({row.changed})"
        )
        for row in far.head(EXAMPLES).itertuples()
    )
    words = (
        f"{len(far)} of {len(found)} predictions would be others today by {MOVED_POINTS} points or more, or are of players who are "
        f"not on the slate any more: {examples}. What they were made from came late or was corrected."
        if len(far)
        else f"All {len(found)} predictions are what the model says of the features as they are now, within {MOVED_POINTS} points."
    )
    numbers = {
        "predictions": len(found),
        "moved": len(far),
        "gone_from_slate": int(gone.sum()),
        "most_points": float(by.max()) if by.notna().any() else 0.0,
    }
    return Judged(far.empty, words, numbers)


def errors(found: pd.DataFrame) -> Judged:
    """Whether what was said of those who played errs less than the best baseline on the same rows."""
    played = found.dropna(subset=[LABEL, *BASELINES])
    if len(played) < FEWEST_ROWS:
        words = f"Nothing to judge yet: {len(played)} predictions of players who then played, and fewer than {FEWEST_ROWS} say nothing."
        return Judged(True, words, {"rows": len(played)})
    mae = {name: float((played[name] - played[LABEL]).abs().mean()) for name in ("predicted_points", *BASELINES)}
    best = min(BASELINES, key=lambda name: mae[name])
    better = 100 * (1 - mae["predicted_points"] / mae[best])
    words = (
        f"{mae['predicted_points']:.3f} points of mean absolute error on {len(played):,} rows, {best} {mae[best]:.3f}: "
        f"{abs(better):.2f} % "
        + ("better." if better > 0 else "worse. Train again, on days up to now: `nba-precompute train`.")
    )
    return Judged(
        better > 0,
        words,
        {"rows": len(played), "mae": mae["predicted_points"], "best_baseline_mae": mae[best], "improvement_percent": better},
    )


def by_day(found: pd.DataFrame) -> pd.DataFrame:
    """A row a day: predictions, those who played, errors of what was said, of what would be said today, and of the baselines."""
    points = found[LABEL].astype("float64")
    said = {"served": "predicted_points", "refreshed": "refreshed_points", **{name: name for name in BASELINES}}
    table = pd.DataFrame({f"MAE {name}": (found[column] - points).abs() for name, column in said.items()})
    table = table.groupby(found["game_date"]).mean()
    days = found.groupby("game_date")
    table.insert(0, "before tip-off", days["is_before_tip_off"].all())
    table.insert(1, "predictions", days.size())
    table.insert(2, "played", days[LABEL].count())
    return table


def as_markdown(table: pd.DataFrame) -> str:
    """A table of days."""
    lines = ["| day | " + " | ".join(table.columns) + " |", "|---" * (len(table.columns) + 1) + "|"]
    for row in table.itertuples():
        cells = [f"{value:.3f}" if isinstance(value, float) else str(value) for value in row[1:]]
        lines.append(f"| {row[0].date()} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
