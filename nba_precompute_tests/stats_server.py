"""A server on loopback that answers as the NBA's statistics API does: from raw games, in its JSON shapes, and with its faults.

The shapes are those that nba_api's parsers and its documented examples have: `resultSets` with `headers` and `rowSet` for shot
charts and players, nested objects for schedule, box scores and play-by-play.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd

from nba_precompute.sources.stats_answers import STATISTICS
from nba_precompute_tests.conftest import box_row, schedule_row, shot_rows


@dataclass
class League:
    """What the server knows: raw games in the columns of the layout, shots with `event_id`, and the day that it is.

    A game is over when it is before `today`; its score is the points of its players. `changed` may alter any answer.
    """

    schedule: pd.DataFrame
    box_scores: pd.DataFrame
    shots: pd.DataFrame
    today: date
    status_texts: dict[str, str] = field(default_factory=dict)
    changed: Callable[[str, dict[str, str], dict], dict] = lambda endpoint, parameters, document: document

    def answer(self, endpoint, parameters):
        document = getattr(self, endpoint)(parameters)
        return self.changed(endpoint, parameters, document)

    def scheduleleaguev2(self, parameters):
        season = parameters["Season"]
        games = self.schedule[self.schedule["season"] == season]
        points = self.box_scores.groupby(["game_id", "team"])["pts"].sum()
        days = [
            {"gameDate": f"{day:%m/%d/%Y} 00:00:00", "games": [self.game(game, points) for game in of_day.to_dict("records")]}
            for day, of_day in games.groupby("game_date")
        ]
        preseason = {**self.game(games.iloc[0].to_dict(), points), "gameId": "0012400001"} if len(games) else None
        if preseason:
            preseason["awayTeam"] = {"teamId": 50015, "teamTricode": "", "teamName": "Lions", "score": 0}
            days.insert(0, {"gameDate": "10/01/2024 00:00:00", "games": [preseason]})
        return {
            "meta": {"version": 1},
            "leagueSchedule": {"seasonYear": season, "leagueId": "00", "gameDates": days, "weeks": []},
        }

    def game(self, game, points):
        over = game["game_date"].date() < self.today and game["game_id"] not in self.status_texts
        unset = pd.isna(game["start_utc"])
        start = f"{game['game_date'] if unset else game['start_utc']:%Y-%m-%dT%H:%M:%SZ}"
        return {
            "gameId": game["game_id"],
            "gameStatus": 3 if over else 1,
            "gameStatusText": self.status_texts.get(game["game_id"], "Final" if over else "TBD" if unset else "7:00 pm ET "),
            "gameDateEst": f"{game['game_date']:%Y-%m-%d}T00:00:00Z",
            "gameDateTimeUTC": "" if unset and over else start,
            "postponedStatus": "Y",
            "ifNecessary": False,
            "broadcasters": {"nationalBroadcasters": []},
            "homeTeam": side(points.get((game["game_id"], game["home_team"]), 0), game["home_team"], over),
            "awayTeam": side(points.get((game["game_id"], game["away_team"]), 0), game["away_team"], over),
            "pointsLeaders": [],
        }

    def boxscoretraditionalv3(self, parameters):
        game_id = parameters["GameID"]
        [game] = self.schedule[self.schedule["game_id"] == game_id].to_dict("records")
        players = self.box_scores[self.box_scores["game_id"] == game_id]
        teams = {
            side: {
                "teamTricode": game[name],
                "players": [*map(player, players[players["team"] == game[name]].to_dict("records")), DID_NOT_PLAY],
                "statistics": {},
            }
            for side, name in (("homeTeam", "home_team"), ("awayTeam", "away_team"))
        }
        return {"meta": {"version": 1}, "boxScoreTraditional": {"gameId": game_id, "homeTeamId": 1, "awayTeamId": 2, **teams}}

    def shotchartdetail(self, parameters):
        assert parameters["ContextMeasure"] == "FGA", "the API would answer with makes alone"
        assert parameters["PlayerID"] == parameters["TeamID"] == "0"
        start, end = (pd.to_datetime(parameters[name], format="%m/%d/%Y") for name in ("DateFrom", "DateTo"))
        kind = {"Regular Season": "2", "Playoffs": "4", "PlayIn": "5"}[parameters["SeasonType"]]
        shots = self.shots
        of_week = shots["game_date"].between(start, end) & (shots["game_id"].str[2] == kind)
        rows = [shot_chart_row(shot) for shot in shots[of_week].itertuples()]
        headers = ["GRID_TYPE", "GAME_ID", "GAME_EVENT_ID", "PLAYER_ID", "SHOT_TYPE", "SHOT_ZONE_BASIC", "SHOT_ATTEMPTED_FLAG"]
        return result_sets("shotchartdetail", Shot_Chart_Detail=([*headers, "SHOT_MADE_FLAG", "GAME_DATE"], rows))

    def playbyplayv3(self, parameters):
        shots = self.shots[self.shots["game_id"] == parameters["GameID"]]
        actions = [{"actionNumber": 2, "isFieldGoal": 0, "description": "Jump Ball White vs. Green: Tip to Brown"}]
        for shot in shots[shots["assisted"].notna()].itertuples():
            made = "Brown 8' Jump Shot (2 PTS)" if shot.made else "MISS Brown 8' Jump Shot"
            words = f"{made} (White 1 AST)" if shot.assisted else made
            actions.append({"actionNumber": int(shot.event_id), "isFieldGoal": 1, "description": words})
        return {"meta": {"version": 1}, "game": {"gameId": parameters["GameID"], "videoAvailable": 0, "actions": actions}}

    def commonplayerinfo(self, parameters):
        player_id = int(parameters["PlayerID"])
        born = f"{birth_date(player_id)}T00:00:00"
        return result_sets("commonplayerinfo", CommonPlayerInfo=(["PERSON_ID", "BIRTHDATE"], [[player_id, born]]))


def shot_chart_row(shot):
    worth = "3PT Field Goal" if shot.is_three else "2PT Field Goal"
    return [
        "Shot Chart Detail",
        shot.game_id,
        shot.event_id,
        shot.player_id,
        worth,
        shot.zone,
        1,
        int(shot.made),
        str(shot.game_date),
    ]


def birth_date(player_id):
    """A player's birth date on this server, which follows from his id."""
    return date(1985 + player_id % 20, 1 + player_id % 12, 1 + player_id % 28)


