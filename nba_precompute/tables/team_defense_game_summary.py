"""team_defense_game_summary: what each team's defence allowed in each game, its opponent's offence seen from the other side.

Grain: two rows a game. Key: game_id, team_abbr. Partition: game_date.
"""

import pandas as pd

from nba_precompute.tables import columns
from nba_precompute.tables.columns import Table, integer, number

OF_OPPONENT = {
    "points_scored": "points_allowed",
    "fg_makes": "opp_fg_makes",
    "fg_attempts": "opp_fg_attempts",
    "three_pt_makes": "opp_three_pt_makes",
    "three_pt_attempts": "opp_three_pt_attempts",
    "ft_makes": "opp_ft_makes",
    "ft_attempts": "opp_ft_attempts",
    "offensive_rebounds": "opp_offensive_rebounds",
    "turnovers": "opp_turnovers",
    "assists": "opp_assists",
    "paint_makes": "paint_makes_allowed",
    "paint_attempts": "paint_attempts_allowed",
    "mid_range_makes": "mid_range_makes_allowed",
    "mid_range_attempts": "mid_range_attempts_allowed",
    "three_zone_makes": "three_zone_makes_allowed",
    "three_zone_attempts": "three_zone_attempts_allowed",
    "has_complete_shot_zones": "has_complete_shot_zones",
    "possessions": "opp_possessions",
    "offensive_rating": "defensive_rating",
}
"""The opponent's offence and what it is called as this team's defence."""

TEAM_DEFENSE_GAME_SUMMARY: Table = columns.table(
    dataset="nba_analytics",
    name="team_defense_game_summary",
    day="game_date",
    key=["game_id", "team_abbr"],
    code_version="1",
    description=(
        "What each team's defence allowed in each game of the day: the opponent's counts, zones, possessions and rating. "
        "Two rows a game."
    ),
    columns={
        **columns.shared("game_id"),
        "game_date": columns.day("partition; US Eastern date of the game"),
        **columns.shared("season", "season_type"),
        "team_abbr": columns.team_abbr("the team whose defence this is"),
        "opponent_team_abbr": columns.team_abbr("the team whose counts these are"),
        **columns.shared("is_home"),
        "win_flag": columns.flag("team_abbr scored more", nullable=True),
        "points_allowed": integer("scored by the opponent", "points"),
        "opp_fg_makes": integer("opponent's field goals made"),
        "opp_fg_attempts": integer("opponent's field goals attempted"),
        "opp_three_pt_makes": integer("opponent's three-pointers made, from the box score"),
        "opp_three_pt_attempts": integer("opponent's three-pointers attempted, from the box score"),
        "opp_ft_makes": integer("opponent's free throws made"),
        "opp_ft_attempts": integer("opponent's free throws attempted"),
        "opp_offensive_rebounds": integer("opponent's players' offensive rebounds, without team rebounds"),
        "opp_turnovers": integer("opponent's players' turnovers, without team turnovers"),
        "opp_assists": integer("opponent's assists"),
        "paint_makes_allowed": integer("opponent's makes from the paint; NULL unless complete for every opposing player"),
        "paint_attempts_allowed": integer("opponent's attempts from the paint; NULL unless complete"),
        "mid_range_makes_allowed": integer("opponent's makes from mid-range; NULL unless complete"),
        "mid_range_attempts_allowed": integer("opponent's attempts from mid-range; NULL unless complete"),
        "three_zone_makes_allowed": integer("opponent's made shots worth three; NULL unless complete"),
        "three_zone_attempts_allowed": integer("opponent's attempted shots worth three; NULL unless complete"),
        "has_complete_shot_zones": columns.flag("zones are complete for every player of the opponent"),
        "opp_possessions": number("opponent's FGA + 0.44 FTA + TOV - OREB", "possessions", ge=0),
        **columns.shared("pace"),
        "defensive_rating": columns.rating("points allowed per 100 possessions of the opponent"),
        **columns.shared("overtime_periods"),
    },
)


def team_defense_game_summary(team_offense_game_summary: pd.DataFrame) -> pd.DataFrame:
    """Two rows for every game in `team_offense_game_summary`, which holds whole games."""
    own = [
        "game_id",
        "game_date",
        "season",
        "season_type",
        "team_abbr",
        "opponent_team_abbr",
        "is_home",
        "win_flag",
        "pace",
        "overtime_periods",
    ]
    opponents = team_offense_game_summary[["game_id", "team_abbr", *OF_OPPONENT]].rename(
        columns={**OF_OPPONENT, "team_abbr": "opponent_team_abbr"}
    )
    sides = team_offense_game_summary[own].merge(opponents, on=["game_id", "opponent_team_abbr"], validate="one_to_one")
    return TEAM_DEFENSE_GAME_SUMMARY.conform(sides)
