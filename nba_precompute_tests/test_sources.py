"""Raw games as they come: what is read, what is refused, and what each problem says."""

import shutil
from datetime import date

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nba_precompute.sources import RawDataError, layout, trust
from nba_precompute.sources.parquet_folder import ParquetFolder, parquet_folder
from nba_precompute_tests.cascade import everything
from nba_precompute_tests.conftest import REAL_DATA, box_row, needs_real_data, schedule_row, shot_rows

DAY = pd.Timestamp("2021-10-19")
SCHEDULE = pd.DataFrame([schedule_row("0022100001", DAY, home="MIL", away="BKN")])
SHOTS = shot_rows(1, {"Restricted Area": (1, 1)})


def box(*changed, **first):
    return pd.DataFrame([{**box_row(1, "MIL"), **derived(first)}, box_row(2, "BKN"), *changed])


def derived(values):
    """The values, with the points that follow from the shots where none are given."""
    row = {**box_row(1, "MIL"), **values}
    return {"pts": 2 * row["fgm"] + row["fg3m"] + row["ftm"], **values}


def problems(box_scores, shots=SHOTS, schedule=SCHEDULE):
    found = trust.problems_by_day([DAY], box_scores, shots, schedule)
    return [trust.describe(problem) for _, problem in found.iterrows()]


def test_a_sound_day_has_no_problem():
    assert problems(box()) == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"pts": 99}, "player 1, column pts: is 99, but 2 fgm + fg3m + ftm is 5; correct the box score"),
        ({"fgm": 5, "fga": 4}, "player 1, column fgm: 5 exceeds fga 4; correct the box score"),
        ({"ftm": 2, "fta": 1}, "player 1, column ftm: 2 exceeds fta 1; correct the box score"),
        ({"minutes": 71.0}, "player 1, column minutes: 71.0 is outside 0-70; give minutes as a number, not seconds"),
        ({"minutes": None}, "player 1, column minutes: is empty; fill it in"),
        ({"ast": -1}, "player 1, column ast: -1 is below zero; correct it"),
        ({"team": "LAL"}, "player 1, column team: LAL does not play in this game (BKN at MIL); correct the team"),
        ({"player_id": None}, "game 0022100001, column player_id: is empty; fill it in"),
        ({"player_id": 2**31}, "column player_id: is 2147483648, above 2147483647; correct it"),
        ({"season": "2020-21"}, "player 1, column season: is 2020-21, schedule.parquet has 2021-22; correct one"),
    ],
    ids=["points", "makes", "free throws", "minutes", "no minutes", "negative", "stranger", "no player", "no id", "season"],
)
def test_a_broken_row_is_named_with_file_date_game_player_and_column(values, words):
    found = problems(box(**values))
    assert any(problem.endswith(words) for problem in found), found
    assert all(problem.startswith("player_box_scores.parquet: 2021-10-19, game 0022100001") for problem in found)


def test_a_player_twice_in_a_game_is_named():
    found = problems(box(box_row(1, "MIL")))
    assert found == [
        "player_box_scores.parquet: 2021-10-19, game 0022100001, player 1: the player stands twice in the game; keep one row"
    ]


def test_a_scheduled_game_without_rows_is_named():
    two = pd.concat([SCHEDULE, pd.DataFrame([schedule_row("0022100002", DAY, home="LAL", away="GSW")])])
    [problem] = problems(box(), schedule=two)
    assert "game 0022100002: the schedule has GSW at LAL, the file has no row of it" in problem


def test_a_game_with_one_side_only_is_named():
    [problem] = problems(box()[:1])
    assert "the file has no row of BKN" in problem


def test_a_scheduled_cup_final_without_rows_is_no_problem():
    cup = pd.concat([SCHEDULE, pd.DataFrame([schedule_row("0062100001", DAY, home="LAL", away="GSW")])])
    assert problems(box(), schedule=cup) == []


def test_a_game_that_the_schedule_does_not_have_is_named():
    extra = box_row(9, "LAL", game_id="0022100009")
    assert any("game 0022100009, column game_id: is not in schedule.parquet" in problem for problem in problems(box(extra)))


def test_a_game_dated_otherwise_than_in_the_schedule_is_named():
    moved = SCHEDULE.assign(game_date=pd.Timestamp("2021-10-20"))
    assert any(
        "column game_date: differs from schedule.parquet, which has 2021-10-20" in problem
        for problem in problems(box(), schedule=moved)
    )


