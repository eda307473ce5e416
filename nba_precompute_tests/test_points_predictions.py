"""Predictions of a slate: before the games, from features alone, kept once served; and what they turned out to be worth."""

import dataclasses
import json
import re
import shutil
from datetime import datetime

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from upath import UPath

from nba_precompute.coverage import GAP
from nba_precompute.definitions import build_definitions, home_of_environment
from nba_precompute.game_days import NEW_YORK
from nba_precompute.home import SIMULATED_LEAGUE, Home
from nba_precompute.instance import instance_of
from nba_precompute.next_phase import PREDICT
from nba_precompute.predictions import (
    PredictionsConfig,
    compare_served,
    has_model,
    model_in_use,
    predict_day,
    predicted,
    publish,
    slates_of,
    tip_offs,
)
from nba_precompute.storage import Publication
from nba_precompute.tables.ml_feature_store_v2 import FEATURES, ML_FEATURE_STORE_V2
from nba_precompute.tables.player_game_summary import PLAYER_GAME_SUMMARY
from nba_precompute.tables.points_predictions import POINTS_PREDICTIONS
from nba_precompute.training import TrainingError, model, report, served
from nba_precompute.training import train as training
from nba_precompute.training.export import export
from nba_precompute_tests.processes import command_line
from nba_precompute_tests.test_runs import ELIGIBLE, END, START, Platform

SEEN, DAY, LATER = ELIGIBLE[7], ELIGIBLE[8], ELIGIBLE[9]
"""The model is fitted to the first eight days."""


@pytest.fixture(scope="module")
def trained_home(home_of_weeks, tmp_path_factory):
    copy = Home(shutil.copytree(home_of_weeks.folder, tmp_path_factory.mktemp("predictions") / "home"), home_of_weeks.raw)
    with (
        pytest.MonkeyPatch.context() as patched
    ):  # each day that is proven costs a second or two, and `test_export` proves more
        patched.setattr("nba_precompute.training.point_in_time.DAYS_SAMPLED", 1)
        trained = training.train(export(copy, START, END))
        report.write(trained, copy.models)
        assert report.put_in_use(trained.report, copy.models)
    return copy


@pytest.fixture
def home(trained_home, tmp_path):
    return Home(shutil.copytree(trained_home.folder, tmp_path / "home"), trained_home.raw)


def serve(home, days, now):
    """What a run publishes at a moment."""
    model = model_in_use(home)
    slates = slates_of(home, days, model, now)
    rows = predicted(slates, model)
    if slates.days:
        publish(home, slates, rows, "by a test")
    return slates


def morning(day):
    return datetime(day.year, day.month, day.day, 9, tzinfo=NEW_YORK)


def night(day):
    return datetime(day.year, day.month, day.day, 23, 30, tzinfo=NEW_YORK)


# --------------------------------------------------------------------------------------------------------- before the games


def test_every_player_of_the_slate_is_predicted_with_the_row_and_the_versions_that_were_used(home):
    serve(home, [DAY], morning(DAY))
    rows, slate = home.warehouse.read(POINTS_PREDICTIONS, DAY, DAY), home.warehouse.read(ML_FEATURE_STORE_V2, DAY, DAY)
    assert rows["player_id"].tolist() == slate["player_id"].tolist()
    model = model_in_use(home)
    assert rows["predicted_points"].tolist() == model.score(slate[list(FEATURES)]).tolist()
    used = pd.DataFrame([json.loads(row) for row in rows["feature_row"]])
    assert list(used.columns) == list(FEATURES)
    numbers = [frame.to_numpy("float64", na_value=np.nan) for frame in (used.astype("float64"), slate[list(FEATURES)])]
    assert np.array_equal(*numbers, equal_nan=True)
    versions = home.warehouse.partition_versions()
    of_features = versions[
        (versions["table_name"] == ML_FEATURE_STORE_V2.qualified_name) & (versions["day"] == pd.Timestamp(DAY))
    ]
    assert set(rows["features_data_version"]) == set(of_features["content_hash"])
    assert set(rows["model_version"]) == {model.version}
    assert rows["is_before_tip_off"].all()
    assert rows["is_unseen_day"].all()


