"""Every rule of quality over tiny rows: what passes it, what fails it, and the number, denominator, days and rows that it names."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from nba_precompute import quality
from nba_precompute.game_days import SEASONS
from nba_precompute.lineage import TABLES
from nba_precompute.past_games import past_of
from nba_precompute.quality import ERROR, WARN, Evidence
from nba_precompute.recomputation import recomputed
from nba_precompute.sources import layout
from nba_precompute.sources.parquet_folder import ParquetFolder
from nba_precompute.storage.content_hash import hash_days
from nba_precompute.tables.ml_feature_store_v2 import ML_FEATURE_STORE_V2 as MLFS
from nba_precompute.tables.player_composite_factors import FACTORS
from nba_precompute.tables.player_composite_factors import PLAYER_COMPOSITE_FACTORS as PCF
from nba_precompute.tables.player_game_summary import PLAYER_GAME_SUMMARY as PGS
from nba_precompute.tables.player_shot_zone_analysis import PLAYER_SHOT_ZONE_ANALYSIS as PSZA
from nba_precompute.tables.team_defense_game_summary import TEAM_DEFENSE_GAME_SUMMARY as TDGS
from nba_precompute.tables.team_defense_zone_analysis import TEAM_DEFENSE_ZONE_ANALYSIS as TDZA
from nba_precompute.tables.team_offense_game_summary import TEAM_OFFENSE_GAME_SUMMARY as TOGS
from nba_precompute.tables.upcoming_player_game_context import UPCOMING_PLAYER_GAME_CONTEXT as UPGC
from nba_precompute.tables.upcoming_team_game_context import UPCOMING_TEAM_GAME_CONTEXT as UTGC
from nba_precompute_tests.cascade import everything
from nba_precompute_tests.conftest import box_row, schedule_row, shot_rows

FIRST = pd.Timestamp("2021-11-02")
GAMES_OF_DAY = 2
ELIGIBLE = [pd.Timestamp(day) for day in SEASONS[0].eligible_days]
"""Days of a real season, in order; the rules count stored days, whatever their dates."""


def rows_of(table, rows):
    """Rows of a table, NULL where nothing is said."""
    return table.conform(pd.DataFrame([{**dict.fromkeys(table.columns), **row} for row in rows], columns=table.columns))


def no_versions():
    return pd.DataFrame({"day": pd.DatetimeIndex([]), "content_hash": [], "code_version": []})


def versions_of(table, rows, **values):
    """What publication keeps of the rows."""
    hashes = hash_days(rows, table.day, table.columns)
    return pd.DataFrame({"day": hashes.index, "content_hash": hashes.to_numpy(), "code_version": table.code_version, **values})


def evidence(table, rows, days=None, schedule=None, versions=None, recomputed=None, **against):
    """Evidence of rows (their own days, unless told otherwise) against frames by table name."""
    stored = rows if isinstance(rows, pd.DataFrame) else rows_of(table, rows)
    days = sorted(stored[table.day].dt.date.unique()) if days is None else [pd.Timestamp(day).date() for day in days]
    games = pd.DataFrame([schedule_row("0022100001", "2021-10-19", "BOS", "NYK")]) if schedule is None else schedule
    return Evidence(
        table, days, stored, games, no_versions() if versions is None else versions, against=against, recomputed=recomputed
    )


def one(found):
    [result] = found if isinstance(found, list) else [found]
    return result


def of_column(results, column):
    return one([result for result in results if result.column == column])


def assert_passes(result, value=100.0, of=None):
    assert result.passed
    assert result.days == ()
    assert result.value == pytest.approx(value)
    assert of is None or result.denominator == of


def assert_fails(result, value, of, days):
    assert not result.passed
    assert result.value == pytest.approx(value)
    assert result.denominator == of
    assert list(result.days) == [pd.Timestamp(day).date() for day in days]
    assert result.remedy


# ----------------------------------------------------------------------------------------------- coverage, row counts


def games_on(*days):
    """Two scheduled games a day."""
    sides = [("BOS", "NYK"), ("LAL", "DEN")]
    return pd.DataFrame(
        [
            schedule_row(f"00221{number:02d}{place:03d}", day, home, away)
            for number, day in enumerate(days)
            for place, (home, away) in enumerate(sides)
        ]
    )


def both_sides(schedule):
    """A row of a team table for each side of each game."""
    return [
        {"game_date": game.game_date, "game_id": game.game_id, "team_abbr": team}
        for game in schedule.itertuples()
        for team in (game.home_team, game.away_team)
    ]


def slate_of(players, day=FIRST):
    return rows_of(UPGC, [{"game_date": day, "player_id": player} for player in range(1, players + 1)])


def factors_of(players, day=FIRST):
    return [{"game_date": day, "analysis_date": day, "player_id": player} for player in range(1, players + 1)]


def test_a_day_with_both_sides_of_every_scheduled_game_is_covered():
    schedule = games_on(*ELIGIBLE[:3])
    assert_passes(quality.coverage(evidence(TOGS, both_sides(schedule), schedule=schedule)), of=12)


def test_a_day_that_is_not_there_has_nothing_of_what_it_should_have():
    schedule = games_on(*ELIGIBLE[:4])
    rows = both_sides(schedule[schedule["game_date"] != ELIGIBLE[1]])
    found = quality.coverage(evidence(TOGS, rows, ELIGIBLE[:4], schedule=schedule))
    assert_fails(found, 75, 16, [ELIGIBLE[1]])
    assert found.severity == ERROR
    assert found.worst[["good_percent", "bad", "of"]].to_numpy().tolist() == [[0, 4, 4]]


def test_a_table_without_any_row_fails_on_every_day():
    schedule = games_on(*ELIGIBLE[:2])
    assert_fails(quality.coverage(evidence(UTGC, UTGC.no_rows(), ELIGIBLE[:2], schedule=schedule)), 0, 8, ELIGIBLE[:2])


def test_a_day_of_which_nothing_is_known_is_not_covered():
    found = quality.coverage(evidence(PCF, PCF.no_rows(), [FIRST], **{UPGC.name: UPGC.no_rows()}))
    assert_fails(found, 0, 1, [FIRST])


def test_ninety_five_percent_of_the_slate_is_covered_and_less_is_not():
    slate = {UPGC.name: slate_of(20)}
    assert_passes(quality.coverage(evidence(PCF, factors_of(19), **slate)), 95, of=20)
    assert_fails(quality.coverage(evidence(PCF, factors_of(18), **slate)), 90, 20, [FIRST])


def test_one_of_187_players_is_no_coverage():
    found = quality.coverage(evidence(PCF, factors_of(1), **{UPGC.name: slate_of(187)}))
    assert_fails(found, 100 / 187, 187, [FIRST])


def test_rows_are_exactly_the_slate():
    slate = {UPGC.name: slate_of(20)}
    assert_passes(quality.row_count(evidence(PCF, factors_of(20), **slate)), of=20)
    found = quality.row_count(evidence(PCF, factors_of(19), **slate))
    assert_fails(found, 95, 20, [FIRST])
    assert found.worst["player_id"].tolist() == [20]


def test_a_player_who_is_not_on_the_slate_is_a_row_too_many():
    found = quality.row_count(evidence(PCF, factors_of(20), **{UPGC.name: slate_of(19)}))
    assert_fails(found, 95, 20, [FIRST])
    assert found.worst[["player_id", "expected", "there"]].to_numpy().tolist() == [[20, False, True]]


def test_a_day_that_is_not_there_is_coverages_business_and_not_row_counts():
    schedule = games_on(*ELIGIBLE[:2])
    rows = both_sides(schedule[schedule["game_date"] == FIRST])
    assert_passes(quality.row_count(evidence(UTGC, rows, ELIGIBLE[:2], schedule=schedule)), of=4)


TEAMS = sorted(layout.TEAMS)


def thirty_teams():
    """A schedule in which every team has a game."""
    return pd.DataFrame(
        [schedule_row(f"002210{place:04d}", "2021-10-19", TEAMS[place], TEAMS[place + 1]) for place in range(0, len(TEAMS), 2)]
    )


def defenses_of(teams, day=FIRST):
    return [{"analysis_date": day, "team_abbr": team} for team in teams]


def test_thirty_defenses_a_day():
    assert_passes(quality.row_count(evidence(TDZA, defenses_of(TEAMS), schedule=thirty_teams())), of=30)


def test_a_team_missing_among_the_defenses_is_found_though_the_day_is_covered():
    found = evidence(TDZA, defenses_of(TEAMS[1:]), schedule=thirty_teams())
    assert_passes(quality.coverage(found), 100 * 29 / 30, of=30)
    assert_fails(quality.row_count(found), 100 * 28 / 30, 30, [FIRST])  # the row, and not 30 rows
    assert quality.row_count(found).worst["team_abbr"].tolist() == [TEAMS[0]]


def test_a_league_of_28_teams_is_not_the_league():
    schedule = thirty_teams().iloc[:-1]
    assert_fails(quality.row_count(evidence(TDZA, defenses_of(TEAMS[:28]), schedule=schedule)), 100 * 26 / 28, 28, [FIRST])


def test_every_player_with_a_game_before_the_day_has_zones_and_one_whose_first_game_is_that_day_has_none():
    before = FIRST - pd.Timedelta(days=1)
    games = rows_of(
        PGS,
        [{"game_date": before, "player_id": 1}, {"game_date": before, "player_id": 2}, {"game_date": FIRST, "player_id": 3}],
    )
    rows = [{"analysis_date": FIRST, "player_id": player} for player in (1, 2)]
    assert_passes(quality.coverage(evidence(PSZA, rows, **{PGS.name: games})), of=2)
    assert_passes(quality.row_count(evidence(PSZA, rows, **{PGS.name: games})), of=2)
    assert_fails(quality.row_count(evidence(PSZA, rows[:1], **{PGS.name: games})), 50, 2, [FIRST])


def played_and_slate(played, on_slate, days):
    games = rows_of(PGS, [{"game_date": day, "player_id": player} for day in days for player in range(1, played + 1)])
    slate = [{"game_date": day, "player_id": player} for day in days for player in range(1, on_slate + 1)]
    return quality.played_on_slate(evidence(UPGC, slate, **{PGS.name: games}))


def test_of_those_who_play_on_a_day_ninety_percent_are_on_the_slate():
    assert_passes(of_column(played_and_slate(10, 9, [FIRST]), "a day"), 90, of=10)
    found = of_column(played_and_slate(10, 8, [FIRST]), "a day")
    assert_fails(found, 80, 10, [FIRST])
    assert found.severity == WARN


def test_of_those_who_play_in_thirty_dates_ninety_five_percent_are_on_the_slate():
    assert_passes(of_column(played_and_slate(20, 19, ELIGIBLE[:30]), "a window"), 95, of=1)
    assert_fails(of_column(played_and_slate(25, 23, ELIGIBLE[:30]), "a window"), 92, 1, [ELIGIBLE[29]])


def test_twenty_nine_dates_are_no_window():
    assert_passes(of_column(played_and_slate(25, 23, ELIGIBLE[:29]), "a window"), of=0)


# ------------------------------------------------------------------------------------------------------ what rows hold


def keeping_the_contract(*players, **values):
    blank = {
        **{"game_date": FIRST, "analysis_date": FIRST, "player_lookup": "somebody", "game_id": "0022100001"},
        **{"team_abbr": "BOS", "opponent_team_abbr": "NYK", "is_home": True, "is_back_to_back": False},
        **{"games_in_last_7_days": 2, "minutes_in_last_7_days": 60, "back_to_backs_last_14_days": 0, "star_teammates_out": 0},
        **{"completeness_pct": 0, "upstream_team_defense_ready": True, "upstream_shot_zone_ready": True},
        **{"production_ready": False, "context_source": "captured", "calculation_version": "v1_4factors"},
    }
    return rows_of(PCF, [{**blank, "player_id": player, **values} for player in players])


def test_rows_within_their_bounds_keep_the_contract():
    assert_passes(quality.contract(evidence(PCF, keeping_the_contract(1, 2, fatigue_adjustment=-5))), of=2)


def test_an_adjustment_in_the_scores_column_breaks_its_bounds():
    good, damaged = keeping_the_contract(1, fatigue_score=95), keeping_the_contract(2, fatigue_score=-1)
    found = quality.contract(evidence(PCF, pd.concat([good, damaged], ignore_index=True)))
    assert_fails(found, 50, 2, [FIRST])
    assert found.worst[["column", "player_id"]].to_numpy().tolist() == [["fatigue_score", 2]]


def test_a_key_that_stands_twice_breaks_the_contract():
    found = quality.contract(evidence(PCF, keeping_the_contract(1, 2, 2, 3)))
    assert_fails(found, 50, 4, [FIRST])


def test_what_publication_held_a_moment_ago_is_not_held_again():
    rows = keeping_the_contract(1, fatigue_score=-1)
    just_published = Evidence(PCF, [FIRST.date()], rows, games_on(FIRST), no_versions(), just_published=True)
    assert_passes(quality.contract(just_published), of=1)


def two_days_of_teams():
    schedule = games_on(*ELIGIBLE[:2])
    return rows_of(UTGC, both_sides(schedule)), schedule


def test_rows_that_are_what_was_published_have_their_hashes():
    rows, schedule = two_days_of_teams()
    assert_passes(quality.content_hash(evidence(UTGC, rows, schedule=schedule, versions=versions_of(UTGC, rows))), of=2)


def test_a_changed_row_has_not_the_hash_that_was_published():
    rows, schedule = two_days_of_teams()
    changed = rows.copy()
    changed.loc[changed.index[-1], "team_win_pct"] = 0.5
    found = quality.content_hash(evidence(UTGC, changed, schedule=schedule, versions=versions_of(UTGC, rows)))
    assert_fails(found, 50, 2, [ELIGIBLE[1]])
    assert found.worst["day"].tolist() == [ELIGIBLE[1]]


def test_rows_that_nobody_published_have_no_hash_and_published_rows_that_are_gone_have_another():
    rows, schedule = two_days_of_teams()
    versions = versions_of(UTGC, rows)
    unpublished = evidence(UTGC, rows, schedule=schedule, versions=versions.iloc[1:])
    assert_fails(quality.content_hash(unpublished), 50, 2, [ELIGIBLE[0]])
    gone = evidence(UTGC, rows.iloc[4:], ELIGIBLE[:2], schedule=schedule, versions=versions)
    assert_fails(quality.content_hash(gone), 50, 2, [ELIGIBLE[0]])


def box_scores_filled(filled, of, column="points", **values):
    return [
        {"game_date": FIRST, "game_id": "0022100001", "minutes_played": 20, column: 1 if number < filled else None, **values}
        for number in range(of)
    ]


def critical(table, rows, column, **against):
    return of_column(quality.critical_null_rates(evidence(table, rows, **against)), column)


@pytest.mark.parametrize(
    ("column", "threshold", "of", "enough"),
    [
        ("points", 99.5, 200, 199),
        ("minutes_played", 99, 100, 99),
        ("fg_attempts", 99, 100, 99),
        ("ft_attempts", 99, 100, 99),
        ("three_pt_attempts", 99, 100, 99),
        ("rebounds", 99, 100, 99),
        ("assists", 99, 100, 99),
        ("usage_rate", 95, 20, 19),
        ("paint_attempts", 95, 20, 19),
        ("mid_range_attempts", 95, 20, 19),
        ("three_zone_attempts", 95, 20, 19),
    ],
)
def test_a_box_score_column_is_filled_up_to_its_threshold(column, threshold, of, enough):
    found = critical(PGS, box_scores_filled(enough, of, column), column)
    assert_passes(found, threshold, of=of)
    assert found.threshold == threshold
    assert_fails(critical(PGS, box_scores_filled(enough - 1, of, column), column), 100 * (enough - 1) / of, of, [FIRST])


def test_a_bad_day_is_not_hidden_by_good_ones():
    good = [{**row, "game_date": ELIGIBLE[1]} for row in box_scores_filled(300, 300)]
    assert_fails(critical(PGS, box_scores_filled(98, 100) + good, "points"), 99.5, 400, [FIRST])


def test_minutes_that_are_all_null_are_found():
    assert_fails(critical(PGS, box_scores_filled(0, 10, "minutes_played"), "minutes_played"), 0, 10, [FIRST])


def test_zones_are_not_asked_of_play_in_games():
    play_in = box_scores_filled(0, 10, "paint_attempts", game_id="0052100101")
    assert_passes(critical(PGS, play_in, "paint_attempts"), of=0)
    play_off = box_scores_filled(0, 10, "paint_attempts", game_id="0042100101")
    assert_fails(critical(PGS, play_off, "paint_attempts"), 0, 10, [FIRST])


def test_usage_is_not_asked_of_those_whose_minutes_round_to_none():
    assert_passes(critical(PGS, box_scores_filled(0, 10, "usage_rate", minutes_played=0), "usage_rate"), of=0)


def test_factors_are_asked_of_players_with_five_games():
    def rates(filled, games):
        rows = [{**row, **dict.fromkeys(FACTORS, 1 if row["player_id"] <= filled else None)} for row in factors_of(20)]
        zones = [{"analysis_date": FIRST, "player_id": player, "games_in_sample_10": games} for player in range(1, 21)]
        found = quality.critical_null_rates(evidence(PCF, rows, **{PSZA.name: rows_of(PSZA, zones if games else zones[:0])}))
        assert [result.column for result in found] == FACTORS
        return found

    for enough, too_few, not_asked, without_zones in zip(rates(19, 5), rates(18, 5), rates(0, 4), rates(0, None), strict=True):
        assert_passes(enough, 95, of=20)
        assert_fails(too_few, 90, 20, [FIRST])
        assert_passes(not_asked, of=0)
        assert_passes(without_zones, of=0)


def test_exactly_the_features_that_a_model_leans_on_are_critical():
    assert [
        *("points_avg_last_5", "points_avg_last_10", "points_avg_season", "points_std_last_10", "games_in_last_7_days"),
        *("fatigue_score", "shot_zone_mismatch_score", "pace_score", "usage_spike_score"),
        *("opponent_def_rating", "opponent_pace", "pct_paint", "pct_mid_range", "pct_three", "pct_free_throw"),
        *("team_pace", "team_off_rating", "team_win_pct", "minutes_avg_last_10", "ppm_avg_last_10"),
    ] == quality.CRITICAL_FEATURES


def test_critical_features_are_asked_of_players_with_five_games():
    def rates(filled, games):
        rows = [
            {"game_date": FIRST, "player_id": player, "games_in_sample": games}
            | dict.fromkeys(quality.CRITICAL_FEATURES, 1 if player <= filled else None)
            for player in range(1, 21)
        ]
        found = quality.critical_null_rates(evidence(MLFS, rows))
        assert [result.column for result in found] == quality.CRITICAL_FEATURES
        return found

    for enough, too_few, not_asked in zip(rates(19, 5), rates(18, 5), rates(0, 4), strict=True):
        assert_passes(enough, 95, of=20)
        assert_fails(too_few, 90, 20, [FIRST])
        assert_passes(not_asked, of=0)


def team_rows(days, column, values):
    """As many rows a day as there are values for it."""
    return [{"game_date": day, column: value} for day in days for value in values]


def null_rate(rows, column, table=UTGC):
    return of_column(quality.null_rates(evidence(table, rows)), column)


def test_half_of_a_window_filled_is_enough_of_any_other_column():
    assert_passes(null_rate(team_rows(ELIGIBLE[:30], "team_win_pct", [0.5, None]), "team_win_pct"), 50, of=1)
    emptier = team_rows(ELIGIBLE[:30], "team_win_pct", [0.5, None, None])
    found = null_rate(emptier, "team_win_pct")
    assert_fails(found, 100 / 3, 1, [ELIGIBLE[29]])
    assert found.severity == WARN


def test_nulls_of_29_dates_are_not_judged():
    assert_passes(null_rate(team_rows(ELIGIBLE[:29], "team_win_pct", [None]), "team_win_pct"), of=0)


def test_nothing_is_remarked_on_lines_and_ages_which_a_source_need_not_have():
    asked = {result.column for result in quality.null_rates(evidence(UPGC, [{"game_date": FIRST}]))}
    assert "projected_usage_rate" in asked
    assert not asked & {"points_line", "player_age"}


def one_value(rows, column, table=UTGC):
    return of_column(quality.one_value(evidence(table, rows)), column)


def test_a_number_that_is_the_same_in_95_percent_of_a_window_still_varies():
    same, other = [90.0] * 19, [101.5]
    assert_passes(one_value(team_rows(ELIGIBLE[:30], "team_pace_last_10", [*same, *other]), "team_pace_last_10"), 5, of=1)
    constant = team_rows(ELIGIBLE[:30], "team_pace_last_10", [*same, 90.0, *other])
    found = one_value(constant, "team_pace_last_10")
    assert_fails(found, 100 / 21, 1, [ELIGIBLE[29]])
    assert found.severity == WARN


def test_a_pace_of_always_zero_is_found_and_29_dates_of_it_are_not_judged():
    assert_fails(one_value(team_rows(ELIGIBLE[:30], "team_pace_last_10", [0.0]), "team_pace_last_10"), 0, 1, [ELIGIBLE[29]])
    assert_passes(one_value(team_rows(ELIGIBLE[:29], "team_pace_last_10", [0.0]), "team_pace_last_10"), of=0)


def test_a_rest_advantage_of_always_two_is_found():
    found = one_value(team_rows(ELIGIBLE[:30], "rest_advantage", [2, 2]), "rest_advantage", MLFS)
    assert_fails(found, 0, 1, [ELIGIBLE[29]])


def test_flags_grades_and_ids_need_not_vary():
    asked = {result.column for result in quality.one_value(evidence(MLFS, [{"game_date": FIRST}]))}
    assert {"recent_trend", "rest_advantage", "pace_score", "points_avg_season"} <= asked
    assert not asked & {
        *("injury_risk", "minutes_change", "home_away", "back_to_back", "playoff_game", "player_id"),
        *("vegas_points_line", "vegas_opening_line", "vegas_line_move", "has_vegas_line"),
        *("avg_points_vs_opponent", "games_vs_opponent", "completeness_pct", "games_in_sample"),
    }


def box_scores_of(players, empty):
    done = ["points", "fg_attempts", "ft_attempts", "rebounds", "assists", "steals", "blocks", "turnovers", "personal_fouls"]
    counts = dict.fromkeys(done, 0)
    return [
        {"game_date": FIRST, "player_id": player, "minutes_played": 0 if player < empty else 20, **counts}
        for player in range(players)
    ]


def test_rows_of_players_who_did_nothing_in_no_minute_are_hardly_there():
    assert_passes(quality.played(evidence(PGS, box_scores_of(10, empty=1))), 90, of=10)
    found = quality.played(evidence(PGS, box_scores_of(10, empty=2)))
    assert_fails(found, 80, 10, [FIRST])
    assert found.worst["player_id"].tolist() == [0, 1]


def test_no_minute_but_a_foul_is_played():
    rows = [{**row, "personal_fouls": 1} for row in box_scores_of(10, empty=10)]
    assert_passes(quality.played(evidence(PGS, rows)), of=10)


# --------------------------------------------------------------------------------------------------------- identities

DATES = [pd.Timestamp("2021-10-19") + pd.Timedelta(days=number) for number in range(20)]
PAIRINGS = [(("BOS", "NYK"), ("LAL", "DEN")), (("BOS", "LAL"), ("NYK", "DEN")), (("DEN", "BOS"), ("NYK", "LAL"))]
SQUADS = {"BOS": (11, 12), "NYK": (21, 22), "LAL": (31, 32), "DEN": (41, 42)}
LAST = DATES[-1]


def write(folder, file, rows):
    dates = [name for name, kind in file.columns.items() if kind == layout.DATE]
    rows.assign(**{name: rows[name].dt.date for name in dates}).to_parquet(folder / file.name)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Four teams of two players, two games a day for 20 days, each game's figures its own."""
    folder = tmp_path_factory.mktemp("four_teams")
    schedule, box_scores, shots = [], [], []
    for number, day in enumerate(DATES):
        for place, (home, away) in enumerate(PAIRINGS[number % 3]):
            game = {"game_id": f"00221{number:02d}{place:03d}", "game_date": day}
            schedule.append(schedule_row(game["game_id"], day, home, away))
            for team in (home, away):
                for player in SQUADS[team]:
                    paint, mid = 2 + (number * player) % 5, 1 + player % 2
                    made = 1 + (number + player) % 2
                    shots.append(
                        shot_rows(
                            player,
                            {"Restricted Area": (made, paint), "Mid-Range": (1, mid), "Above the Break 3": (1, 2)},
                            **game,
                        )
                    )
                    figures = {
                        "fgm": made + 2,
                        "fga": paint + mid + 2,
                        "fg3m": 1,
                        "fg3a": 2,
                        "minutes": 25 + (number + player) % 7,
                    }
                    box_scores.append(box_row(player, team, **game, **figures))
    write(folder, layout.BOX_SCORES, pd.DataFrame(box_scores))
    write(folder, layout.SHOTS, pd.concat(shots))
    write(
        folder, layout.SCHEDULE, pd.DataFrame(schedule).assign(start_utc=lambda games: games["start_utc"].dt.tz_localize("UTC"))
    )
    lines = pd.DataFrame(schedule)[["game_id", "game_date"]].assign(spread_home=-3.5, total=220.0)
    write(folder, layout.LINES, lines)
    return ParquetFolder(folder, name="four teams")


