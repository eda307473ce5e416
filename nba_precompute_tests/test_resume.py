"""What a backfill makes after something changed: the days listed by hand, not one more or less, and then as made from nothing.

The home holds 2023-10-24 to 2023-11-13 of the simulated league, so the days of the cascade are 8 to 13 November. What is made is
what the warehouse has from another run than before; the list of runs must ask for each of these days once.
"""

import dataclasses
import shutil
from datetime import UTC, date, datetime

import dagster as dg
import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nba_precompute import coverage
from nba_precompute.assets import CASCADE_TABLES, SUMMARY_TABLES, TABLES
from nba_precompute.backfill import RANGE_END_TAG, RANGE_START_TAG, days_to_make
from nba_precompute.cli import name_what_is_missing
from nba_precompute.coverage import GAP, STALE, THERE, partitions_of
from nba_precompute.game_days import SEASONS, contiguous_ranges, days_between
from nba_precompute.sources import layout
from nba_precompute.sources.simulated import write_simulated_league
from nba_precompute.storage import Publication
from nba_precompute.storage.content_hash import hash_days
from nba_precompute_tests.cascade import everything
from nba_precompute_tests.test_runs import Platform, folder_of

START, END = date(2023, 10, 24), date(2023, 11, 13)
CHANGED, LATE = pd.Timestamp("2023-11-10"), pd.Timestamp("2023-11-12")

SUMMARIES = [table.name for table in SUMMARY_TABLES]
TEAMS, SLATE, DEFENSES, ZONES, FACTORS, FEATURES = CASCADE = [table.name for table in CASCADE_TABLES]
TABLE = {table.name: table for table in TABLES}

SLATE_PLAYER = 9_000_278
"""A player of DEN who plays on 10 and 12 November and has no news in between."""


# ------------------------------------------------------------------------------------------------------ what was made


def versions_of(platform):
    versions = platform.home.warehouse.partition_versions()
    return versions.assign(table=versions["table_name"].str.split(".").str[1]).set_index(["table", "day"])["run_id"]


def made_by(platform, **arguments):
    """Backfill, and say what that made: {table: "first to last", ...}; every day of it in one run."""
    before, runs_before = versions_of(platform), {run.run_id for run in platform.instance.get_runs()}
    _, failures = platform.backfill(**{"start": START, "end": END, **arguments})
    assert failures == []
    after = versions_of(platform)
    made = after[after != before.reindex(after.index)]
    asked_for = [
        (table, day)
        for run in platform.instance.get_runs()
        if run.run_id not in runs_before
        for table in (key.to_user_string() for key in run.asset_selection)
        for day in days_between(
            partitions_of(TABLE[table]), *(date.fromisoformat(run.tags[tag]) for tag in (RANGE_START_TAG, RANGE_END_TAG))
        )
    ]
    assert sorted(asked_for) == sorted((table, day.date()) for table, day in made.index)
    found = {}
    for table in TABLES:
        days = [day.date() for name, day in made.index if name == table.name]
        for of_range in contiguous_ranges(partitions_of(table), days):
            found.setdefault(table.name, []).append(
                str(of_range[0])[5:] + (f" to {str(of_range[-1])[5:]}" if of_range[1:] else "")
            )
    print(*(f"{table:30} {', '.join(days)}" for table, days in found.items()), sep="\n")
    return {table: ", ".join(days) for table, days in found.items()}


def days(tables, words):
    return dict.fromkeys(tables, words)


def of_nothing(source, start=START, end=END):
    """Content hashes of all tables as the formulas alone make them from the source, and of nothing that was there before."""
    hashes = {}
    for name, rows in everything(source, start, end).items():
        table = TABLE[name]
        hashes[table.qualified_name] = hash_days(table.conform(rows), table.day, table.columns)
    return pd.concat(hashes, names=["table_name", "day"]).rename("content_hash").sort_index()


def assert_as_made_from_nothing(platform):
    assert set(platform.states(START, END)) == {THERE}
    pd.testing.assert_series_equal(platform.hashes(), of_nothing(platform.home.source()), check_index_type=False)


# ------------------------------------------------------------------------------------------------------ what changes


def change(platform, file, how, **metadata):
    """Write a raw file again with other rows, in the same types; `metadata` replaces what the file says of itself."""
    path = platform.home.raw / file.name
    was = pq.read_table(path)
    rows = how(was.to_pandas(date_as_object=False, ignore_metadata=True))
    said = {key.encode(): value.encode() for key, value in metadata.items()} or was.schema.metadata
    pq.write_table(pa.Table.from_pandas(rows, schema=was.schema, preserve_index=False).replace_schema_metadata(said), path)


