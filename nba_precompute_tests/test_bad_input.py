"""Every bad input as its user meets it: what a backfill says of it, how it ends, and that nothing is lost.

The cases stand in `bad_input`. They run in this process, each on a copy of one good home, and each kind once in a process of its
own; so does what only another process can meet, a full disk.
"""

import ctypes
import json
import os
import re
import shutil
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from nba_precompute.assets import CASCADE_TABLES, SUMMARY_TABLES
from nba_precompute.home import DAGSTER_FOLDER, Home
from nba_precompute.sources import layout
from nba_precompute_tests.bad_input import (
    CASES,
    COLUMNS,
    DAYS,
    FILES_JUDGED_WHOLE,
    FULL,
    FULL_DISKS,
    HOMES,
    NEW,
    OLD,
    SUMMARIES,
    WHOLE_FILES,
    Place,
    all_of,
    backfill,
    by_sql,
    copy_of,
    hashes,
    in_one_line,
    make_good,
    meet,
    run,
    to_rows,
)
from nba_precompute_tests.processes import command_line


@pytest.fixture(scope="module")
def good(simulated_season, tmp_path_factory):
    """The good home: 15 days of the 16 that its raw games hold."""
    return make_good(simulated_season, tmp_path_factory.mktemp("bad_input") / "good")


@pytest.fixture(scope="module")
def complete(good, tmp_path_factory):
    """The hashes of the home with all 16 days, as it is without any bad input."""
    place = copy_of(good, tmp_path_factory.mktemp("bad_input") / "complete")
    assert backfill(place).exit_code == 0
    return hashes(place)


@pytest.fixture
def place(good, tmp_path):
    """A copy of the good home and its raw games, to be spoiled."""
    return copy_of(good, tmp_path / "place")


def named(name):
    [case] = [case for case in CASES if case.input == name]
    return case


def bytes_of(folder):
    """All that a home keeps, but for the settings, which name the folder they were copied from."""
    return {
        file: file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and "lock" not in file.name and file.name != "dagster.yaml"
    }


@pytest.mark.parametrize("case", [*WHOLE_FILES, *COLUMNS, *FILES_JUDGED_WHOLE], ids=lambda case: case.input)
def test_a_file_that_cannot_be_used_is_named_and_the_home_is_not_touched(case, place):
    case.spoil(place)
    before = bytes_of(place.home)
    met = backfill(place)
    assert re.search(case.says, in_one_line(met.err)), met
    assert "Traceback" not in met.err
    assert met.exit_code == case.exit_code == 2
    assert bytes_of(place.home) == before


@pytest.mark.parametrize("case", DAYS, ids=lambda case: case.input)
def test_a_day_that_cannot_be_trusted_is_named_and_nothing_of_it_is_published(case, place):
    before = hashes(place)
    met = meet(case, place, *SUMMARIES)
    assert re.search(case.says, in_one_line(met.err)), met
    assert len(met.err.splitlines()) == 1
    assert "because the source cannot be trusted there" in met.out or "off the calendar" in met.out
    assert met.exit_code == case.exit_code == 1
    assert hashes(place).equals(before)


@pytest.mark.parametrize("case", HOMES, ids=lambda case: case.input)
def test_a_home_that_cannot_be_used_is_named_and_left_as_it_is(case, place):
    case.spoil(place)
    before = bytes_of(place.folder)
    met = backfill(place, *SUMMARIES)
    assert re.search(case.says, in_one_line(met.err)), met
    assert "Traceback" not in met.err
    assert met.exit_code == case.exit_code
    if case.exit_code == 2:
        assert bytes_of(place.folder) == before


def test_a_reset_that_cannot_delete_the_warehouse_keeps_the_history(place):
    named("warehouse: a folder").spoil(place)
    before = bytes_of(place.folder)
    met = run(place, "backfill", "--reset", "--raw", str(place.raw))
    assert met.exit_code == 2
    assert "is a folder, the warehouse is a file. Move the folder away." in met.err
    assert bytes_of(place.folder) == before


def test_no_two_cases_have_one_name():
    assert len({case.input for case in CASES}) == len(CASES)


# -------------------------------------------------------------------------------------- all tables, and then put right


def test_days_that_cannot_be_trusted_take_nothing_from_the_others_and_are_made_when_they_are_put_right(place, good, complete):
    """The cascade reads rest and load from the raw rows: seconds for minutes, and twenty games in a week, would break its bounds."""
    before = hashes(place)
    week_before = date(2023, 11, 3)
    all_of(
        named("player_box_scores.parquet: minutes in seconds").spoil,
        named("player_box_scores.parquet: points that do not add up").spoil,
        to_rows(layout.BOX_SCORES, lambda rows: pd.concat([rows, *[rows[rows["game_date"] == week_before]] * 20])),
    )(place)
    met = backfill(place)
    assert met.exit_code == 1
    assert [f"stale: {day} of {', '.join(SUMMARIES)}, left as it was" in met.out for day in (OLD, week_before)] == [True, True]
    assert f"gap: {NEW} of {', '.join(SUMMARIES)}, not published" in met.out
    after = hashes(place)
    new = after.index.difference(before.index)
    assert {(table, day.date()) for table, day in new} == {(table.qualified_name, NEW) for table in CASCADE_TABLES}
    summaries = {table.qualified_name for table in SUMMARY_TABLES}
    of_summaries = before[before.index.get_level_values("table_name").isin(summaries)]
    assert after[of_summaries.index].equals(of_summaries)
    shutil.copytree(good.raw, place.raw, dirs_exist_ok=True)
    assert backfill(place).exit_code == 0
    assert hashes(place).equals(complete)