@pytest.fixture(scope="module")
def league(source):
    """All tables of the four teams."""
    return everything(source, DATES[0].date(), LAST.date())


def judged(league, source, table, rows=None, **upstream):
    """The evidence of a table's rows as the league has them, or others, on the eligible days."""
    tables = {**league, **upstream}
    rows = tables[table.name] if rows is None else rows
    days = sorted(league[MLFS.name]["game_date"].dt.date.unique())
    against = {}
    for other in quality.UPSTREAM[table.name]:
        seen = tables[other.name]
        against[other.name] = seen if other is PGS else seen[seen[other.day] >= pd.Timestamp(days[0])]
    return Evidence(table, days, rows, source.schedule(), no_versions(), against=against)


def changed(rows, **changes):
    """The rows with other values in the last one."""
    rows = rows.copy()
    for column, change in changes.items():
        value = rows[column].iloc[-1]
        rows.loc[rows.index[-1], column] = change(value) if callable(change) else change
    return rows


def more(by):
    return lambda value: value + by


def opposite(value):
    return not value


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_rows_that_the_formulas_made_keep_every_identity(league, source, table):
    results = quality.identities(judged(league, source, table))
    assert [result.column for result in results] == [rule.__name__ for rule in quality.IDENTITIES[table.name]]
    for result in results:
        assert_passes(result)
        assert result.denominator > 20
        assert result.severity == ERROR


