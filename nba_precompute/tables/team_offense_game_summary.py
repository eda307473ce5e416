"""team_offense_game_summary: what each team's offence did in each game, summed from player_game_summary.

Grain: two rows a game. Key: game_id, team_abbr. Partition: game_date.
"""

import pandas as pd

from nba_precompute.tables import columns
from nba_precompute.tables.columns import Table, integer, number

COUNTS = [
    "fg_makes",
    "fg_attempts",
    "three_pt_makes",
    "three_pt_attempts",
    "ft_makes",
    "ft_attempts",
    "offensive_rebounds",
    "turnovers",
    "assists",
]

REGULATION_MINUTES = 240
"""Minutes of a team's five players in four quarters of 12."""

OVERTIME_MINUTES = 25
"""Minutes of a team's five players in one overtime of 5."""

TEAM_OFFENSE_GAME_SUMMARY: Table = columns.table(
    dataset="nba_analytics",
    name="team_offense_game_summary",
    day="game_date",
    key=["game_id", "team_abbr"],
    code_version="1",
    description=(
        "What each team's offence did in each game of the day: counts summed over its players, zones where they are complete "
        "for every player, possessions, pace and rating. Two rows a game."
    ),
    columns={
        **columns.shared("game_id"),
        "game_date": columns.day("partition; US Eastern date of the game"),
        **columns.shared("season", "season_type"),
        "team_abbr": columns.team_abbr("the team whose offence this is"),
        **columns.shared("opponent_team_abbr", "is_home"),
        "win_flag": columns.flag("team_abbr scored more", nullable=True),
        "points_scored": integer("scored by team_abbr", "points"),
        "fg_makes": integer("field goals made"),
        "fg_attempts": integer("field goals attempted"),
        "three_pt_makes": integer("three-pointers made, from the box score"),
        "three_pt_attempts": integer("three-pointers attempted, from the box score"),
        "ft_makes": integer("free throws made"),
        "ft_attempts": integer("free throws attempted"),
        "offensive_rebounds": integer("players' offensive rebounds, without team rebounds"),
        "turnovers": integer("players' turnovers, without team turnovers"),
        "assists": integer("assists"),
        "paint_makes": integer("made from the paint; NULL unless zones are complete for every player of the side"),
        "paint_attempts": integer("attempted from the paint; NULL unless complete"),
        "mid_range_makes": integer("made from mid-range; NULL unless complete"),
        "mid_range_attempts": integer("attempted from mid-range; NULL unless complete"),
        "three_zone_makes": integer("shots worth three made; NULL unless complete"),
        "three_zone_attempts": integer("shots worth three attempted; NULL unless complete"),
        "has_complete_shot_zones": columns.flag("zones are complete for every player of team_abbr"),
        "possessions": number("FGA + 0.44 FTA + TOV - OREB", "possessions", ge=0),
        **columns.shared("pace"),
        "offensive_rating": columns.rating("points scored per 100 possessions"),
        **columns.shared("overtime_periods"),
    },
)


def team_offense_game_summary(player_game_summary: pd.DataFrame) -> pd.DataFrame:
    """Two rows for every game in `player_game_summary`, which holds whole games."""
    identity = [
        "game_id",
        "game_date",
        "season",
        "season_type",
        "team_abbr",
        "opponent_team_abbr",
        "is_home",
        "win_flag",
    ]
    players = player_game_summary.assign(seconds=(player_game_summary["minutes_played"] * 60).round())
    summed = (
        players[["points", *COUNTS, *columns.ZONE_COUNTS, "seconds"]]
        .astype("float64")
        .groupby([players["game_id"], players["team_abbr"]])
    )
    complete = players.groupby(["game_id", "team_abbr"])["has_complete_shot_zones"].all()
    sides = players[identity].drop_duplicates(["game_id", "team_abbr"]).set_index(["game_id", "team_abbr"])
    teams = sides.join(summed.sum(), validate="one_to_one").join(complete, validate="one_to_one").reset_index()
    teams[columns.ZONE_COUNTS] = teams[columns.ZONE_COUNTS].where(teams["has_complete_shot_zones"])
    teams["points_scored"] = teams["points"]
    teams["possessions"] = columns.possessions(teams)
    game_minutes = teams["seconds"].groupby(teams["game_id"]).transform("mean") / 60
    game_possessions = teams["possessions"].groupby(teams["game_id"]).transform("mean")
    teams["pace"] = columns.ratio(game_possessions * 48, game_minutes / 5)
    teams["offensive_rating"] = columns.ratio(100 * teams["points_scored"], teams["possessions"])
    teams["overtime_periods"] = ((game_minutes - REGULATION_MINUTES) / OVERTIME_MINUTES).round().clip(lower=0)
    return TEAM_OFFENSE_GAME_SUMMARY.conform(teams)