def one_more_free_throw(rows, day=CHANGED):
    first = rows.index[rows["game_date"] == day][0]
    rows.loc[first, ["pts", "ftm", "fta"]] += 1
    return rows


def without_day(rows, day=CHANGED):
    return rows[rows["game_date"] != day]


@pytest.fixture(scope="module")
def filled(simulated_season, tmp_path_factory):
    """A home with everything from START to END; shots of LATE are not there yet, injury news are to 10 November."""
    platform = Platform(tmp_path_factory.mktemp("filled") / "home", folder_of(simulated_season, tmp_path_factory))
    for file in (layout.BOX_SCORES, layout.SHOTS, layout.LINES, layout.PROPS):
        change(platform, file, lambda rows: rows[rows["game_date"] <= pd.Timestamp(END)])
    change(platform, layout.SHOTS, lambda rows: without_day(rows, LATE))
    change(platform, layout.INJURIES, lambda rows: rows, covered_from=str(START), covered_to="2023-11-10")
    assert made_by(platform) == {**days(SUMMARIES, "10-24 to 11-13"), **days(CASCADE, "11-08 to 11-13")}
    return platform


@pytest.fixture
def home(filled, tmp_path, monkeypatch):
    """A copy of the filled home and its raw games, to be changed; the code was loaded after it was filled."""
    monkeypatch.setattr(coverage, "LOADED_AT", datetime.now(UTC).replace(tzinfo=None))
    shutil.copytree(filled.home.raw, tmp_path / "raw")
    shutil.copytree(filled.home.folder, tmp_path / "home")
    with duckdb.connect(tmp_path / "home" / "warehouse.duckdb") as connection:
        connection.execute("UPDATE nba_reference.source SET name = ?", [str((tmp_path / "raw").resolve())])
    return Platform(tmp_path / "home", tmp_path / "raw")


def test_the_filled_home_is_as_made_from_nothing(filled):
    assert_as_made_from_nothing(filled)
    assert made_by(filled) == {}


# ------------------------------------------------------------------------------------------------------ box scores, shots


def test_a_corrected_box_score(home):
    change(home, layout.BOX_SCORES, one_more_free_throw)
    assert made_by(home) == {**days(SUMMARIES, "11-10"), **days(CASCADE, "11-11 to 11-13")}
    assert_as_made_from_nothing(home)


def test_a_corrected_box_score_that_no_other_day_sees_and_the_correction_taken_back(home, filled):
    change(home, layout.BOX_SCORES, lambda rows: one_more_free_throw(rows, pd.Timestamp(END)))
    assert made_by(home) == days(SUMMARIES, "11-13")
    assert_as_made_from_nothing(home)
    shutil.copy(filled.home.raw / layout.BOX_SCORES.name, home.home.raw)
    assert made_by(home) == days(SUMMARIES, "11-13")
    pd.testing.assert_series_equal(home.hashes(), filled.hashes())


def test_who_assisted_a_basket_is_no_business_of_the_teams(home):
    """No table of teams has it, so the team summaries come out as they were, and no defence, context or team form is asked for."""

    def assisted(shots):
        made = shots.index[(shots["game_date"] == CHANGED) & shots["made"] & (shots["assisted"] == False)]  # noqa: E712
        shots.loc[made, "assisted"] = True
        return shots

    change(home, layout.SHOTS, assisted)
    assert made_by(home) == {**days(SUMMARIES, "11-10"), **days([SLATE, ZONES, FACTORS, FEATURES], "11-11 to 11-13")}
    assert_as_made_from_nothing(home)


def test_shots_that_arrive_late(home, simulated_season):
    assert home.home.warehouse.read(TABLES[0], LATE.date(), LATE.date())["paint_attempts"].isna().all()
    shutil.copy(simulated_season.path / layout.SHOTS.name, home.home.raw)
    assert made_by(home) == {**days(SUMMARIES, "11-12"), **days(CASCADE, "11-13")}
    assert home.home.warehouse.read(TABLES[0], LATE.date(), LATE.date())["paint_attempts"].notna().all()
    assert_as_made_from_nothing(home)