BROKEN = [
    (PGS, "zones_are_one_block", {"paint_makes": None}),
    (PGS, "zones_are_one_block", {"has_complete_shot_zones": False}),
    (PGS, "zones_sum_to_attempts", {"paint_attempts": more(1)}),
    (PGS, "zones_sum_to_attempts", {"three_zone_attempts": more(1), "mid_range_attempts": more(-1)}),
    (PGS, "points_add_up", {"points": more(1)}),
    (PGS, "assists_split_the_makes", {"assisted_fg_makes": more(1)}),
    (PGS, "sides_are_the_schedules", {"is_home": opposite}),
    (PGS, "sides_are_the_schedules", {"opponent_team_abbr": "MIA"}),
    (PGS, "winner_scored_more", {"win_flag": opposite}),
    (PGS, "rates_are_of_the_counts", {"usage_rate": lambda value: value / 100}),
    (PGS, "rates_are_of_the_counts", {"usage_rate": None}),
    (PGS, "rates_are_of_the_counts", {"ts_pct": lambda value: 100 * value}),
    (PGS, "rates_are_of_the_counts", {"efg_pct": more(0.01)}),
    (TOGS, "zones_are_one_block", {"mid_range_attempts": None}),
    (TOGS, "zones_sum_to_attempts", {"mid_range_attempts": more(1)}),
    (TOGS, "points_add_up", {"points_scored": more(1)}),
    (TOGS, "sums_are_the_players", {"assists": more(1)}),
    (TOGS, "sides_are_the_schedules", {"is_home": opposite}),
    (TOGS, "winner_scored_more", {"win_flag": opposite}),
    (TOGS, "ratings_are_of_the_counts", {"possessions": more(1)}),
    (TOGS, "ratings_are_of_the_counts", {"offensive_rating": 112.0}),
    (TDGS, "zones_are_one_block", {"three_zone_makes_allowed": None}),
    (TDGS, "zones_sum_to_attempts", {"paint_attempts_allowed": more(-1)}),
    (TDGS, "points_add_up", {"points_allowed": more(1)}),
    (TDGS, "sums_are_the_players", {"opp_turnovers": more(1)}),
    (TDGS, "sides_are_the_schedules", {"opponent_team_abbr": "MIA"}),
    (TDGS, "winner_scored_more", {"win_flag": opposite}),
    (TDGS, "ratings_are_of_the_counts", {"defensive_rating": 112.0}),
    (UTGC, "sides_are_the_schedules", {"is_home": opposite}),
    (UTGC, "rest_is_of_the_schedule", {"days_since_last_game": 2}),
    (UTGC, "rest_is_of_the_schedule", {"is_back_to_back": opposite}),
    (UTGC, "rest_is_of_the_schedule", {"games_in_last_7_days": 6}),
    (UTGC, "rest_is_of_the_schedule", {"games_in_last_14_days": 13}),
    (UTGC, "implied_total_is_half_of_total_less_spread", {"game_spread": lambda value: -value}),
    (UTGC, "form_is_of_past_games", {"team_win_pct": more(0.01)}),
    (UTGC, "form_is_of_past_games", {"team_off_rating_last_10": more(1)}),
    (UPGC, "sides_are_the_schedules", {"opponent_team_abbr": "MIA"}),
    (UPGC, "copies_are_the_originals", {"game_id": "0022199999"}),
    (UPGC, "load_agrees_with_itself", {"minutes_in_last_7_days": more(30)}),
    (UPGC, "load_agrees_with_itself", {"is_back_to_back": opposite}),
    (TDZA, "against_the_league", {"paint_defense_vs_league_avg": lambda value: -value}),
    (TDZA, "defense_is_of_past_games", {"games_in_sample": more(-1)}),
    (TDZA, "defense_is_of_past_games", {"zone_games_in_sample": more(-1)}),
    (TDZA, "defense_is_of_past_games", {"opponent_points_per_game": more(1)}),
    (TDZA, "defense_is_of_past_games", {"paint_pct_allowed_last_15": more(0.01)}),
    (TDZA, "ready_as_the_rule_says", {"production_ready": opposite}),
    (PSZA, "rates_sum_to_100", {"paint_rate_last_10": lambda value: value / 100}),
    (PSZA, "zones_are_of_past_games", {"total_shots_last_10": more(1)}),
    (PSZA, "zones_are_of_past_games", {"games_in_sample_10": more(-1)}),
    (PSZA, "zones_are_of_past_games", {"games_in_sample_20": more(1)}),
    (PSZA, "zones_are_of_past_games", {"zone_games_in_sample_10": more(-1)}),
    (PSZA, "zones_are_of_past_games", {"paint_rate_last_20": more(1)}),
    (PSZA, "zones_are_of_past_games", {"assisted_rate_last_10": more(1)}),
    (PSZA, "zones_are_of_past_games", {"unassisted_rate_last_10": more(1)}),
    (PSZA, "no_attempts_no_percentage", {"paint_pct_last_10": None}),
    (PSZA, "ready_as_the_rule_says", {"completeness_pct": 49.0}),
    (PCF, "sides_are_the_schedules", {"is_home": opposite}),
    (PCF, "copies_are_the_originals", {"minutes_in_last_7_days": more(1)}),
    (PCF, "copies_are_the_originals", {"opponent_pace_last_10": more(1)}),
    (PCF, "copies_are_the_originals", {"paint_rate_last_10": more(1)}),
    (PCF, "copies_are_the_originals", {"opponent_three_pt_defense_vs_league_avg": more(1)}),
    (PCF, "copies_are_the_originals", {"upstream_team_defense_ready": opposite}),
    (PCF, "scores_follow_their_inputs", {"pace_score": more(0.1)}),
    (PCF, "scores_follow_their_inputs", {"usage_spike_score": more(0.1)}),
    (PCF, "scores_follow_their_inputs", {"shot_zone_mismatch_score": lambda value: -value}),
    (PCF, "adjustment_is_of_the_score", {"fatigue_adjustment": more(-0.1)}),
    (PCF, "total_is_the_sum", {"total_composite_adjustment": more(1)}),
    (PCF, "total_is_the_sum", {"pace_score": None}),
    (PCF, "completeness_counts_the_factors", {"completeness_pct": 75}),
    (PCF, "ready_as_the_rule_says", {"production_ready": opposite}),
    (MLFS, "sides_are_the_schedules", {"is_home": opposite}),
    (MLFS, "home_is_home", {"home_away": lambda value: 1 - value}),
    (MLFS, "copies_are_the_originals", {"team_win_pct": more(0.01)}),
    (MLFS, "copies_are_the_originals", {"fatigue_score": more(-1)}),
    (MLFS, "copies_are_the_originals", {"opponent_def_rating": more(1)}),
    (MLFS, "copies_are_the_originals", {"games_in_last_7_days": more(-1)}),
    (MLFS, "averages_are_of_past_games", {"points_avg_last_5": more(0.2)}),
    (MLFS, "averages_are_of_past_games", {"points_avg_last_10": more(0.1)}),
    (MLFS, "averages_are_of_past_games", {"points_avg_season": more(0.1)}),
    (MLFS, "averages_are_of_past_games", {"minutes_avg_last_10": more(1)}),
    (MLFS, "averages_are_of_past_games", {"ppm_avg_last_10": more(0.01)}),
    (MLFS, "averages_are_of_past_games", {"games_in_sample": more(-1)}),
    (MLFS, "trend_points_where_points_go", {"recent_trend": 2}),
    (MLFS, "rest_and_risk_are_the_contexts", {"rest_advantage": 2}),
    (MLFS, "rest_and_risk_are_the_contexts", {"injury_risk": 3}),
    (MLFS, "shares_are_the_rates", {"pct_paint": lambda value: 100 * value}),
    (MLFS, "shares_sum_to_1", {"pct_three": more(0.01)}),
    (MLFS, "line_moves_from_opening", {"has_vegas_line": 1}),
    (MLFS, "line_moves_from_opening", {"vegas_line_move": 0.5}),
    (MLFS, "completeness_counts_the_features", {"completeness_pct": lambda value: value / 100}),
    (MLFS, "completeness_counts_the_features", {"points_avg_last_5": None}),
    (MLFS, "ready_as_the_rule_says", {"production_ready": opposite}),
]