def test_a_shot_without_a_zone_is_named():
    [problem] = problems(box(), shots=SHOTS.assign(zone=None))
    assert problem == "shots.parquet: 2021-10-19, game 0022100001, player 1, column zone: is empty; fill it in"


def test_a_shot_from_a_place_that_is_not_the_leagues_is_named_and_not_counted_as_mid_range():
    [problem] = problems(box(), shots=SHOTS.assign(zone="restricted area"))
    assert "player 1, column zone: is restricted area, no place that is known; write one of Restricted Area" in problem


def test_shots_of_a_game_that_is_not_scheduled_or_on_another_day_are_named():
    assert problems(box(), shots=SHOTS.assign(game_id="0022100009")) == [
        "shots.parquet: 2021-10-19, game 0022100009, column game_id: is not in schedule.parquet; "
        "add the game to the schedule or correct the id"
    ]
    elsewhere = pd.concat([SCHEDULE, pd.DataFrame([schedule_row("0022100002", "2021-10-20", home="LAL", away="GSW")])])
    assert problems(box(), shots=SHOTS.assign(game_id="0022100002"), schedule=elsewhere) == [
        "shots.parquet: 2021-10-19, game 0022100002, column game_date: differs from schedule.parquet, which has 2021-10-20; "
        "correct one"
    ]


def test_shots_that_stand_twice_are_named_and_a_few_too_many_are_not():
    all_attempts = pd.concat([shot_rows(player, {"Mid-Range": (2, 4)}) for player in (1, 2)])
    assert problems(box(), shots=pd.concat([all_attempts, all_attempts[:7]])) == []
    assert problems(box(), shots=pd.concat([all_attempts, all_attempts])) == [
        "shots.parquet: 2021-10-19, game 0022100001: the file has 16 shots, the box score 8 attempts, so they stand twice; "
        "keep each once"
    ]


def test_a_player_in_two_games_of_a_day_is_named():
    two = pd.concat([SCHEDULE, pd.DataFrame([schedule_row("0022100002", DAY, home="LAL", away="GSW")])])
    other_game = [box_row(player, team, game_id="0022100002") for player, team in ((1, "LAL"), (3, "GSW"))]
    assert problems(box(*other_game), schedule=two) == [
        "player_box_scores.parquet: 2021-10-19, game 0022100002, player 1, column player_id: plays in game 0022100001 on this day "
        "too; correct the player or the date"
    ]


def test_a_game_day_on_which_the_schedule_has_only_games_that_do_not_count_is_named():
    cup = pd.DataFrame([schedule_row("0062100001", DAY, home="LAL", away="GSW")])
    assert trust.days_without_games([DAY], SCHEDULE).empty
    [problem] = [trust.describe(problem) for _, problem in trust.days_without_games([DAY], cup).iterrows()]
    assert problem.startswith(
        "schedule.parquet: 2021-10-19: has no game on this game day; add its games, or correct the calendar"
    )


def test_games_off_the_calendar_are_named_once_and_cup_finals_are_not():
    rows = box(box_row(3, "LAL", game_id="0062100001"))
    found = trust.games_off_the_calendar(layout.BOX_SCORES, rows, SCHEDULE)
    [problem] = [trust.describe(problem) for _, problem in found.iterrows()]
    assert problem.startswith(
        "player_box_scores.parquet: 2021-10-19, game 0022100001, column game_date: the calendar has no game"
    )


def test_a_row_dated_on_another_day_makes_the_day_of_its_game_untrusted_too():
    """The day would be published without the row."""
    one_too_late = box().assign(game_date=[DAY, DAY + pd.Timedelta(days=1)])
    found = trust.problems_by_day([DAY, DAY + pd.Timedelta(days=1)], one_too_late, SHOTS, SCHEDULE)
    assert [trust.describe(problem).split(": ", 1)[1] for _, problem in found[found["column"] == "game_date"].iterrows()] == [
        "2021-10-19, game 0022100001, column game_date: the file has rows of it on 2021-10-20; correct their date or the schedule's",
        "2021-10-20, game 0022100001, column game_date: differs from schedule.parquet, which has 2021-10-19; correct one",
    ]
    off_the_calendar = trust.games_off_the_calendar(layout.BOX_SCORES, one_too_late[1:], SCHEDULE)
    assert off_the_calendar["game_date"].tolist() == [DAY, DAY + pd.Timedelta(days=1)]