def test_what_no_table_counts_makes_its_own_day_alone(home, filled):
    """Assists of missed shots are read and come to nothing, so the day comes out as it was and wakes nobody."""

    def assisted_misses(shots):
        return shots.assign(assisted=shots["assisted"].mask((shots["game_date"] == CHANGED) & ~shots["made"], True))

    change(home, layout.SHOTS, assisted_misses)
    assert made_by(home) == days(SUMMARIES, "11-10")
    pd.testing.assert_series_equal(home.hashes(), filled.hashes())


def test_a_box_score_of_the_bootstrap_that_arrives_late_fills_its_gap(filled, tmp_path):
    shutil.copytree(filled.home.raw, tmp_path / "raw")
    home = Platform(tmp_path / "home", tmp_path / "raw")
    change(home, layout.BOX_SCORES, lambda rows: rows[rows["game_id"] != "0022300039"])
    assert made_by(home) == {**days(SUMMARIES, "10-24 to 10-27, 10-29 to 11-13"), **days(CASCADE, "11-08 to 11-13")}
    states = home.states(START, END)
    assert dict(states[states != THERE]) == {(table, date(2023, 10, 28)): GAP for table in SUMMARIES}
    assert made_by(home) == {}
    shutil.copy(filled.home.raw / layout.BOX_SCORES.name, home.home.raw)
    assert made_by(home) == {**days(SUMMARIES, "10-28"), **days(CASCADE, "11-08 to 11-13")}
    pd.testing.assert_series_equal(home.hashes(), filled.hashes())


def test_a_correction_that_cannot_be_trusted_leaves_the_day_as_it_was(home, filled, capsys):
    """Later slates read the load from the raw box scores; the two teams play on the 12th only, so the others come out as they were."""
    change(home, layout.BOX_SCORES, lambda rows: rows[rows["game_id"] != "0022300133"])
    assert made_by(home) == {SLATE: "11-11 to 11-13", FACTORS: "11-12", FEATURES: "11-12"}
    states = home.states(START, END)
    assert dict(states[states != THERE]) == {(table, CHANGED.date()): STALE for table in SUMMARIES}
    assert made_by(home) == {}
    capsys.readouterr()
    name_what_is_missing(home.survey(START, END))
    assert capsys.readouterr().out == (
        f"stale: 2023-11-10 of {', '.join(SUMMARIES)}, left as it was because the source cannot be trusted there:\n"
        "  player_box_scores.parquet: 2023-11-10, game 0022300133: the schedule has HOU at IND, the file has no row of it: "
        "add the box score, or correct the schedule's date if the game was postponed\n"
    )
    forced = days_to_make(home.survey(START, END), {}, force=True)
    assert len(forced) == len(states) - 3
    assert CHANGED.date() not in set(forced.loc[forced["table"].isin(SUMMARIES), "day"])
    shutil.copy(filled.home.raw / layout.BOX_SCORES.name, home.home.raw)
    assert made_by(home) == {SLATE: "11-11 to 11-13", FACTORS: "11-12", FEATURES: "11-12"}
    pd.testing.assert_series_equal(home.hashes(), filled.hashes())


def test_a_correction_crosses_the_summer_in_the_feature_table_alone_and_ends_after_365_days(tmp_path):
    write_simulated_league(tmp_path / "raw", [season for season in SEASONS if season.name in ("2022-23", "2023-24")])
    home = Platform(tmp_path / "home", tmp_path / "raw")
    day = date(2022, 11, 9)
    made_by(home, start=day, end=day, tables=SUMMARY_TABLES)
    made_by(home, end=date(2023, 11, 10))
    change(home, layout.BOX_SCORES, lambda rows: one_more_free_throw(rows, pd.Timestamp(day)))
    assert made_by(home, start=day, end=day, tables=SUMMARY_TABLES) == days(SUMMARIES, "11-09")
    assert made_by(home, end=date(2023, 11, 10)) == {FEATURES: "11-08 to 11-09"}


# ------------------------------------------------------------------------------------------------------ lines, news, files


def test_a_line_that_arrives_late(home):
    change(home, layout.LINES, lambda rows: rows.assign(total=rows["total"] + (rows["game_date"] == CHANGED)))
    assert made_by(home) == days([TEAMS, SLATE, FACTORS, FEATURES], "11-10")
    assert_as_made_from_nothing(home)


def test_bookmakers_lines_that_arrive_late(home):
    change(home, layout.PROPS, without_day)
    assert made_by(home) == days([SLATE, FACTORS, FEATURES], "11-10")
    assert_as_made_from_nothing(home)


