"""The layout that every source writes: files, columns and kinds of values. No reading and no checking of rows here.

Only the columns that the tables use are named; files may hold more.
"""

from dataclasses import dataclass

WORDS, WHOLE, MEASURED, YES_NO, DATE, TIME = "text", "whole number", "number", "true/false", "date", "timestamp"

EAST = ("ATL", "BOS", "BKN", "CHA", "CHI", "CLE", "DET", "IND", "MIA", "MIL", "NYK", "ORL", "PHI", "TOR", "WAS")
WEST = ("DAL", "DEN", "GSW", "HOU", "LAC", "LAL", "MEM", "MIN", "NOP", "OKC", "PHX", "POR", "SAC", "SAS", "UTA")
TEAMS = (*EAST, *WEST)
"""The league's teams, thirty since 2004, by the NBA's own three letters."""

PLACES = (
    "Restricted Area",
    "In The Paint (Non-RA)",
    "Mid-Range",
    "Left Corner 3",
    "Right Corner 3",
    "Above the Break 3",
    "Backcourt",
)
"""Where a shot is taken from, in the NBA's own words (shot_zone_basic). Another spelling would be counted as mid-range."""

NEWS = ("out", "returned")
"""What a news item says of a player. Another word for out would be taken for not out."""

GAME_ID = r"\d{10}"
"""The NBA's game id; its third digit is the type of game."""


@dataclass(frozen=True)
class RawFile:
    """A file of the layout: its columns by kind, those that must be filled, whether it must be there, and what is unique in it.

    `day` is the column by which it is read; a row without one belongs to no day.
    """

    name: str
    columns: dict[str, str]
    filled: tuple[str, ...]
    required: bool = False
    unique: str | None = None
    day: str = "game_date"


COUNTS = ("pts", "fgm", "fga", "fg3m", "fg3a", "ftm", "fta", "oreb", "dreb", "reb", "ast", "stl", "blk", "tov", "pf")

BOX_SCORES = RawFile(
    "player_box_scores.parquet",
    {
        "game_id": WORDS,
        "game_date": DATE,
        "season": WORDS,
        "season_type": WORDS,
        "team": WORDS,
        "player_id": WHOLE,
        "player_name": WORDS,
        "starter": YES_NO,
        "minutes": MEASURED,
        **dict.fromkeys(COUNTS, WHOLE),
        "plus_minus": WHOLE,
    },
    filled=("game_id", "game_date", "season", "season_type", "team", "player_id", "minutes", *COUNTS),
    required=True,
)
SHOTS = RawFile(
    "shots.parquet",
    {
        "game_id": WORDS,
        "game_date": DATE,
        "player_id": WHOLE,
        "zone": WORDS,
        "is_three": YES_NO,
        "made": YES_NO,
        "assisted": YES_NO,
    },
    filled=("game_id", "game_date", "player_id", "zone", "is_three", "made"),
    required=True,
)
SCHEDULE = RawFile(
    "schedule.parquet",
    {
        "game_id": WORDS,
        "game_date": DATE,
        "season": WORDS,
        "season_type": WORDS,
        "start_utc": TIME,
        "home_team": WORDS,
        "away_team": WORDS,
    },
    filled=("game_id", "game_date", "season", "season_type", "home_team", "away_team"),
    required=True,
    unique="game_id",
)
LINES = RawFile(
    "game_lines.parquet",
    {"game_id": WORDS, "game_date": DATE, "spread_home": MEASURED, "total": MEASURED},
    filled=("game_id", "game_date"),
    unique="game_id",
)
PROPS = RawFile(
    "player_points_props.parquet",
    {
        "game_id": WORDS,
        "game_date": DATE,
        "player_id": WHOLE,
        "bookmaker": WORDS,
        "line": MEASURED,
        "american_over": WHOLE,
        "american_under": WHOLE,
        "snapshot_file_time": TIME,
    },
    filled=("game_date",),
)
INJURIES = RawFile(
    "injury_transactions.parquet",
    {"date": DATE, "player_id": WHOLE, "status": WORDS, "note": WORDS},
    filled=("date", "status"),
    day="date",
)
PLAYERS = RawFile(
    "players.parquet",
    {"player_id": WHOLE, "birth_date": DATE},
    filled=("player_id",),
    unique="player_id",
)
FILES = (BOX_SCORES, SHOTS, SCHEDULE, LINES, PROPS, INJURIES, PLAYERS)
