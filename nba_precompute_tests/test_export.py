"""The training set: what is in it, what its manifest says, and whether its proof finds what looks ahead."""

import hashlib
import json
import shutil
from datetime import date

import numpy as np
import pandas as pd
import pytest
from upath import UPath

from nba_precompute.home import Home
from nba_precompute.storage import Publication
from nba_precompute.tables.ml_feature_store_v2 import FEATURES, ML_FEATURE_STORE_V2
from nba_precompute.tables.player_game_summary import PLAYER_GAME_SUMMARY
from nba_precompute.training import TrainingError
from nba_precompute.training.export import export, joined, write
from nba_precompute.training.point_in_time import features_again, prove
from nba_precompute_tests.processes import command_line
from nba_precompute_tests.test_runs import END, START

TWO_DAYS = date(2023, 11, 9)
"""The second day of the cascade."""


@pytest.fixture(scope="module")
def home(home_of_weeks):
    return home_of_weeks


@pytest.fixture(scope="module")
def made(home):
    return export(home, START, END)


def played(**values):
    return {"game_id": "0022300001", "season": "2023-24", "points": 20, "minutes_played": 30.0, "starter": True, **values}


def of_slate(**values):
    row = dict.fromkeys([*ML_FEATURE_STORE_V2.columns], 1) | {"game_id": "0022300001", "game_date": pd.Timestamp("2023-11-08")}
    return {**row, **values}


def test_who_played_has_a_row_with_his_points_and_who_did_not_has_none():
    slate = pd.DataFrame([of_slate(player_id=1), of_slate(player_id=2), of_slate(player_id=3)])
    games = pd.DataFrame(
        [played(player_id=1, points=31), played(player_id=3, points=0, minutes_played=0.0), played(player_id=4)]
    )
    rows = joined(slate, games, list(FEATURES))
    assert list(zip(rows["player_id"], rows["points"], strict=True)) == [(1, 31), (3, 0)]


def test_the_rows_are_those_of_the_tables_with_the_features_in_order(home, made):
    start = list(made.rows.columns).index("points_avg_last_5")
    assert list(made.rows.columns)[start : start + 33] == list(FEATURES) == list(made.features)
    games = home.warehouse.read(PLAYER_GAME_SUMMARY, START, END).set_index(["game_id", "player_id"])
    slate = home.warehouse.read(ML_FEATURE_STORE_V2, START, END).set_index(["game_id", "player_id"])
    keys = pd.MultiIndex.from_frame(made.rows[["game_id", "player_id"]])
    assert set(keys) == set(games.index) & set(slate.index)
    assert (made.rows["points"].to_numpy() == games.loc[keys, "points"].to_numpy()).all()
    assert (made.rows["fatigue_score"].to_numpy() == slate.loc[keys, "fatigue_score"].to_numpy()).all()


def test_the_manifest_says_what_it_was_made_from(home, made):
    said = made.manifest
    assert said["features"] == list(FEATURES)
    assert (said["features_version"], said["label"], said["readiness_filter"]) == ("v2_33", "points", "none")
    assert (said["first_day"], said["last_day"], said["days"]) == ("2023-11-08", "2023-11-17", 10)
    assert said["rows"] == len(made.rows) == sum(said["rows_by_season"].values())
    assert said["code_version"]["ml_feature_store_v2"] == ML_FEATURE_STORE_V2.code_version
    games, slate = (home.warehouse.read(table, START, END) for table in (PLAYER_GAME_SUMMARY, ML_FEATURE_STORE_V2))
    left = said["left_out"]
    assert left["of_the_slate_and_did_not_play"] == len(slate) - len(made.rows)
    assert left["played_and_not_of_the_slate"] + left["played_on_days_without_features"] == len(games) - len(made.rows)


def test_rows_that_are_not_ready_can_be_left_out_and_the_manifest_says_so(home, made):
    ready = export(home, START, TWO_DAYS, ready_only=True)
    of_days = made.rows[made.rows["game_date"] <= pd.Timestamp(TWO_DAYS)]
    assert 0 < len(ready.rows) < len(of_days)
    assert ready.rows["production_ready"].all()
    assert ready.manifest["readiness_filter"] == "production_ready"
    assert ready.manifest["left_out"]["not_ready"] == len(of_days) - len(ready.rows)


def test_a_range_without_rows_and_an_unknown_set_are_refused(home):
    with pytest.raises(TrainingError, match="no row from 2023-10-24 to 2023-11-01"):
        export(home, START, date(2023, 11, 1))
    with pytest.raises(TrainingError, match="no set of features v9; there is v2_33"):
        export(home, START, END, "v9")


