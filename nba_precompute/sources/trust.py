"""Which days of raw games can be trusted, and which files. What cannot is not published; the problem says where and what to do.

Box scores and shots are judged by day. The other files say something of every day (the schedule of all later rest, news of all
later status, birth dates), so they are judged as a whole. Pure: frames in, problems out. A file that cannot be read at all is
the business of the source itself.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from nba_precompute.game_days import CALENDAR_COMMAND, SEASONS
from nba_precompute.sources import layout

PROBLEM_COLUMNS = ["game_date", "file", "game_id", "player_id", "column", "problem"]

LONGEST_MINUTES = 70
"""No NBA player has been on court longer in a game (the record, with six overtimes in 1951, is below); beyond is an error."""

GAME_TYPES = ("2", "4", "5")
"""Third character of the ids of games that a day's box scores must hold; Cup finals are no game of any partition."""

TYPES_OF_LEAGUE_GAMES = (*GAME_TYPES, "6")
"""Games between teams of the league: all of those, and Cup finals. Preseason and all-star games have other teams."""

SHOOTING_PAIRS = (("fgm", "fga"), ("fg3m", "fg3a"), ("ftm", "fta"), ("fg3m", "fgm"), ("fg3a", "fga"))
"""Counts of which the first cannot exceed the second."""

LARGEST_WHOLE = 2**31 - 1
"""The warehouse's INTEGER; ids and counts of the league are far below."""

YOUNGEST_PLAYER = pd.DateOffset(years=15)
"""Nobody younger has played (the contract of player_age has the same bound)."""


def problems_by_day(
    days: Sequence[pd.Timestamp], box_scores: pd.DataFrame, shots: pd.DataFrame, schedule: pd.DataFrame
) -> pd.DataFrame:
    """Everything that is wrong with the raw games of `days`, one row a finding, in PROBLEM_COLUMNS.

    `box_scores` and `shots` hold the rows dated on those days, `schedule` all games.
    """
    box = box_scores[box_scores["game_date"].isin(days)].reset_index(drop=True)
    taken = shots[shots["game_date"].isin(days)].reset_index(drop=True)
    schedule = schedule.reset_index(drop=True)
    found = _all(
        [
            *_empty_values(box, layout.BOX_SCORES),
            *_empty_values(taken, layout.SHOTS),
            *_too_large(box, layout.BOX_SCORES),
            *_too_large(taken, layout.SHOTS),
            *_broken_rows(box),
            *_wrong_games(box, schedule),
            *_missing_games(days, box, schedule),
            *_wrong_shots(taken, box, schedule),
        ]
    )
    return found[found["game_date"].isin(days)].reset_index(drop=True)


def days_without_games(days: Sequence[pd.Timestamp], schedule: pd.DataFrame) -> pd.DataFrame:
    """A problem for each of `days`, game days of the calendar, on which the schedule has no game that counts."""
    scheduled = schedule.loc[schedule["game_id"].str[2].isin(GAME_TYPES), "game_date"]
    absent = pd.DataFrame({"game_date": pd.DatetimeIndex(days)})
    absent = absent[~absent["game_date"].isin(scheduled)]
    problem = f"has no game on this game day; add its games, or correct the calendar with `{CALENDAR_COMMAND}`"
    return _all(_found(absent, layout.SCHEDULE, None, problem))


def games_off_the_calendar(file: layout.RawFile, rows: pd.DataFrame, schedule: pd.DataFrame) -> pd.DataFrame:
    """Problems of games that count among rows dated on no game day of the calendar up to now.

    One for the day of the rows, and one for the day that the schedule has the game on, whose rows are not complete.
    """
    games = rows[rows["game_id"].str[2].isin(GAME_TYPES)].drop_duplicates(["game_date", "game_id"]).assign(player_id=pd.NA)
    problem = (
        "the calendar has no game day here up to today, so no table has the game; "
        f"correct the date, or add the day with `{CALENDAR_COMMAND}`"
    )
    return _all([*_found(games, file, "game_date", problem), *_dated_elsewhere(games, file, schedule)])


def problems_of_file(file: layout.RawFile, rows: pd.DataFrame) -> pd.DataFrame:
    """Everything that is wrong with a file that is judged as a whole, in PROBLEM_COLUMNS."""
    found = [*_empty_values(rows, file), *_too_large(rows, file)]
    if file.unique is not None:
        repeated = rows[rows[file.unique].duplicated() & rows[file.unique].notna()]
        found += _found(repeated, file, file.unique, "stands twice; keep the row that is right")
    if file.name in OF_WHOLE_FILES:
        found += OF_WHOLE_FILES[file.name](rows)
    return _all(found)


