"""The points model: gradient-boosted trees over one set of features, in one file that knows what it was made from.

A model is fitted to rows of the training set and scores feature rows; how good it is stands in `evaluation`, what is trained on
what in `train`. XGBoost comes with the extra `model` and is imported where it is used, so that the graph loads without it.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from types import ModuleType
from typing import TYPE_CHECKING
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np
import pandas as pd
from upath import UPath

from nba_precompute.files import written_whole
from nba_precompute.training import TrainingError
from nba_precompute.training.export import LABEL

if TYPE_CHECKING:
    import xgboost

PARAMETERS: Mapping[str, object] = {  # chosen on 2022-23 and 2023-24, each with what is before it
    "objective": "reg:absoluteerror",  # what is reported; the conditional median, not the mean, makes it least
    "tree_method": "hist",
    "max_depth": 5,
    "learning_rate": 0.03,
    "subsample": 0.6,
    "colsample_bynode": 0.5,
    "min_child_weight": 100,
    "nthread": 1,  # seeds are fitted beside each other instead: threads of one tree wait for each other on a busy machine
}

START: Mapping[str, float] = {"points_avg_season": 0.5, "points_avg_last_10": 0.3, "points_avg_last_5": 0.2}
"""What the trees begin with and correct: a weighted mean of form, a feature each. All of it is there from a player's first game on."""

Columns = Mapping[str, pd.Series]

WORKED_OUT: Mapping[str, tuple[Sequence[str], Callable[[Columns], pd.Series]]] = {
    "points_change_last_5": (
        ["points_avg_last_5", "points_avg_last_10"],
        lambda row: row["points_avg_last_5"] - row["points_avg_last_10"],
    ),
    "points_change_last_10": (
        ["points_avg_last_10", "points_avg_season"],
        lambda row: row["points_avg_last_10"] - row["points_avg_season"],
    ),
    "points_change_vs_opponent": (
        ["avg_points_vs_opponent", "points_avg_season"],
        lambda row: row["avg_points_vs_opponent"] - row["points_avg_season"],
    ),
    "points_by_opponent_def_rating": (
        ["points_avg_season", "opponent_def_rating"],
        lambda row: row["points_avg_season"] * row["opponent_def_rating"],
    ),
    "points_by_pace": (
        ["points_avg_season", "team_pace", "opponent_pace"],
        lambda row: row["points_avg_season"] * (row["team_pace"] + row["opponent_pace"]),
    ),
    "points_by_minutes": (
        ["points_avg_season", "minutes_avg_last_10"],
        lambda row: row["points_avg_season"] / row["minutes_avg_last_10"].clip(lower=1.0),
    ),
}
"""Differences, products and a ratio of a row's features, each with those it is made of: a tree, which asks of one column at a time,
takes many splits to see them. They are part of the model, and no columns of the table: who scores gives the features."""

SEEDS = (1, 2, 3, 4)
"""Boosters whose scores are averaged."""

MOST_ROUNDS = 1000
"""Trees are added until the error on validation rows has not fallen for PATIENCE rounds; that is far before."""

PATIENCE = 60

SUFFIX = ".points_model.zip"

DESCRIPTION = "model.json"
"""The entry of the file that has features, seeds and what the model was made from; the others are XGBoost's, one a seed."""

LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The time of every entry of the file, so that the same model is the same bytes."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class PointsModel:
    """Boosters by seed, the features that they ask for, in order, and what they were made from (`train` says it)."""

    boosters: Mapping[int, "xgboost.Booster"]
    features: Sequence[str]
    made_from: Mapping[str, str]

    @cached_property
    def content(self) -> bytes:
        """The file: the same for the same model."""
        described = {"features": list(self.features), "seeds": list(self.boosters), "made_from": dict(self.made_from)}
        entries = {DESCRIPTION: json.dumps(described, indent=2).encode()}
        entries |= {_entry(seed): bytes(booster.save_raw("ubj")) for seed, booster in self.boosters.items()}
        file = BytesIO()
        with ZipFile(file, "w") as packed:
            for name, content in entries.items():
                packed.writestr(ZipInfo(name, LONG_AGO), content)
        return file.getvalue()

    @cached_property
    def version(self) -> str:
        """The hash of the file's content, by which the file is named."""
        return hashlib.sha256(self.content).hexdigest()[:16]

    @property
    def file_name(self) -> str:
        """What its file is called."""
        return f"{self.version}{SUFFIX}"

    def score(self, frame: pd.DataFrame) -> pd.Series:
        """Points expected of each row; raises TrainingError where the frame's columns are not the features, in order."""
        refuse_other_columns(frame, self.features)
        matrix = library().DMatrix(with_worked_out(frame), base_margin=start(frame), nthread=1)
        scores = [booster.predict(matrix) for booster in self.boosters.values()]
        return pd.Series(np.mean(scores, axis=0, dtype="float64"), frame.index).clip(lower=0.0)

    def gain(self) -> pd.Series:
        """What the trees' splits by each feature, or by what is worked out of several, gained in training, in percent of all."""
        scores = [booster.get_score(importance_type="total_gain") for booster in self.boosters.values()]
        total = pd.DataFrame(scores).fillna(0.0).sum()
        return 100 * total / total.sum()


