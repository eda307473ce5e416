"""Real games in: nba_api's client against a server on loopback that answers as the NBA's statistics API does."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime
from functools import partial
from types import SimpleNamespace

import dagster as dg
import pandas as pd
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from nba_precompute.home import Home
from nba_precompute.ingestion import LOCK, ingest
from nba_precompute.instance import instance_of
from nba_precompute.lineage import raw_hashes
from nba_precompute.sources import RawDataError, layout, raw_folder, stats_api
from nba_precompute.sources.parquet_folder import ParquetFolder
from nba_precompute.sources.stats_answers import NotAsItShouldBe, ask_schedule, games_of, minutes_of
from nba_precompute.sources.stats_api import ATTEMPTS, RESPONSES, Answer, StatsApi, StatsApiError
from nba_precompute_tests.benchmarks.ingestion import in_order
from nba_precompute_tests.conftest import REAL_DATA, box_row, needs_real_data
from nba_precompute_tests.processes import command_line
from nba_precompute_tests.stats_server import (
    FIRST,
    MORNING_AFTER,
    NEXT_DAY,
    OPENING,
    SEASON,
    SECOND,
    THIRD,
    birth_date,
    league_of,
    serving,
    three_games,
)

RAW = (layout.SCHEDULE, layout.BOX_SCORES, layout.SHOTS)


@pytest.fixture
def league():
    return three_games()


@pytest.fixture
def server(league):
    with serving(league) as running:
        yield running


@pytest.fixture
def said():
    return []


@pytest.fixture
def api(server, said):
    return StatsApi(
        server.url,
        pause_seconds=0,
        back_off_seconds=0,
        say=said.append,
        now=lambda: datetime(2024, 10, 24, 12, tzinfo=UTC),
    )


def ingest_all(folder, api, today=MORNING_AFTER, **options):
    return ingest(folder, api, SEASON, OPENING, today, today, **options)


def stored(folder, file):
    rows = pd.read_parquet(folder / file.name)
    rows["game_date"] = pd.to_datetime(rows["game_date"])
    return rows


def tables(folder):
    return {file.name: (folder / file.name).read_bytes() for file in (*RAW, layout.PLAYERS) if (folder / file.name).exists()}


def changed(league, endpoint, change):
    """The league whose answers at an endpoint are changed in place."""

    def answer(asked, parameters, document):
        if asked == endpoint:
            change(parameters, document)
        return document

    league.changed = answer


def statistics_of(document, player):
    box = document["boxScoreTraditional"]
    return next(each for side in ("homeTeam", "awayTeam") for each in box[side]["players"] if each["personId"] == player)[
        "statistics"
    ]


# ----------------------------------------------------------------------------------------------------------- what is written


def test_a_day_is_written_in_the_raw_layout(league, api, tmp_path):
    league.box_scores.loc[league.box_scores["player_id"] == 100, "minutes"] = 34.5
    found = ingest(tmp_path, api, SEASON, OPENING, OPENING, MORNING_AFTER)
    assert (found.games, found.new_days, found.corrected_days, found.is_complete) == (2, [OPENING], [], True)
    box = stored(tmp_path, layout.BOX_SCORES).set_index("player_id")
    assert len(box) == 16  # who did not play has no row
    assert box.loc[100, ["game_id", "team", "minutes", "pts", "fgm", "fga", "ftm", "oreb", "plus_minus"]].tolist() == [
        *(FIRST, "BOS", 34.5, 5, 2, 4, 1, 1, 0)
    ]
    assert box.loc[[104, 105], "starter"].tolist() == [True, False]
    assert box.loc[100, "player_name"] == "Player 100"
    shots = stored(tmp_path, layout.SHOTS)
    assert shots.groupby("game_id")["made"].agg(["sum", "size"]).to_dict("list") == {"sum": [2, 2], "size": [4, 4]}
    assert shots["zone"].unique() == ["Mid-Range"]
    assert shots["assisted"].isna().all()  # nobody said who assisted
    born = pd.read_parquet(tmp_path / "players.parquet").set_index("player_id")["birth_date"]
    assert born[100] == birth_date(100)
    assert stored(tmp_path, layout.SCHEDULE)["game_id"].tolist() == [FIRST, SECOND, THIRD]
    assert stored(tmp_path, layout.SCHEDULE)["start_utc"].dt.tz_localize(None).tolist() == league.schedule["start_utc"].tolist()


def test_what_is_written_can_be_trusted_and_is_read_back_cell_by_cell(league, api, tmp_path):
    ingest_all(tmp_path, api, play_by_play=True)
    assert_same_tables(league, tmp_path)


def assert_same_tables(league, folder, days=None):
    source = ParquetFolder(folder, "ingested")
    ever = (date(2000, 1, 1), date(2100, 1, 1))
    for file, rows, expected in [
        (layout.SCHEDULE, source.schedule(), league.schedule),
        (layout.BOX_SCORES, source.box_scores(*ever), league.box_scores),
        (layout.SHOTS, source.shots(*ever), league.shots),
    ]:
        if days is not None and file is not layout.SCHEDULE:
            expected = expected[expected["game_date"].isin(days)]
        assert len(rows) > 0
        pd.testing.assert_frame_equal(in_order(rows, file), in_order(expected, file), check_exact=True)


def test_a_season_that_is_ingested_can_be_backfilled_from_its_folder(api, tmp_path):
    ingest_all(tmp_path, api)
    source = ParquetFolder(tmp_path, "ingested")
    assert list(source.days_with_box_scores()) == [OPENING, NEXT_DAY]
    assert source.injuries_cover() is None  # nobody told of injuries: no day is captured
    assert source.lines(OPENING, NEXT_DAY).empty
    assert source.props(OPENING, NEXT_DAY).empty


def test_other_games_and_columns_of_a_folder_stay(league, api, tmp_path):
    older = pd.DataFrame([box_row(1, "MIL", arena="Fiserv Forum"), box_row(2, "BKN", arena="Fiserv Forum")])
    older["game_date"] = older["game_date"].dt.date
    older.astype({"fgm": "int16", "minutes": "float32"}).to_parquet(tmp_path / "player_box_scores.parquet")
    found = ingest(tmp_path, api, SEASON, OPENING, OPENING, MORNING_AFTER)
    assert found.new_days == [OPENING]
    box = stored(tmp_path, layout.BOX_SCORES)
    assert box["arena"].fillna("").tolist() == ["Fiserv Forum"] * 2 + [""] * 16
    assert pq.read_schema(tmp_path / "player_box_scores.parquet").field("fgm").type == "int16"


def test_a_game_that_is_the_same_keeps_what_other_columns_say_of_it(league, api, tmp_path):
    ingest_all(tmp_path, api)
    for file in RAW:
        pd.read_parquet(tmp_path / file.name).assign(seen="here").to_parquet(tmp_path / file.name)
    league.box_scores.loc[league.box_scores["player_id"] == 300, "reb"] += 1
    league.schedule.loc[2, "start_utc"] += pd.Timedelta(hours=1)
    ingest_all(tmp_path, api)
    for file, changed_games in [(layout.BOX_SCORES, {THIRD}), (layout.SHOTS, set()), (layout.SCHEDULE, {THIRD})]:
        rows = stored(tmp_path, file)
        assert set(rows.loc[rows["seen"].isna(), "game_id"]) == changed_games


def test_an_empty_day_writes_no_box_score_and_is_complete(api, server, tmp_path):
    found = ingest(tmp_path, api, SEASON, date(2024, 10, 20), date(2024, 10, 21), MORNING_AFTER)
    assert (found.games, found.new_days, found.is_complete) == (0, [], True)
    assert list(tables(tmp_path)) == ["schedule.parquet"]
    assert server.counts == {"scheduleleaguev2": 1}


def test_a_season_that_is_not_published_is_told(api, tmp_path):
    with pytest.raises(StatsApiError, match="has no game of 2030-31 yet"):
        ingest(tmp_path, api, "2030-31", OPENING, OPENING, MORNING_AFTER)
    assert tables(tmp_path) == {}


# ------------------------------------------------------------------------------------------------------------- politeness


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ((429, {"Retry-After": "0"}), "status 429"),
        (500, "status 500"),
        (503, "status 503"),
        ("hang", "no answer in time"),
        ("cut", "an answer that was cut off"),
        ("half", "an answer that is cut off or no JSON"),
        ("<html>Access Denied</html>", "an answer that is cut off or no JSON"),
        ('{"Message":"An error has occurred."}', "an answer that is cut off or no JSON"),
    ],
    ids=["429", "500", "503", "timeout", "truncated", "half", "html", "the API's own error"],
)
def test_a_passing_fault_is_told_and_asked_again(fault, words, server, api, said, league, tmp_path):
    server.faults["boxscoretraditionalv3"] = [fault]
    if fault == "hang":
        api.timeout_seconds = 2
    ingest_all(tmp_path, api, play_by_play=True)
    assert said == [f"for the box score of {FIRST}: {words}; asked again in 0 s (attempt 1 of 6)"]
    assert server.counts["boxscoretraditionalv3"] == 4  # three games, one of them asked twice
    assert_same_tables(league, tmp_path)


def test_the_wait_doubles_and_is_never_shorter_than_what_the_api_asks_for(server, said, tmp_path):
    server.faults["scheduleleaguev2"] = [503, 503, (429, {"Retry-After": "1"})]
    ingest_all(tmp_path, StatsApi(server.url, pause_seconds=0, back_off_seconds=0.01, say=said.append))
    waits = [float(words.split(" in ")[1].split(" s ")[0]) for words in said]
    assert waits == [0, 0, 1]


def test_an_api_that_wants_to_be_left_alone_for_long_is_left_alone(server, api, tmp_path):
    server.faults["scheduleleaguev2"] = [(429, {"Retry-After": "3600"})]
    with pytest.raises(StatsApiError, match="It wants to be left alone for 3600 s: try later"):
        ingest_all(tmp_path, api)
    assert server.counts == {"scheduleleaguev2": 1}


def test_a_refusal_that_would_be_the_same_the_next_time_is_asked_once(server, api, tmp_path):
    server.faults["scheduleleaguev2"] = [404]
    with pytest.raises(StatsApiError, match="for the schedule of 2024-25, attempt 1 of 6: status 404"):
        ingest_all(tmp_path, api)
    assert server.counts == {"scheduleleaguev2": 1}


def test_requests_are_a_pause_apart(server, tmp_path, monkeypatch):
    clock = {"seconds": 0.0}
    sent = []

    def answer_after_a_quarter_of_a_second(endpoint, parameters, document):
        sent.append(clock["seconds"])
        clock["seconds"] += 0.25
        return document

    server.league.changed = answer_after_a_quarter_of_a_second
    sleep = lambda seconds: clock.update(seconds=clock["seconds"] + seconds)  # noqa: E731
    monkeypatch.setattr(stats_api, "time", SimpleNamespace(monotonic=lambda: clock["seconds"], sleep=sleep))
    ingest(tmp_path, StatsApi(server.url, pause_seconds=1), SEASON, OPENING, OPENING, MORNING_AFTER)
    assert sent == list(range(20))  # the schedule, two box scores, a week of shots, sixteen players


# --------------------------------------------------------------------------------------------------- nothing is half written


def test_where_the_api_stops_answering_nothing_is_written_and_the_next_run_goes_on(server, api, tmp_path):
    server.faults["boxscoretraditionalv3"] = [None, *[503] * ATTEMPTS]
    with pytest.raises(
        StatsApiError, match=f"for the box score of {SECOND}, attempt 6 of 6: status 503.*it goes on where it stopped"
    ):
        ingest_all(tmp_path, api)
    assert tables(tmp_path) == {}
    server.forget()
    api.now = lambda: datetime(2024, 11, 24, tzinfo=UTC)
    settled_later = ingest_all(tmp_path, api)
    assert settled_later.games == 3
    server.forget()
    assert ingest_all(tmp_path, api).games == 3
    assert server.counts == {"scheduleleaguev2": 1}  # everything else is kept, and settled


def test_an_interrupted_season_asks_only_for_what_it_had_not(server, api, tmp_path):
    api.now = lambda: datetime(2025, 8, 1, tzinfo=UTC)
    server.faults["boxscoretraditionalv3"] = [None, None, *[503] * ATTEMPTS]
    with pytest.raises(StatsApiError):
        ingest_all(tmp_path, api)
    server.forget()
    ingest_all(tmp_path, api)
    asked = [parameters["GameID"] for endpoint, parameters in server.asked if endpoint == "boxscoretraditionalv3"]
    assert asked == [THIRD]


def drop_header(document, name):
    headers = document["resultSets"][0]["headers"]
    headers[headers.index(name)] = f"{name}_NEW"


def rename(document, name):
    statistics = statistics_of(document, 100)
    statistics[f"{name}New"] = statistics.pop(name)


@pytest.mark.parametrize(
    ("endpoint", "change", "words"),
    [
        (
            "shotchartdetail",
            lambda parameters, document: drop_header(document, "SHOT_ZONE_BASIC"),
            "SHOT_ZONE_BASIC is not as it was",
        ),
        (
            "boxscoretraditionalv3",
            lambda parameters, document: rename(document, "minutes") if parameters["GameID"] == FIRST else None,
            "minutes is not as it was",
        ),
        (
            "boxscoretraditionalv3",
            lambda parameters, document: document.update(boxScore=document.pop("boxScoreTraditional")),
            "boxScoreTraditional is not as it was",
        ),
        (
            "scheduleleaguev2",
            lambda parameters, document: document["leagueSchedule"].pop("gameDates"),
            "gameDates is not as it was",
        ),
        ("commonplayerinfo", lambda parameters, document: drop_header(document, "BIRTHDATE"), "BIRTHDATE is not as it was"),
        ("shotchartdetail", lambda parameters, document: document["resultSets"][0]["headers"].pop(), "8 columns passed"),
        (
            "scheduleleaguev2",
            lambda parameters, document: document["leagueSchedule"]["gameDates"][1]["games"][0].update(gameDateEst="tomorrow"),
            "for the schedule of 2024-25 in another shape",
        ),
    ],
    ids=["header of a result set", "a statistic", "the box score", "the schedule", "the birth date", "a header less", "a date"],
)
def test_a_renamed_header_is_refused_with_its_name_and_nothing_is_written(endpoint, change, words, league, api, tmp_path):
    changed(league, endpoint, change)
    with pytest.raises(StatsApiError, match=words):
        ingest_all(tmp_path, api)
    assert tables(tmp_path) == {}


def test_an_answer_that_was_not_understood_is_not_kept(league, server, api, tmp_path):
    changed(league, "shotchartdetail", lambda parameters, document: drop_header(document, "SHOT_ZONE_BASIC"))
    with pytest.raises(StatsApiError):
        ingest_all(tmp_path, api)
    assert not (tmp_path / RESPONSES / "shotchartdetail").exists()
    changed(league, "none", None)
    assert ingest_all(tmp_path, api).games == 3


def test_an_answer_of_as_many_rows_as_the_api_gives_at_most_is_refused(league, api, tmp_path):
    def fill(parameters, document):
        rows = document["resultSets"][0]["rowSet"]
        rows += [rows[0]] * (102_400 - len(rows))

    changed(league, "shotchartdetail", fill)
    with pytest.raises(StatsApiError, match="with 102400 rows, where it cuts answers off"):
        ingest_all(tmp_path, api)
    assert tables(tmp_path) == {}


def test_two_at_once_are_refused(api, tmp_path):
    with FileLock(tmp_path / LOCK), pytest.raises(RawDataError, match="is being written by another `ingest`"):
        ingest_all(tmp_path, api)


# ------------------------------------------------------------------------------------------------ games that are not as they should be


def test_a_game_that_is_not_final_is_named_and_the_others_are_written(league, api, tmp_path):
    league.status_texts[SECOND] = "Q4 2:11"
    found = ingest_all(tmp_path, api)
    assert [game.why for game in found.missing] == [f"2024-10-22: game {SECOND}, MIN at LAL, is not final"]
    assert not found.is_complete
    assert found.complete_days == [NEXT_DAY]
    assert set(stored(tmp_path, layout.BOX_SCORES)["game_id"]) == {FIRST, THIRD}
    assert SECOND in set(stored(tmp_path, layout.SCHEDULE)["game_id"])  # so its day is known to lack it


@pytest.mark.parametrize("words", ["PPD", "Postponed", "Cancelled"])
def test_a_postponed_game_leaves_the_schedule_and_comes_back_on_its_new_day(words, league, api, tmp_path):
    league.status_texts[SECOND] = words
    found = ingest_all(tmp_path, api)
    assert found.postponed == [f"2024-10-22: game {SECOND}, MIN at LAL,"]
    assert found.is_complete
    assert stored(tmp_path, layout.SCHEDULE)["game_id"].tolist() == [FIRST, THIRD]
    del league.status_texts[SECOND]
    new_day = pd.Timestamp("2024-10-30")
    for frame in (league.schedule, league.box_scores, league.shots):
        frame.loc[frame["game_id"] == SECOND, "game_date"] = new_day
    league.today = date(2024, 10, 31)
    found = ingest_all(tmp_path, api, today=date(2024, 10, 31))
    assert (found.postponed, found.new_days) == ([], [new_day.date()])
    assert stored(tmp_path, layout.SCHEDULE).set_index("game_id")["game_date"][SECOND] == new_day


def test_a_game_that_is_listed_with_its_old_and_its_new_day_has_its_new_one(league, api, tmp_path):
    def both(parameters, document):
        days = document["leagueSchedule"]["gameDates"]
        old = next(game for day in days for game in day["games"] if game["gameId"] == THIRD)
        days[1]["games"].append({**old, "gameStatus": 1, "gameStatusText": "PPD", "gameDateEst": "2024-10-22T00:00:00Z"})

    changed(league, "scheduleleaguev2", both)
    found = ingest_all(tmp_path, api)
    assert (found.games, found.postponed) == (3, [])
    assert stored(tmp_path, layout.SCHEDULE).set_index("game_id")["game_date"][THIRD] == pd.Timestamp(NEXT_DAY)


def test_a_tip_off_that_is_not_set_is_empty(league, api, tmp_path):
    league.schedule.loc[2, "start_utc"] = pd.NaT
    league.today = NEXT_DAY
    ingest_all(tmp_path, api, today=NEXT_DAY)
    assert stored(tmp_path, layout.SCHEDULE)["start_utc"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"minutes": "34.5"}, "player 100 has minutes '34.5', which is not MM:SS"),
        ({"minutes": "34:60"}, "player 100 has minutes '34:60', which is not MM:SS"),
        ({"minutes": "PT34M30.00S"}, "player 100 has minutes 'PT34M30.00S', which is not MM:SS"),
        ({"minutes": None}, "player 100 has minutes None, which is not MM:SS"),
        ({"minutes": ""}, "player 100 has no minutes () and counts that are not 0"),
        ({"points": 6}, "the players of BOS have 31 points, the schedule 30"),
        ({"assists": None}, "player 100 has assists None, which is no whole number"),
        ({"steals": 1.5}, "player 100 has steals 1.5, which is no whole number"),
    ],
)
def test_a_box_score_that_cannot_be_right_is_refused_by_its_game(change, words, league, api, tmp_path):
    ingest_all(tmp_path, api)
    before = tables(tmp_path)
    changed(
        league,
        "boxscoretraditionalv3",
        lambda parameters, document: statistics_of(document, 100).update(change) if parameters["GameID"] == FIRST else None,
    )
    found = ingest_all(tmp_path, api)
    assert [game.why for game in found.missing] == [f"2024-10-22: game {FIRST}, NYK at BOS, is refused: {words}"]
    assert tables(tmp_path) == before  # what was there of it stays


def test_minutes_are_read_to_the_second():
    read = partial(minutes_of, player={"personId": 1})
    assert [read("34:30"), read("0:00"), read("5:06"), read("05:06")] == [34.5, 0, 5.1, 5.1]
    with pytest.raises(NotAsItShouldBe):
        read("34")


def test_who_played_no_second_has_a_row_and_who_was_not_used_has_none(league, api, tmp_path):
    league.box_scores.loc[league.box_scores["player_id"] == 105, ["minutes", "pts", "fgm", "fga", "ftm", "fta"]] = 0

    def unused(parameters, document):
        if parameters["GameID"] == FIRST:
            player = document["boxScoreTraditional"]["homeTeam"]["players"][-1]
            player["statistics"]["minutes"] = "0:00"  # some answers write it so; the comment says that he did not play

    changed(league, "boxscoretraditionalv3", unused)
    ingest_all(tmp_path, api)
    box = stored(tmp_path, layout.BOX_SCORES)
    assert box.loc[box["minutes"] == 0, "player_id"].tolist() == [105]


def test_where_not_five_of_a_side_are_marked_nobody_is_known_to_have_started(league, api, tmp_path):
    league.box_scores.loc[league.box_scores["player_id"] == 105, "starter"] = True
    ingest_all(tmp_path, api)
    starters = stored(tmp_path, layout.BOX_SCORES).set_index("player_id")["starter"]
    assert starters[range(100, 106)].isna().all()
    assert starters[range(106, 112)].tolist() == [True] * 5 + [False]


def test_a_game_without_a_shot_chart_is_named_and_keeps_the_shots_it_had(league, api, tmp_path):
    ingest_all(tmp_path, api)
    shots = stored(tmp_path, layout.SHOTS)
    league.shots = league.shots[league.shots["game_id"] != FIRST]
    found = ingest_all(tmp_path, api)
    assert found.without_shots == [f"2024-10-22: game {FIRST}, NYK at BOS,"]
    assert found.is_complete
    assert stored(tmp_path, layout.SHOTS).equals(shots)


def playoff_game(number, winner, home="BOS", away="MIA", series="004240010"):
    over = winner is not None
    return {
        "gameId": f"{series}{number}",
        "gameStatus": 3 if over else 1,
        "gameStatusText": "Final" if over else "TBD",
        "gameDateEst": f"2025-04-{20 + number}T00:00:00Z",
        "gameDateTimeUTC": f"2025-04-{20 + number}T00:00:00Z",
        "homeTeam": {"teamTricode": home, "score": 100 + (winner == home)},
        "awayTeam": {"teamTricode": away, "score": 100 + (winner == away)},
    }


@pytest.mark.parametrize(
    ("winners", "certain"),
    [
        ([], [1, 2, 3, 4]),  # nobody can win before the fourth game
        (["BOS"], [1, 2, 3, 4]),
        (["BOS", "MIA"], [1, 2, 3, 4, 5]),
        (["BOS", "MIA", "BOS"], [1, 2, 3, 4, 5]),
        (["BOS", "MIA", "BOS", "MIA"], [1, 2, 3, 4, 5, 6]),
        (["BOS", "MIA", "BOS", "MIA", "MIA", "BOS"], [1, 2, 3, 4, 5, 6, 7]),
        (["BOS", "BOS", "BOS", "BOS"], [1, 2, 3, 4]),  # the rest was not needed
    ],
)
def test_a_game_of_a_series_stands_in_the_schedule_once_it_is_sure_to_be_played(winners, certain):
    games = [playoff_game(number, winner) for number, winner in enumerate([*winners, *[None] * (7 - len(winners))], start=1)]
    unknown = playoff_game(1, None, home="", away="", series="004240020")
    document = {"leagueSchedule": {"seasonYear": SEASON, "gameDates": [{"games": [*games, unknown]}]}}
    found = games_of(Answer(ask_schedule(SEASON), json.dumps(document), datetime(2025, 4, 20, tzinfo=UTC)), SEASON)
    assert found["game_id"].str[-1].astype(int).tolist() == certain


# ------------------------------------------------------------------------------------------------- corrections, and reading again


def test_a_correction_is_seen_and_a_settled_game_is_not_asked_for_again(league, server, api, tmp_path):
    ingest_all(tmp_path, api)
    league.box_scores.loc[league.box_scores["player_id"].isin([100, 300]), "reb"] += 1
    api.now = lambda: datetime(2024, 10, 30, 12, tzinfo=UTC)
    found = ingest_all(tmp_path, api, today=date(2024, 10, 30))
    assert (found.new_days, found.corrected_days) == ([], [OPENING, NEXT_DAY])
    assert stored(tmp_path, layout.BOX_SCORES).set_index("player_id").loc[[100, 101], "reb"].tolist() == [4, 3]

    # the answers of the 30th: eight days after the opening, seven after the next day
    league.box_scores.loc[league.box_scores["player_id"].isin([100, 300]), "reb"] += 1
    server.forget()
    assert ingest_all(tmp_path, api, today=date(2024, 10, 30)).corrected_days == [NEXT_DAY]
    assert [parameters["GameID"] for endpoint, parameters in server.asked if endpoint == "boxscoretraditionalv3"] == [THIRD]
    api.now = lambda: datetime(2024, 11, 20, tzinfo=UTC)
    ingest_all(tmp_path, api, today=date(2024, 11, 20))
    server.forget()
    assert ingest_all(tmp_path, api, today=date(2024, 11, 20)).games == 3
    assert server.counts == {"scheduleleaguev2": 1}


LATER = datetime(2024, 11, 20, tzinfo=UTC)
"""Past the corrections of the three games."""


def test_a_settled_box_score_that_a_later_correction_contradicts_is_asked_for_once_more(league, server, api, tmp_path):
    api.now = lambda: LATER
    ingest_all(tmp_path, api, today=LATER.date())
    league.box_scores.loc[league.box_scores["player_id"] == 100, ["pts", "ftm", "fta"]] += 1  # and so the score of the schedule
    server.forget()
    found = ingest_all(tmp_path, api, today=LATER.date())
    assert (found.missing, found.corrected_days) == ([], [OPENING])
    assert server.counts == {"scheduleleaguev2": 1, "boxscoretraditionalv3": 1}
    assert stored(tmp_path, layout.BOX_SCORES).set_index("player_id")["pts"][100] == 6


def test_a_settled_box_score_that_stays_contradicted_is_refused_after_one_question(league, server, api, tmp_path):
    api.now = lambda: LATER
    ingest_all(tmp_path, api, today=LATER.date())

    def another_score(parameters, document):
        document["leagueSchedule"]["gameDates"][1]["games"][0]["homeTeam"]["score"] = 31

    changed(league, "scheduleleaguev2", another_score)
    server.forget()
    [refused] = ingest_all(tmp_path, api, today=LATER.date()).missing
    assert "is refused: the players of BOS have 30 points, the schedule 31" in refused.why
    assert server.counts == {"scheduleleaguev2": 1, "boxscoretraditionalv3": 1}
    [refused] = ingest_all(tmp_path, None, today=LATER.date()).missing  # with the kept schedule too
    assert "the schedule 31" in refused.why


def test_a_week_of_which_a_chart_lacks_a_game_is_never_settled(league, server, api, tmp_path):
    api.now = lambda: LATER
    shots = league.shots
    league.shots = shots[shots["game_id"] != FIRST]
    assert ingest_all(tmp_path, api, today=LATER.date()).without_shots == [f"2024-10-22: game {FIRST}, NYK at BOS,"]
    league.shots = shots
    found = ingest_all(tmp_path, api, today=LATER.date())
    assert (found.without_shots, found.corrected_days) == ([], [OPENING])
    server.forget()
    ingest_all(tmp_path, api, today=LATER.date())
    assert server.counts == {"scheduleleaguev2": 1}


def as_play_in(league, game_id):
    """The league in which a game is one of the play-in, which has no shot chart; its id."""
    play_in = f"{game_id[:2]}5{game_id[3:]}"
    for frame in (league.schedule, league.box_scores):
        of_game = frame["game_id"] == game_id
        frame.loc[of_game, ["game_id", "season_type"]] = [play_in, "PlayIn"]
    league.shots = league.shots[league.shots["game_id"] != game_id]
    return play_in


def test_play_in_games_without_shots_are_settled_all_the_same(league, server, api, tmp_path):
    as_play_in(league, THIRD)
    api.now = lambda: LATER
    ingest_all(tmp_path, api, today=LATER.date())
    server.forget()
    assert ingest_all(tmp_path, api, today=LATER.date()).games == 3
    assert server.counts == {"scheduleleaguev2": 1}


def test_a_play_in_chart_that_the_api_refuses_is_none_and_is_told(league, server, api, said, tmp_path):
    play_in = as_play_in(league, THIRD)
    server.faults["shotchartdetail"] = [400]  # the first of the two that are asked for
    found = ingest_all(tmp_path, api)
    assert (found.games, found.is_complete) == (3, True)
    assert found.without_shots == [f"2024-10-23: game {play_in}, IND at DET,"]
    assert said == ["for the shots of 2024-10-21 to 2024-10-27 (PlayIn): refused; its games are taken to have no shot chart"]
    assert set(stored(tmp_path, layout.SHOTS)["game_id"]) == {FIRST, SECOND}
    assert ingest_all(tmp_path, None).without_shots == found.without_shots


@pytest.mark.parametrize("faults", [[None, 400], [403]], ids=["regular season", "turned away"])
def test_any_other_refused_chart_ends_the_run(faults, league, server, api, tmp_path):
    as_play_in(league, THIRD)
    server.faults["shotchartdetail"] = faults
    with pytest.raises(StatsApiError, match=r"for the shots of .* status 40[03]"):
        ingest_all(tmp_path, api)
    assert tables(tmp_path) == {}


def test_a_shot_that_is_listed_twice_is_refused_by_its_game_and_event(league, api, tmp_path):
    league.shots = pd.concat([league.shots, league.shots.iloc[[1]].assign(made=False)])
    with pytest.raises(StatsApiError, match=rf"for the shots of 2024-10-21 .* with event 8 of game {FIRST} twice"):
        ingest_all(tmp_path, api, play_by_play=True)
    assert tables(tmp_path) == {}


def test_a_correction_changes_the_content_hash_of_its_day_alone(league, api, tmp_path):
    def hashes():
        return raw_hashes(ParquetFolder(tmp_path, "ingested"), ["raw_box_scores"], OPENING, NEXT_DAY)["raw_box_scores"]

    ingest_all(tmp_path, api)
    before = hashes()
    league.box_scores.loc[league.box_scores["player_id"] == 300, "reb"] += 1
    ingest_all(tmp_path, api)
    assert (hashes() == before).to_dict() == {pd.Timestamp(OPENING): True, pd.Timestamp(NEXT_DAY): False}


def test_who_assisted_is_not_forgotten_where_nobody_asks_for_it_again(league, api, tmp_path):
    ingest_all(tmp_path, api, play_by_play=True)
    shutil.rmtree(tmp_path / RESPONSES)  # as in a folder that was not made by `ingest`
    found = ingest_all(tmp_path, api)
    assert (found.corrected_days, found.without_shots) == ([], [])
    assert_same_tables(league, tmp_path)
    league.shots.loc[league.shots["game_id"] == FIRST, "zone"] = "Left Corner 3"  # other shots, of which nothing is known
    assert ingest_all(tmp_path, api).corrected_days == [OPENING]
    shots = stored(tmp_path, layout.SHOTS)
    assert shots["assisted"].isna().groupby(shots["game_id"]).all().to_dict() == {FIRST: True, SECOND: False, THIRD: False}


def test_a_run_that_finds_nothing_new_leaves_the_files_alone(api, tmp_path):
    ingest_all(tmp_path, api)
    before = {file.name: (tmp_path / file.name).stat().st_mtime_ns for file in RAW}
    ingest_all(tmp_path, api)
    assert {file.name: (tmp_path / file.name).stat().st_mtime_ns for file in RAW} == before


def test_kept_answers_are_read_again_without_the_network(league, server, api, tmp_path):
    ingest_all(tmp_path, api, play_by_play=True)
    for file in RAW:
        (tmp_path / file.name).unlink()
    server.forget()
    ingest_all(tmp_path, None)
    assert server.asked == []
    assert_same_tables(league, tmp_path)  # who assisted too, because it was kept


def test_without_the_network_and_without_a_kept_answer_nothing_is_written(api, tmp_path):
    with pytest.raises(StatsApiError, match=r"No answer is kept for the schedule of 2024-25 .*without --offline"):
        ingest_all(tmp_path, None)
    assert tables(tmp_path) == {}


def test_an_answer_is_kept_as_it_came(server, api, league, tmp_path):
    ingest_all(tmp_path, api)
    with gzip.open(tmp_path / RESPONSES / "boxscoretraditionalv3" / f"{FIRST}.json.gz") as kept:
        assert json.loads(kept.read()) == json.loads(json.dumps(league.boxscoretraditionalv3({"GameID": FIRST})))
        assert datetime.fromtimestamp(kept.mtime, UTC) == datetime(2024, 10, 24, 12, tzinfo=UTC)


def test_a_damaged_kept_answer_is_named(api, tmp_path):
    ingest_all(tmp_path, api)
    file = tmp_path / RESPONSES / "boxscoretraditionalv3" / f"{FIRST}.json.gz"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(StatsApiError, match=f"{FIRST}.json.gz cannot be read .* Remove it"):
        ingest_all(tmp_path, api)


# --------------------------------------------------------------------------------------------------------------- real games


@needs_real_data
@pytest.mark.parametrize(
    "days",
    [
        pd.date_range("2024-12-17", "2024-12-19"),  # the Cup final, and a day off
        pd.date_range("2025-04-15", "2025-04-16"),  # play-in, which has no shots
    ],
    ids=["cup final", "play-in"],
)
def test_real_days_through_the_api_are_the_same_cell_by_cell(days, tmp_path):
    league = league_of(REAL_DATA, today=date(2025, 7, 1), season=SEASON)
    with serving(league) as server:
        api = StatsApi(server.url, pause_seconds=0)
        found = ingest(tmp_path, api, SEASON, days[0].date(), days[-1].date(), date(2025, 7, 1), play_by_play=True)
    assert found.is_complete
    played = league.box_scores[league.box_scores["game_date"].isin(days)]
    assert found.games == played["game_id"].nunique()
    if days[0].month == 4:
        assert len(found.without_shots) == found.games
        league.shots = league.shots[~league.shots["game_date"].isin(days)]
        assert not (tmp_path / layout.SHOTS.name).exists()
        box = raw_folder.read(tmp_path, layout.BOX_SCORES, "game_id", list(played["game_id"].unique()))
        pd.testing.assert_frame_equal(in_order(box, layout.BOX_SCORES), in_order(played, layout.BOX_SCORES), check_exact=True)
    else:
        assert_same_tables(league, tmp_path, days)


# ------------------------------------------------------------------------------------------------------------- command line


def test_without_the_package_the_command_says_what_to_install(tmp_path):
    command = "import sys; sys.modules['nba_api'] = None; sys.argv = ['nba-precompute', 'ingest', '--date', '2024-10-22']; "
    command += "from nba_precompute.__main__ import main; main()"
    environment = {**os.environ, "NBA_PRECOMPUTE_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "The package nba_api is not installed" in done.stderr
    assert "uv sync --extra ingest" in done.stderr


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def test_the_command_writes_into_the_home_and_the_home_then_uses_it(server, home):
    done = command_line(home, "ingest", "--date", "2024-10-22", "--url", server.url, "--pause", "0")
    assert done.exit_code == 0, done.err
    assert "2 games read: 1 days new, 0 corrected." in done.out
    assert "The source of" not in done.out
    assert stored(home / "raw", layout.BOX_SCORES)["game_id"].nunique() == 2
    with instance_of(Home(home)) as instance:
        assert instance.get_materialized_partitions(dg.AssetKey("ingested_games")) == {"2024-10-22"}
    status = command_line(home, "status", "--json")
    assert json.loads(status.out)["source"] == str(home / "raw")


def test_the_command_names_what_is_missing_and_ends_with_exit_code_1(server, home):
    server.league.status_texts[SECOND] = "Half"
    done = command_line(home, "ingest", "--season", SEASON, "--url", server.url, "--pause", "0", "--raw", "elsewhere")
    assert done.exit_code == 1
    assert "home is another. Tables of these games" in done.out
    assert "nba-precompute backfill --raw elsewhere" in done.out
    assert f"Missing: 2024-10-22: game {SECOND}, MIN at LAL, is not final" in done.err
    assert not (home / "dagster").exists()  # nothing is recorded of games that are not the home's


def test_the_command_says_why_it_could_not_run(server, home):
    server.faults["scheduleleaguev2"] = [404]
    done = command_line(home, "ingest", "--season", SEASON, "--url", server.url, "--pause", "0")
    assert done.exit_code == 2
    assert "Could not run: The NBA's statistics API did not answer for the schedule of 2024-25" in done.err


@pytest.mark.parametrize("arguments", [[], ["--season", SEASON, "--date", "2024-10-22"]], ids=["neither", "both"])
def test_the_command_wants_one_thing_to_ingest(arguments, home):
    done = command_line(home, "ingest", *arguments)
    assert done.exit_code == 2
    assert "say one thing to ingest" in done.err