def appearances_of(box_scores: pd.DataFrame) -> pd.DataFrame:
    """The box-score rows that rest and load can be counted from, also on days that cannot be trusted.

    A player appears once a day, for minutes that are possible. Any other row says nothing of how tired he is, and would break
    the bounds of days whose own games are in order.
    """
    known = box_scores[["game_date", "game_id", "season", "player_id"]].notna().all(axis=1)
    possible = known & box_scores["minutes"].between(0, LONGEST_MINUTES) & ~_too_large_in(box_scores, "player_id")
    return box_scores[possible].drop_duplicates(["game_date", "player_id"])


def describe(problem: pd.Series) -> str:
    """One problem as a sentence that names file, date, game, player and column."""
    where = [
        words
        for words in (
            str(problem["game_date"].date()) if pd.notna(problem["game_date"]) else None,
            f"game {problem['game_id']}" if pd.notna(problem["game_id"]) else None,
            f"player {int(problem['player_id'])}" if pd.notna(problem["player_id"]) else None,
            f"column {problem['column']}" if pd.notna(problem["column"]) else None,
        )
        if words
    ]
    return f"{problem['file']}: {', '.join(where)}: {problem['problem']}"


def _all(found: Sequence[pd.DataFrame]) -> pd.DataFrame:
    if not found:
        return pd.DataFrame(columns=PROBLEM_COLUMNS)
    # what is said of a whole game comes before what is said of its players
    return pd.concat(found).sort_values(PROBLEM_COLUMNS[:5], na_position="first", ignore_index=True)


def _found(rows: pd.DataFrame, file: layout.RawFile, column: str | None, problem: str | pd.Series) -> list[pd.DataFrame]:
    """A problem for each of the rows; no frame where there is none."""
    if rows.empty:
        return []
    absent = pd.Series(pd.NA, rows.index, dtype="object")
    problems = pd.DataFrame(
        {
            "game_date": rows.get(file.day, absent),
            "file": file.name,
            "game_id": rows.get("game_id", absent),
            "player_id": pd.array(rows.get("player_id", absent), dtype="Int64"),
            "column": column,
            "problem": problem,
        },
        dtype="object",
    )
    return [problems[PROBLEM_COLUMNS]]


def _empty_values(rows: pd.DataFrame, file: layout.RawFile) -> list[pd.DataFrame]:
    return [
        problem
        for column in file.filled
        if rows[column].isna().any()
        for problem in _found(rows[rows[column].isna()], file, column, "is empty; fill it in")
    ]


def _too_large(rows: pd.DataFrame, file: layout.RawFile) -> list[pd.DataFrame]:
    found = []
    for column in [column for column, kind in file.columns.items() if kind == layout.WHOLE]:
        wrong = rows[_too_large_in(rows, column)]
        found += _found(wrong, file, column, "is " + wrong[column].astype(str) + f", above {LARGEST_WHOLE}; correct it")
    return found


def _too_large_in(rows: pd.DataFrame, column: str) -> pd.Series:
    kind = rows[column].dtype
    if pd.api.types.is_signed_integer_dtype(kind) and kind.itemsize <= np.dtype("int32").itemsize:
        return pd.Series(False, rows.index)
    return rows[column].abs() > LARGEST_WHOLE


def _broken_rows(box: pd.DataFrame) -> list[pd.DataFrame]:
    points = 2 * box["fgm"] + box["fg3m"] + box["ftm"]
    wrong = box[(box["pts"] != points) & box["pts"].notna() & points.notna()]
    found = _found(
        wrong,
        layout.BOX_SCORES,
        "pts",
        "is "
        + wrong["pts"].astype(str)
        + ", but 2 fgm + fg3m + ftm is "
        + points[wrong.index].astype(str)
        + "; correct the box score",
    )
    for part, whole in SHOOTING_PAIRS:
        rows = box[box[part] > box[whole]]
        values = rows[part].astype(str) + f" exceeds {whole} " + rows[whole].astype(str)
        found += _found(rows, layout.BOX_SCORES, part, values + "; correct the box score")
    for count in layout.COUNTS:
        rows = box[box[count] < 0]
        found += _found(rows, layout.BOX_SCORES, count, rows[count].astype(str) + " is below zero; correct it")
    too_long = box[~box["minutes"].between(0, LONGEST_MINUTES) & box["minutes"].notna()]
    found += _found(
        too_long,
        layout.BOX_SCORES,
        "minutes",
        too_long["minutes"].astype(str) + f" is outside 0-{LONGEST_MINUTES}; give minutes as a number, not seconds",
    )
    identified = box[box["player_id"].notna() & box["game_id"].notna()]
    repeated = identified.duplicated(["game_id", "player_id"])
    found += _found(identified[repeated], layout.BOX_SCORES, None, "the player stands twice in the game; keep one row")
    first_game = identified.groupby(["game_date", "player_id"])["game_id"].transform("first")
    elsewhere = identified[~repeated & (identified["game_id"] != first_game)]
    found += _found(
        elsewhere,
        layout.BOX_SCORES,
        "player_id",
        "plays in game " + first_game[elsewhere.index].astype(str) + " on this day too; correct the player or the date",
    )
    return found