@pytest.mark.parametrize(
    ("table", "rule", "damage"), BROKEN, ids=[f"{table.name}-{rule}-{'-'.join(damage)}" for table, rule, damage in BROKEN]
)
def test_one_wrong_row_breaks_the_identity_and_is_named(league, source, table, rule, damage):
    rows = changed(league[table.name], **damage)
    found = judged(league, source, table, rows)
    result = of_column(quality.identities(found), rule)
    assert_fails(result, 100 * (1 - 1 / len(found.rows)), len(found.rows), [LAST])
    assert result.worst.to_dict("records") == [rows.iloc[-1][quality.keys_of(table)].to_dict()]


@pytest.mark.parametrize(("table"), [TOGS, TDGS], ids=lambda table: table.name)
def test_another_pace_in_one_side_breaks_the_identity_of_that_side(league, source, table):
    rows = changed(league[table.name], pace=100.0)
    result = of_column(quality.identities(judged(league, source, table, rows)), "pace_is_of_both_sides")
    assert len(result.worst) == 1
    constant = league[table.name].assign(pace=100.0)
    assert of_column(quality.identities(judged(league, source, table, constant)), "pace_is_of_both_sides").value < 20


@pytest.mark.parametrize("table", [UTGC, UPGC, PCF, MLFS], ids=lambda table: table.name)
def test_two_sources_on_a_date_break_the_identity_of_all_of_its_rows(league, source, table):
    rows = changed(league[table.name], context_source="captured")
    result = of_column(quality.identities(judged(league, source, table, rows)), "one_source_a_date")
    assert result.days == (LAST.date(),)
    of_last = (rows[table.day] == LAST).sum()
    assert result.value == pytest.approx(100 * (1 - of_last / result.denominator))


