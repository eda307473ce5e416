"""The points model: what it is trained and measured on, what its file refuses, and that it knows nothing but what features tell."""

import json
import re
import shutil
import sys
from datetime import date, timedelta

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from rich.console import Console
from upath import UPath

from nba_precompute import predictions
from nba_precompute.cli import cli
from nba_precompute.definitions import build_definitions
from nba_precompute.home import Home
from nba_precompute.instance import instance_of
from nba_precompute.tables.ml_feature_store_v2 import FEATURES
from nba_precompute.training import IN_USE, TrainingError, evaluation, model, report
from nba_precompute.training import train as training
from nba_precompute.training.ablation import FAMILIES, Worth, ablation, mean_by_day
from nba_precompute.training.export import TrainingSet, export
from nba_precompute.training.train import TEST, TRAIN, VALIDATION, split
from nba_precompute_tests.processes import command_line
from nba_precompute_tests.test_runs import END, START


@pytest.fixture(scope="module")
def training_set(home_of_weeks):
    return export(home_of_weeks, START, END)


@pytest.fixture(scope="module")
def trained(training_set):
    return training.train(training_set)


# ------------------------------------------------------------------------------------------------------------- the split


def days(season_start, count):
    return [season_start + timedelta(days=number) for number in range(count)]


def seasons_of(*lengths):
    starts = [date(2021 + number, 11, 1) for number in range(len(lengths))]
    all_days = [day for start, length in zip(starts, lengths, strict=True) for day in days(start, length)]
    return all_days, [f"{day.year}-{day.year % 100 + 1}" for day in all_days]


def test_the_last_season_is_measured_the_one_before_it_says_when_to_stop_and_all_before_is_fitted():
    parts = split(*seasons_of(40, 40, 40, 40))
    assert {name: (part[0].year, part[-1].year) for name, part in parts.items()} == {
        TRAIN: (2021, 2022),
        VALIDATION: (2023, 2023),
        TEST: (2024, 2024),
    }


def test_a_season_that_has_just_begun_is_measured_together_with_the_one_before():
    parts = split(*seasons_of(40, 40, 40, 29))
    assert [part[0].year for part in parts.values()] == [2021, 2022, 2023]
    assert parts[TEST][-1].year == 2024
    assert split(*seasons_of(40, 40, 40, 30))[TEST][0].year == 2024


def test_of_fewer_than_three_seasons_the_days_are_cut_in_time_order():
    parts = split(*seasons_of(10))
    assert [len(part) for part in parts.values()] == [6, 2, 2]
    assert parts[TRAIN] + parts[VALIDATION] + parts[TEST] == days(date(2021, 11, 1), 10)
    with pytest.raises(TrainingError, match="There are 4 days with rows"):
        split(*seasons_of(4))


def test_no_day_is_in_two_parts_and_nothing_is_fitted_to_a_day_that_is_measured(training_set, trained):
    parts = training.parts_of(training_set.rows)
    of_days = [set(rows["game_date"]) for rows in parts.values()]
    assert sum(map(len, of_days)) == len(set.union(*of_days)) == 10
    assert max(of_days[0]) < min(of_days[1]) <= max(of_days[1]) < min(of_days[2])
    assert trained.report["made_from"]["last_day"] == str(max(of_days[1]).date())
    assert sum(part["rows"] for part in trained.report["split"].values()) == len(training_set.rows)


# --------------------------------------------------------------------------------------------------------- what is measured


def row(points, **values):
    usual = {"season": "2023-24", "game_date": pd.Timestamp("2024-01-15"), "minutes_played": 20.0, "starter": False}
    form = {"points_avg_last_5": 10.0, "points_avg_last_10": 12.0, "points_avg_season": 14.0, "vegas_points_line": np.nan}
    return {**usual, **form, "points": points, **values}


def test_errors_of_model_and_baselines_are_those_worked_by_hand():
    rows = pd.DataFrame([row(10), row(20)])
    table = evaluation.compare(rows, evaluation.predictions(rows, pd.Series([13.0, 16.0]))).set_index("predictor")
    # the model is off by +3 and -4, the season average, 14, by +4 and -6
    assert table.loc["model", ["mae", "bias", "rows"]].tolist() == [3.5, -0.5, 2]
    assert table.loc["model", "rmse"] == pytest.approx(12.5**0.5)
    assert table.loc["season average", "mae"] == 5.0
    assert table.loc["last 5", "mae"] == 5.0
    assert table.loc["last 10", ["mae", "better"]].tolist() == [5.0, 0.0]
    assert table.loc["model", "better"] == pytest.approx(30.0)
    assert "points line" not in table.index  # it says nothing of these rows