@pytest.mark.parametrize(
    "broken",
    [
        {"minutes": 2040.0},
        {"minutes": None},
        {"minutes": float("inf")},
        {"player_id": None},
        {"game_id": None},
        {"season": None},
    ],
    ids=["seconds", "no minutes", "endless", "no player", "no game", "no season"],
)
def test_a_row_that_says_nothing_of_an_appearance_counts_for_no_rest_and_load(broken):
    rows = pd.DataFrame([{**box_row(1, "MIL"), **broken}, box_row(2, "BKN"), box_row(2, "BKN")])
    assert trust.appearances_of(rows)["player_id"].tolist() == [2]


@needs_real_data
def test_no_real_row_is_left_out_of_rest_and_load():
    rows = ParquetFolder(REAL_DATA, name="real").box_scores(date(2021, 10, 19), date(2026, 1, 2))
    pd.testing.assert_frame_equal(trust.appearances_of(rows), rows)


# -------------------------------------------------------------------------------------- files that are judged as a whole


def file_problems(file, **values):
    rows = {
        layout.SCHEDULE.name: SCHEDULE,
        layout.LINES.name: pd.DataFrame([{"game_id": "0022100001", "game_date": DAY, "spread_home": -3.5, "total": 220.5}]),
        layout.PROPS.name: pd.DataFrame(
            [{"game_id": "0022100001", "game_date": DAY, "player_id": 1, "line": 20.5, "american_over": 1, "american_under": 1}]
        ),
        layout.INJURIES.name: pd.DataFrame([{"date": DAY, "player_id": 1, "status": "out", "note": ""}]),
        layout.PLAYERS.name: pd.DataFrame([{"player_id": 1, "birth_date": pd.Timestamp("1994-12-06")}]),
    }[file.name]
    assert trust.problems_of_file(file, rows).empty
    return [trust.describe(problem) for _, problem in trust.problems_of_file(file, rows.assign(**values)).iterrows()]