def test_every_identity_has_rows_that_break_it():
    broken = {(table.name, rule) for table, rule, _ in BROKEN}
    apart = {(table.name, "pace_is_of_both_sides") for table in (TOGS, TDGS)}
    apart |= {(table.name, "one_source_a_date") for table in (UTGC, UPGC, PCF, MLFS)}
    assert broken | apart == {(name, rule.__name__) for name, rules in quality.IDENTITIES.items() for rule in rules}


def test_last_bits_break_no_identity_and_a_millionth_more_does(league, source):
    last_bits = changed(league[MLFS.name], points_avg_season=lambda value: value * (1 + 1e-12))
    assert of_column(quality.identities(judged(league, source, MLFS, last_bits)), "averages_are_of_past_games").passed
    more_than_bits = changed(league[MLFS.name], points_avg_season=lambda value: value * (1 + 3e-6))
    assert not of_column(quality.identities(judged(league, source, MLFS, more_than_bits)), "averages_are_of_past_games").passed


def test_a_defense_that_is_not_there_is_a_flag_that_is_not_set(league, source):
    without = league[TDZA.name][league[TDZA.name]["team_abbr"] != "DEN"]
    broken = of_column(quality.identities(judged(league, source, PCF, **{TDZA.name: without})), "copies_are_the_originals")
    assert not broken.passed  # these rows say that the defence was ready
    of_den = league[PCF.name]["opponent_team_abbr"] == "DEN"
    opponent = [name for name in PCF.columns if name.endswith("_defense_vs_league_avg")]
    rows = league[PCF.name].assign(
        upstream_team_defense_ready=~of_den, **{name: league[PCF.name][name].where(~of_den) for name in opponent}
    )
    kept = of_column(quality.identities(judged(league, source, PCF, rows, **{TDZA.name: without})), "copies_are_the_originals")
    assert_passes(kept)