def test_groups_are_of_minutes_and_starters_and_the_line_is_measured_where_there_is_one():
    rows = pd.DataFrame(
        [row(10, minutes_played=14.9), row(10, minutes_played=15.0), row(10, starter=True, vegas_points_line=11.0)]
    )
    table = evaluation.by_group(rows, evaluation.predictions(rows, pd.Series([10.0, 10.0, 12.0])))
    counted = table[table["predictor"] == "model"].set_index("group")["rows"].to_dict()
    assert counted == {"all who played": 3, "15 minutes or more": 2, "starters": 1, "with a points line": 1}
    of_line = table[table["group"] == "with a points line"].set_index("predictor")
    assert of_line.loc[["points line", "model", "last 5"], "mae"].tolist() == [1.0, 2.0, 0.0]


def test_rows_of_which_a_baseline_says_nothing_are_measured_for_none():
    rows = pd.DataFrame([row(10), row(10, points_avg_last_10=np.nan)])
    assert list(evaluation.comparable(rows).index) == [0]


def test_shuffling_the_one_feature_that_matters_costs_what_is_worked_by_hand_and_the_other_nothing():
    rows = pd.DataFrame({"told": np.arange(100.0), "noise": np.zeros(100), "points": np.arange(100.0)})
    found = evaluation.permutation_importance(lambda frame: frame["told"], rows, ["told", "noise"])
    order = np.random.default_rng(evaluation.SHUFFLE_SEED).permutation(100)
    assert found.to_dict() == {"told": np.abs(order - np.arange(100)).mean(), "noise": 0.0}


def report_with(mae, best):
    groups = [
        {"group": "all who played", "predictor": name, "mae": value, "rows": 1000, "better": 100 * (1 - value / best)}
        for name, value in {"model": mae, "last 5": best + 0.2, "last 10": best, "season average": best + 0.1}.items()
    ]
    return {"groups": groups, "split": {"test": {"first_day": "2024-11-06", "last_day": "2025-06-22"}}}


def test_the_check_passes_a_model_that_beats_the_best_baseline_and_fails_one_that_beats_only_the_others():
    better = predictions.beats_best_baseline(report_with(mae=4.5, best=5.0))
    assert better.passed
    assert "10.00 % better than the best baseline there (last 10, 5.000)" in better.description
    worse = predictions.beats_best_baseline(report_with(mae=5.05, best=5.0))
    assert not worse.passed
    assert "1.00 % worse" in worse.description
    assert "It is not put in use" in worse.description
    assert not predictions.beats_best_baseline(report_with(mae=5.0, best=5.0)).passed


# --------------------------------------------------------------------------------------------------------- what it knows


def test_the_model_beats_every_baseline_on_days_it_has_not_seen(trained):
    assert training.beats_best_baseline(trained.report)
    assert training.headline(trained.report).improvement_percent > 3


def test_trained_on_labels_shuffled_inside_dates_it_does_no_better_than_chance(training_set):
    """Chance is the median of the labels, the best that can be said without knowing anything of a row."""
    shuffled = training_set.rows.assign(
        points=training_set.rows.groupby("game_date")["points"].transform(
            lambda labels: labels.sample(frac=1, random_state=0).array
        )
    )
    parts = training.parts_of(shuffled)
    before, test = pd.concat([parts[TRAIN], parts[VALIDATION]]), parts[TEST]

    def error(known, measured):
        rounds = model.rounds_needed(known[known["game_date"].isin(parts[TRAIN]["game_date"])], measured, training_set.features)
        fitted = model.fit(known, training_set.features, rounds, {})
        return evaluation.measures(fitted.score(measured[training_set.features]), measured["points"])["mae"]

    def chance(known, measured):
        return (measured["points"] - known["points"].median()).abs().mean()

    assert error(before, test) > 0.97 * chance(before, test)
    honest = training.parts_of(training_set.rows)
    before, test = pd.concat([honest[TRAIN], honest[VALIDATION]]), honest[TEST]
    assert error(before, test) < 0.8 * chance(before, test)


def test_the_same_rows_give_the_same_file(training_set, trained):
    again = training.train(training_set)
    assert again.model.content == trained.model.content
    assert again.report == trained.report


# --------------------------------------------------------------------------------------------------------- the families


def test_every_feature_is_of_one_family():
    assert sorted(name for family in FAMILIES.values() for name in family) == sorted(FEATURES)