@pytest.mark.parametrize(
    ("file", "values", "words"),
    [
        (layout.SCHEDULE, {"home_team": None}, "2021-10-19, game 0022100001, column home_team: is empty; fill it in"),
        (layout.SCHEDULE, {"home_team": "BRK"}, "column home_team: is BRK, none of the league's 30 teams; correct it"),
        (layout.SCHEDULE, {"away_team": "MIL"}, "column away_team: MIL plays game 0022100001 on this day already"),
        (
            layout.SCHEDULE,
            {"season": "2021"},
            "game 0022100001, column season: is 2021, the day belongs to 2021-22; correct it",
        ),
        (layout.SCHEDULE, {"game_id": "22100001"}, "game 22100001, column game_id: has not the ten digits of a game's id"),
        (layout.LINES, {"game_id": None}, "game_lines.parquet: 2021-10-19, column game_id: is empty; fill it in"),
        (layout.LINES, {"total": -5.0}, "2021-10-19, game 0022100001, column total: is -5.0, no line; correct it"),
        (layout.LINES, {"spread_home": float("inf")}, "game 0022100001, column spread_home: is inf, no line; correct it"),
        (layout.PROPS, {"line": -0.5}, "2021-10-19, game 0022100001, player 1, column line: is -0.5, no line on points"),
        (layout.INJURIES, {"status": "Out"}, "2021-10-19, player 1, column status: is Out; write one of out, returned"),
        (layout.INJURIES, {"status": None}, "2021-10-19, player 1, column status: is empty; fill it in"),
        (layout.PLAYERS, {"birth_date": pd.Timestamp("2023-01-01")}, "player 1, column birth_date: is 2023-01-01, too late"),
    ],
    ids=lambda value: value.name if isinstance(value, layout.RawFile) else next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_broken_row_of_another_file_is_named_with_date_game_player_and_column(file, values, words):
    [problem] = file_problems(file, **values)
    assert problem.startswith(f"{file.name}: ")
    assert words in problem


def test_a_team_that_plays_twice_on_a_day_is_named_with_both_games():
    twice = pd.concat([SCHEDULE, SCHEDULE.assign(game_id="0022109999")])
    found = [trust.describe(problem) for _, problem in trust.problems_of_file(layout.SCHEDULE, twice).iterrows()]
    assert [problem.split(": ")[2] for problem in found] == [
        f"{team} plays game 0022100001 on this day already; keep one game a team and day" for team in ("BKN", "MIL")
    ]
    assert all("game 0022109999" in problem for problem in found)


def test_preseason_and_all_star_games_have_any_teams():
    guests = [schedule_row("0012100001", DAY, home="MIL", away="RMD"), schedule_row("0032100001", DAY, home="EST", away="WST")]
    assert trust.problems_of_file(layout.SCHEDULE, pd.concat([SCHEDULE, pd.DataFrame(guests)])).empty


@needs_real_data
def test_no_real_file_is_refused():
    folder = ParquetFolder(REAL_DATA, name="real")
    span = (date(2021, 10, 19), date(2026, 4, 12))
    assert [len(rows) for rows in (folder.schedule(), folder.injuries(), folder.lines(*span))] == [6514, 10990, 5283]
    assert len(folder.props(*span)) == 76_699


# ------------------------------------------------------------------------------------------------------- days


@needs_real_data
def test_the_only_untrusted_real_days_are_the_play_in_days_of_2022():
    folder = ParquetFolder(REAL_DATA, name="real")
    schedule = folder.schedule()
    days = sorted(schedule.loc[schedule["game_date"] <= "2026-01-02", "game_date"].unique())
    span = (date(2021, 10, 19), date(2026, 1, 2))
    found = trust.problems_by_day(days, folder.box_scores(*span), folder.shots(*span), schedule)
    assert found.groupby("game_date").size().to_dict() == {pd.Timestamp(f"2022-04-{day}"): 2 for day in (12, 13, 15)}
    assert set(found["game_id"].str[:5]) == {"00521"}


# ------------------------------------------------------------------------------------------------------- files


def write(folder, file, rows):
    pq.write_table(rows if isinstance(rows, pa.Table) else pa.Table.from_pandas(rows, preserve_index=False), folder / file.name)


@pytest.fixture
def folder(tmp_path):
    """A folder with one game, as the layout wants it, without optional files."""
    box_scores = box().assign(game_date=DAY.date())
    write(tmp_path, layout.BOX_SCORES, box_scores)
    write(tmp_path, layout.SHOTS, SHOTS.assign(game_date=DAY.date()))
    write(
        tmp_path, layout.SCHEDULE, SCHEDULE.assign(game_date=DAY.date(), start_utc=SCHEDULE["start_utc"].dt.tz_localize("UTC"))
    )
    return ParquetFolder(tmp_path, name="one game")


def test_rows_are_read_by_date(folder):
    assert len(folder.box_scores(DAY.date(), DAY.date())) == 2
    assert folder.box_scores(date(2021, 10, 20), date(2021, 10, 30)).empty
    assert folder.days_with_box_scores() == [DAY.date()]


def test_a_range_within_the_last_one_is_of_the_same_rows_and_a_wider_one_is_read_again(folder):
    box_scores = box().assign(game_date=[DAY.date(), date(2021, 10, 20)])
    write(folder.path, layout.BOX_SCORES, box_scores)
    first = folder.box_scores(DAY.date(), date(2021, 10, 20))
    write(folder.path, layout.BOX_SCORES, box_scores.assign(ast=9))
    within = folder.box_scores(date(2021, 10, 20), date(2021, 10, 20))
    assert within["ast"].tolist() == first["ast"].tolist()[1:] != [9]
    assert folder.box_scores(DAY.date(), date(2021, 10, 21))["ast"].tolist() == [9, 9]
    first.loc[:, "ast"] = 7  # what a caller does with its rows is its own affair
    assert folder.box_scores(DAY.date(), DAY.date())["ast"].tolist() == [9]


def test_a_folder_whose_files_changed_is_read_again(folder):
    as_it_is = parquet_folder(folder.path, "one game")
    assert parquet_folder(folder.path, "one game") is as_it_is
    assert as_it_is.box_scores(DAY.date(), DAY.date())["ast"].tolist() == [2, 2]
    write(folder.path, layout.BOX_SCORES, box().assign(game_date=DAY.date(), ast=9))
    changed = parquet_folder(folder.path, "one game")
    assert changed.box_scores(DAY.date(), DAY.date())["ast"].tolist() == [9, 9]
    assert as_it_is.box_scores(DAY.date(), DAY.date())["ast"].tolist() == [2, 2]
    write(folder.path, layout.INJURIES, news(date(2021, 10, 1)))
    assert parquet_folder(folder.path, "one game") is not changed


def test_absent_optional_files_are_empty_frames_with_their_columns(folder):
    for rows, file in (
        (folder.lines(DAY.date(), DAY.date()), layout.LINES),
        (folder.injuries(), layout.INJURIES),
        (folder.players(), layout.PLAYERS),
    ):
        assert rows.empty
        assert list(rows.columns) == list(file.columns)
    assert folder.props(DAY.date(), DAY.date()).empty
    assert folder.injuries_cover() is None


def test_an_absent_required_file_is_named(folder):
    (folder.path / "shots.parquet").unlink()
    with pytest.raises(RawDataError, match=r"shots.parquet is missing. Put the file there"):
        folder.shots(DAY.date(), DAY.date())


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RawDataError, match="nowhere is no folder"):
        ParquetFolder(tmp_path / "nowhere", name="nowhere").schedule()


