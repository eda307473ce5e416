"""What each family of features is worth: the model trained again without it, in the same way, and measured on the same rows.

A family that can be left out at no cost adds nothing to this model, given the others: what it says, they say too, or it is noise.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nba_precompute.training import model as points_model
from nba_precompute.training.evaluation import BASELINES
from nba_precompute.training.export import LABEL, TrainingSet
from nba_precompute.training.model import Say
from nba_precompute.training.train import TEST, TRAIN, VALIDATION, parts_of

FAMILIES: Mapping[str, Sequence[str]] = {
    "form": [
        *("points_avg_last_5", "points_avg_last_10", "points_avg_season", "points_std_last_10", "recent_trend"),
        *("minutes_change", "minutes_avg_last_10", "ppm_avg_last_10"),
    ],
    "fatigue": ["games_in_last_7_days", "fatigue_score", "rest_advantage", "back_to_back"],
    "zones": ["shot_zone_mismatch_score", "pct_paint", "pct_mid_range", "pct_three", "pct_free_throw"],
    "pace": ["pace_score", "opponent_pace", "team_pace"],
    "usage": ["usage_spike_score"],
    "team": ["team_off_rating", "team_win_pct"],
    "opponent": ["opponent_def_rating", "avg_points_vs_opponent", "games_vs_opponent"],
    "game": ["home_away", "playoff_game"],
    "injuries": ["injury_risk"],
    "lines": ["vegas_points_line", "vegas_opening_line", "vegas_line_move", "has_vegas_line"],
}
"""Every feature of v2_33, each in one family."""

SEEDS = points_model.SEEDS[:2]
"""Fewer than a model has, the first of them to find the rounds: there are eleven models to train. With all, errors are 0.001 less."""

CERTAIN = 2.0
"""Standard errors from which a difference counts as one: one in forty by chance."""

TRAINING_NOISE = 0.0016
"""Points of error by which a model differs that lacks a feature no tree asks for (injury_risk, 2021-25): other columns are drawn."""


@dataclass(frozen=True)
class Worth:
    """What leaving a family out costs on the rows measured: `cost` is the growth of the mean absolute error in points, `margin` its
    standard error from day to day, `percent` the cost in percent of the best baseline's error."""

    family: str
    features: Sequence[str]
    mae: float
    cost: float
    margin: float
    percent: float

    @property
    def adds(self) -> bool:
        """Whether the model is worse without it by more than chance."""
        return self.cost > CERTAIN * math.hypot(self.margin, TRAINING_NOISE)

    @property
    def in_words(self) -> str:
        """What is said of it."""
        return "adds" if self.adds else "adds nothing"


def ablation(training_set: TrainingSet, say: Say = lambda _: None) -> tuple[float, list[Worth]]:
    """The error with all features, and what each family of them is worth, the most first."""
    parts = parts_of(training_set.rows)
    test = parts[TEST]
    points = test[LABEL].astype("float64")
    with_all = absolute_errors(parts, list(training_set.features))
    best = min((test[feature] - points).abs().mean() for feature in BASELINES.values())
    say(f"with all features: {with_all.mean():.4f}")
    found = []
    for family, features in FAMILIES.items():
        left = [name for name in training_set.features if name not in features]
        errors = absolute_errors(parts, left)
        cost, margin = mean_by_day(errors - with_all, test["game_date"])
        found.append(Worth(family, features, float(errors.mean()), cost, margin, float(100 * cost / best)))
        say(f"without {family}: {errors.mean():.4f}")
    return float(with_all.mean()), sorted(found, key=lambda worth: -worth.cost)


def absolute_errors(parts: Mapping[str, pd.DataFrame], features: Sequence[str]) -> pd.Series:
    """On the rows of the test, of a model that is trained on the others as `train` does it, with fewer seeds."""
    rounds = points_model.rounds_needed(parts[TRAIN], parts[VALIDATION], features, seeds=SEEDS[:1])
    model = points_model.fit(pd.concat([parts[TRAIN], parts[VALIDATION]]), features, rounds, {}, seeds=SEEDS)
    test = parts[TEST]
    return (model.score(test[list(features)]) - test[LABEL].astype("float64")).abs()


def mean_by_day(differences: pd.Series, days: pd.Series) -> tuple[float, float]:
    """The mean over the rows and its standard error, from the sums of whole days: games of a day have much in common."""
    mean = float(differences.mean())
    of_days = (differences - mean).groupby(days).sum()
    count = len(of_days)
    return mean, float(np.sqrt((of_days**2).sum() * count / (count - 1)) / len(differences))
