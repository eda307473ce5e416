"""What the statistics API is asked, and its answers as rows of the raw layout. No HTTP, no files, no clock.

Every value is taken by the name that the API gives it: a name that is gone raises StatsApiError, a value that cannot be right
raises NotAsItShouldBe for its game. Nothing is made up where the API says nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import pandas as pd

from nba_precompute.sources import layout
from nba_precompute.sources.stats_api import Answer, Question, StatsApiError
from nba_precompute.sources.trust import TYPES_OF_LEAGUE_GAMES

SEASON_TYPES = {"2": "Regular Season", "4": "Playoffs", "5": "PlayIn", "6": "NBA Cup Final"}
"""The third digit of a game's id, and what the layout calls its type."""

PLAY_IN = "PlayIn"
"""The type whose games may have no shot chart: none of 2023 to 2025 has one."""

SHOT_CHART_TYPES = {"2": "Regular Season", "4": "Playoffs", "5": PLAY_IN}
"""By the same digit, the season type under which the API lists shots. Cup finals count in no statistics and have none."""

LONGEST_ANSWER_ROWS = 102_400
"""The API cuts a shot chart here and does not say so; an answer of so many rows is refused."""

WEEK = timedelta(days=7)
"""A shot chart is asked for by Monday-to-Sunday weeks: about 11,000 rows, a tenth of where an answer is cut."""

FINAL = 3
"""`gameStatus` of a game that is over; 1 is scheduled, 2 in play."""

POSTPONED = re.compile(r"PPD|Postponed|Cancel+ed", re.IGNORECASE)
"""How `gameStatusText` begins for a game without a new date. (`postponedStatus` says Y of games that are played as planned.)"""

TIP_OFF_UNKNOWN = "TBD"
"""`gameStatusText` of a game whose tip-off is not set; its times are placeholders."""

WINS_OF_A_SERIES = 4

MINUTES = re.compile(r"(\d{1,3}):([0-5]\d)")
"""Minutes and seconds as the box score writes them."""

DID_NOT_PLAY = re.compile(r"DNP|DND|NWT")
"""How the comment of a listed player begins who did not play."""

ASSIST = re.compile(r"\(.+ \d+ AST\)")
"""How the description of a made shot ends that was assisted: (White 1 AST)."""

IS_THREE = {"2PT Field Goal": False, "3PT Field Goal": True}

STARTERS = 5

STATISTICS = {
    "pts": "points",
    "fgm": "fieldGoalsMade",
    "fga": "fieldGoalsAttempted",
    "fg3m": "threePointersMade",
    "fg3a": "threePointersAttempted",
    "ftm": "freeThrowsMade",
    "fta": "freeThrowsAttempted",
    "oreb": "reboundsOffensive",
    "dreb": "reboundsDefensive",
    "reb": "reboundsTotal",
    "ast": "assists",
    "stl": "steals",
    "blk": "blocks",
    "tov": "turnovers",
    "pf": "foulsPersonal",
    "plus_minus": "plusMinusPoints",
}
"""The layout's counts by the names of the API."""


class NotAsItShouldBe(Exception):
    """A game's answer has a value that cannot be right, so the game is left as it was; the message says which value."""


# ----------------------------------------------------------------------------------------------------------- questions


def ask_schedule(season: str) -> Question:
    """All games of a season, past and coming."""
    return Question(("scheduleleaguev2", "ScheduleLeagueV2"), {"season": season}, season, f"for the schedule of {season}")


def ask_box_score(game_id: str) -> Question:
    """Who played in a game. The league's game log would be one request a season, but has whole minutes and no starters."""
    return Question(
        ("boxscoretraditionalv3", "BoxScoreTraditionalV3"), {"game_id": game_id}, game_id, f"for the box score of {game_id}"
    )