def test_a_tip_off_that_moves_by_a_minute_cuts_no_line(home):
    """The slate comes out as it was, so the factors, which read no tip-off themselves, are not asked for."""

    def a_minute_later(schedule):
        return schedule.assign(start_utc=schedule["start_utc"] + pd.Timedelta(minutes=1) * (schedule["game_date"] == CHANGED))

    change(home, layout.SCHEDULE, a_minute_later)
    assert made_by(home) == days([SLATE, FEATURES], "11-10")
    assert_as_made_from_nothing(home)


def test_news_of_the_day_before_that_arrives_late(home):
    """Every later slate reads the item; on the 12th he has played since, so that slate and the others come out as they were."""

    def known_out(news):
        item = {"date": CHANGED - pd.Timedelta(days=1), "player_id": SLATE_PLAYER, "status": "out", "note": "sore knee"}
        return pd.concat([news, pd.DataFrame([item])], ignore_index=True)

    change(home, layout.INJURIES, known_out)
    assert made_by(home) == {SLATE: "11-10 to 11-13", FACTORS: "11-10", FEATURES: "11-10"}
    slate = home.home.warehouse.read(TABLE[SLATE])
    assert SLATE_PLAYER not in set(slate.loc[slate["game_date"] == CHANGED, "player_id"])
    assert SLATE_PLAYER in set(slate.loc[slate["game_date"] == "2023-11-12", "player_id"])
    assert_as_made_from_nothing(home)


def test_an_injury_source_that_covers_two_days_more(home):
    """To the 10th, the 11th is the last captured day; to the 12th, the 13th is."""
    change(home, layout.INJURIES, lambda rows: rows, covered_from=str(START), covered_to="2023-11-12")
    assert made_by(home) == days([TEAMS, SLATE, FACTORS, FEATURES], "11-12 to 11-13")
    assert_as_made_from_nothing(home)


def test_birth_dates_that_arrive_late(home):
    change(home, layout.PLAYERS, lambda rows: rows.assign(birth_date=rows["birth_date"] - pd.Timedelta(days=365)))
    assert made_by(home) == days([SLATE, FACTORS, FEATURES], "11-08 to 11-13")
    assert_as_made_from_nothing(home)


def test_an_optional_file_that_goes_is_missed_and_an_empty_one_in_its_place_changes_nothing(home):
    lines, aside = home.home.raw / layout.LINES.name, home.home.folder / "lines"
    lines.rename(aside)
    assert made_by(home, tables=[TABLE[TEAMS]]) == days([TEAMS], "11-08 to 11-13")
    aside.rename(lines)
    change(home, layout.LINES, lambda rows: rows.head(0))
    assert made_by(home, tables=[TABLE[TEAMS]]) == {}


def test_files_written_again_with_their_rows_in_another_order(home):
    for file in (layout.BOX_SCORES, layout.SHOTS, layout.SCHEDULE, layout.LINES, layout.PROPS, layout.PLAYERS):
        change(home, file, lambda rows: rows.sample(frac=1, random_state=1))
    assert made_by(home) == {}


# ------------------------------------------------------------------------------------------------------ the schedule


def moved(day):
    """Game 0022300133, whose teams play again on the 12th, on another day."""

    def move(rows):
        return rows.assign(game_date=rows["game_date"].where(rows["game_id"] != "0022300133", pd.Timestamp(day)))

    return move


def test_a_game_that_was_played_a_day_later(home):
    """The zone analyses of the 10th read the schedule before it only."""
    for file in (layout.SCHEDULE, layout.BOX_SCORES, layout.SHOTS, layout.LINES, layout.PROPS):
        change(home, file, moved("2023-11-11"))
    assert made_by(home) == {
        **days(SUMMARIES, "11-10 to 11-11"),
        **days([TEAMS, SLATE, FACTORS, FEATURES], "11-10 to 11-13"),
        **days([DEFENSES, ZONES], "11-11 to 11-13"),
    }
    assert_as_made_from_nothing(home)


def test_a_game_to_come_that_is_moved(home):
    def postponed(schedule):
        return schedule.assign(
            game_date=schedule["game_date"].mask(schedule["game_id"] == "0022300165", pd.Timestamp("2023-12-19"))
        )

    change(home, layout.SCHEDULE, postponed)
    assert made_by(home) == {}