def result_sets(resource, **sets):
    return {
        "resource": resource,
        "parameters": {},
        "resultSets": [{"name": name, "headers": headers, "rowSet": rows} for name, (headers, rows) in sets.items()],
    }


def side(points, team, over):
    return {"teamId": 1610612737, "teamTricode": team, "score": int(points) if over else 0}


def player(row):
    seconds = round(float(row["minutes"]) * 60)
    first, _, family = row["player_name"].partition(" ")
    counts = {name: row[column] for column, name in STATISTICS.items()}
    return {
        "personId": int(row["player_id"]),
        "firstName": first,
        "familyName": family,
        "position": "G" if row["starter"] is True else "",
        "comment": "",
        "statistics": {
            "minutes": f"{seconds // 60}:{seconds % 60:02d}",
            **{name: int(value) for name, value in counts.items()},
            "plusMinusPoints": float(row["plus_minus"]),
        },
    }


DID_NOT_PLAY = {
    "personId": 999_999,
    "firstName": "Benched",
    "familyName": "Player",
    "position": "",
    "comment": "DNP - Coach's Decision",
    "statistics": {"minutes": "", **dict.fromkeys(STATISTICS.values(), 0)},
}


def league_of(folder, today, season):
    """The season of a folder of raw games as a server's league, as far as it was before `today`."""
    schedule, box_scores, shots = (
        pd.read_parquet(folder / f"{name}.parquet") for name in ("schedule", "player_box_scores", "shots")
    )
    for frame in (schedule, box_scores, shots):
        frame["game_date"] = pd.to_datetime(frame["game_date"])
    schedule = schedule[schedule["season"] == season].reset_index(drop=True)
    box_scores = box_scores[box_scores["game_id"].isin(schedule["game_id"])].reset_index(drop=True)
    shots = shots[shots["game_id"].isin(schedule["game_id"])].reset_index(drop=True)
    if "event_id" not in shots:
        shots["event_id"] = shots.groupby("game_id").cumcount() + 10
    # games of which the API would have no event ids, as after 2025-11-22 in the development data
    shots["event_id"] = (
        shots["event_id"].where(shots["event_id"].notna(), shots.groupby("game_id").cumcount() + 10).astype(np.int64)
    )
    return League(schedule, box_scores, shots, today)


