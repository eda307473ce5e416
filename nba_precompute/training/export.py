"""The training set: feature rows of the slate joined with the points that were scored, its manifest, and its proof.

Grain: one row a player of the slate who played. The features are ml_feature_store_v2's, as published; the label, `points`, and
`minutes_played` and `starter` beside it are of the same game and known only after it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from upath import UPath

from nba_precompute.files import written_whole
from nba_precompute.home import Home
from nba_precompute.lineage import TABLES
from nba_precompute.tables.ml_feature_store_v2 import FEATURE_VERSION, FEATURES, ML_FEATURE_STORE_V2
from nba_precompute.tables.player_game_summary import PLAYER_GAME_SUMMARY
from nba_precompute.training import TrainingError
from nba_precompute.training.point_in_time import Proof, prove

FEATURE_SETS: Mapping[str, Sequence[str]] = {FEATURE_VERSION: tuple(FEATURES)}
"""The features of each set, in order."""

KEYS = ["game_date", "season", "game_id", "player_id", "player_lookup", "team_abbr", "opponent_team_abbr"]
READINESS = ["production_ready", "context_source"]
LABEL = "points"
KNOWN_AFTERWARDS = [LABEL, "minutes_played", "starter"]
"""Of the same game: what is to be predicted, and by what the errors are grouped. Never features."""

PARQUET, CSV = "parquet", "csv"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class TrainingSet:
    """Rows in order of day and player, the names of their features in order, and what they were made from."""

    rows: pd.DataFrame
    features: Sequence[str]
    manifest: Mapping[str, Any]


def export(home: Home, start: date, end: date, features: str = FEATURE_VERSION, *, ready_only: bool = False) -> TrainingSet:
    """The rows of everybody of the slate who played from `start` to `end`; with `ready_only` those that are production ready.

    Raises TrainingError where there is no row, and where the proof finds that a row holds anything but games before its day.
    """
    if features not in FEATURE_SETS:
        raise TrainingError(f"There is no set of features {features}; there is {', '.join(FEATURE_SETS)}.")
    names = list(FEATURE_SETS[features])
    slate = home.warehouse.read(ML_FEATURE_STORE_V2, start, end)
    played = home.warehouse.read(PLAYER_GAME_SUMMARY, start, end, ["game_id", "player_id", "season", *KNOWN_AFTERWARDS])
    rows = joined(slate, played, names)
    if ready_only:
        rows = rows[rows["production_ready"].astype(bool)].reset_index(drop=True)
    if rows.empty:
        raise TrainingError(
            f"There is no row from {start} to {end}: nobody has both features and a box score there. `nba-precompute status` says "
            "which days are missing."
        )
    proven = prove(home, rows, names)
    if proven.violations:
        raise TrainingError(
            "Nothing was exported, the rows hold something else than games before their day:\n" + "\n".join(proven.violations)
        )
    manifest = {
        "source": home.source_name,
        "features_version": features,
        "features": names,
        "label": LABEL,
        "known_only_after_the_game": KNOWN_AFTERWARDS,
        "start": str(start),
        "end": str(end),
        "first_day": str(rows["game_date"].min().date()),
        "last_day": str(rows["game_date"].max().date()),
        "days": int(rows["game_date"].nunique()),
        "rows": len(rows),
        "rows_by_season": {str(season): int(count) for season, count in rows["season"].value_counts(sort=False).items()},
        "left_out": left_out(slate, played, rows),
        "readiness_filter": "production_ready" if ready_only else "none",
        "code_version": code_version(),
        "data_version": data_version(home, start, end),
        "point_in_time": as_document(proven),
    }
    return TrainingSet(rows, names, manifest)


def joined(slate: pd.DataFrame, played: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """Feature rows with what their players then did; who did not play has no label and no row."""
    rows = slate.merge(played, on=["game_id", "player_id"], how="inner", validate="one_to_one")
    rows = rows.sort_values(["game_date", "player_id"], kind="stable", ignore_index=True)
    return rows[[*KEYS, *READINESS, *features, *KNOWN_AFTERWARDS]]


def left_out(slate: pd.DataFrame, played: pd.DataFrame, rows: pd.DataFrame) -> dict[str, int]:
    """Rows of either side that the training set does not have, and why."""
    keys = ["game_id", "player_id"]
    of_games = played[played["game_id"].isin(slate["game_id"])]
    both = slate[keys].merge(played[keys])
    return {
        "of_the_slate_and_did_not_play": len(slate) - len(both),
        "played_and_not_of_the_slate": len(of_games) - len(both),
        "played_on_days_without_features": len(played) - len(of_games),
        "not_ready": len(both) - len(rows),
    }


def code_version() -> dict[str, str]:
    """Versions of the package and of the formulas that the features and the label come from."""
    return {"nba-precompute": version("nba-precompute"), **{name: table.code_version for name, table in TABLES.items()}}


def data_version(home: Home, start: date, end: date) -> str:
    """One hash over the content hashes of the days that were read: equal exactly where the rows are."""
    versions = home.warehouse.partition_versions()
    read = versions["table_name"].isin([ML_FEATURE_STORE_V2.qualified_name, PLAYER_GAME_SUMMARY.qualified_name])
    read &= versions["day"].between(pd.Timestamp(start), pd.Timestamp(end))
    of_days = versions[read].sort_values(["table_name", "day"])
    lines = of_days["table_name"] + of_days["day"].dt.strftime(" %Y-%m-%d ") + of_days["content_hash"]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def as_document(proven: Proof) -> dict[str, Any]:
    """The proof as the manifest holds it: a line a sampled row."""
    return {
        "question": "which is the latest game date whose games change the features of the row?",
        "days_sampled": [str(day) for day in proven.days],
        "rows_compared": proven.rows_compared,
        "every_date_before_its_row": not proven.violations,
        "rows": [
            {**row, "game_date": str(row["game_date"].date()), "latest_game_date": str(row["latest_game_date"].date())}
            for row in proven.sample.to_dict("records")
        ],
    }


def write(training_set: TrainingSet, out: Path | UPath, kind: str = PARQUET) -> UPath:
    """Write the rows and, when they are whole, the manifest that names them; returns the file of the rows."""
    target, manifest = UPath(out) / f"training_set.{kind}", UPath(out) / MANIFEST
    with written_whole(target) as file:
        if kind == PARQUET:
            training_set.rows.to_parquet(file, index=False)
        else:
            training_set.rows.to_csv(file, index=False, date_format="%Y-%m-%d")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        manifest.unlink(missing_ok=True)  # it is of the rows that go now
    with written_whole(manifest) as file:
        file.write_text(json.dumps({**training_set.manifest, "file": target.name, "sha256": digest}, indent=2) + "\n")
    return target