def ask_shots(season: str, season_type: str, monday: date) -> Question:
    """All shots of a week."""
    sunday = monday + WEEK - timedelta(days=1)
    parameters = {
        "team_id": 0,
        "player_id": 0,
        "context_measure_simple": "FGA",  # the default counts points, and so leaves out misses
        "season_nullable": season,
        "season_type_all_star": season_type,
        "date_from_nullable": f"{monday:%m/%d/%Y}",
        "date_to_nullable": f"{sunday:%m/%d/%Y}",
    }
    about = f"for the shots of {monday} to {sunday} ({season_type})"
    return Question(("shotchartdetail", "ShotChartDetail"), parameters, f"{monday} {season_type}", about)


def ask_play_by_play(game_id: str) -> Question:
    """The plays of a game, which say who assisted."""
    return Question(("playbyplayv3", "PlayByPlayV3"), {"game_id": game_id}, game_id, f"for the play-by-play of {game_id}")


def ask_player(player_id: int) -> Question:
    """A player's birth date; no list of players has it."""
    return Question(
        ("commonplayerinfo", "CommonPlayerInfo"), {"player_id": player_id}, str(player_id), f"for player {player_id}"
    )


# ------------------------------------------------------------------------------------------------------------- answers

GAMES = [*layout.SCHEDULE.columns, "home_pts", "away_pts", "is_final", "is_postponed"]
"""A game of the published schedule: the layout's columns and what became of it."""


def games_of(answer: Answer, season: str) -> pd.DataFrame:
    """The published games of the season between teams of the league, in GAMES, by date and id.

    A game that has a new date stands once, with that; one without is postponed. Games whose teams are not known yet are left
    out, and games of a series that may not be needed. Scores are empty before the end.
    """
    with _known_shape(answer):
        published = answer.document["leagueSchedule"]
        if published["seasonYear"] != season:
            raise StatsApiError(
                f"The NBA's statistics API answered {answer.question.about} with {published['seasonYear']}. Try later."
            )
        games = [game for day in published["gameDates"] for game in day["games"]]
        rows = [_game(game, season) for game in games if game["gameId"][2] in TYPES_OF_LEAGUE_GAMES and _teams_known(game)]
    found = pd.DataFrame(rows, columns=GAMES)
    found = found.sort_values(["game_id", "is_postponed", "game_date"], kind="stable")
    found = found[~(found["is_postponed"] & found["game_id"].duplicated())]
    twice = found.loc[found["game_id"].duplicated(), "game_id"]
    if len(twice):
        raise StatsApiError(f"The NBA's schedule of {season} has game {twice.iloc[0]} on two days. Try later.")
    found = found[_is_certain(found)]
    return found.sort_values(["game_date", "game_id"], ignore_index=True).astype(
        {"game_date": "datetime64[ns]", "start_utc": "datetime64[ns]", "home_pts": "Int64", "away_pts": "Int64"}
    )


def _teams_known(game: Mapping[str, Any]) -> bool:
    return bool(game["homeTeam"]["teamTricode"]) and bool(game["awayTeam"]["teamTricode"])


def _game(game: Mapping[str, Any], season: str) -> dict[str, object]:
    status = game["gameStatusText"].strip()
    is_final = game["gameStatus"] == FINAL
    start = game["gameDateTimeUTC"]
    tip_off = pd.Timestamp(start).tz_localize(None) if start and status != TIP_OFF_UNKNOWN else None
    return {
        "game_id": game["gameId"],
        "game_date": pd.Timestamp(game["gameDateEst"][:10]),
        "season": season,
        "season_type": SEASON_TYPES[game["gameId"][2]],
        "start_utc": tip_off,
        "home_team": game["homeTeam"]["teamTricode"],
        "away_team": game["awayTeam"]["teamTricode"],
        "home_pts": game["homeTeam"]["score"] if is_final else None,
        "away_pts": game["awayTeam"]["score"] if is_final else None,
        "is_final": is_final,
        "is_postponed": bool(POSTPONED.match(status)),
    }


