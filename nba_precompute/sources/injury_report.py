"""The league's injury report as CSV, turned into the layout's news. No files are written here.

The report's own columns, in any case, with spaces or underscores: `Report Date` (the day it was published), `Team`, `Player Name`
("Last, First" or "First Last"), `Current Status`, `Reason`; beside them `covered_from` and `covered_to`, the first and last day
whose reports are all in the file, the same in every row. Other columns are left aside. A row with a team and no player says that
the team reports nobody, unless it is "NOT YET SUBMITTED"; one with neither says only what the file covers.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pandas as pd

from nba_precompute.sources import RawDataError, layout
from nba_precompute.sources.layout import RawFile

OUT, RETURNED = layout.NEWS

DAY_TO_DAY = "DTD"
"""What the context of a player looks for in a note: he is doubtful on the day after it, and not held out later."""

NEWS_OF_STATUS = {
    "out": (OUT, ""),
    "doubtful": (OUT, f" ({DAY_TO_DAY})"),
    "questionable": (RETURNED, ""),
    "probable": (RETURNED, ""),
    "available": (RETURNED, ""),
}
"""The league's words. Doubtful is a one-in-four chance to play, questionable an even one, so only the first counts as absent."""

NOT_YET_SUBMITTED = re.compile(r"not\s+yet\s+submitted", re.IGNORECASE)
"""What the league writes beside a team that has not reported yet, which says nothing of its players."""

REPORTS = RawFile(
    "injury_reports.parquet",
    {
        "report_date": layout.DATE,
        **dict.fromkeys(("team", "player_name", "status", "reason"), layout.WORDS),
        "player_id": layout.WHOLE,
    },
    filled=("report_date",),
    day="report_date",
)
"""The reports that news was made from, kept beside it: news of a day follows from those of all days before.

A row without a player is a team that reports nobody, one without a team a day that is covered.
"""

COLUMNS = ("report_date", "team", "player_name", "current_status", "reason", "covered_from", "covered_to")

TEAM_NAMES = {
    "atlanta hawks": "ATL",
    "boston celtics": "BOS",
    "brooklyn nets": "BKN",
    "charlotte hornets": "CHA",
    "chicago bulls": "CHI",
    "cleveland cavaliers": "CLE",
    "dallas mavericks": "DAL",
    "denver nuggets": "DEN",
    "detroit pistons": "DET",
    "golden state warriors": "GSW",
    "houston rockets": "HOU",
    "indiana pacers": "IND",
    "la clippers": "LAC",
    "los angeles clippers": "LAC",
    "los angeles lakers": "LAL",
    "memphis grizzlies": "MEM",
    "miami heat": "MIA",
    "milwaukee bucks": "MIL",
    "minnesota timberwolves": "MIN",
    "new orleans pelicans": "NOP",
    "new york knicks": "NYK",
    "oklahoma city thunder": "OKC",
    "orlando magic": "ORL",
    "philadelphia 76ers": "PHI",
    "phoenix suns": "PHX",
    "portland trail blazers": "POR",
    "sacramento kings": "SAC",
    "san antonio spurs": "SAS",
    "toronto raptors": "TOR",
    "utah jazz": "UTA",
    "washington wizards": "WAS",
}


@dataclass(frozen=True)
class InjuryReport:
    """The rows of a file in the columns of REPORTS without `player_id`, team in three letters, and the days that it covers."""

    rows: pd.DataFrame
    covered_from: date
    covered_to: date

    @property
    def days(self) -> list[date]:
        """Every day that the file covers."""
        return [self.covered_from + timedelta(days=number) for number in range((self.covered_to - self.covered_from).days + 1)]


def read_report(file: Path) -> InjuryReport:
    """The report in a CSV file. Raises RawDataError with the line where something is missing or not known."""
    try:
        rows = pd.read_csv(file, dtype="string", keep_default_na=False)
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise RawDataError(f"{file} cannot be read as CSV ({error}). Save it again as CSV.") from error
    rows.columns = [re.sub(r"\W+", "_", str(name).strip().lower()) for name in rows.columns]
    absent = [column for column in COLUMNS if column not in rows.columns]
    if absent:
        raise RawDataError(
            f"{file}: column {absent[0]} is missing. A report has {', '.join(COLUMNS)}; "
            "without the days that it covers no day is captured."
        )
    rows = rows[list(COLUMNS)].apply(lambda column: column.str.strip())
    covered_from, covered_to = (_one_day(file, rows, column) for column in ("covered_from", "covered_to"))
    if covered_from > covered_to:
        raise RawDataError(f"{file}: it covers {covered_from} to {covered_to}. Write the earlier day as covered_from.")
    return InjuryReport(_in_columns_of_reports(file, rows, covered_from, covered_to), covered_from, covered_to)


def _one_day(file: Path, rows: pd.DataFrame, column: str) -> date:
    values = set(rows[column])
    if len(values) != 1:
        raise RawDataError(f"{file}: column {column} holds {len(values)} different values. Write the same day in every row.")
    return _day(file, column, values.pop(), "every line")


def _day(file: Path, column: str, written: str, where: str) -> date:
    try:
        return date.fromisoformat(written)
    except ValueError:
        raise RawDataError(f"{file}, {where}: {column} is {written!r}, which is no date. Write it as 2024-01-31.") from None