def test_a_truncated_file_is_named(folder):
    path = folder.path / "player_box_scores.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RawDataError, match=r"player_box_scores.parquet cannot be read as Parquet.*copy the file again"):
        folder.box_scores(DAY.date(), DAY.date())


def test_a_missing_column_is_named(folder):
    write(folder.path, layout.BOX_SCORES, box().assign(game_date=DAY.date()).drop(columns="fga"))
    with pytest.raises(RawDataError, match=r"player_box_scores.parquet: column fga \(whole number\) is missing"):
        folder.box_scores(DAY.date(), DAY.date())


def test_minutes_as_text_are_refused_never_coerced(folder):
    write(folder.path, layout.BOX_SCORES, box().assign(game_date=DAY.date(), minutes="34:12"))
    with pytest.raises(
        RawDataError, match=r"column minutes holds string \(first: '34:12', .*game_id 0022100001, player_id 1\)"
    ):
        folder.box_scores(DAY.date(), DAY.date())


@pytest.mark.parametrize("statistics", [True, False])
def test_rows_without_a_date_are_refused(folder, statistics):
    rows = pa.Table.from_pandas(box().assign(game_date=[DAY.date(), None]), preserve_index=False)
    pq.write_table(rows, folder.path / layout.BOX_SCORES.name, write_statistics=statistics)
    with pytest.raises(RawDataError, match=r"game_date is empty in 1 rows \(first: game_id 0022100001, player_id 2\)"):
        folder.box_scores(DAY.date(), DAY.date())


@pytest.mark.parametrize("day", [date(21, 10, 19), date(9999, 10, 19)], ids=["too early", "too late"])
def test_a_date_that_is_none_of_the_league_is_refused_with_its_row(folder, day):
    write(folder.path, layout.BOX_SCORES, box().assign(game_date=[DAY.date(), day]))
    with pytest.raises(RawDataError, match=rf"game_date holds {day}, game_id 0022100001, player_id 2, which is no date of the"):
        folder.days_with_box_scores()
    write(folder.path, layout.PLAYERS, pd.DataFrame({"player_id": [7], "birth_date": [day]}))
    with pytest.raises(RawDataError, match=rf"players.parquet: column birth_date holds {day}, player_id 7"):
        folder.players()


def test_a_player_id_that_became_a_float_is_shown_at_the_row_that_made_it_one(folder):
    write(folder.path, layout.BOX_SCORES, box().assign(game_date=DAY.date(), player_id=[1.0, None]))
    with pytest.raises(RawDataError, match=r"player_id holds double \(first: .*, game_date 2021-10-19, game_id 0022100001\)"):
        folder.box_scores(DAY.date(), DAY.date())


def test_a_column_that_stands_twice_is_refused(folder):
    rows = pa.Table.from_pandas(box().assign(game_date=DAY.date()), preserve_index=False)
    write(folder.path, layout.BOX_SCORES, rows.append_column("pts", rows["pts"]))
    with pytest.raises(RawDataError, match=r"player_box_scores.parquet: column pts \(whole number\) stands twice"):
        folder.box_scores(DAY.date(), DAY.date())


def test_a_required_file_without_rows_is_refused(folder):
    for file in (layout.BOX_SCORES, layout.SHOTS, layout.SCHEDULE):
        path = folder.path / file.name
        pq.write_table(pq.read_table(path)[:0], path)
        with pytest.raises(RawDataError, match=rf"{file.name} has no rows. Write or copy the file again"):
            folder._read(file)


def test_an_optional_file_that_is_a_broken_link_is_not_absent(folder):
    (folder.path / layout.LINES.name).symlink_to(folder.path / "moved")
    with pytest.raises(RawDataError, match=r"game_lines.parquet cannot be read as Parquet .*No such file"):
        folder.lines(DAY.date(), DAY.date())