def test_predictions_are_the_same_without_the_days_box_scores_and_later_ones(home, tmp_path):
    serve(home, [DAY], morning(DAY))
    with_games = home.warehouse.read(POINTS_PREDICTIONS, DAY, DAY)
    raw = shutil.copytree(home.raw, tmp_path / "raw")
    for name in ("player_box_scores", "shots"):
        rows = pd.read_parquet(raw / f"{name}.parquet")
        rows[pd.to_datetime(rows["game_date"]) < pd.Timestamp(DAY)].to_parquet(raw / f"{name}.parquet")
    platform = Platform(tmp_path / "before the games", raw)
    assert platform.backfill(START, DAY)[1] == []
    assert platform.states(START, DAY)[PLAYER_GAME_SUMMARY.name, DAY] == GAP
    shutil.copytree(home.models, platform.home.models)
    serve(platform.home, [DAY], morning(DAY))
    pd.testing.assert_frame_equal(platform.home.warehouse.read(POINTS_PREDICTIONS, DAY, DAY), with_games)


def test_a_served_day_keeps_its_predictions_after_the_first_tip_off_and_not_before(home):
    tip_off = tip_offs(home, [DAY])[DAY]
    assert morning(DAY) < tip_off < night(DAY)
    serve(home, [DAY], morning(DAY))
    spoil(home, DAY, lambda rows: rows.assign(points_avg_season=rows["points_avg_season"] + 5))
    first = home.warehouse.read(POINTS_PREDICTIONS, DAY, DAY)
    assert serve(home, [DAY], tip_off).served == [DAY]
    assert home.warehouse.read(POINTS_PREDICTIONS, DAY, DAY).equals(first)
    assert serve(home, [DAY], tip_off - pd.Timedelta(seconds=1)).served == []
    assert (home.warehouse.read(POINTS_PREDICTIONS, DAY, DAY)["predicted_points"] > first["predicted_points"]).mean() > 0.9


def test_predictions_made_after_the_tip_off_say_so_and_can_be_made_again(home):
    serve(home, [DAY], night(DAY))
    assert not home.warehouse.read(POINTS_PREDICTIONS, DAY, DAY)["is_before_tip_off"].any()
    assert serve(home, [DAY], night(DAY)).served == []


def test_a_day_that_the_model_was_fitted_to_is_marked_as_seen(home):
    serve(home, [SEEN, DAY], morning(SEEN))
    unseen = home.warehouse.read(POINTS_PREDICTIONS).groupby("game_date")["is_unseen_day"].agg(["min", "max"])
    assert unseen.loc[pd.Timestamp(SEEN)].tolist() == [False, False]
    assert unseen.loc[pd.Timestamp(DAY)].tolist() == [True, True]


def test_the_same_model_and_features_give_the_same_bytes(home):
    def content_hash():
        versions = home.warehouse.partition_versions()
        return versions.loc[versions["table_name"] == POINTS_PREDICTIONS.qualified_name, "content_hash"].tolist()

    serve(home, [DAY], morning(DAY))
    first = content_hash()
    serve(home, [DAY, LATER], morning(DAY))
    assert content_hash()[0] == first[0]


def spoil(home, day, change):
    rows = change(home.warehouse.read(ML_FEATURE_STORE_V2, day, day))
    publication = Publication(ML_FEATURE_STORE_V2, rows, [day], {day: "0" * 16})
    home.warehouse.publish([publication], run_id="by hand", source=home.source().name)


# ------------------------------------------------------------------------------------------------------- asset, job, command


def materialized(instance):
    return instance.get_materialized_partitions(dg.AssetKey(POINTS_PREDICTIONS.name))


