"""points_predictions: the points that the model expects of every player of the slate, with all that they were made from.

Grain: one row a player of the slate. Key: game_date, player_id. Partition: game_date. No box score of the day is read. A day that was
served, that is published before its first tip-off, keeps its rows from then on.
"""

import pandas as pd

from nba_precompute.tables import columns
from nba_precompute.tables.columns import Table, number, text

IDENTITY = ["game_date", "player_id", "player_lookup", "game_id", "team_abbr", "opponent_team_abbr", "is_home"]
READINESS = ["production_ready", "context_source"]
"""Columns that are those of the feature row."""

POINTS_PREDICTIONS: Table = columns.table(
    dataset="nba_predictions",
    name="points_predictions",
    day="game_date",
    key=["game_date", "player_id"],
    code_version="1",
    description=(
        "The points that the model expects of every player of the slate, with the model's file, the feature row that was used and the "
        "versions of both, from what was known on the morning of the day."
    ),
    columns={
        "game_date": columns.day("partition; the day that is predicted"),
        **columns.shared("player_id", "player_lookup", "game_id"),
        "team_abbr": columns.team_abbr("his team, 3 letters"),
        **columns.shared("opponent_team_abbr", "is_home"),
        "predicted_points": number("what the model expects", "points", nullable=False, ge=0),
        "model_version": text("hash of the model's file, which is named by it", matches=r"^[0-9a-f]{16}$"),
        "is_unseen_day": columns.flag("the model was fitted to days before this one alone; false: an error here says nothing"),
        "is_before_tip_off": columns.flag("published before the day's first tip-off, so served; false: made afterwards"),
        "feature_version": text("the set of features"),
        "feature_row": text("the features that were used, a JSON object in their order"),
        "features_data_version": text("content hash of the day of ml_feature_store_v2", matches=r"^[0-9a-f]{16}$"),
        "code_version": text("version of nba-precompute that made the row"),
        "production_ready": columns.flag("of the feature row"),
        **columns.shared("context_source"),
    },
)


def points_predictions(
    slate: pd.DataFrame, scores: pd.Series, feature_rows: pd.Series, facts_of_days: pd.DataFrame
) -> pd.DataFrame:
    """A row for every feature row of `slate`, which `scores` and `feature_rows` (JSON) follow row by row.

    `facts_of_days` holds, by game_date, model_version, is_unseen_day, is_before_tip_off, features_data_version and code_version.
    """
    rows = slate[[*IDENTITY, "feature_version", *READINESS]].assign(predicted_points=scores, feature_row=feature_rows)
    return POINTS_PREDICTIONS.conform(rows.merge(facts_of_days, left_on="game_date", right_index=True, validate="many_to_one"))