def test_a_day_that_the_schedule_does_not_have_is_in_no_table(place):
    before = hashes(place)
    named("schedule.parquet: without a day of the box scores").spoil(place)
    met = backfill(place)
    assert met.exit_code == 1
    assert hashes(place).index.equals(before.index)
    assert f"gap: {NEW} of {', '.join(SUMMARIES)}" in met.out
    assert f"gap: {NEW} of {', '.join(table.name for table in CASCADE_TABLES)}" in met.out
    assert f"stale: {OLD} of {', '.join(SUMMARIES)}, left as it was" in met.out


def drop_the_table(place):
    by_sql("DROP TABLE nba_analytics.player_game_summary")(place)


def move_dagsters_history_away(place):
    (place.home / DAGSTER_FOLDER).rename(place.folder / "away")


@pytest.mark.parametrize(
    ("name", "as_told"),
    [
        ("warehouse: a column of another type", drop_the_table),
        ("Dagster's history: no database", move_dagsters_history_away),
    ],
    ids=["another type", "no database"],
)
def test_what_a_refusal_tells_to_do_makes_all_days_again(name, as_told, place, complete):
    named(name).spoil(place)
    assert backfill(place).exit_code == named(name).exit_code
    as_told(place)
    assert backfill(place).exit_code == 0
    assert hashes(place).equals(complete)


def test_the_status_as_json_names_every_reason(place):
    named("player_box_scores.parquet: a game on a day without games").spoil(place)
    found = json.loads(run(place, "status", "--json").out)
    assert not found["complete"]
    assert [row["day"] for row in found["off_the_calendar"]] == ["2023-11-07"]
    assert "game_date: the calendar has no game day here" in found["off_the_calendar"][0]["reason"]
    reasons = {row["day"]: row["reason"] for row in found["days"] if row["state"] == "gap"}
    assert "the file has rows of it on 2023-11-07; correct their date" in reasons[str(NEW)]


# ------------------------------------------------------------------------------------------- in a process of its own


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("player_box_scores.parquet: minutes as MM:SS text", "status"),
        ("player_box_scores.parquet: points that do not add up", "backfill"),
        ("warehouse: of a newer DuckDB", "status"),
    ],
)
def test_a_process_ends_with_the_same_exit_code_and_words(name, command, place):
    case = named(name)
    case.spoil(place)
    done = command_line(place.home, command, "--tables", ",".join(SUMMARIES))
    assert done.exit_code == case.exit_code
    assert re.search(case.says, in_one_line(done.err)), done
    assert "Traceback" not in done.out + done.err


# ------------------------------------------------------------------------------------------------------- a full disk


def assert_full(met, place, before):
    """It says what is full and what to do, and what was published is as it was."""
    assert met.exit_code in (1, 2)
    assert re.search(FULL, in_one_line(met.err)), met
    assert "Traceback" not in met.out + met.err
    assert hashes(place)[before.index].equals(before)


@pytest.mark.parametrize("case", FULL_DISKS, ids=lambda case: case.input)
def test_files_that_cannot_grow_leave_the_home_as_it_was(case, place, complete):
    before = hashes(place)
    met = meet(case, place)
    assert re.search(case.says, in_one_line(met.err)), met
    assert_full(met, place, before)
    if case.room(place) > 0:
        assert backfill(place).exit_code == 0
        assert hashes(place).equals(complete)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 20 MB; filled by `fill`."""
    disk = tmp_path / "disk"
    disk.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", bytes(disk), b"tmpfs", 0, b"size=20m") != 0:
        pytest.skip(f"a tmpfs cannot be mounted here: {os.strerror(ctypes.get_errno())}")
    yield disk
    libc.umount2(bytes(disk), 0)


def fill(disk: Path, left: int) -> Path:
    """Fill the disk up to `left` bytes; the file to remove for space again."""
    ballast = disk / "ballast"
    status = os.statvfs(disk)
    ballast.write_bytes(bytes(status.f_bavail * status.f_bsize - left))
    return ballast


@pytest.mark.parametrize("full", ["the warehouse's", "Dagster's"])
def test_a_full_disk_leaves_the_home_as_it_was(full, small_disk, place, complete):
    """One of the two has room, the other not, so that each is met where it writes. Pre-flight would see the warehouse's."""
    before = hashes(place)
    on_disk = Place(small_disk)
    shutil.copytree(place.home, on_disk.home)
    if full == "the warehouse's":
        shutil.rmtree(on_disk.home / DAGSTER_FOLDER)
        (on_disk.home / DAGSTER_FOLDER).symlink_to(place.home / DAGSTER_FOLDER)
        home = on_disk
    else:
        shutil.rmtree(place.home / DAGSTER_FOLDER)
        (place.home / DAGSTER_FOLDER).symlink_to(on_disk.home / DAGSTER_FOLDER)
        home = place
    ballast = fill(small_disk, left=16_384)
    done = command_line(home.home, "backfill", "--skip-preflight")
    assert_full(done, home, before)
    ballast.unlink()
    again = run(home, "backfill", "--raw", str(place.raw), "--skip-preflight")
    assert again.exit_code == 0, again
    assert hashes(home).equals(complete)


def test_a_simulated_league_that_the_disk_has_no_room_for_is_not_there(tmp_path):
    home = tmp_path / "home"
    met = command_line(home, "backfill", largest_file=200_000)
    assert met.exit_code == 2
    assert re.search(rf"{Home(home).league_folder} {FULL}", in_one_line(met.err)), met
    assert "Traceback" not in met.err
    assert list(home.iterdir()) == []
