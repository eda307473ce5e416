"""Training: which days a model is trained on and measured on, in time order, and the report of how good it is.

Three parts of consecutive days: the model of the first says on the second how many rounds are enough; one of so many rounds is then
fitted to both, and measured on the third, which nothing was chosen by. That one is the model that is written and served.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from typing import Any

import pandas as pd

from nba_precompute.training import TrainingError, evaluation
from nba_precompute.training import model as points_model
from nba_precompute.training.evaluation import BASELINES, MODEL, comparable
from nba_precompute.training.export import TrainingSet
from nba_precompute.training.model import PointsModel, Say, library

TRAIN, VALIDATION, TEST = "train", "validation", "test"

FEWEST_DAYS_OF_A_SEASON = 30
"""Below it a season that has begun is measured together with the one before: 4,000 rows settle a mean error to 0.06 points."""

SHARES = {TRAIN: 0.6, VALIDATION: 0.2, TEST: 0.2}
"""Of the days, where they are of fewer than three seasons."""

FEWEST_DAYS = 5
"""Of eligible days with rows: three parts of fewer days would be no parts."""


@dataclass(frozen=True)
class Trained:
    """A model, and what is said of it (JSON types alone)."""

    model: PointsModel
    report: Mapping[str, Any]


def split(days: Sequence[date], seasons: Sequence[str]) -> dict[str, list[date]]:
    """The days of each part: the last season is the test, the one before it validation; of fewer than three seasons, shares.

    `seasons` says of each day its season; days are in order.
    """
    if len(days) < FEWEST_DAYS:
        raise TrainingError(
            f"There are {len(days)} days with rows, and training needs at least {FEWEST_DAYS}. Give a wider range."
        )
    by_season = pd.Series(list(days)).groupby(list(seasons), sort=True).apply(list).tolist()
    if len(by_season) > 1 and len(by_season[-1]) < FEWEST_DAYS_OF_A_SEASON:
        begun = by_season.pop()
        by_season[-1] = by_season[-1] + begun
    if len(by_season) >= len(SHARES):
        before = [day for of_season in by_season[:-2] for day in of_season]
        return {TRAIN: before, VALIDATION: by_season[-2], TEST: by_season[-1]}
    first, second = (round(share * len(days)) for share in (SHARES[TRAIN], SHARES[TRAIN] + SHARES[VALIDATION]))
    return {TRAIN: list(days[:first]), VALIDATION: list(days[first:second]), TEST: list(days[second:])}


def parts_of(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each part, those alone of which every baseline says something."""
    rows = comparable(rows)
    seasons = rows.groupby(rows["game_date"].dt.date)["season"].first()
    return {
        name: rows[rows["game_date"].dt.date.isin(days)] for name, days in split(list(seasons.index), list(seasons)).items()
    }


def plan(training_set: TrainingSet) -> dict[str, Any]:
    """What would be trained on what, and what there is to beat, as JSON types; nothing is trained."""
    parts = parts_of(training_set.rows)
    test = parts[TEST]
    baselines = evaluation.compare(test, evaluation.predictions(test, test[BASELINES["season average"]]))
    return {
        "features_version": training_set.manifest["features_version"],
        "features": list(training_set.features),
        "split": {name: _span(rows) for name, rows in parts.items()},
        "rows_without_a_baseline": len(training_set.rows) - sum(map(len, parts.values())),
        "to_beat": records(baselines[baselines["predictor"].isin(list(BASELINES))].drop(columns="better")),
    }


def train(training_set: TrainingSet, say: Say = lambda _: None) -> Trained:
    """Train on the set's rows, and measure on those of its last part."""
    planned, parts = plan(training_set), parts_of(training_set.rows)
    features, manifest = list(training_set.features), training_set.manifest
    rounds = points_model.rounds_needed(parts[TRAIN], parts[VALIDATION], features, say)
    before = pd.concat([parts[TRAIN], parts[VALIDATION]])
    made_from = {
        "source": manifest["source"],
        "features_version": manifest["features_version"],
        "first_day": str(before["game_date"].min().date()),
        "last_day": str(before["game_date"].max().date()),
        "rows_fitted": str(len(before)),
        "rounds": str(rounds),
        "data_version": manifest["data_version"],
        "code_version": version("nba-precompute"),
        "features_code_version": manifest["code_version"]["ml_feature_store_v2"],
        "xgboost": library().__version__,
    }
    model = points_model.fit(before, features, rounds, made_from)
    say(f"fitted to {len(before):,} rows of {made_from['first_day']} to {made_from['last_day']}")
    test = parts[TEST]
    said = evaluation.predictions(test, model.score(test[features]))
    permuted = evaluation.permutation_importance(model.score, test, features)
    report = {
        "model": model.file_name,
        "version": model.version,
        "made_from": made_from,
        **planned,
        "parameters": {**points_model.PARAMETERS, "seeds": list(points_model.SEEDS), "start": dict(points_model.START)},
        "point_in_time": manifest["point_in_time"]["every_date_before_its_row"],
        "groups": records(evaluation.by_group(test, said)),
        "months": records(evaluation.by_month(test, said)),
        "seasons": records(season_by_season(before, test, said, features, rounds)),
        "calibration": records(evaluation.calibration(said[MODEL], test)),
        "importance": records(importance(model, permuted)),
    }
    return Trained(model, report)


def season_by_season(
    before: pd.DataFrame, test: pd.DataFrame, said: pd.DataFrame, features: Sequence[str], rounds: int
) -> pd.DataFrame:
    """Each season measured with a model of the days before it; the test's with the model itself."""
    tables = []
    for season in sorted(before["season"].unique())[1:]:
        known, of_season = before[before["season"] < season], before[before["season"] == season]
        model = points_model.fit(known, features, rounds, {})
        tables.append(evaluation.by_season(of_season, evaluation.predictions(of_season, model.score(of_season[features]))))
    return pd.concat([*tables, evaluation.by_season(test, said)], ignore_index=True)


def importance(model: PointsModel, permuted: pd.Series) -> pd.DataFrame:
    """A row a feature, the most needed first: gain (percent of all), permutation (points of error)."""
    table = pd.DataFrame({"gain": model.gain().reindex(permuted.index).fillna(0.0), "permutation": permuted})
    return table.sort_values("permutation", ascending=False).rename_axis("feature").reset_index()


@dataclass(frozen=True)
class Headline:
    """Over all rows of the test: mean absolute errors in points, and by how many percent the model's is below the best baseline's."""

    rows: int
    mae: float
    best_baseline: str
    best_baseline_mae: float
    improvement_percent: float


def headline(report: Mapping[str, Any]) -> Headline:
    """The figures that a report is about."""
    rows = pd.DataFrame([row for row in report["groups"] if row["group"] == evaluation.EVERYBODY])
    best, of_model = evaluation.best_baseline(rows), rows.set_index("predictor").loc[MODEL]
    return Headline(
        int(of_model["rows"]), float(of_model["mae"]), str(best["predictor"]), float(best["mae"]), float(of_model["better"])
    )


def beats_best_baseline(report: Mapping[str, Any]) -> bool:
    """Whether the model's error on all rows of the test is below that of the best baseline on the same rows."""
    found = headline(report)
    return found.mae < found.best_baseline_mae


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as JSON holds it."""
    return [
        {name: value.item() if hasattr(value, "item") else value for name, value in row.items()}
        for row in table.to_dict("records")
    ]


def _span(rows: pd.DataFrame) -> dict[str, Any]:
    days = rows["game_date"]
    return {"first_day": str(days.min().date()), "last_day": str(days.max().date()), "days": days.nunique(), "rows": len(rows)}
