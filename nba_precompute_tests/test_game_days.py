"""The calendar with set clocks, and how it grows."""

import shutil
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context

from nba_precompute import game_days as calendar
from nba_precompute.game_days import (
    NEW_YORK,
    SEASONS,
    CalendarError,
    build_partitions,
    contiguous_ranges,
    days_between,
    eligible_days,
    game_days,
    load_seasons,
    previous_game_day,
    season_facts,
    season_of,
    today_in_new_york,
    update_calendar,
)
from nba_precompute_tests.conftest import REAL_DATA, needs_real_data, schedule_row

FIRST = date(2021, 10, 1)


def at(*clock):
    return datetime(*clock, tzinfo=NEW_YORK)


def keys(definition, now):
    return definition.get_partition_keys(current_time=now)


def test_there_are_916_game_days_and_846_eligible_days_to_2026_01_02():
    now = at(2026, 1, 3, 6)
    games, eligible = (
        days_between(game_days, FIRST, date(2026, 1, 2), now),
        days_between(eligible_days, FIRST, date(2026, 1, 2), now),
    )
    assert (len(games), len(eligible), len(set(games) - set(eligible))) == (916, 846, 70)
    assert [str(day) for day in games] == keys(game_days, at(2026, 1, 3, 0, 1))
    assert [str(day) for day in eligible] == keys(eligible_days, at(2026, 1, 2, 6))


def test_game_days_of_each_season():
    now = at(2026, 1, 3, 6)
    counts = [len(days_between(game_days, season.first_game, season.last_game, now)) for season in SEASONS]
    assert counts == [213, 212, 207, 213, 71]
    assert [str(season.first_game) for season in SEASONS] == [
        "2021-10-19",
        "2022-10-18",
        "2023-10-24",
        "2024-10-22",
        "2025-10-21",
    ]


def test_the_first_fourteen_days_of_a_season_are_no_eligible_days():
    season = season_of(date(2024, 12, 1))
    assert season.eligible_days[0] == season.first_game + timedelta(days=15)  # none is played on election day
    assert [day for day in season.game_days if season.is_bootstrap(day)][-1] == season.first_game + timedelta(days=13)


@pytest.mark.parametrize(
    "day",
    ["2023-12-09", "2024-12-17", "2025-12-16", "2022-12-24", "2024-02-17", "2023-07-04"],
    ids=["Cup final 2023", "Cup final 2024", "Cup final 2025", "Christmas Eve", "All-Star break", "summer"],
)
def test_a_day_without_a_counting_game_is_no_partition(day):
    now = at(2026, 11, 24, 12)
    assert day not in keys(game_days, now)
    assert day not in keys(eligible_days, now)
    assert days_between(game_days, date.fromisoformat(day), date.fromisoformat(day), now) == []


def test_on_the_morning_of_a_game_day_it_can_be_predicted_and_has_not_been_played():
    now = at(2025, 1, 8, 6, 15)
    assert keys(eligible_days, now)[-1] == "2025-01-08"
    assert keys(game_days, now)[-1] == "2025-01-07"
    assert days_between(eligible_days, FIRST, date(2027, 1, 1), now)[-1] == date(2025, 1, 8)
    assert days_between(game_days, FIRST, date(2027, 1, 1), now)[-1] == date(2025, 1, 7)


def test_on_an_off_day_dagster_offers_the_next_game_day_and_nobody_is_asked_to_fill_it():
    now = at(2024, 12, 24, 12)
    assert keys(eligible_days, now)[-1] == "2024-12-25"
    assert days_between(eligible_days, FIRST, date(2027, 1, 1), now)[-1] == date(2024, 12, 23)


def test_in_july_nothing_new_is_asked_for():
    for now in (at(2025, 7, 1, 6), at(2025, 7, 31, 23)):
        assert days_between(game_days, FIRST, date(2027, 1, 1), now)[-1] == date(2025, 6, 22)
        assert days_between(eligible_days, FIRST, date(2027, 1, 1), now)[-1] == date(2025, 6, 22)
        assert keys(game_days, now)[-1] == "2025-06-22"


def test_after_the_calendars_end_no_day_is_invented():
    now = at(2026, 11, 24, 12)
    assert keys(game_days, now)[-1] == keys(eligible_days, now)[-1] == "2026-04-12"
    assert days_between(eligible_days, FIRST, date(2027, 1, 1), now)[-1] == date(2026, 4, 12)


def test_the_date_is_new_yorks():
    late_in_new_york = datetime(2025, 1, 9, 4, 30, tzinfo=ZoneInfo("UTC"))
    assert today_in_new_york(late_in_new_york) == date(2025, 1, 8)
    assert keys(game_days, late_in_new_york)[-1] == "2025-01-07"


def test_what_dagster_lists_as_missing_are_days_that_have_come_and_no_excluded_day():
    now = at(2025, 7, 1, 6)
    there = [key for key in keys(game_days, now) if key != "2025-01-08"]
    subset = game_days.subset_with_partition_keys(there)
    with partition_loading_context(now):
        assert list(subset.get_partition_keys_not_in_subset(game_days)) == ["2025-01-08"]


