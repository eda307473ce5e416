"""Real runs of the real graph on a real instance and a real warehouse, over a few weeks of the simulated league."""

import shutil
from datetime import date

import dagster as dg
import duckdb
import pandas as pd
import pytest

from nba_precompute.assets import CASCADE_TABLES, SUMMARY_TABLES, TABLES
from nba_precompute.backfill import RangedRun, backfill_days, execute
from nba_precompute.coverage import GAP, THERE, look_at_source, survey
from nba_precompute.definitions import build_definitions
from nba_precompute.game_days import days_between, eligible_days, game_days
from nba_precompute.home import Home
from nba_precompute.instance import instance_of
from nba_precompute.materialization import missing_upstream
from nba_precompute.production import BACKFILL

START, END = date(2023, 10, 24), date(2023, 11, 17)
ELIGIBLE = days_between(eligible_days, START, END)
GAMES = days_between(game_days, START, END)


class Platform:
    """A home with its instance, as the command line uses them."""

    def __init__(self, folder, raw):
        self.home = Home(folder, raw)
        self.instance = instance_of(self.home)

    def backfill(self, start=START, end=END, tables=TABLES, force=False, mode=BACKFILL):
        made = []
        failures = backfill_days(
            build_definitions(self.home),
            self.home,
            self.instance,
            look_at_source(self.home.source(), start, end),
            tables,
            tags={},
            force=force,
            on_progress=lambda run, *_: made.append(run),
            mode=mode,
        )
        runs = list(dict.fromkeys((tuple(table.name for table in run.tables), run.days[0], run.days[-1]) for run in made))
        return runs, failures

    def run(self, tables, days, mode=BACKFILL):
        run = RangedRun(tables, days)
        return execute(build_definitions(self.home), self.instance, run, tags={}, on_materialization=lambda: None, mode=mode)

    def survey(self, start=START, end=END):
        return survey(self.home, self.instance, look_at_source(self.home.source(), start, end), TABLES)

    def states(self, start=START, end=END):
        return self.survey(start, end).set_index(["table", "day"])["state"]

    def recorded(self, table):
        return self.instance.get_materialized_partitions(dg.AssetKey(table.name))

    def hashes(self):
        versions = self.home.warehouse.partition_versions()
        return versions.set_index(["table_name", "day"])["content_hash"].sort_index()


def folder_of(simulated_season, tmp_path_factory, name="raw"):
    folder = tmp_path_factory.mktemp(name)
    shutil.copytree(simulated_season.path, folder, dirs_exist_ok=True)
    return folder


def change_box_scores(folder, change):
    path = folder / "player_box_scores.parquet"
    rows = pd.read_parquet(path)
    rows["game_date"] = pd.to_datetime(rows["game_date"])
    changed = change(rows).copy()
    changed["game_date"] = changed["game_date"].dt.date
    changed.to_parquet(path)


@pytest.fixture(scope="module")
def filled(simulated_season, tmp_path_factory):
    """A home with everything from START to END; tests that change anything take a copy."""
    platform = Platform(tmp_path_factory.mktemp("filled") / "home", folder_of(simulated_season, tmp_path_factory))
    platform.made, platform.failures = platform.backfill()
    return platform


@pytest.fixture(scope="module")
def summaries(filled, tmp_path_factory):
    """A home with the game summaries alone; tests take a copy."""
    platform = Platform(tmp_path_factory.mktemp("summaries") / "home", filled.home.raw)
    assert platform.run(SUMMARY_TABLES, GAMES).success
    return platform


@pytest.fixture
def with_summaries(summaries, tmp_path):
    """A copy of the home with the game summaries alone."""
    shutil.copytree(summaries.home.folder, tmp_path / "home")
    return Platform(tmp_path / "home", summaries.home.raw)


@pytest.fixture
def copied(filled, tmp_path):
    """A copy of the filled home and its raw games, to be changed."""
    shutil.copytree(filled.home.raw, tmp_path / "raw")
    shutil.copytree(filled.home.folder, tmp_path / "home")
    with duckdb.connect(tmp_path / "home" / "warehouse.duckdb") as connection:
        connection.execute("UPDATE nba_reference.source SET name = ?", [str((tmp_path / "raw").resolve())])
    return Platform(tmp_path / "home", tmp_path / "raw")


def test_an_empty_home_is_filled_by_one_run_of_summaries_and_one_of_the_cascade(filled):
    assert filled.failures == []
    assert filled.made == [
        (tuple(table.name for table in SUMMARY_TABLES), START, END),
        (tuple(table.name for table in CASCADE_TABLES), date(2023, 11, 8), END),
    ]
    assert set(filled.states()) == {THERE}


def test_what_is_there_is_not_made_again(filled):
    assert filled.backfill() == ([], [])


def recorded_metadata(platform, table, day):
    [event] = platform.instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey(table), asset_partitions=[str(day)]), limit=1
    ).records
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def test_every_partition_carries_its_rows_players_readiness_and_content_hash(filled):
    day = ELIGIBLE[0]
    metadata = recorded_metadata(filled, "ml_feature_store_v2", day)
    rows = filled.home.warehouse.read(TABLES[-1], day, day)
    assert metadata["dagster/partition_row_count"] == metadata["players"] == len(rows)
    assert metadata["share_ready"] == pytest.approx(rows["production_ready"].mean())
    assert metadata["content_hash"] == filled.hashes()["nba_predictions.ml_feature_store_v2", pd.Timestamp(day)]