def test_upstream_keys_that_stand_twice_are_the_contracts_finding_and_stop_no_other_rule(league, source):
    twice = {table.name: pd.concat([league[table.name]] * 2, ignore_index=True) for table in (UPGC, UTGC, TDZA, PSZA, PCF)}
    for table in (PCF, MLFS):
        for result in quality.judge(judged(league, source, table, **twice), ["identity", "critical_null_rate"]):
            assert result.passed


def test_rows_that_stand_twice_stop_no_rule(league, source):
    for table in TABLES.values():
        twice = pd.concat([league[table.name]] * 2, ignore_index=True)
        failed = {result.check for result in quality.judge(judged(league, source, table, twice)) if not result.passed}
        assert "contract" in failed


# --------------------------------------------------------------------------------------------------------- past games


def test_the_game_of_the_day_and_games_of_others_are_no_past_games():
    games = pd.DataFrame(
        {
            "player_id": [1, 1, 2, 1, 1],
            "game_date": pd.to_datetime(["2021-11-05", "2021-11-01", "2021-11-02", "2021-11-04", "2021-11-09"]),
            "points": [40, 10, 99, 20, 1000],
        }
    )
    rows = pd.DataFrame(
        {"player_id": [1, 1, 2, 3], "day": pd.to_datetime(["2021-11-05", "2021-11-06", "2021-11-02", "2021-11-09"])}
    )
    past = past_of(rows, "day", games, "player_id")
    assert past.count().tolist() == [2, 3, 0, 0]
    assert past.sums("points").tolist() == [30, 70, 0, 0]
    assert past.sums("points", 2).tolist() == [30, 60, 0, 0]
    assert past.mean("points").fillna(-1).tolist() == [15, 70 / 3, -1, -1]
    assert past.days_since().fillna(-1).tolist() == [1, 1, -1, -1]
    assert past.count_within(2).tolist() == [1, 2, 0, 0]
    assert past.count_within(5).tolist() == [2, 3, 0, 0]


def test_nobody_has_past_games_where_there_are_none():
    past = past_of(slate_of(2), "game_date", PGS.no_rows(), "player_id")
    assert past.count().tolist() == [0, 0]
    assert past.days_since().isna().all()


# --------------------------------------------------------------------------------------------------------- reproduced


