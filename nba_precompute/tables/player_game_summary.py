"""player_game_summary: what each player did in each game, from box scores and shots of that day alone.

Grain: one row a player who appeared in a game. Key: game_id, player_id. Partition: game_date. Cup finals make no rows.
"""

import pandas as pd

from nba_precompute.tables import columns, windows
from nba_precompute.tables.columns import Table, integer, number

PAINT_PLACES = ["Restricted Area", "In The Paint (Non-RA)"]
"""The source's names of the places that are paint; a two-pointer from anywhere else is mid-range."""

FROM_BOX_SCORE = {
    "team": "team_abbr",
    "pts": "points",
    "fgm": "fg_makes",
    "fga": "fg_attempts",
    "fg3m": "three_pt_makes",
    "fg3a": "three_pt_attempts",
    "ftm": "ft_makes",
    "fta": "ft_attempts",
    "oreb": "offensive_rebounds",
    "dreb": "defensive_rebounds",
    "reb": "rebounds",
    "ast": "assists",
    "stl": "steals",
    "blk": "blocks",
    "tov": "turnovers",
    "pf": "personal_fouls",
}
"""Columns of the raw box score that are taken as they are, under our names."""

PLAYER_GAME_SUMMARY: Table = columns.table(
    dataset="nba_analytics",
    name="player_game_summary",
    day="game_date",
    key=["game_id", "player_id"],
    code_version="1",
    description=(
        "What each player did in each game of the day: box score, shots by zone, usage and shooting. "
        "One row a player who appeared (rows of 0 minutes included); not playing is the absence of a row."
    ),
    columns={
        **columns.shared("game_id"),
        "game_date": columns.day("partition; US Eastern date of the game"),
        **columns.shared("season", "season_type", "player_id", "player_lookup"),
        "player_name": columns.text("name as in the source", nullable=True),
        "team_abbr": columns.team_abbr("his team, 3 letters"),
        **columns.shared("opponent_team_abbr", "is_home"),
        "win_flag": columns.flag("his team scored more", nullable=True),
        "starter": columns.flag("in the starting five", nullable=True),
        "minutes_played": number("time on court, to the second; 0 is possible", "minutes", ge=0, le=70),
        "points": integer("scored", "points"),
        "fg_makes": integer("field goals made, threes included"),
        "fg_attempts": integer("field goals attempted, threes included"),
        "three_pt_makes": integer("three-pointers made, from the box score"),
        "three_pt_attempts": integer("three-pointers attempted, from the box score"),
        "ft_makes": integer("free throws made"),
        "ft_attempts": integer("free throws attempted"),
        "offensive_rebounds": integer("rebounds at the opponent's basket"),
        "defensive_rebounds": integer("rebounds at the own basket"),
        "rebounds": integer("all rebounds"),
        "assists": integer("assists"),
        "steals": integer("steals"),
        "blocks": integer("blocked shots"),
        "turnovers": integer("turnovers"),
        "personal_fouls": integer("personal fouls"),
        "plus_minus": integer("own points minus the opponent's while on court", "points", ge=None),
        "paint_makes": integer("made from the restricted area and the rest of the paint; NULL unless zones are complete"),
        "paint_attempts": integer("attempted from the paint; NULL unless zones are complete"),
        "mid_range_makes": integer("two-pointers made outside the paint; NULL unless zones are complete"),
        "mid_range_attempts": integer("two-pointers attempted outside the paint; NULL unless zones are complete"),
        "three_zone_makes": integer("shots worth three made, from the shots; NULL unless zones are complete"),
        "three_zone_attempts": integer("shots worth three attempted, from the shots; NULL unless zones are complete"),
        "has_complete_shot_zones": columns.flag("the game has shots, and his agree with the box score"),
        "assisted_fg_makes": integer("0 without makes, NULL if not known for every make"),
        "unassisted_fg_makes": integer("0 without makes, NULL if not known for every make"),
        "usage_rate": number("share of team possessions used while on court; seconds on court may exceed 100", "percent", ge=0),
        "ts_pct": number("true shooting, PTS / (2 (FGA + 0.44 FTA)); up to 1.5", "fraction", ge=0),
        "efg_pct": number("effective field goal, (FGM + 0.5 3PM) / FGA; up to 1.5", "fraction", ge=0),
    },
)