def _in_columns_of_reports(file: Path, rows: pd.DataFrame, covered_from: date, covered_to: date) -> pd.DataFrame:
    nothing = (None,) * 3
    found = [(day, None, *nothing) for day in pd.date_range(covered_from, covered_to)]
    not_yet = rows[["player_name", "current_status", "reason"]].apply(lambda column: column.str.contains(NOT_YET_SUBMITTED))
    says_who = (rows[["team", "player_name"]] != "").any(axis=1)
    for index, row in rows[says_who & ~not_yet.any(axis=1)].iterrows():
        where = f"line {index + 2}"
        day = _day(file, "report_date", row["report_date"], where)
        if not covered_from <= day <= covered_to:
            raise RawDataError(
                f"{file}, {where}: report_date {day} lies outside {covered_from} to {covered_to}, which the file covers."
            )
        if row["player_name"] and row["current_status"].lower() not in NEWS_OF_STATUS:
            known = ", ".join(NEWS_OF_STATUS)
            raise RawDataError(f"{file}, {where}: current_status is {row['current_status']!r}, none of {known}. Correct it.")
        team = row["team"] if row["team"] in layout.TEAMS else TEAM_NAMES.get(row["team"].lower())
        if team is None:
            raise RawDataError(
                f"{file}, {where}: team is {row['team']!r}, none of the league's. Write its name or its three letters."
            )
        of_player = (row["player_name"], row["current_status"].lower(), row["reason"]) if row["player_name"] else nothing
        found.append((pd.Timestamp(day), team, *of_player))
    reports = pd.DataFrame(found, columns=["report_date", "team", "player_name", "status", "reason"])
    # of several reports of a day the last one holds
    return reports.drop_duplicates(["report_date", "player_name", "team"], keep="last", ignore_index=True)


def news_of(reports: pd.DataFrame, other_news: pd.DataFrame, box_scores: pd.DataFrame) -> pd.DataFrame:
    """The layout's news, in the order of the days, and `player_name`; `player_id` is empty where nobody or several have the name.

    A report names whoever may miss the next game of his team. So a player who was out and whom a later report of his team does
    not name has returned. `reports` are those of all days that are known; `other_news` is the news of the other days, of which
    only who is out by it counts.
    """
    players = reports[reports["player_name"].notna()].astype({"player_id": "Int64"})
    others = _with_teams(other_news, box_scores)
    of_days, others_of_days = (dict(iter(rows.groupby(day))) for rows, day in ((players, "report_date"), (others, "date")))
    teams_of_days = reports.groupby("report_date")["team"].agg(lambda teams: set(teams.dropna()))
    items = []
    out: dict[int, str] = {}
    for day in sorted({*teams_of_days.index, *others_of_days}):
        for item in others_of_days.get(day, others.iloc[:0]).itertuples(index=False):
            out.pop(item.player_id, None)
            if item.status == OUT:
                out[item.player_id] = item.team
        of_day = of_days.get(day, players.iloc[:0])
        named, reporting = set(of_day["player_id"].dropna()), teams_of_days.get(day, set())
        for player, team in sorted(out.items()):
            if team in reporting and player not in named:
                items.append((day, player, RETURNED, "no longer in his team's report", None))
                del out[player]
        for row in of_day.itertuples(index=False):
            status, mark = NEWS_OF_STATUS[row.status]
            items.append((day, row.player_id, status, f"{row.status.capitalize()}: {row.reason}{mark}", row.player_name))
            if pd.notna(row.player_id):
                out.pop(row.player_id, None)
                if status == OUT:
                    out[row.player_id] = row.team
    news = pd.DataFrame(items, columns=["date", "player_id", "status", "note", "player_name"])
    return news.astype({"date": "datetime64[ns]", "player_id": "Int64"})


def _with_teams(news: pd.DataFrame, box_scores: pd.DataFrame) -> pd.DataFrame:
    """News of players who had played, with the team of their last game until then."""
    known = news.dropna(subset="player_id").astype({"player_id": "int64", "date": "datetime64[ns]"})
    games = box_scores[["game_date", "player_id", "team"]].astype({"player_id": "int64", "game_date": "datetime64[ns]"})
    by_date = [rows.sort_values(day, kind="stable") for rows, day in ((known, "date"), (games, "game_date"))]
    return pd.merge_asof(*by_date, left_on="date", right_on="game_date", by="player_id").dropna(subset="team")


def identify(rows: pd.DataFrame, box_scores: pd.DataFrame) -> pd.Series:
    """The ids of the named players: of those who played under the name the one, or the one who played for the team last."""
    last = box_scores.sort_values("game_date", kind="stable").drop_duplicates("player_id", keep="last")
    last = last.assign(name=last["player_name"].map(plain_name))
    by_name = last.groupby("name")["player_id"].agg(list)
    by_name_and_team = last.groupby(["name", "team"])["player_id"].agg(list)
    named = rows[rows["player_name"].notna()]
    ids = []
    for row in named.itertuples(index=False):
        name = plain_name(row.player_name)
        found = by_name.get(name, [])
        if len(found) > 1:
            found = by_name_and_team.get((name, row.team), [])
        ids.append(found[0] if len(found) == 1 else pd.NA)
    return pd.Series(ids, named.index, dtype="Int64").reindex(rows.index)


def plain_name(name: str) -> str:
    """A name as both spellings have it: first name first, without accents, capitals and punctuation."""
    last, comma, first = name.partition(",")
    in_order = f"{first} {last}" if comma else name
    letters = unicodedata.normalize("NFKD", in_order).encode("ascii", "ignore").decode().casefold()
    return " ".join(re.sub(r"[^a-z0-9 ]", "", letters.replace("-", " ")).split())
