"""Which days of raw games can be trusted. A day with any problem is not published; the problem says where and what to do.

Pure: frames in, problems out. A file that cannot be read at all is the business of the source itself.
"""

from collections.abc import Sequence

import pandas as pd

from nba_precompute.sources import layout

PROBLEM_COLUMNS = ["game_date", "file", "game_id", "player_id", "column", "problem"]

LONGEST_MINUTES = 70
"""No NBA player has been on court longer in a game (the record, with six overtimes in 1951, is below); beyond is an error."""

GAME_TYPES = ("2", "4", "5")
"""Third character of the ids of games that a day's box scores must hold; Cup finals are no game of any partition."""

SHOOTING_PAIRS = (("fgm", "fga"), ("fg3m", "fg3a"), ("ftm", "fta"), ("fg3m", "fgm"), ("fg3a", "fga"))
"""Counts of which the first cannot exceed the second."""


def problems_by_day(
    days: Sequence[pd.Timestamp], box_scores: pd.DataFrame, shots: pd.DataFrame, schedule: pd.DataFrame
) -> pd.DataFrame:
    """Everything that is wrong with the raw games of `days`, one row a finding, in PROBLEM_COLUMNS.

    `box_scores` and `shots` hold the rows dated on those days, `schedule` all games.
    """
    box = box_scores[box_scores["game_date"].isin(days)].reset_index(drop=True)
    taken = shots[shots["game_date"].isin(days)].reset_index(drop=True)
    schedule = schedule.reset_index(drop=True)
    found = [
        *_empty_values(box, layout.BOX_SCORES),
        *_empty_values(taken, layout.SHOTS),
        *_broken_rows(box),
        *_wrong_games(box, schedule),
        *_missing_games(days, box, schedule),
    ]
    if not found:
        return pd.DataFrame(columns=PROBLEM_COLUMNS)
    return pd.concat(found).sort_values(PROBLEM_COLUMNS[:5], ignore_index=True)


def describe(problem: pd.Series) -> str:
    """One problem as a sentence that names file, date, game, player and column."""
    where = [f"{problem['file']}: {problem['game_date'].date()}"]
    if pd.notna(problem["game_id"]):
        where.append(f"game {problem['game_id']}")
    if pd.notna(problem["player_id"]):
        where.append(f"player {int(problem['player_id'])}")
    if pd.notna(problem["column"]):
        where.append(f"column {problem['column']}")
    return f"{', '.join(where)}: {problem['problem']}"


def _problems(rows: pd.DataFrame, file: layout.RawFile, column: str | None, problem: str | pd.Series) -> pd.DataFrame:
    player = rows.get("player_id")
    return pd.DataFrame(
        {
            "game_date": rows["game_date"],
            "file": file.name,
            "game_id": rows["game_id"],
            "player_id": pd.array(player, dtype="Int64") if player is not None else pd.NA,
            "column": column,
            "problem": problem,
        },
        dtype="object",
    )[PROBLEM_COLUMNS]


def _empty_values(rows: pd.DataFrame, file: layout.RawFile) -> list[pd.DataFrame]:
    return [
        _problems(rows[rows[column].isna()], file, column, "is empty; fill it in")
        for column in file.filled
        if rows[column].isna().any()
    ]


def _broken_rows(box: pd.DataFrame) -> list[pd.DataFrame]:
    points = 2 * box["fgm"] + box["fg3m"] + box["ftm"]
    wrong = box[(box["pts"] != points) & box["pts"].notna() & points.notna()]
    found = [
        _problems(
            wrong,
            layout.BOX_SCORES,
            "pts",
            "is "
            + wrong["pts"].astype(str)
            + ", but 2 fgm + fg3m + ftm is "
            + points[wrong.index].astype(str)
            + "; correct the box score",
        )
    ]
    for part, whole in SHOOTING_PAIRS:
        rows = box[box[part] > box[whole]]
        values = rows[part].astype(str) + f" exceeds {whole} " + rows[whole].astype(str)
        found.append(_problems(rows, layout.BOX_SCORES, part, values + "; correct the box score"))
    for count in layout.COUNTS:
        rows = box[box[count] < 0]
        found.append(_problems(rows, layout.BOX_SCORES, count, rows[count].astype(str) + " is below zero; correct it"))
    too_long = box[~box["minutes"].between(0, LONGEST_MINUTES) & box["minutes"].notna()]
    found.append(
        _problems(
            too_long,
            layout.BOX_SCORES,
            "minutes",
            too_long["minutes"].astype(str) + f" is outside 0-{LONGEST_MINUTES}; give minutes as a number, not seconds",
        )
    )
    repeated = box[box.duplicated(["game_id", "player_id"], keep="first")]
    found.append(_problems(repeated, layout.BOX_SCORES, None, "the player stands twice in the game; keep one row"))
    return [rows for rows in found if len(rows)]


def _wrong_games(box: pd.DataFrame, schedule: pd.DataFrame) -> list[pd.DataFrame]:
    scheduled = schedule.set_index("game_id")
    known = box["game_id"].isin(scheduled.index)
    found = [
        _problems(
            box[~known & box["game_id"].notna()].drop_duplicates("game_id").assign(player_id=pd.NA),
            layout.BOX_SCORES,
            "game_id",
            f"is not in {layout.SCHEDULE.name}; add the game to the schedule or correct the id",
        )
    ]
    rows = box[known]
    games = scheduled.loc[rows["game_id"]].set_axis(rows.index, axis=0)
    moved = rows[rows["game_date"] != games["game_date"]].drop_duplicates("game_id").assign(player_id=pd.NA)
    dates = games.loc[moved.index, "game_date"].dt.date.astype(str)
    found.append(
        _problems(
            moved, layout.BOX_SCORES, "game_date", f"differs from {layout.SCHEDULE.name}, which has " + dates + "; correct one"
        )
    )
    stranger = rows[(rows["team"] != games["home_team"]) & (rows["team"] != games["away_team"]) & rows["team"].notna()]
    teams = games.loc[stranger.index, "away_team"] + " at " + games.loc[stranger.index, "home_team"]
    found.append(
        _problems(
            stranger,
            layout.BOX_SCORES,
            "team",
            stranger["team"] + " does not play in this game (" + teams + "); correct the team",
        )
    )
    return [rows for rows in found if len(rows)]


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
    return [_problems(absent, layout.BOX_SCORES, None, problem)] if len(absent) else []
