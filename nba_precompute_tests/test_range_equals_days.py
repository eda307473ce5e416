"""One pass over many days gives what a pass a day gives, row for row, when each day has only its own past."""

from datetime import date, timedelta

import pandas as pd

from nba_precompute.assets import TABLES
from nba_precompute.game_days import days_between, eligible_days, game_days, season_of
from nba_precompute.sources.parquet_folder import ParquetFolder
from nba_precompute_tests.cascade import cascade, everything, raw_games, summaries
from nba_precompute_tests.conftest import REAL_DATA, needs_real_data

DAY_OF = {table.name: table.day for table in TABLES}


def day_by_day(source, first, last, every):
    """The cascade of each day, or of every so many, from games before it alone."""
    season = season_of(first)
    raw = raw_games(source, season.first_game, last)
    games = summaries(raw, [pd.Timestamp(day) for day in days_between(game_days, season.first_game, last)])
    parts = []
    for day in days_between(eligible_days, first, last)[::every]:
        past = {name: rows[rows["game_date"] < pd.Timestamp(day)] for name, rows in games.items()}
        box = raw["box_scores"][raw["box_scores"]["game_date"] < pd.Timestamp(day)]
        of_day = {name: raw[name][raw[name]["game_date"] == pd.Timestamp(day)] for name in ("lines", "props")}
        parts.append(cascade([pd.Timestamp(day)], {**raw, **of_day, "box_scores": box}, past, source.injuries_cover()))
    return {name: pd.concat([part[name] for part in parts], ignore_index=True) for name in parts[0]}


def assert_range_equals_days(source, first, last, every=1):
    single = day_by_day(source, first, last, every)
    ranged = everything(source, first, last)
    for name, rows in single.items():
        assert len(rows)
        of_range = ranged[name]
        if every > 1:
            day = DAY_OF[name]
            of_range = of_range[of_range[day].isin(rows[day])].reset_index(drop=True)
        pd.testing.assert_frame_equal(of_range, rows, check_exact=True)


def test_a_simulated_month(simulated_season):
    assert_range_equals_days(simulated_season, date(2023, 12, 1), date(2023, 12, 31))


@needs_real_data
def test_a_whole_real_season_at_every_fourth_of_its_days():
    """No week, break or round of the playoffs is skipped: the days alone take half a second each."""
    season = season_of(date(2023, 12, 1))
    source = ParquetFolder(REAL_DATA, name="real")
    assert_range_equals_days(source, season.first_game + timedelta(days=14), season.last_game, every=4)


def test_the_order_of_raw_rows_changes_nothing(simulated_season):
    days = [pd.Timestamp("2023-12-01"), pd.Timestamp("2023-12-16")]
    raw = raw_games(simulated_season, date(2023, 10, 24), date(2023, 12, 17))
    known = [pd.Timestamp(day) for day in days_between(game_days, date(2023, 10, 24), date(2023, 12, 17))]
    shuffled = {name: rows if name == "injuries" else rows.sample(frac=1, random_state=3) for name, rows in raw.items()}
    cover = simulated_season.injuries_cover()
    expected, found = (cascade(days, games, summaries(games, known), cover) for games in (raw, shuffled))
    for name, rows in expected.items():
        pd.testing.assert_frame_equal(found[name], rows, check_exact=True)