def _is_certain(games: pd.DataFrame) -> pd.Series:
    """Whether a game takes place: of a play-off series, one that nobody can win before, by the results there are."""
    series = games["game_id"].str[:9]
    number = games["game_id"].str[9].astype("int64")
    winner = games["home_team"].where(games["home_pts"] > games["away_pts"], games["away_team"]).where(games["is_final"])
    results = pd.DataFrame({"series": series, "number": number, "winner": winner}).dropna()
    certain = pd.Series(True, games.index)
    for row in games.index[(games["game_id"].str[2] == "4") & ~games["is_final"]]:
        before = results[(results["series"] == series[row]) & (results["number"] < number[row])]
        most_wins = before["winner"].value_counts().max() if len(before) else 0
        open_games = number[row] - 1 - len(before)
        certain[row] = most_wins + open_games < WINS_OF_A_SERIES
    return certain


def box_score_of(answer: Answer, game: pd.Series) -> list[dict[str, object]]:
    """A row a player who appeared in the game, by the layout's columns.

    Raises NotAsItShouldBe where teams or scores are not those of the schedule, or a player's line contradicts itself.
    """
    with _known_shape(answer):
        box = answer.document["boxScoreTraditional"]
        if box["gameId"] != game["game_id"]:
            raise NotAsItShouldBe(f"the box score is of game {box['gameId']}")
        sides = [
            _side(box["homeTeam"], game["home_team"], game["home_pts"]),
            _side(box["awayTeam"], game["away_team"], game["away_pts"]),
        ]
    of_game = {column: game[column] for column in ("game_id", "game_date", "season", "season_type")}
    return [{**of_game, **player} for side in sides for player in side]


def _side(team: Mapping[str, Any], expected: str, score: int) -> list[dict[str, object]]:
    if team["teamTricode"] != expected:
        raise NotAsItShouldBe(f"the box score has {team['teamTricode']}, the schedule {expected}")
    listed = [(player, _line(player)) for player in team["players"]]
    appeared = [(player, line) for player, line in listed if line is not None]
    points = sum(line["pts"] for _, line in appeared)
    if points != score:
        raise NotAsItShouldBe(f"the players of {expected} have {points} points, the schedule {score}")
    in_starting_position = [bool(player["position"]) for player, _ in appeared]
    known = sum(in_starting_position) == STARTERS  # else the positions say something else than who started
    return [
        {
            "team": expected,
            "player_id": player["personId"],
            "player_name": " ".join(name for name in (player["firstName"], player["familyName"]) if name),
            "starter": starts if known else None,
            **line,
        }
        for (player, line), starts in zip(appeared, in_starting_position, strict=True)
    ]


def _line(player: Mapping[str, Any]) -> dict[str, Any] | None:
    """A player's minutes and counts; None where he did not play."""
    statistics = player["statistics"]
    counts = {column: _whole(statistics[name], name, player) for column, name in STATISTICS.items()}
    minutes = statistics["minutes"]
    if minutes == "" or (DID_NOT_PLAY.match(player["comment"]) and minutes_of(minutes, player) == 0):
        if any(counts.values()):
            raise NotAsItShouldBe(f"player {player['personId']} has no minutes ({player['comment']}) and counts that are not 0")
        return None
    return {"minutes": minutes_of(minutes, player), **counts}


def minutes_of(written: object, player: Mapping[str, Any]) -> float:
    """Minutes from "MM:SS"; anything else is refused."""
    found = MINUTES.fullmatch(written) if isinstance(written, str) else None
    if found is None:
        raise NotAsItShouldBe(f"player {player['personId']} has minutes {written!r}, which is not MM:SS")
    return int(found[1]) + int(found[2]) / 60


def _whole(value: object, name: str, player: Mapping[str, Any]) -> int:
    if not isinstance(value, int | float) or isinstance(value, bool) or value != int(value):
        raise NotAsItShouldBe(f"player {player['personId']} has {name} {value!r}, which is no whole number")
    return int(value)