def test_a_day_whose_games_are_all_called_off_is_left_as_it_was(home):
    """The calendar still has the day, and no table can have rows of it. On the next day its games no longer lack their shots."""
    for file in (layout.SCHEDULE, layout.BOX_SCORES, layout.SHOTS, layout.LINES, layout.PROPS):
        change(home, file, lambda rows: rows[rows["game_date"] != LATE])
    assert made_by(home) == days(CASCADE, "11-13")
    found = home.survey(START, END)
    absent = found[found["state"] != THERE]
    assert set(zip(absent["table"], absent["day"], absent["state"], strict=True)) == {
        (table, LATE.date(), STALE) for table in (*SUMMARIES, TEAMS, SLATE, FEATURES)
    }
    assert absent["reason"].str.contains("schedule.parquet: 2023-11-12").all()


# ------------------------------------------------------------------------------------------------------ code


def made_by_older_code(home, name, older_rows):
    """Put days of one table into the home as code version 0 would have, before this code was loaded."""
    table = TABLE[name]
    old = dataclasses.replace(table, code_version="0")
    versions = home.home.warehouse.partition_versions()
    read = versions[versions["table_name"] == table.qualified_name].set_index("day")["read_hash"]
    rows = older_rows(home.home.warehouse.read(table))
    publication = Publication(old, rows, [day.date() for day in read.index], {day.date(): was for day, was in read.items()})
    home.home.warehouse.publish([publication], run_id="older code", source=home.home.source_name)
    coverage.LOADED_AT = datetime.now(UTC).replace(tzinfo=None)
    return home


def test_a_raised_code_version_whose_rows_differ_makes_its_days_and_those_that_read_them(home, filled):
    made_by_older_code(home, DEFENSES, lambda rows: rows.assign(opponent_pace=rows["opponent_pace"] + 1))
    made_by(home, tables=[TABLE[FACTORS], TABLE[FEATURES]])  # as they were while the older code was the code
    assert made_by(home) == days([DEFENSES, FACTORS, FEATURES], "11-08 to 11-13")
    pd.testing.assert_series_equal(home.hashes(), filled.hashes())


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("player_game_summary", days(SUMMARIES, "10-24 to 11-13")),
        (DEFENSES, days([DEFENSES], "11-08 to 11-13")),
        (FACTORS, days([FACTORS], "11-08 to 11-13")),
    ],
)
def test_a_raised_code_version_whose_rows_are_the_same_makes_its_days_alone(name, made, home, filled):
    made_by_older_code(home, name, lambda rows: rows)
    assert made_by(home) == made
    pd.testing.assert_series_equal(home.hashes(), filled.hashes())


# ------------------------------------------------------------------------------------------------------ what was lost

EVERYTHING = {**days(SUMMARIES, "10-24 to 11-13"), **days(CASCADE, "11-08 to 11-13")}


def test_a_deleted_warehouse(home, filled):
    (home.home.folder / "warehouse.duckdb").unlink()
    assert made_by(home) == EVERYTHING
    pd.testing.assert_series_equal(home.hashes(), filled.hashes())
    assert set(home.states(START, END)) == {THERE}


def test_a_deleted_dagster_storage(home, filled):
    shutil.rmtree(home.home.folder / "dagster")
    home = Platform(home.home.folder, home.home.raw)
    assert made_by(home) == EVERYTHING
    pd.testing.assert_series_equal(home.hashes(), filled.hashes())
    assert set(home.states(START, END)) == {THERE}


def test_a_table_wiped_in_the_ui(home):
    home.instance.wipe_assets([dg.AssetKey(FACTORS)])
    assert made_by(home) == days([FACTORS], "11-08 to 11-13")
    assert set(home.states(START, END)) == {THERE}


def test_a_run_deleted_in_the_ui_takes_its_days_with_it(home):
    [run] = [run for run in home.instance.get_runs() if dg.AssetKey(FACTORS) in run.asset_selection]
    home.instance.delete_run(run.run_id)
    assert made_by(home) == days(CASCADE, "11-08 to 11-13")
    assert set(home.states(START, END)) == {THERE}


def test_what_reads_a_table_that_waits_waits_too_although_it_is_missing_itself(home):
    """The slate is there, and stale as soon as the team context is made; made along with that, the factors would be made twice."""
    home.instance.wipe_assets([dg.AssetKey(TEAMS), dg.AssetKey(FACTORS)])
    change(home, layout.LINES, lambda rows: rows.assign(total=rows["total"] + (rows["game_date"] == CHANGED)))
    assert made_by(home) == {**days([TEAMS, FACTORS], "11-08 to 11-13"), **days([SLATE, FEATURES], "11-10")}
    assert_as_made_from_nothing(home)