@dataclass
class Server:
    """A running server: where it is, which questions it was asked, and the faults that it answers next with, by endpoint.

    A fault is a status, (status, headers), "hang" (no answer), "cut" (less than it promised), "half" (half an answer that
    promises no length) or a body.
    """

    url: str
    league: League
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    faults: dict[str, list[object]] = field(default_factory=dict)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def counts(self):
        """How often each endpoint was asked."""
        return Counter(endpoint for endpoint, _ in self.asked)

    def forget(self):
        self.asked.clear()


@contextmanager
def serving(league: League) -> Iterator[Server]:
    """The server, as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one piece; in two, the second waits 40 ms for the first's acknowledgement

        def do_GET(self):
            address = urlsplit(self.path)
            endpoint = address.path.rsplit("/", 1)[1]
            parameters = {name: values[0] for name, values in parse_qs(address.query).items()}
            server.asked.append((endpoint, parameters))
            waiting = server.faults.get(endpoint, [])
            self.respond(waiting.pop(0) if waiting else None, endpoint, parameters)

        def respond(self, fault, endpoint, parameters):
            if fault == "hang":
                server.released.wait(30)
                self.close_connection = True
                return
            if isinstance(fault, int | tuple):
                status, headers = fault if isinstance(fault, tuple) else (fault, {})
                self.send(status, b"<html>no</html>", headers)
                return
            body = fault.encode() if isinstance(fault, str) and fault not in ("cut", "half") else None
            body = body or json.dumps(server.league.answer(endpoint, parameters)).encode()
            if fault == "half":
                self.send_response(200)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
            elif fault == "cut":
                self.send(200, body[: len(body) // 2], {"Content-Length": str(len(body))})
                self.close_connection = True
            else:
                self.send(200, body, {})

        def send(self, status, body, headers):
            self.send_response(status)
            kind = {"Content-Type": "application/json; charset=utf-8", "Content-Length": str(len(body))}
            for name, value in {**kind, **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server = Server(f"http://127.0.0.1:{http.server_port}/stats/{{endpoint}}", league)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        http.shutdown()
        thread.join()
        http.server_close()


# ------------------------------------------------------------------------------------------------------ three games of a season

SEASON = "2024-25"
FIRST, SECOND, THIRD = "0022400001", "0022400002", "0022400010"
OPENING, NEXT_DAY = date(2024, 10, 22), date(2024, 10, 23)
MORNING_AFTER = date(2024, 10, 24)


def game(game_id, day, home, away, first_player, a_side=2):
    """Players of 5 points and 30 minutes on both sides, of whom the first five of a side start, where there are so many."""
    of_season = {"season": SEASON, "game_id": game_id, "game_date": pd.Timestamp(day)}
    box = [
        box_row(
            first_player + number,
            home if number < a_side else away,
            starter=number % a_side < 5 if a_side > 5 else None,
            **of_season,
        )
        for number in range(2 * a_side)
    ]
    shots = shot_rows(first_player, {"Mid-Range": (2, 4)}, game_id, game_date=pd.Timestamp(day))
    return schedule_row(game_id, day, home, away, season=SEASON), box, shots.assign(event_id=range(7, 7 + len(shots)))


def three_games():
    """Two games on the opening night, the first with twelve players, and one on the next day."""
    games = [
        game(FIRST, OPENING, "BOS", "NYK", 100, a_side=6),
        game(SECOND, OPENING, "LAL", "MIN", 200),
        game(THIRD, NEXT_DAY, "DET", "IND", 300),
    ]
    schedule, boxes, shots = zip(*games, strict=True)
    box_scores = pd.DataFrame([row for box in boxes for row in box])
    return League(pd.DataFrame(schedule), box_scores, pd.concat(shots, ignore_index=True), today=MORNING_AFTER)