def shots_of(answer: Answer, games: pd.DataFrame) -> pd.DataFrame:
    """A row a field-goal attempt in one of the games: the layout's columns and `event_id`; nothing says yet who assisted."""
    attempts = _result_set(
        answer,
        "Shot_Chart_Detail",
        ["GAME_ID", "GAME_EVENT_ID", "PLAYER_ID", "SHOT_TYPE", "SHOT_ZONE_BASIC", "SHOT_MADE_FLAG"],
    )
    if len(attempts) >= LONGEST_ANSWER_ROWS:
        raise StatsApiError(
            f"The NBA's statistics API answered {answer.question.about} with {len(attempts)} rows, where it cuts answers off. "
            "Ask for fewer days: shorten stats_answers.WEEK."
        )
    attempts = attempts[attempts["GAME_ID"].isin(games["game_id"])].reset_index(drop=True)
    twice = attempts[attempts.duplicated(["GAME_ID", "GAME_EVENT_ID"])]
    if len(twice):
        game, event = twice.iloc[0][["GAME_ID", "GAME_EVENT_ID"]]
        raise StatsApiError(
            f"The NBA's statistics API answered {answer.question.about} with event {event} of game {game} twice. Try later; "
            "nothing was written."
        )
    unknown = attempts.loc[~attempts["SHOT_TYPE"].isin(IS_THREE), "SHOT_TYPE"]
    if len(unknown):
        raise StatsApiError(
            f"The NBA's statistics API answered {answer.question.about} with SHOT_TYPE {unknown.iloc[0]!r}, not known here."
        )
    return pd.DataFrame(
        {
            "game_id": attempts["GAME_ID"],
            "game_date": attempts["GAME_ID"].map(games.set_index("game_id")["game_date"]),
            "player_id": attempts["PLAYER_ID"],
            "zone": attempts["SHOT_ZONE_BASIC"],
            "is_three": attempts["SHOT_TYPE"].map(IS_THREE).astype("boolean"),
            "made": (attempts["SHOT_MADE_FLAG"] == 1).astype("boolean"),
            "assisted": pd.array([None] * len(attempts), dtype="boolean"),
            "event_id": attempts["GAME_EVENT_ID"],
        }
    )


def assists_of(answer: Answer) -> dict[int, bool]:
    """For each shot of a game, by event id, whether somebody assisted."""
    with _known_shape(answer):
        plays = answer.document["game"]["actions"]
        return {play["actionNumber"]: bool(ASSIST.search(play["description"])) for play in plays if play["isFieldGoal"]}


def birth_date_of(answer: Answer) -> date | None:
    """A player's birth date, None where the API has none."""
    players = _result_set(answer, "CommonPlayerInfo", ["PERSON_ID", "BIRTHDATE"])
    written = players["BIRTHDATE"].iloc[0] if len(players) else None
    with _known_shape(answer):
        return pd.Timestamp(written).date() if written else None


def _result_set(answer: Answer, name: str, columns: Iterable[str]) -> pd.DataFrame:
    with _known_shape(answer):
        found = {each["name"]: each for each in answer.document["resultSets"]}[name]
        rows = pd.DataFrame(found["rowSet"], columns=found["headers"])
    absent = [column for column in columns if column not in rows.columns]
    if absent:
        raise _other_shape(answer, absent[0])
    return rows[list(columns)]


@contextmanager
def _known_shape(answer: Answer) -> Iterator[None]:
    try:
        yield
    except KeyError as gone:
        raise _other_shape(answer, gone.args[0]) from gone
    except (TypeError, ValueError, AttributeError, IndexError) as other:
        raise _other_shape(answer, str(other)) from other


def _other_shape(answer: Answer, what: object) -> StatsApiError:
    return StatsApiError(
        f"The NBA's statistics API answered {answer.question.about} in another shape than is known here: {what} is not as it was. "
        "See whether nba_api's release notes name it, and correct nba_precompute/sources/stats_answers.py; nothing was written."
    )