def reproduced(table, rows, again):
    return one(quality.reproduced(evidence(table, rows, recomputed=again)))


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_table_is_reproduced_from_the_source_and_the_stored_tables(league, source, table):
    days = sorted(league[table.name][table.day].dt.date.unique())
    again = recomputed(table, days, source, league)
    assert_passes(reproduced(table, league[table.name], again), of=len(league[table.name]))


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_single_day_is_reproduced_alone(league, source, table):
    of_last = league[table.name][league[table.name][table.day] == LAST].reset_index(drop=True)
    assert_passes(reproduced(table, of_last, recomputed(table, [LAST.date()], source, league)), of=len(of_last))


def test_where_nobody_asked_the_formulas_nothing_is_said():
    assert quality.reproduced(evidence(UTGC, team_rows([FIRST], "team_win_pct", [0.5]))) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("points_std_last_10", 3.5),
        ("games_in_last_7_days", None),
        ("player_lookup", "another"),
        ("production_ready", False),
        ("avg_points_vs_opponent", None),
    ],
)
def test_a_value_that_the_formulas_do_not_give_is_named_with_key_and_column(league, column, value):
    rows = league[MLFS.name]
    damaged = changed(rows, **{column: value})
    found = reproduced(MLFS, damaged, rows)
    assert_fails(found, 100 * (1 - 1 / len(rows)), len(rows), [LAST])
    row = found.worst.iloc[0]
    assert (row["game_date"], row["player_id"], row["column"]) == (LAST, rows["player_id"].iloc[-1], column)
    assert row["recomputed"] == rows[column].iloc[-1]
    assert row["stored"] == value or (value is None and pd.isna(row["stored"]))


def test_a_row_that_is_missing_and_one_too_many_are_not_reproduced(league):
    rows = league[UPGC.name]
    missing = reproduced(UPGC, rows.iloc[:-1], rows)
    assert_fails(missing, 100 * (1 - 1 / (len(rows) - 1)), len(rows) - 1, [LAST])
    assert missing.worst[["column", "stored", "recomputed"]].to_numpy().tolist() == [[None, "no row", "a row"]]
    surplus = reproduced(UPGC, rows, rows.iloc[:-1])
    assert_fails(surplus, 100 * (1 - 1 / len(rows)), len(rows), [LAST])
    assert surplus.worst[["column", "stored", "recomputed"]].to_numpy().tolist() == [[None, "a row", "no row"]]


def test_a_day_that_is_not_there_is_not_reproduced_and_not_asked_for(league):
    rows = league[UPGC.name]
    assert_passes(reproduced(UPGC, rows[rows["game_date"] != LAST], rows))


def test_last_bits_are_reproduced(league):
    rows = league[UTGC.name]
    assert_passes(reproduced(UTGC, changed(rows, team_pace_last_10=lambda value: value * (1 + 1e-12)), rows))
    assert not reproduced(UTGC, changed(rows, team_pace_last_10=lambda value: value * (1 + 3e-6)), rows).passed


def test_a_row_whose_key_stands_twice_is_compared_once(league):
    rows = league[UTGC.name]
    found = reproduced(UTGC, pd.concat([rows, rows.tail(1)], ignore_index=True), rows)
    assert found.passed  # contract names it


# ------------------------------------------------------------------------------------------------- versions, readiness


def test_days_of_the_code_as_it_is_and_days_of_older_code():
    rows, schedule = two_days_of_teams()
    now = versions_of(UTGC, rows)
    assert_passes(quality.calculation_versions(evidence(UTGC, rows, schedule=schedule, versions=now)), of=2)
    older = versions_of(UTGC, rows, code_version=["0", UTGC.code_version])
    found = quality.calculation_versions(evidence(UTGC, rows, schedule=schedule, versions=older))
    assert_fails(found, 50, 2, [ELIGIBLE[0]])
    assert found.severity == WARN


def test_two_calculation_versions_in_a_table_are_mixed():
    rows = rows_of(
        PCF,
        [
            {"game_date": day, "analysis_date": day, "player_id": 1, "calculation_version": version}
            for day, version in zip(ELIGIBLE[:3], ["v1_4factors", "v2", "v1_4factors"], strict=True)
        ],
    )
    found = quality.calculation_versions(evidence(PCF, rows, versions=versions_of(PCF, rows)))
    assert_fails(found, 200 / 3, 3, [ELIGIBLE[1]])


def ready_rows(days, ready, of):
    return [{"analysis_date": day, "production_ready": number < ready} for day in days for number in range(of)]


def test_readiness_is_judged_from_the_31st_date_of_the_season():
    unready = ready_rows(ELIGIBLE[:30], 0, 4)
    assert_passes(quality.readiness(evidence(TDZA, unready)), of=0)
    assert_passes(quality.readiness(evidence(TDZA, unready + ready_rows(ELIGIBLE[30:31], 3, 4))), 75, of=4)
    found = quality.readiness(evidence(TDZA, unready + ready_rows(ELIGIBLE[30:31], 2, 4)))
    assert_fails(found, 50, 4, [ELIGIBLE[30]])
    assert found.severity == WARN


def test_readiness_of_a_single_late_day_counts_its_place_in_the_season():
    rows = ready_rows(ELIGIBLE[:30], 4, 4) + ready_rows(ELIGIBLE[30:31], 0, 4)
    assert_fails(quality.readiness(evidence(TDZA, rows, days=[ELIGIBLE[30]])), 0, 4, [ELIGIBLE[30]])


# --------------------------------------------------------------------------------------------------------- regression