def test_a_range_with_a_day_without_features_publishes_the_others_and_fails_naming_it(home, tmp_path):
    with instance_of(home) as instance:
        definitions = build_definitions(home)
        run = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(POINTS_PREDICTIONS.name)],
            tags={"dagster/asset_partition_range_start": str(LATER), "dagster/asset_partition_range_end": "2023-11-18"},
            raise_on_error=False,
        )
        assert not run.success
        [failed] = [event.step_failure_data for event in run.all_events if event.is_step_failure]
        assert "has no rows of 2023-11-18; make it first" in failed.user_failure_data.description
        assert materialized(instance) == {str(LATER)}


def test_the_job_predicts_a_day_and_compares_those_that_are_over(home):
    with instance_of(home) as instance:
        run = (
            build_definitions(home)
            .resolve_job_def(PREDICT)
            .execute_in_process(
                instance=instance,
                tags={"dagster/asset_partition_range_start": str(DAY), "dagster/asset_partition_range_end": str(DAY)},
            )
        )
        assert run.success
        assert materialized(instance) == {str(DAY)}
        checks = {check.check_name: check.passed for check in run.get_asset_check_evaluations()}
        assert checks == {"features_as_served": True, "beats_best_baseline": True}


def test_a_home_without_a_model_says_how_to_make_one(home):
    shutil.rmtree(home.models)
    with instance_of(home) as instance:
        [why] = predict_day(build_definitions(home), home, instance, DAY, "", {})
    assert "There is no points model" in why
    assert "`nba-precompute train` makes one" in why
    with pytest.raises(TrainingError, match="is no points model"):
        model_in_use(home, str(home.models / "none.points_model.zip"))
    assert PredictionsConfig().model == ""


def test_models_can_be_in_an_object_store_that_several_machines_read(home, monkeypatch):
    folder = UPath("memory://models of all")
    for file in home.models.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    version = model_in_use(home).version
    shutil.rmtree(home.models)
    monkeypatch.setenv("NBA_PRECOMPUTE_HOME", str(home.folder))
    assert not has_model(home_of_environment())
    monkeypatch.setenv("NBA_PRECOMPUTE_MODELS", str(folder))
    shared = home_of_environment()
    assert has_model(shared)
    assert model_in_use(shared).version == version
    serve(shared, [DAY], morning(DAY))
    assert compare_served(shared).check_results[0].passed


def test_the_command_predicts_a_day_and_prints_the_highest(home):
    done = command_line(home.folder, "predict", "--date", str(DAY))
    assert done.exit_code == 0, done.err
    assert f"predictions in {POINTS_PREDICTIONS.qualified_name}, made after the first tip-off" in done.out
    rows = home.warehouse.read(POINTS_PREDICTIONS, DAY, DAY)
    best = rows.loc[rows["predicted_points"].idxmax()]
    assert f"{best['player_lookup']}" in done.out
    off = command_line(home.folder, "predict", "--date", "2023-10-24")
    assert off.exit_code == 2
    assert "has no game to be predicted" in off.err


def test_a_model_of_invented_games_predicts_no_real_ones(home):
    """The home's games are in a folder, so they are taken for real ones."""
    found = model_in_use(home)
    invented = dataclasses.replace(found, made_from={**found.made_from, "source": SIMULATED_LEAGUE})
    file = model.write(invented, home.models)
    with pytest.raises(TrainingError, match="was trained on invented games, and the games of this home are real"):
        model_in_use(home, str(file))


def test_what_a_model_from_elsewhere_said_is_compared_with_the_games_too(home, tmp_path):
    used = model_in_use(home)
    file = model.write(used, UPath(tmp_path / "elsewhere"))
    shutil.rmtree(home.models)
    with instance_of(home) as instance:
        assert predict_day(build_definitions(home), home, instance, DAY, str(file), {}) == []
    table = compare_served(home).metadata["latest_days"].value
    assert re.search(rf"\| {DAY} \| False \| \d+ \| \d+ \| ([\d.]+) \| \1 \| ", table)  # as served and as refreshed