def _wrong_games(box: pd.DataFrame, schedule: pd.DataFrame) -> list[pd.DataFrame]:
    scheduled = schedule.set_index("game_id")
    rows = box[box["game_id"].isin(scheduled.index)]
    games = scheduled.loc[rows["game_id"]].set_axis(rows.index, axis=0)
    stranger = rows[(rows["team"] != games["home_team"]) & (rows["team"] != games["away_team"]) & rows["team"].notna()]
    teams = games.loc[stranger.index, "away_team"] + " at " + games.loc[stranger.index, "home_team"]
    other_season = rows[(rows["season"] != games["season"]) & rows["season"].notna()]
    return [
        *_not_as_scheduled(box.drop_duplicates(["game_id", "game_date"]), layout.BOX_SCORES, schedule),
        *_found(
            stranger,
            layout.BOX_SCORES,
            "team",
            stranger["team"] + " does not play in this game (" + teams + "); correct the team",
        ),
        *_found(
            other_season,
            layout.BOX_SCORES,
            "season",
            "is "
            + other_season["season"]
            + f", {layout.SCHEDULE.name} has "
            + games.loc[other_season.index, "season"]
            + "; correct one",
        ),
    ]


def _not_as_scheduled(games: pd.DataFrame, file: layout.RawFile, schedule: pd.DataFrame) -> list[pd.DataFrame]:
    """Games (a row each) that the schedule does not have, or has on another day."""
    games = games[games["game_id"].notna()].assign(player_id=pd.NA)
    days = games["game_id"].map(schedule.set_index("game_id")["game_date"])
    moved = games[(games["game_date"] != days) & days.notna()]
    return [
        *_found(
            games[days.isna()],
            file,
            "game_id",
            f"is not in {layout.SCHEDULE.name}; add the game to the schedule or correct the id",
        ),
        *_found(
            moved,
            file,
            "game_date",
            f"differs from {layout.SCHEDULE.name}, which has " + days[moved.index].dt.date.astype(str) + "; correct one",
        ),
        *_dated_elsewhere(games, file, schedule),
    ]


def _dated_elsewhere(games: pd.DataFrame, file: layout.RawFile, schedule: pd.DataFrame) -> list[pd.DataFrame]:
    """For the scheduled days of games (a row each) those that have rows on another day, so that the day lacks them."""
    scheduled = games["game_id"].map(schedule.set_index("game_id")["game_date"])
    moved = games[(games["game_date"] != scheduled) & scheduled.notna()]
    problem = "the file has rows of it on " + moved["game_date"].dt.date.astype(str) + "; correct their date or the schedule's"
    return _found(moved.assign(game_date=scheduled[moved.index]), file, "game_date", problem)


def _missing_games(days: Sequence[pd.Timestamp], box: pd.DataFrame, schedule: pd.DataFrame) -> list[pd.DataFrame]:
    promised = schedule[schedule["game_date"].isin(days) & schedule["game_id"].str[2].isin(GAME_TYPES)]
    sides = set(box[["game_id", "team"]].drop_duplicates().itertuples(index=False, name=None))
    has_home = pd.Series(
        [pair in sides for pair in zip(promised["game_id"], promised["home_team"], strict=True)], promised.index, bool
    )
    has_away = pd.Series(
        [pair in sides for pair in zip(promised["game_id"], promised["away_team"], strict=True)], promised.index, bool
    )
    absent = promised[~(has_home & has_away)]
    lacking = pd.Series("it", absent.index).mask(has_home, absent["away_team"]).mask(has_away, absent["home_team"])
    problem = (
        "the schedule has "
        + absent["away_team"]
        + " at "
        + absent["home_team"]
        + ", the file has no row of "
        + lacking
        + ": add the box score, or correct the schedule's date if the game was postponed"
    )
    return _found(absent, layout.BOX_SCORES, None, problem)


