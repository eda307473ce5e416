"""Raw games as they come: what is read, what is refused, and what each problem says."""

import shutil
from datetime import date

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nba_precompute.sources import RawDataError, layout, trust
from nba_precompute.sources.parquet_folder import ParquetFolder
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
    ],
    ids=["points", "makes", "free throws", "minutes", "no minutes", "negative", "stranger", "no player"],
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


def test_rows_without_a_date_are_refused(folder):
    write(folder.path, layout.BOX_SCORES, box().assign(game_date=[DAY.date(), None]))
    with pytest.raises(RawDataError, match="game_date is empty in 1 rows"):
        folder.box_scores(DAY.date(), DAY.date())


def test_a_game_twice_in_the_schedule_is_refused(folder):
    twice = pd.concat([SCHEDULE, SCHEDULE]).assign(game_date=DAY.date())
    write(folder.path, layout.SCHEDULE, twice.assign(start_utc=twice["start_utc"].dt.tz_localize("UTC")))
    with pytest.raises(RawDataError, match=r"schedule.parquet: game_id 0022100001 stands twice"):
        ParquetFolder(folder.path, name="again").schedule()


def test_a_line_or_a_birth_date_given_twice_is_refused(folder):
    lines = pd.DataFrame(
        {"game_id": ["0022100001"] * 2, "game_date": [DAY.date()] * 2, "spread_home": [1.0, 2.0], "total": [200.0, 201.0]}
    )
    write(folder.path, layout.LINES, lines)
    with pytest.raises(RawDataError, match=r"game_lines.parquet: game_id 0022100001 stands twice"):
        folder.lines(DAY.date(), DAY.date())
    write(folder.path, layout.PLAYERS, pd.DataFrame({"player_id": [7, 7], "birth_date": [date(1990, 1, 1), date(1991, 1, 1)]}))
    with pytest.raises(RawDataError, match=r"players.parquet: player_id 7 stands twice"):
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
