"""What stored rows must be: a table computed again from the source and from the stored tables that it reads.

The formulas are called here a second time, apart from the assets, so that rows which an asset made from other inputs, or from
inputs that have changed since, are found. Nothing is published.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import pandas as pd

from nba_precompute.game_days import season_of
from nba_precompute.past_games import rows_from, rows_on
from nba_precompute.sources import Source, trust
from nba_precompute.tables.columns import Table
from nba_precompute.tables.ml_feature_store_v2 import ML_FEATURE_STORE_V2, ml_feature_store_v2
from nba_precompute.tables.player_composite_factors import PLAYER_COMPOSITE_FACTORS, player_composite_factors
from nba_precompute.tables.player_game_summary import PLAYER_GAME_SUMMARY, player_game_summary
from nba_precompute.tables.player_shot_zone_analysis import PLAYER_SHOT_ZONE_ANALYSIS, player_shot_zone_analysis
from nba_precompute.tables.team_defense_game_summary import TEAM_DEFENSE_GAME_SUMMARY, team_defense_game_summary
from nba_precompute.tables.team_defense_zone_analysis import TEAM_DEFENSE_ZONE_ANALYSIS, team_defense_zone_analysis
from nba_precompute.tables.team_offense_game_summary import TEAM_OFFENSE_GAME_SUMMARY, team_offense_game_summary
from nba_precompute.tables.upcoming_player_game_context import UPCOMING_PLAYER_GAME_CONTEXT, upcoming_player_game_context
from nba_precompute.tables.upcoming_team_game_context import UPCOMING_TEAM_GAME_CONTEXT, upcoming_team_game_context


def recomputed(table: Table, days: Sequence[date], source: Source, stored: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The rows that the table must have on `days`, all of one season.

    `stored` holds, by name and without repeated keys, the tables that it reads: from the season's first game on, and
    player_game_summary for ml_feature_store_v2 from a year before the first day on.
    """
    season = season_of(days[0])
    timestamps = [pd.Timestamp(day) for day in days]
    all_games = source.schedule()
    schedule = all_games[all_games["season"] == season.name]

    def season_to_date(read: Table) -> pd.DataFrame:
        return rows_from(stored[read.name], read.day, season.first_game)

    def same_days(read: Table) -> pd.DataFrame:
        return rows_on(stored[read.name], read.day, timestamps)

    match table.name:
        case PLAYER_GAME_SUMMARY.name:
            box_scores, shots = source.box_scores(days[0], days[-1]), source.shots(days[0], days[-1])
            wrong = trust.problems_by_day(timestamps, box_scores, shots, all_games)["game_date"]
            good = [day for day in timestamps if day not in set(wrong)]
            return player_game_summary(
                box_scores[box_scores["game_date"].isin(good)], shots[shots["game_date"].isin(good)], schedule
            )
        case TEAM_OFFENSE_GAME_SUMMARY.name:
            return team_offense_game_summary(same_days(PLAYER_GAME_SUMMARY))
        case TEAM_DEFENSE_GAME_SUMMARY.name:
            return team_defense_game_summary(team_offense_game_summary(same_days(PLAYER_GAME_SUMMARY)))
        case UPCOMING_TEAM_GAME_CONTEXT.name:
            return upcoming_team_game_context(
                timestamps,
                schedule=schedule,
                lines=source.lines(days[0], days[-1]),
                team_offense_game_summary=season_to_date(TEAM_OFFENSE_GAME_SUMMARY),
                injuries_cover=source.injuries_cover(),
            )
        case UPCOMING_PLAYER_GAME_CONTEXT.name:
            return upcoming_player_game_context(
                timestamps,
                schedule=schedule,
                box_scores=trust.appearances_of(source.box_scores(season.first_game, days[-1])),
                injuries=source.injuries(),
                props=source.props(days[0], days[-1]),
                players=source.players(),
                player_game_summary=season_to_date(PLAYER_GAME_SUMMARY),
                team_context=same_days(UPCOMING_TEAM_GAME_CONTEXT),
            )
        case TEAM_DEFENSE_ZONE_ANALYSIS.name:
            return team_defense_zone_analysis(
                timestamps, schedule=schedule, team_defense_game_summary=season_to_date(TEAM_DEFENSE_GAME_SUMMARY)
            )
        case PLAYER_SHOT_ZONE_ANALYSIS.name:
            return player_shot_zone_analysis(
                timestamps, schedule=schedule, player_game_summary=season_to_date(PLAYER_GAME_SUMMARY)
            )
        case PLAYER_COMPOSITE_FACTORS.name:
            return player_composite_factors(
                player_context=same_days(UPCOMING_PLAYER_GAME_CONTEXT),
                team_context=same_days(UPCOMING_TEAM_GAME_CONTEXT),
                team_defense=same_days(TEAM_DEFENSE_ZONE_ANALYSIS),
                player_zones=same_days(PLAYER_SHOT_ZONE_ANALYSIS),
                team_offense_game_summary=season_to_date(TEAM_OFFENSE_GAME_SUMMARY),
            )
        case ML_FEATURE_STORE_V2.name:
            return ml_feature_store_v2(
                player_context=same_days(UPCOMING_PLAYER_GAME_CONTEXT),
                team_context=same_days(UPCOMING_TEAM_GAME_CONTEXT),
                team_defense=same_days(TEAM_DEFENSE_ZONE_ANALYSIS),
                player_zones=same_days(PLAYER_SHOT_ZONE_ANALYSIS),
                composite_factors=same_days(PLAYER_COMPOSITE_FACTORS),
                schedule=schedule,
                props=source.props(days[0], days[-1]),
                player_game_summary=stored[PLAYER_GAME_SUMMARY.name],
            )
        case _:
            raise ValueError(f"no formula is known for {table.qualified_name}")