def test_the_declared_look_back_is_the_previous_game_day():
    games = [str(day) for day in days_between(game_days, FIRST, date(2026, 4, 12))]
    eligible = [str(day) for day in days_between(eligible_days, FIRST, date(2026, 4, 12))]
    first_eligible = {str(season.eligible_days[0]): season for season in SEASONS}
    for day in [*eligible[::25], *first_eligible]:
        mapped = previous_game_day.get_upstream_mapped_partitions_result_for_partitions(
            eligible_days.subset_with_partition_keys([day]), eligible_days, game_days, current_time=at(2026, 11, 1)
        )
        found = sorted(mapped.partitions_subset.get_partition_keys())
        before = [game for game in games if game < day]
        if day in first_eligible and day != eligible[0]:
            bootstrap = [str(game) for game in first_eligible[day].game_days if first_eligible[day].is_bootstrap(game)]
            assert found == [games[games.index(bootstrap[0]) - 1], *bootstrap]
        else:
            assert found == before[-1:]


def test_a_range_run_is_cut_at_days_left_out_and_at_seasons():
    days = days_between(game_days, date(2022, 6, 10), date(2022, 10, 21))
    left_out = [day for day in days if day != date(2022, 6, 13)]
    ranges = contiguous_ranges(game_days, left_out)
    assert [(str(found[0]), str(found[-1])) for found in ranges] == [
        ("2022-06-10", "2022-06-10"),
        ("2022-06-16", "2022-06-16"),
        ("2022-10-18", "2022-10-21"),
    ]


def test_a_day_outside_every_season_is_refused_with_what_to_do():
    with pytest.raises(CalendarError, match=r"2027-01-01 lies in no season.*nba-precompute calendar"):
        season_of(date(2027, 1, 1))


def schedule(season, *games):
    return pd.DataFrame([{**schedule_row(game, day, "MIL", "BKN"), "season": season} for game, day in games])


@pytest.fixture
def calendar_file(tmp_path):
    return shutil.copy(calendar.SEASONS_FILE, tmp_path / "seasons.json")


def test_a_later_and_an_earlier_season_are_added_from_a_published_schedule(calendar_file, tmp_path):
    coming = schedule("2026-27", ("0022600001", "2026-10-20"), ("0062600001", "2026-10-21"), ("0022600002", "2026-11-05"))
    past = schedule("2020-21", ("0022000001", "2020-12-22"), ("0022000002", "2021-01-20"), ("0042000001", "2021-05-22"))
    pd.concat([coming, past]).to_parquet(tmp_path / "schedule.parquet")
    said = update_calendar(tmp_path / "schedule.parquet", calendar_file)
    assert "2026-27: 2 game days, 2026-10-20 to 2026-11-05 (new)" in said
    seasons = load_seasons(calendar_file)
    assert [season.name for season in seasons] == ["2020-21", "2021-22", "2022-23", "2023-24", "2024-25", "2025-26", "2026-27"]
    games, eligible = build_partitions(seasons)
    assert keys(games, at(2021, 6, 1)) == ["2020-12-22", "2021-01-20", "2021-05-22"]
    assert keys(eligible, at(2026, 11, 5, 6))[-1] == "2026-11-05"
    assert "2026-10-21" not in keys(games, at(2026, 12, 1))
    assert len(keys(games, at(2026, 12, 1))) == 3 + 213 + 212 + 207 + 213 + 164 + 2


def test_a_postponed_game_moves_a_day_of_a_known_season(calendar_file, tmp_path):
    first = schedule("2026-27", ("0022600001", "2026-10-20"), ("0022600002", "2026-10-22"), ("0022600003", "2026-10-23"))
    first.to_parquet(tmp_path / "schedule.parquet")
    update_calendar(tmp_path / "schedule.parquet", calendar_file)
    moved = schedule("2026-27", ("0022600001", "2026-10-20"), ("0022600002", "2026-10-21"), ("0022600003", "2026-10-23"))
    moved.to_parquet(tmp_path / "schedule.parquet")
    said = update_calendar(tmp_path / "schedule.parquet", calendar_file)
    assert said.endswith("(added 2026-10-21; removed 2026-10-22)")


def test_a_schedule_without_a_counting_game_is_refused_and_changes_nothing(calendar_file, tmp_path):
    schedule("2026-27", ("0012600001", "2026-10-01")).to_parquet(tmp_path / "schedule.parquet")
    before = calendar_file.read_text()
    with pytest.raises(CalendarError, match="has no game of the regular season"):
        update_calendar(tmp_path / "schedule.parquet", calendar_file)
    assert calendar_file.read_text() == before


@needs_real_data
def test_the_calendar_is_what_the_published_schedule_says():
    assert season_facts(pd.read_parquet(REAL_DATA / "schedule.parquet")) == list(SEASONS)


def test_writing_the_calendar_again_gives_the_same_file(calendar_file):
    calendar._write_seasons(load_seasons(calendar_file), calendar_file)
    assert calendar_file.read_text() == calendar.SEASONS_FILE.read_text()


def test_loading_says_when_the_calendar_runs_out(caplog):
    calendar.warn_when_running_out(at(2026, 1, 1))
    assert not caplog.records
    calendar.warn_when_running_out(at(2026, 4, 1))
    assert "last known game is on 2026-04-12. Add later ones with `nba-precompute calendar" in caplog.text
