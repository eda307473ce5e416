"""How good predictions are, beside the baselines on exactly the same rows: by group, month, season and feature.

Units: points. An error is prediction minus points, so that a positive bias promises too much. Nothing is fitted here.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from nba_precompute.training.export import LABEL

MODEL, LINE = "model", "points line"
"""The predictors beside the baselines: the model, and the bookmakers' own line, which is no baseline: few rows have one."""

BASELINES: Mapping[str, str] = {
    "last 5": "points_avg_last_5",
    "last 10": "points_avg_last_10",
    "season average": "points_avg_season",
}
"""What anybody could say without a model, each a feature."""

REGULAR_MINUTES = 15.0
"""Minutes in the game itself from which a player counts as a regular; known only afterwards, so errors are grouped by it alone."""

EVERYBODY, REGULARS, STARTERS, WITH_LINE = "all who played", "15 minutes or more", "starters", "with a points line"

GROUPS: Mapping[str, Callable[[pd.DataFrame], pd.Series]] = {
    EVERYBODY: lambda rows: pd.Series(True, rows.index),
    REGULARS: lambda rows: rows["minutes_played"] >= REGULAR_MINUTES,
    STARTERS: lambda rows: rows["starter"].astype("boolean").fillna(False).astype(bool),  # of some games it is not known
    WITH_LINE: lambda rows: rows["vegas_points_line"].notna(),
}

CLASS_POINTS = 3.0
"""Width of the classes in which what was said is set beside what was scored."""

SHUFFLE_SEED = 0
"""Of the permutation importance."""


def predictions(rows: pd.DataFrame, scores: pd.Series) -> pd.DataFrame:
    """What each predictor says of each row: the model, the baselines and the line; NULL where one says nothing."""
    named = {MODEL: scores, **{name: rows[feature] for name, feature in BASELINES.items()}, LINE: rows["vegas_points_line"]}
    return pd.DataFrame({name: values.astype("float64") for name, values in named.items()})


def comparable(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of which every baseline says something, so that all are measured on the same."""
    return rows[rows[list(BASELINES.values())].notna().all(axis=1)]


def measures(said: pd.Series, points: pd.Series) -> dict[str, float]:
    """Mean absolute error, root of the mean squared error and bias."""
    errors = said - points.astype("float64")
    return {"mae": float(errors.abs().mean()), "rmse": float(np.sqrt((errors**2).mean())), "bias": float(errors.mean())}


def compare(rows: pd.DataFrame, said: pd.DataFrame) -> pd.DataFrame:
    """A row a predictor that says something of every row: rows, mae, rmse, bias, and `better`, by how many percent its mean
    absolute error is below the best baseline's."""
    full = said.loc[:, said.notna().all()]
    table = pd.DataFrame({name: measures(full[name], rows[LABEL]) for name in full}).T
    best = table.loc[list(BASELINES), "mae"].min()
    return table.assign(rows=len(rows), better=100 * (1 - table["mae"] / best)).rename_axis("predictor").reset_index()


def by_group(rows: pd.DataFrame, said: pd.DataFrame) -> pd.DataFrame:
    """`compare` of each group that has rows, with the column `group`."""
    chosen = {name: is_of_group(rows) for name, is_of_group in GROUPS.items()}
    return _stacked({name: of_group for name, of_group in chosen.items() if of_group.any()}, "group", rows, said)


def by_month(rows: pd.DataFrame, said: pd.DataFrame) -> pd.DataFrame:
    """`compare` of each month, e.g. 2024-11, with the column `month`."""
    months = rows["game_date"].dt.strftime("%Y-%m")
    return _stacked({month: months == month for month in sorted(months.unique())}, "month", rows, said)


def by_season(rows: pd.DataFrame, said: pd.DataFrame) -> pd.DataFrame:
    """`compare` of each season, with the column `season`."""
    return _stacked({name: rows["season"] == name for name in sorted(rows["season"].unique())}, "season", rows, said)


def _stacked(chosen: Mapping[str, pd.Series], column: str, rows: pd.DataFrame, said: pd.DataFrame) -> pd.DataFrame:
    parts = [compare(rows[of_part], said[of_part]).assign(**{column: name}) for name, of_part in chosen.items()]
    table = pd.concat(parts, ignore_index=True)
    return table[[column, *(name for name in table if name != column)]]


def best_baseline(table: pd.DataFrame) -> pd.Series:
    """The row of the baseline with the least mean absolute error in what `compare` gives."""
    baselines = table[table["predictor"].isin(list(BASELINES))]
    return baselines.loc[baselines["mae"].idxmin()]


def calibration(said: pd.Series, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows in classes of CLASS_POINTS points of what was said: rows, mean said, mean scored."""
    of_class = (said // CLASS_POINTS * CLASS_POINTS).rename("from")
    table = pd.DataFrame({"said": said, "scored": rows[LABEL].astype("float64")}).groupby(of_class)
    return table.mean().assign(rows=table.size()).reset_index()


def permutation_importance(
    score: Callable[[pd.DataFrame], pd.Series], rows: pd.DataFrame, features: Sequence[str]
) -> pd.Series:
    """By how many points the mean absolute error grows when a feature's values are shuffled among the rows, a feature."""
    frame, points = rows[list(features)], rows[LABEL]
    error = measures(score(frame), points)["mae"]
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(frame))
    return pd.Series(
        {name: measures(score(frame.assign(**{name: frame[name].array[order]})), points)["mae"] - error for name in features}
    )