def player_game_summary(box_scores: pd.DataFrame, shots: pd.DataFrame, schedule: pd.DataFrame) -> pd.DataFrame:
    """Rows of every game of form in `box_scores`.

    `box_scores` and `shots` are raw rows of whole games, `schedule` holds at least those games.
    """
    games = windows.of_form(box_scores).rename(columns=FROM_BOX_SCORE).reset_index(drop=True)
    sides = windows.team_games(schedule)[["game_id", "team_abbr", "opponent_team_abbr", "is_home"]]
    games = games.merge(sides, on=["game_id", "team_abbr"], how="left", validate="many_to_one")
    games["player_lookup"] = player_lookup(games["player_name"])
    games["minutes_played"] = (games["minutes"].astype("float64") * 60).round() / 60
    games["win_flag"] = won(games)
    games = games.merge(shots_of_player_games(shots), on=["game_id", "player_id"], how="left", validate="one_to_one")
    games = games.assign(**zones(games, has_shots=games["game_id"].isin(shots["game_id"].unique())))
    games = games.assign(**assisted(games))
    parts = columns.usage_parts(games)
    games["usage_rate"] = columns.usage_rate(parts)
    games["ts_pct"] = columns.ratio(
        games["points"], 2 * (games["fg_attempts"] + columns.POSSESSIONS_PER_FREE_THROW * games["ft_attempts"])
    )
    games["efg_pct"] = columns.ratio(games["fg_makes"] + 0.5 * games["three_pt_makes"], games["fg_attempts"])
    return PLAYER_GAME_SUMMARY.conform(games)


def player_lookup(names: pd.Series) -> pd.Series:
    """The normalised name: NFKD, lower case, only a-z and 0-9 kept."""
    distinct = pd.Series(names.unique(), dtype="object")
    normal = distinct.fillna("").str.normalize("NFKD").str.lower().str.replace(r"[^a-z0-9]", "", regex=True)
    return names.map(dict(zip(distinct, normal, strict=True)))


def won(games: pd.DataFrame) -> pd.Series:
    """Whether the player's team scored more than its opponent, both summed from the box score."""
    game_points = games["points"].groupby(games["game_id"]).transform("sum")
    team_points = games["points"].groupby([games["game_id"], games["team_abbr"]]).transform("sum")
    return 2 * team_points > game_points


def shots_of_player_games(shots: pd.DataFrame) -> pd.DataFrame:
    """Attempts, makes by zone and assisted makes, one row a game and player with a shot."""
    three = shots["is_three"].astype(bool)
    paint = ~three & shots["zone"].isin(PAINT_PLACES)
    made = shots["made"].astype(bool)
    counted = {"paint": paint, "mid_range": ~three & ~paint, "three_zone": three}
    counts = pd.DataFrame(
        {
            **{f"{zone}_attempts": inside for zone, inside in counted.items()},
            **{f"{zone}_makes": inside & made for zone, inside in counted.items()},
            "shots_made": made,
            "assisted_known": made & shots["assisted"].notna(),
            "assisted_made": made & shots["assisted"].astype("boolean").fillna(False).astype(bool),
        }
    )
    return counts.groupby([shots["game_id"], shots["player_id"]]).sum().reset_index()


def zones(games: pd.DataFrame, has_shots: pd.Series) -> dict[str, pd.Series]:
    """The six zone columns, all NULL unless the shots of the row agree with its box score, and the flag that says so."""
    counts = games[columns.ZONE_COUNTS].fillna(0)
    attempts = counts[[f"{zone}_attempts" for zone in columns.ZONES.values()]].sum(axis=1)
    complete = has_shots & (attempts == games["fg_attempts"]) & (counts["three_zone_attempts"] == games["three_pt_attempts"])
    return {**{name: counts[name].where(complete) for name in counts}, "has_complete_shot_zones": complete}


def assisted(games: pd.DataFrame) -> dict[str, pd.Series]:
    """Assisted and unassisted makes: known where the shots say it for every make of the box score, 0 without makes."""
    known = (games["assisted_known"].fillna(0) == games["fg_makes"]) & (games["shots_made"].fillna(0) == games["fg_makes"])
    made = games["assisted_made"].fillna(0)
    return {"assisted_fg_makes": made.where(known), "unassisted_fg_makes": (games["fg_makes"] - made).where(known)}