def test_a_difference_counts_by_whole_days_as_worked_by_hand():
    days = pd.Series(pd.to_datetime(["2024-01-15"] * 2 + ["2024-01-16"] * 2))
    mean, margin = mean_by_day(pd.Series([1.0, 3.0, 5.0, 7.0]), days)
    # the days' sums of differences from the mean, 4, are -4 and +4: sqrt((16 + 16) * 2 / 1) / 4
    assert (mean, margin) == (4.0, 2.0)
    assert Worth("pace", [], 4.6, 0.05, 0.02, 1.0).in_words == "adds"
    assert Worth("pace", [], 4.6, 0.04, 0.02, 1.0).in_words == "adds nothing"


def invented_rows(count_of_days=60, players=50):
    """Points are scored around a talent that form tells roughly and the other features do not."""
    random = np.random.default_rng(0)
    size = count_of_days * players
    talent = random.gamma(2.0, 5.0, size)
    rows = pd.DataFrame({name: random.random(size) for name in FEATURES})
    rows = rows.assign(**{name: talent + random.normal(0, 2, size) for name in FEATURES if name.startswith("points_avg")})
    dates = np.repeat(pd.date_range("2023-11-07", periods=count_of_days), players)
    return rows.assign(game_date=dates, season="2023-24", points=random.poisson(talent))


def test_form_adds_and_families_that_are_noise_add_nothing(monkeypatch):
    monkeypatch.setattr(
        "nba_precompute.training.ablation.FAMILIES", {name: FAMILIES[name] for name in ("zones", "form", "lines")}
    )
    error, found = ablation(TrainingSet(invented_rows(), list(FEATURES), {}))
    assert [worth.in_words for worth in found] == ["adds", "adds nothing", "adds nothing"]
    assert found[0].family == "form"
    assert found[0].mae - error == pytest.approx(found[0].cost)


# --------------------------------------------------------------------------------------------------------- the file


def test_a_file_gives_back_the_model_that_was_written(trained, training_set, tmp_path):
    file = model.write(trained.model, UPath(tmp_path))
    found = model.read(file)
    assert file.name == f"{trained.model.version}.points_model.zip"
    assert list(found.features) == list(FEATURES)
    assert found.made_from == trained.model.made_from
    assert found.version == trained.model.version
    features = training_set.rows[list(FEATURES)]
    assert found.score(features).tolist() == trained.model.score(features).tolist()


def test_model_and_report_can_be_written_to_an_object_store_and_read_there(trained):
    folder = UPath("memory://models")
    written = report.write(trained, folder)
    assert {file.name for file in folder.iterdir()} == {file.name for file in written}
    assert report.put_in_use(trained.report, folder)
    assert json.loads((folder / IN_USE).read_text())["model"] == trained.model.file_name
    assert model.read(folder / trained.model.file_name).version == trained.model.version


def test_a_model_that_is_worse_than_the_best_baseline_is_written_and_leaves_the_one_before_it_in_use(trained, tmp_path):
    groups = [{**row, "mae": row["mae"] + 9 * (row["predictor"] == "model")} for row in trained.report["groups"]]
    worse, folder = {**trained.report, "groups": groups, "model": "worse.points_model.zip"}, UPath(tmp_path)
    assert not report.put_in_use(worse, folder)
    assert not (folder / IN_USE).exists()
    assert report.put_in_use(trained.report, folder)
    assert not report.put_in_use(worse, folder)
    assert json.loads((folder / IN_USE).read_text())["model"] == trained.model.file_name


def test_a_starter_who_is_not_known_counts_as_none():
    rows = pd.DataFrame([row(10), row(20, starter=True), row(30, starter=pd.NA)])
    table = evaluation.by_group(rows, evaluation.predictions(rows, pd.Series([13.0, 16.0, 20.0])))
    of_model = table[table["predictor"] == "model"].set_index("group")["rows"]
    assert (of_model["all who played"], of_model["starters"]) == (3, 1)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (lambda rows: rows[[*FEATURES, "points"]], "not its features: points"),
        (lambda rows: rows[list(FEATURES)[1:]], "missing: points_avg_last_5"),
        (lambda rows: rows[list(FEATURES)[::-1]], "the order is another"),
        (lambda rows: rows[list(FEATURES)].rename(columns={"team_pace": "pace"}), "missing: team_pace; not its features: pace"),
    ],
    ids=["one more", "one less", "another order", "another name"],
)
def test_a_frame_with_other_columns_is_refused_and_told_which(trained, training_set, frame, words):
    with pytest.raises(TrainingError, match=words):
        trained.model.score(frame(training_set.rows))