def test_minutes_as_exact_decimals_are_numbers(folder):
    rows = pa.Table.from_pandas(box().assign(game_date=DAY.date()), preserve_index=False)
    place = rows.column_names.index("minutes")
    write(folder.path, layout.BOX_SCORES, rows.set_column(place, "minutes", rows["minutes"].cast(pa.decimal128(6, 2))))
    assert folder.box_scores(DAY.date(), DAY.date())["minutes"].tolist() == [30.0, 30.0]


def test_a_game_twice_in_the_schedule_is_refused(folder):
    twice = pd.concat([SCHEDULE, SCHEDULE]).assign(game_date=DAY.date())
    write(folder.path, layout.SCHEDULE, twice.assign(start_utc=twice["start_utc"].dt.tz_localize("UTC")))
    with pytest.raises(RawDataError, match=r"schedule.parquet: 2021-10-19, game 0022100001, column game_id: stands twice"):
        ParquetFolder(folder.path, name="again").schedule()


def test_a_line_or_a_birth_date_given_twice_is_refused(folder):
    lines = pd.DataFrame(
        {"game_id": ["0022100001"] * 2, "game_date": [DAY.date()] * 2, "spread_home": [1.0, 2.0], "total": [200.0, 201.0]}
    )
    write(folder.path, layout.LINES, lines)
    with pytest.raises(RawDataError, match=r"game_lines.parquet: 2021-10-19, game 0022100001, column game_id: stands twice"):
        folder.lines(DAY.date(), DAY.date())
    write(folder.path, layout.PLAYERS, pd.DataFrame({"player_id": [7, 7], "birth_date": [date(1990, 1, 1), date(1991, 1, 1)]}))
    with pytest.raises(RawDataError, match=r"players.parquet: player 7, column player_id: stands twice"):
        folder.players()


def test_news_without_a_date_are_refused(folder):
    write(folder.path, layout.INJURIES, news(date(2021, 10, 1), None))
    with pytest.raises(RawDataError, match=r"injury_transactions.parquet: date is empty in 1 rows"):
        folder.injuries()


def news(*days):
    return pa.table(
        {
            "date": pa.array(days, pa.date32()),
            "player_id": pa.array([1] * len(days), pa.int32()),
            "status": ["out"] * len(days),
            "note": [""] * len(days),
        }
    )


def test_injury_news_cover_their_first_to_last_date_unless_the_file_says_otherwise(folder):
    days = [date(2021, 10, 1), date(2021, 11, 1)]
    write(folder.path, layout.INJURIES, news(*days))
    assert folder.injuries_cover() == (days[0], days[1])
    write(folder.path, layout.INJURIES, news(*days).replace_schema_metadata({"covered_to": "2021-12-31"}))
    assert folder.injuries_cover() == (days[0], date(2021, 12, 31))
    write(
        folder.path, layout.INJURIES, news().replace_schema_metadata({"covered_from": "2021-09-01", "covered_to": "2021-12-31"})
    )
    assert folder.injuries_cover() == (date(2021, 9, 1), date(2021, 12, 31))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"covered_to": "today"}, "metadata have 'today' for covered_to, which is no date"),
        ({"covered_from": "2021-12-31", "covered_to": "2021-09-01"}, "says? that it covers 2021-12-31 to 2021-09-01"),
    ],
    ids=["no date", "ends before it begins"],
)
def test_a_coverage_of_news_that_cannot_be_is_refused(folder, said, words):
    write(folder.path, layout.INJURIES, news(date(2021, 10, 1)).replace_schema_metadata(said))
    with pytest.raises(RawDataError, match=rf"injury_transactions.parquet: .*{words}"):
        folder.injuries_cover()


def test_without_the_optional_files_their_columns_are_null_and_every_date_is_synthetic(simulated_season, tmp_path):
    for file in layout.FILES:
        if file.required:
            shutil.copy(simulated_season.path / file.name, tmp_path)
    tables = everything(ParquetFolder(tmp_path, name="bare"), date(2023, 10, 24), date(2023, 11, 12))
    slate, features = tables["upcoming_player_game_context"], tables["ml_feature_store_v2"]
    assert len(slate) > 500
    assert slate[["player_age", "points_line"]].isna().all(axis=None)
    assert tables["upcoming_team_game_context"][["game_spread", "game_total", "implied_team_total"]].isna().all(axis=None)
    assert set(slate["context_source"]) == {"synthetic"}
    assert set(slate["player_status"]) == {"available"}
    assert features[["vegas_points_line", "vegas_opening_line", "vegas_line_move"]].isna().all(axis=None)
    assert set(features["has_vegas_line"]) == {0}
    assert features["fatigue_score"].notna().all()