def test_a_day_carries_the_mean_of_each_factor_and_the_null_rate_of_its_worst_column(filled):
    day = ELIGIBLE[2]
    metadata = recorded_metadata(filled, "player_composite_factors", day)
    rows = filled.home.warehouse.read(CASCADE_TABLES[4], day, day)
    factors = ["fatigue_score", "shot_zone_mismatch_score", "pace_score", "usage_spike_score"]
    for factor in factors:
        assert metadata[f"mean_{factor}"] == pytest.approx(rows[factor].dropna().astype(float).mean())
    nulls = {factor: rows[factor].isna().mean() for factor in factors}
    assert metadata["worst_null_rate"] == pytest.approx(max(nulls.values()))
    assert max(nulls.values()) > 0
    assert nulls[metadata["worst_null_rate_of"]] == max(nulls.values())


def test_a_range_run_equals_runs_a_day(filled, with_summaries):
    days, single = ELIGIBLE[:6], with_summaries
    for day in days:
        assert single.run(CASCADE_TABLES, [day]).success
    ranged, by_day = filled.hashes(), single.hashes()
    assert len(by_day) == 3 * len(GAMES) + 6 * len(days)
    pd.testing.assert_series_equal(ranged[by_day.index], by_day)
    for table in CASCADE_TABLES:
        rows = [platform.home.warehouse.read(table, days[0], days[-1]) for platform in (filled, single)]
        pd.testing.assert_frame_equal(*rows, check_exact=True)


def test_making_everything_again_gives_the_same_rows(copied):
    before = {table.name: copied.home.warehouse.read(table) for table in TABLES}
    hashes = copied.hashes()
    runs, failures = copied.backfill(force=True)
    assert failures == []
    assert len(runs) == 2
    pd.testing.assert_series_equal(copied.hashes(), hashes)
    for table in TABLES:
        pd.testing.assert_frame_equal(copied.home.warehouse.read(table), before[table.name], check_exact=True)


def test_a_range_of_bootstrap_days_touches_no_table_of_the_cascade(filled, tmp_path):
    platform = Platform(tmp_path / "home", filled.home.raw)
    runs, failures = platform.backfill(START, date(2023, 11, 6))
    assert [tables for tables, _, _ in runs] == [tuple(table.name for table in SUMMARY_TABLES)]
    assert failures == []
    assert all(platform.recorded(table) == set() for table in CASCADE_TABLES)
    assert all(platform.home.warehouse.read(table).empty for table in CASCADE_TABLES)


def test_a_day_without_box_scores_stays_missing_and_the_others_are_there(filled, simulated_season, tmp_path, tmp_path_factory):
    raw = folder_of(simulated_season, tmp_path_factory)
    lost = pd.Timestamp("2023-10-27")
    change_box_scores(raw, lambda rows: rows[rows["game_date"] != lost])
    platform = Platform(tmp_path / "home", raw)
    result = platform.run(SUMMARY_TABLES, GAMES)
    assert not result.success
    failure = next(event for event in result.all_events if event.is_step_failure).step_failure_data.user_failure_data
    assert f"1 of {len(GAMES)} days" in failure.description
    assert failure.metadata["days"].value == "2023-10-27"
    assert "player_box_scores.parquet: 2023-10-27, game 00223" in failure.metadata["reasons"].value
    for table in SUMMARY_TABLES:
        assert platform.recorded(table) == {str(day) for day in GAMES if day != lost.date()}
        assert lost not in set(platform.home.warehouse.read(table)["game_date"])
    states = platform.states()
    assert [states[table.name, lost.date()] for table in SUMMARY_TABLES] == [GAP] * 3


def test_the_command_line_leaves_a_day_that_cannot_be_trusted_out_of_its_ranges(simulated_season, tmp_path, tmp_path_factory):
    raw = folder_of(simulated_season, tmp_path_factory)
    lost = pd.Timestamp("2023-10-27")
    change_box_scores(raw, lambda rows: rows[rows["game_date"] != lost])
    platform = Platform(tmp_path / "home", raw)
    runs, failures = platform.backfill()
    assert failures == []
    assert [(first, last) for tables, first, last in runs if len(tables) == 3] == [
        (START, date(2023, 10, 26)),
        (date(2023, 10, 28), END),
    ]
    states = platform.states()
    assert set(states.drop([(table.name, lost.date()) for table in SUMMARY_TABLES])) == {THERE}
    zones = platform.home.warehouse.read(CASCADE_TABLES[3], ELIGIBLE[0], ELIGIBLE[0])
    assert zones["completeness_pct"].min() < 100


def test_a_day_of_the_cascade_whose_upstream_is_not_there_stays_missing(with_summaries):
    platform = with_summaries
    platform.run(CASCADE_TABLES[:4], ELIGIBLE[:2])
    result = platform.run([CASCADE_TABLES[4]], ELIGIBLE[:3])
    assert not result.success
    assert platform.recorded(CASCADE_TABLES[4]) == {str(day) for day in ELIGIBLE[:2]}
    assert set(platform.home.warehouse.read(CASCADE_TABLES[4])["game_date"].dt.date) == set(ELIGIBLE[:2])


def test_without_any_game_of_the_season_nothing_of_the_cascade_is_made(filled, tmp_path):
    platform = Platform(tmp_path / "home", filled.home.raw)
    for table in CASCADE_TABLES:
        assert not platform.run([table], ELIGIBLE[:1]).success
        assert platform.recorded(table) == set()
        assert platform.home.warehouse.read(table).empty


def test_games_of_another_season_are_no_history():
    days = [date(2023, 11, 8), date(2024, 11, 6)]
    games = pd.Series("hash", index=pd.DatetimeIndex(["2023-11-07", "2024-06-17"]))
    reasons = missing_upstream(CASCADE_TABLES[3], days, {"player_game_summary": games})
    assert reasons == {days[1]: "player_game_summary has no games of 2024-25 before 2024-11-06; materialise them first"}