def in_windows(*rows_a_date):
    """Thirty dates for each number, with that many rows a date and one scheduled game."""
    days = ELIGIBLE[: 30 * len(rows_a_date)]
    schedule = pd.DataFrame([schedule_row(f"00221{number:05d}", day, "BOS", "NYK") for number, day in enumerate(days)])
    rows = [
        {"game_date": day, "team_pace_last_10": 1.0}
        for number, day in enumerate(days)
        for _ in range(rows_a_date[number // 30])
    ]
    return quality.regression(evidence(UTGC, rows, schedule=schedule))


def test_the_first_window_of_a_season_has_nothing_to_be_held_against():
    assert in_windows(10) == []


def test_rows_a_game_may_fall_to_ninety_percent_of_the_window_before():
    assert_passes(of_column(in_windows(10, 9), "rows a game"), 90, of=1)
    found = of_column(in_windows(20, 17), "rows a game")
    assert_fails(found, 85, 1, [ELIGIBLE[59]])
    assert found.severity == WARN


def test_the_baseline_is_the_mean_of_three_windows():
    assert_passes(of_column(in_windows(10, 20, 30, 18), "rows a game"), 90, of=3)
    assert_fails(of_column(in_windows(10, 20, 30, 17), "rows a game"), 85, 3, [ELIGIBLE[119]])
    assert_fails(
        of_column(in_windows(90, 10, 10, 10, 8), "rows a game"),
        100 * 10 / 90,
        4,
        [ELIGIBLE[59], ELIGIBLE[89], ELIGIBLE[119], ELIGIBLE[149]],
    )


def test_a_single_day_is_judged_by_the_window_that_ends_with_it():
    days = ELIGIBLE[:60]
    schedule = pd.DataFrame([schedule_row(f"00221{number:05d}", day, "BOS", "NYK") for number, day in enumerate(days)])
    rows = [{"game_date": day} for number, day in enumerate(days) for _ in range(10 if number < 30 else 8)]
    found = quality.regression(evidence(UTGC, rows, days=days[-1:], schedule=schedule))
    assert_fails(of_column(found, "rows a game"), 80, 1, [days[-1]])


def sizes(before, now, factor="pace_score"):
    rows = [
        {"game_date": day, "analysis_date": day, factor: (before if number < 30 else now) * (-1) ** number}
        for number, day in enumerate(ELIGIBLE[:60])
    ]
    return of_column(quality.regression(evidence(PCF, rows)), f"size of {factor}")


def test_a_factor_may_halve_or_double_and_not_more():
    assert_passes(sizes(2, 1), 50, of=1)
    assert_fails(sizes(2, 0.9), 45, 1, [ELIGIBLE[59]])
    assert_passes(sizes(1, 2), 50, of=1)
    assert_fails(sizes(1, 2.5), 40, 1, [ELIGIBLE[59]])
    assert_fails(sizes(1, 0), 0, 1, [ELIGIBLE[59]])


def test_a_critical_column_that_empties_is_found_though_each_day_has_been_judged_alone():
    rows = [
        {"game_date": day, "player_id": player, "points_avg_last_5": 10.0 if number < 30 or player > 1 else None}
        for number, day in enumerate(ELIGIBLE[:60])
        for player in range(5)
    ]
    found = of_column(quality.regression(evidence(MLFS, rows)), "fill of points_avg_last_5")
    assert_fails(found, 60, 1, [ELIGIBLE[59]])


def test_the_ready_share_is_held_against_windows_that_are_judged():
    def shares(before, now):
        rows = ready_rows(ELIGIBLE[:30], 0, 10) + ready_rows(ELIGIBLE[30:60], before, 10) + ready_rows(ELIGIBLE[60:90], now, 10)
        return of_column(quality.regression(evidence(TDZA, rows)), "share ready")

    assert_passes(shares(10, 9), 90, of=1)
    assert_fails(shares(10, 8), 80, 1, [ELIGIBLE[89]])


@pytest.mark.parametrize(
    ("percent", "grade"),
    [
        (89.9, quality.REGRESSION),
        (90, quality.DEGRADATION),
        (90 - 1e-12, quality.DEGRADATION),
        (94.9, quality.DEGRADATION),
        (95, quality.OK),
        (105, quality.OK),
        (105.1, quality.IMPROVEMENT),
    ],
)
def test_grades_of_a_window(percent, grade):
    assert quality.grade("rows a game", percent) == grade


@pytest.mark.parametrize(
    ("percent", "grade"),
    [
        (49.9, quality.REGRESSION),
        (50, quality.OK),
        (89, quality.OK),
        (200, quality.OK),
        (200.1, quality.REGRESSION),
        (0, quality.REGRESSION),
    ],
)
def test_the_size_of_a_factor_halves_or_doubles_before_it_regresses(percent, grade):
    assert quality.grade("size of pace_score", percent) == grade


def test_tables_of_the_whole_league_are_counted_by_day_and_not_by_game():
    rows = ready_rows(ELIGIBLE[:30], 10, 10) + ready_rows(ELIGIBLE[30:60], 8, 8)
    assert_fails(of_column(quality.regression(evidence(TDZA, rows)), "rows a day"), 80, 1, [ELIGIBLE[59]])


def test_a_factor_that_is_null_in_a_whole_window_has_no_size_and_no_fill():
    rows = [
        {"game_date": day, "analysis_date": day, "fatigue_score": 95 if number < 30 else None}
        for number, day in enumerate(ELIGIBLE[:60])
    ]
    found = quality.regression(evidence(PCF, rows))
    assert "size of fatigue_score" not in {result.column for result in found}
    assert_fails(of_column(found, "fill of fatigue_score"), 0, 1, [ELIGIBLE[59]])


# ------------------------------------------------------------------------------------------------------- all together


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_good_rows_pass_all_checks_of_their_table(league, source, table):
    rows = league[table.name]
    found = judged(league, source, table)
    found = Evidence(
        table,
        found.days,
        found.season_to_date,
        found.schedule,
        versions_of(table, rows),
        against=found.against,
        recomputed=rows,
    )
    results = quality.judge(found)
    failed = {(result.check, result.column) for result in results if not result.passed}
    assert failed == ({("row_count", None)} if table is TDZA else set())  # a league of four teams
    silent = {"regression"}  # without a window before
    assert {result.check for result in results} == set(quality.checks_of(table)) - silent
    assert all(result.severity == quality.checks_of(table)[result.check] for result in results)


def test_only_the_named_checks_are_asked(league, source):
    found = quality.judge(judged(league, source, PGS), ["played", "coverage", "readiness"])
    assert [result.check for result in found] == ["coverage", "played"]


def test_every_rule_is_a_check_of_some_table():
    assert {name for table in TABLES.values() for name in quality.checks_of(table)} == set(quality.RULES)


def test_seasons_are_merged_with_all_their_failing_days_and_the_value_over_all():
    first = quality.coverage(evidence(PCF, factors_of(18), **{UPGC.name: slate_of(20)}))
    later = pd.Timestamp("2022-11-02")
    second = quality.coverage(evidence(PCF, factors_of(40, later), **{UPGC.name: slate_of(60, later)}))
    third = quality.coverage(evidence(PCF, factors_of(20), **{UPGC.name: slate_of(20)}))
    merged = one(quality.merge([first, second, third]))
    assert_fails(merged, 100 * (18 + 40 + 20) / (20 + 60 + 20), 100, [FIRST, later])
    assert merged.worst["day"].tolist() == [FIRST.date(), later.date()]


def test_of_windows_the_worst_of_all_seasons_counts():
    better, worse = (of_column(in_windows(20, now), "rows a game") for now in (17, 16))
    merged = one(quality.merge([worse, better]))
    assert (merged.value, merged.denominator, merged.per) == (80, 2, quality.WINDOW)


def test_different_columns_and_tables_stay_apart():
    points = critical(PGS, box_scores_filled(0, 10), "points")
    minutes = critical(PGS, box_scores_filled(10, 10), "minutes_played")
    assert quality.merge([points, minutes]) == [points, minutes]


def test_nothing_counted_is_good():
    empty = quality.contract(evidence(PCF, PCF.no_rows(), [FIRST]))
    assert_passes(empty, of=0)
    assert_passes(one(quality.merge([empty, empty])), of=0)
    assert np.isfinite(empty.value)


def test_days_are_days_and_no_timestamps():
    found = quality.coverage(evidence(PCF, factors_of(1), **{UPGC.name: slate_of(20)}))
    assert [type(day) for day in found.days] == [date]