def _wrong_shots(shots: pd.DataFrame, box: pd.DataFrame, schedule: pd.DataFrame) -> list[pd.DataFrame]:
    elsewhere = shots[~shots["zone"].isin(layout.PLACES) & shots["zone"].notna()]
    games = shots.groupby(["game_id", "game_date"], as_index=False).size()
    attempts = games["game_id"].map(box.groupby("game_id")["fga"].sum())
    doubled = games[(games["size"] >= 2 * attempts) & (attempts > 0)]
    return [
        *_found(
            elsewhere,
            layout.SHOTS,
            "zone",
            "is " + elsewhere["zone"] + ", no place that is known; write one of " + ", ".join(layout.PLACES),
        ),
        *_not_as_scheduled(games, layout.SHOTS, schedule),
        *_found(
            doubled,
            layout.SHOTS,
            None,
            "the file has "
            + doubled["size"].astype(str)
            + " shots, the box score "
            + attempts[doubled.index].astype("int64").astype(str)
            + " attempts, so they stand twice; keep each once",
        ),
    ]


def _wrong_schedule(schedule: pd.DataFrame) -> list[pd.DataFrame]:
    no_id = schedule[~schedule["game_id"].str.fullmatch(layout.GAME_ID, na=True).astype(bool)]
    found = _found(no_id, layout.SCHEDULE, "game_id", "has not the ten digits of a game's id; write it with its leading zeros")
    league = schedule[schedule["game_id"].str[2].isin(TYPES_OF_LEAGUE_GAMES)]
    for side in ("home_team", "away_team"):
        unknown = league[~league[side].isin(layout.TEAMS) & league[side].notna()]
        problem = "is " + unknown[side] + f", none of the league's {len(layout.TEAMS)} teams; correct it"
        found += _found(unknown, layout.SCHEDULE, side, problem)
    sides = pd.concat(
        [
            league[["game_date", "game_id", side]].rename(columns={side: "team"}).assign(side=side)
            for side in ("home_team", "away_team")
        ],
        ignore_index=True,
    ).dropna()
    sides = sides.sort_values(["game_date", "game_id"], kind="stable", ignore_index=True).drop_duplicates(["game_id", "side"])
    first_game = sides.groupby(["game_date", "team"])["game_id"].transform("first")
    again = sides[sides.duplicated(["game_date", "team"])]
    for side, rows in again.groupby("side"):
        problem = rows["team"] + " plays game " + first_game[rows.index] + " on this day already; keep one game a team and day"
        found += _found(rows, layout.SCHEDULE, str(side), problem)
    for season in SEASONS:
        of_season = league[league["game_date"].between(pd.Timestamp(season.first_game), pd.Timestamp(season.last_game))]
        other = of_season[(of_season["season"] != season.name) & of_season["season"].notna()]
        problem = "is " + other["season"] + f", the day belongs to {season.name}; correct it"
        found += _found(other, layout.SCHEDULE, "season", problem)
    return found


def _wrong_lines(lines: pd.DataFrame) -> list[pd.DataFrame]:
    found = []
    for column, impossible in (("total", lines["total"] <= 0), ("spread_home", pd.Series(False, lines.index))):
        wrong = lines[impossible | np.isinf(lines[column].astype("float64"))]
        found += _found(wrong, layout.LINES, column, "is " + wrong[column].astype(str) + ", no line; correct it")
    return found


def _wrong_props(props: pd.DataFrame) -> list[pd.DataFrame]:
    wrong = props[(props["line"] < 0) | np.isinf(props["line"].astype("float64"))]
    return _found(wrong, layout.PROPS, "line", "is " + wrong["line"].astype(str) + ", no line on points; correct it")


def _wrong_news(news: pd.DataFrame) -> list[pd.DataFrame]:
    wrong = news[~news["status"].isin(layout.NEWS) & news["status"].notna()]
    problem = "is " + wrong["status"] + f"; write one of {', '.join(layout.NEWS)}"
    return _found(wrong, layout.INJURIES, "status", problem)


def _wrong_players(players: pd.DataFrame) -> list[pd.DataFrame]:
    unborn = players[players["birth_date"] > pd.Timestamp(SEASONS[-1].last_game) - YOUNGEST_PLAYER]
    problem = "is " + unborn["birth_date"].dt.date.astype(str) + ", too late for a player; correct it"
    return _found(unborn, layout.PLAYERS, "birth_date", problem)


OF_WHOLE_FILES: dict[str, Callable[[pd.DataFrame], list[pd.DataFrame]]] = {
    layout.SCHEDULE.name: _wrong_schedule,
    layout.LINES.name: _wrong_lines,
    layout.PROPS.name: _wrong_props,
    layout.INJURIES.name: _wrong_news,
    layout.PLAYERS.name: _wrong_players,
}
"""What is wrong with the values of each file that is judged as a whole."""