def test_parquet_and_csv_hold_the_same_and_the_manifest_the_files_hash(made, tmp_path):
    for kind, read in (
        ("parquet", pd.read_parquet),
        ("csv", lambda file: pd.read_csv(file, dtype={"game_id": str}, float_precision="round_trip")),
    ):
        file = write(made, tmp_path / kind, kind)
        found = read(file)
        assert list(found.columns) == list(made.rows.columns)
        assert (found["game_id"] == made.rows["game_id"]).all()
        features = [frame[list(FEATURES)].to_numpy("float64", na_value=np.nan) for frame in (found, made.rows)]
        assert np.array_equal(*features, equal_nan=True)
        said = json.loads((tmp_path / kind / "manifest.json").read_text())
        assert said["file"] == file.name
        assert said["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_rows_and_manifest_can_be_written_to_an_object_store(made):
    folder = UPath("memory://training sets")
    file = write(made, folder)
    said = json.loads((folder / "manifest.json").read_text())
    assert said["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "training_set.parquet"]


def test_the_command_writes_rows_and_manifest(home, tmp_path):
    done = command_line(
        home.folder, "export", "--start", str(START), "--end", str(END), "--out", str(tmp_path), "--format", "csv"
    )
    assert done.exit_code == 0, done.err
    assert "none holds a game of its own day or later" in done.out
    assert json.loads((tmp_path / "manifest.json").read_text())["rows"] == len(pd.read_csv(tmp_path / "training_set.csv"))


# ------------------------------------------------------------------------------------------------------- the proof


def test_the_latest_game_date_of_every_sampled_row_lies_before_it(made):
    proof = made.manifest["point_in_time"]
    assert proof["every_date_before_its_row"]
    assert len(proof["rows"]) == 60
    assert all(row["latest_game_date"] < row["game_date"] for row in proof["rows"])
    # the league's pace enters every row, so the day before a day that is no day off is the latest
    assert {(row["game_date"], row["latest_game_date"]) for row in proof["rows"]} >= {("2023-11-08", "2023-11-06")}


def test_own_points_of_the_day_added_as_a_feature_are_caught(home, made):
    rows = made.rows[made.rows["game_date"] <= pd.Timestamp(TWO_DAYS)]
    proof = prove(home, rows.assign(points_today=rows["points"]), [*made.features, "points_today"])
    assert len(proof.violations) == 2
    assert all("points_today of 2023-11" in words and "no formula makes it" in words for words in proof.violations)


def test_own_points_of_the_day_mixed_into_a_feature_are_caught(home, made):
    rows = made.rows[made.rows["game_date"] <= pd.Timestamp(TWO_DAYS)]
    own = rows["points"].astype("float64")
    proof = prove(home, rows.assign(points_avg_season=(9 * rows["points_avg_season"] + own) / 10), made.features)
    assert len(proof.violations) == 2
    assert all("points_avg_season of 2023-11" in words for words in proof.violations)


def test_a_formula_that_looks_at_the_day_is_caught_with_the_day_as_its_latest_game_date(home, made):
    honest, games = features_again(home), home.warehouse.read(PLAYER_GAME_SUMMARY, START, END)

    def looking_ahead(day, until):
        own = games[(games["game_date"] == pd.Timestamp(day)) & (until is None or day < until)]
        rows = honest(day, until)
        return rows.assign(points_today=own.set_index("player_id")["points"].reindex(rows.index))

    rows = made.rows[made.rows["game_date"] == "2023-11-10"]
    leaking = prove(home, rows.assign(points_today=rows["points"]), [*made.features, "points_today"], looking_ahead)
    assert (leaking.sample["latest_game_date"] == pd.Timestamp("2023-11-10")).all()
    assert any("change with games of the day or later" in words for words in leaking.violations)
    assert prove(home, rows, made.features, honest).violations == []


def test_nothing_is_exported_from_a_day_whose_rows_saw_the_future(home, tmp_path):
    damaged = shutil.copytree(home.folder, tmp_path / "home")
    day, home = date(2023, 11, 8), Home(damaged)
    rows = home.warehouse.read(ML_FEATURE_STORE_V2, day, day)
    rows["points_avg_last_5"] += 1.0
    publication = Publication(ML_FEATURE_STORE_V2, rows, [day], {day: "0" * 16})
    home.warehouse.publish([publication], run_id="by hand", source=home.source().name)
    with pytest.raises(TrainingError, match="points_avg_last_5 of 2023-11-08: the games before the day give another value"):
        export(home, START, TWO_DAYS)