def library() -> ModuleType:
    """XGBoost; raises TrainingError where it is not installed."""
    try:
        import xgboost
    except ImportError as error:
        raise TrainingError(
            "The points model needs XGBoost, which is not installed. It comes with the extra `model`: uv sync --extra model."
        ) from error
    return xgboost


def with_worked_out(frame: pd.DataFrame) -> pd.DataFrame:
    """The features as the trees have them: numbers, and after them what is worked out of those that are there."""
    known = frame.astype("float64")
    added = {name: work_out(known) for name, (needed, work_out) in WORKED_OUT.items() if set(needed) <= set(frame.columns)}
    return known.assign(**added).astype("float32")


def start(frame: pd.DataFrame) -> np.ndarray | None:
    """What the trees begin with, a row: the weighted mean of those of START that are features; None where none is."""
    weights = {name: weight for name, weight in START.items() if name in frame}
    if not weights:
        return None
    total = frame[list(weights)].astype("float64").mul(pd.Series(weights)).sum(axis=1, skipna=False)
    return (total / sum(weights.values())).to_numpy(dtype="float32")


def rounds_needed(
    rows: pd.DataFrame,
    later: pd.DataFrame,
    features: Sequence[str],
    say: Say = lambda _: None,
    seeds: Sequence[int] = SEEDS,
) -> int:
    """How many rounds of trees fitted to `rows` make the error on the `later` rows least, the median over the seeds."""

    def stopped(seed: int) -> "xgboost.Booster":
        known = training_matrix(rows, features)
        return library().train(
            {**PARAMETERS, "seed": seed},
            known,
            MOST_ROUNDS,
            evals=[(training_matrix(later, features, bins_of=known), "validation")],
            early_stopping_rounds=PATIENCE,
            verbose_eval=False,
        )

    found = by_seed(stopped, seeds)
    for seed, booster in found.items():
        say(f"seed {seed}: error {booster.best_score:.4f} on validation rows, least after {booster.best_iteration + 1} rounds")
    return max(1, round(float(np.median([booster.best_iteration + 1 for booster in found.values()]))))


def fit(
    rows: pd.DataFrame,
    features: Sequence[str],
    rounds: int,
    made_from: Mapping[str, str],
    seeds: Sequence[int] = SEEDS,
) -> PointsModel:
    """A model of the rows, of so many rounds."""
    boosters = by_seed(
        lambda seed: library().train({**PARAMETERS, "seed": seed}, training_matrix(rows, features), rounds), seeds
    )
    return PointsModel(boosters, list(features), made_from)


def by_seed(booster_of: Callable[[int], "xgboost.Booster"], seeds: Sequence[int]) -> dict[int, "xgboost.Booster"]:
    """A booster a seed, as many at once as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as at_once:
        return dict(zip(seeds, at_once.map(booster_of, seeds), strict=True))


def training_matrix(
    rows: pd.DataFrame, features: Sequence[str], bins_of: "xgboost.QuantileDMatrix | None" = None
) -> "xgboost.QuantileDMatrix":
    """Rows with their label as XGBoost trains on them; later rows are put into the bins of those that are trained on."""
    frame = rows[list(features)]
    label = rows[LABEL].to_numpy(dtype="float32")
    return library().QuantileDMatrix(with_worked_out(frame), label, base_margin=start(frame), nthread=1, ref=bins_of)


def write(model: PointsModel, folder: UPath) -> UPath:
    """Write the model's file into a folder; returns it."""
    target = folder / model.file_name
    with written_whole(target) as file:
        file.write_bytes(model.content)
    return target


def read(file: UPath) -> PointsModel:
    """The model of a file; raises TrainingError where there is none, or where it is not whole."""
    try:
        content = file.read_bytes()
        with ZipFile(BytesIO(content)) as packed:
            described = json.loads(packed.read(DESCRIPTION))
            trees = {seed: packed.read(_entry(seed)) for seed in described["seeds"]}
    except (OSError, BadZipFile, KeyError, ValueError) as error:
        raise TrainingError(f"{file} is no points model ({error}). `nba-precompute train` makes one.") from error
    version = hashlib.sha256(content).hexdigest()[:16]
    if file.name != f"{version}{SUFFIX}":
        raise TrainingError(f"{file} is not what was written: its content is {version}'s. Take another copy, or train again.")
    boosters = {seed: library().Booster({"nthread": 1}, model_file=bytearray(booster)) for seed, booster in trees.items()}
    return PointsModel(boosters, described["features"], described["made_from"])


def _entry(seed: int) -> str:
    return f"seed-{seed}.ubj"


def refuse_other_columns(frame: pd.DataFrame, features: Sequence[str]) -> None:
    """Raise TrainingError where the frame's columns are not the features, in their order."""
    found = list(frame.columns)
    if found == list(features):
        return
    missing = ", ".join(name for name in features if name not in found)
    added = ", ".join(str(name) for name in found if name not in features)
    said = [words for words in (missing and f"missing: {missing}", added and f"not its features: {added}") if words]
    raise TrainingError(
        f"The model asks for its {len(features)} features in their order, and the frame's columns are others "
        f"({'; '.join(said) or 'the order is another'}). Give it frame[model.features], of the set that it was trained on."
    )