# --------------------------------------------------------------------------------------------------------- after the games


def test_what_was_served_is_what_the_model_says_of_the_same_features_and_its_errors_are_those_of_the_games(home):
    serve(home, [SEEN, DAY], morning(SEEN))
    made = compare_served(home)
    assert [check.passed for check in made.check_results] == [True, True]
    rows = home.warehouse.read(POINTS_PREDICTIONS, DAY, DAY).merge(
        home.warehouse.read(PLAYER_GAME_SUMMARY, DAY, DAY, ["player_id", "points"]), on="player_id"
    )
    error = (rows["predicted_points"] - rows["points"]).abs().mean()
    table = made.metadata["latest_days"].value
    assert str(SEEN) not in table  # the model had seen it
    assert f"| {DAY} | True | " in table
    assert f" | {len(rows)} | {error:.3f} | {error:.3f} | " in table


def test_a_feature_that_changed_since_is_named_with_the_player_and_both_predictions(home):
    serve(home, [DAY], morning(DAY))
    player = home.warehouse.read(ML_FEATURE_STORE_V2, DAY, DAY).nlargest(1, "points_avg_season").iloc[0]
    spoil(
        home,
        DAY,
        lambda rows: rows.assign(
            points_avg_season=rows["points_avg_season"].mask(rows["player_id"] == player["player_id"], 4.0)
        ),
    )
    changed, errors = compare_served(home).check_results
    assert not changed.passed
    assert f"{DAY} {player['player_lookup']}: " in changed.description
    assert "now (points_avg_season)" in changed.description
    assert changed.metadata["moved"].value == 1
    assert errors.passed


def test_a_player_who_is_not_on_the_slate_any_more_is_told_of(home):
    serve(home, [DAY], morning(DAY))
    spoil(home, DAY, lambda rows: rows.iloc[1:])
    changed = compare_served(home).check_results[0]
    assert not changed.passed
    assert "not on the slate any more" in changed.description
    assert changed.metadata["gone_from_slate"].value == 1


def test_predictions_whose_model_is_gone_are_shown_and_not_judged(home):
    serve(home, [DAY], morning(DAY))
    shutil.rmtree(home.models)
    made = compare_served(home)
    assert made.check_results[0].passed
    assert made.check_results[0].metadata["predictions"].value == 0
    assert f"| {DAY} | True | " in made.metadata["latest_days"].value


def test_what_was_made_after_the_tip_off_is_shown_and_not_judged(home):
    serve(home, [DAY], night(DAY))
    spoil(home, DAY, lambda rows: rows.iloc[1:])
    made = compare_served(home)
    assert made.check_results[0].passed
    assert f"| {DAY} | False | " in made.metadata["latest_days"].value


def played(rows, *, said, average):
    usual = {"last 5": 30.0, "last 10": 30.0, "season average": average, "predicted_points": said, "points": 10.0}
    return pd.DataFrame([usual] * rows)


def test_errors_are_judged_against_the_best_baseline_once_there_are_enough():
    worse = served.errors(played(served.FEWEST_ROWS, said=13.0, average=12.0))
    assert not worse.passed
    assert "3.000 points of mean absolute error on 1,000 rows, season average 2.000: 50.00 % worse. Train again" in worse.words
    assert served.errors(played(served.FEWEST_ROWS, said=11.0, average=12.0)).passed
    too_few = served.errors(played(served.FEWEST_ROWS - 1, said=13.0, average=12.0))
    assert too_few.passed
    assert "Nothing to judge yet: 999" in too_few.words


def test_without_predictions_there_is_nothing_to_compare(home):
    made = compare_served(home)
    assert [check.passed for check in made.check_results] == [True, True]
    assert made.metadata["rows"] == 0