def test_a_file_that_is_damaged_or_none_is_refused(trained, tmp_path):
    file = model.write(trained.model, UPath(tmp_path))
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(TrainingError, match="is no points model"):
        model.read(file)
    another = file.rename(file.with_name(f"{'0' * 16}{model.SUFFIX}"))
    another.write_bytes(content)
    with pytest.raises(TrainingError, match=f"is not what was written: its content is {trained.model.version}'s"):
        model.read(another)
    with pytest.raises(TrainingError, match="is no points model"):
        model.read(UPath(tmp_path) / "nothing.points_model.zip")


# --------------------------------------------------------------------------------------------------------- the command


@pytest.fixture
def one_day_is_proven(monkeypatch):
    """Each costs a second or two, and `test_export` proves more."""
    monkeypatch.setattr("nba_precompute.training.point_in_time.DAYS_SAMPLED", 1)


@pytest.mark.usefixtures("one_day_is_proven")
def test_a_dry_run_says_what_would_be_trained_and_what_there_is_to_beat_and_writes_nothing(home_of_weeks, monkeypatch):
    monkeypatch.setenv("NBA_PRECOMPUTE_HOME", str(home_of_weeks.folder))
    monkeypatch.setattr("nba_precompute.cli.console", Console(width=120))
    done = CliRunner().invoke(cli, ["train", "--dry-run", "--start", str(START), "--end", str(END)])
    assert done.exit_code == 0
    assert re.search(r"test +2023-11-16 +2023-11-17 +2 ", done.output)
    assert "To beat on the test's rows, mean absolute error: last 5" in done.output
    assert not home_of_weeks.models.exists()


def test_the_command_writes_model_report_and_picture_and_says_how_good_it_is(home_of_weeks, tmp_path):
    done = command_line(home_of_weeks.folder, "train", "--verbose", "--output-model", str(tmp_path))
    assert done.exit_code == 0, done.err
    assert "better than the best baseline there" in done.out
    found = json.loads((tmp_path / IN_USE).read_text())
    assert {row["feature"] for row in found["importance"]} == set(FEATURES)
    stem = found["model"].removesuffix(model.SUFFIX)
    said = (tmp_path / f"{stem}.md").read_text()
    assert f"![{report.PICTURE_SAYS}]({stem}.png)" in said
    assert f"| all who played | {training.headline(found).rows} | model |" in said
    assert (tmp_path / f"{stem}.png").read_bytes().startswith(b"\x89PNG")
    assert not home_of_weeks.models.exists()


def test_a_model_that_a_command_trained_is_recorded_as_a_run_of_the_asset_does_it_however_often(trained, tmp_path):
    with instance_of(Home(tmp_path)) as instance:
        for _ in range(2):
            predictions.record_model(instance, trained)
        made = instance.get_latest_materialization_event(dg.AssetKey("points_model")).asset_materialization.metadata
        assert made["improvement_percent"].value == training.headline(trained.report).improvement_percent
        assert "data:image/png;base64," in made["report"].value
        [checked] = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey("points_model"), "beats_best_baseline"), limit=1
        )
        assert checked.status is AssetCheckExecutionRecordStatus.SUCCEEDED


@pytest.mark.usefixtures("one_day_is_proven")
def test_the_asset_leaves_the_model_where_predictions_find_it(home_of_weeks, tmp_path):
    home = Home(shutil.copytree(home_of_weeks.folder, tmp_path / "home"), home_of_weeks.raw)
    with instance_of(home) as instance:
        run = (
            build_definitions(home)
            .resolve_implicit_global_asset_job_def()
            .execute_in_process(instance=instance, asset_selection=[dg.AssetKey("points_model")])
        )
        [checked] = run.get_asset_check_evaluations()
        assert checked.passed
    assert predictions.model_in_use(home).version == json.loads((home.models / IN_USE).read_text())["version"]


def test_without_the_extra_the_graph_loads_and_training_says_what_is_missing(monkeypatch, training_set, tmp_path):
    monkeypatch.setitem(sys.modules, "xgboost", None)
    dg.Definitions.validate_loadable(build_definitions(Home(tmp_path)))
    with pytest.raises(TrainingError, match="uv sync --extra model"):
        training.train(training_set)


def test_a_set_without_the_form_features_has_no_start_and_can_be_trained_all_the_same(training_set):
    features = [name for name in FEATURES if not name.startswith("points_avg")]
    fitted = training.train(TrainingSet(training_set.rows, features, training_set.manifest))
    assert model.start(training_set.rows[features]) is None
    assert fitted.model.score(training_set.rows[features]).notna().all()
