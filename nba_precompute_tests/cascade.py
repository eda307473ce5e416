"""All nine tables of some days by the formulas alone: no Dagster, no storage. For tests and benchmarks."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import pandas as pd

from nba_precompute.game_days import days_between, eligible_days, game_days, season_of
from nba_precompute.sources import Source, trust
from nba_precompute.tables.ml_feature_store_v2 import DAYS_AGAINST_OPPONENT, ml_feature_store_v2
from nba_precompute.tables.player_composite_factors import player_composite_factors
from nba_precompute.tables.player_game_summary import player_game_summary
from nba_precompute.tables.player_shot_zone_analysis import player_shot_zone_analysis
from nba_precompute.tables.team_defense_game_summary import team_defense_game_summary
from nba_precompute.tables.team_defense_zone_analysis import team_defense_zone_analysis
from nba_precompute.tables.team_offense_game_summary import team_offense_game_summary
from nba_precompute.tables.upcoming_player_game_context import upcoming_player_game_context
from nba_precompute.tables.upcoming_team_game_context import upcoming_team_game_context

Tables = dict[str, pd.DataFrame]


def raw_games(source: Source, start: date, end: date) -> Tables:
    """Everything that the source has of games from `start` to `end`."""
    return {
        "box_scores": source.box_scores(start, end),
        "shots": source.shots(start, end),
        "schedule": source.schedule(),
        "lines": source.lines(start, end),
        "props": source.props(start, end),
        "injuries": source.injuries(),
        "players": source.players(),
    }


def summaries(raw: Tables, days: Sequence[pd.Timestamp]) -> Tables:
    """The game summaries of those of the days that can be trusted."""
    problems = trust.problems_by_day(days, raw["box_scores"], raw["shots"], raw["schedule"])
    good = [day for day in days if day not in set(problems["game_date"])]
    box, shots = (raw[name][raw[name]["game_date"].isin(good)] for name in ("box_scores", "shots"))
    players = player_game_summary(box, shots, raw["schedule"])
    offense = team_offense_game_summary(players)
    return {
        "player_game_summary": players,
        "team_offense_game_summary": offense,
        "team_defense_game_summary": team_defense_game_summary(offense),
    }


def cascade(
    days: Sequence[pd.Timestamp],
    raw: Tables,
    games: Tables,
    injuries_cover: tuple[date, date] | None,
    last_year: pd.DataFrame | None = None,
) -> Tables:
    """The tables as of the mornings of the days, all of one season; `last_year` is player_game_summary from further back."""
    season = season_of(days[0].date())
    schedule = raw["schedule"][raw["schedule"]["season"] == season.name]
    of_season = {name: rows[rows["season"] == season.name] for name, rows in games.items()}
    box = raw["box_scores"][raw["box_scores"]["season"] == season.name]
    teams = upcoming_team_game_context(
        days,
        schedule=schedule,
        lines=raw["lines"],
        team_offense_game_summary=of_season["team_offense_game_summary"],
        injuries_cover=injuries_cover,
    )
    slate = upcoming_player_game_context(
        days,
        schedule=schedule,
        box_scores=box,
        injuries=raw["injuries"],
        props=raw["props"],
        players=raw["players"],
        player_game_summary=of_season["player_game_summary"],
        team_context=teams,
    )
    defense = team_defense_zone_analysis(
        days, schedule=schedule, team_defense_game_summary=of_season["team_defense_game_summary"]
    )
    zones = player_shot_zone_analysis(days, schedule=schedule, player_game_summary=of_season["player_game_summary"])
    upstream = {"player_context": slate, "team_context": teams, "team_defense": defense, "player_zones": zones}
    factors = player_composite_factors(**upstream, team_offense_game_summary=of_season["team_offense_game_summary"])
    features = ml_feature_store_v2(
        **upstream,
        composite_factors=factors,
        schedule=schedule,
        props=raw["props"],
        player_game_summary=games["player_game_summary"] if last_year is None else last_year,
    )
    return {
        "upcoming_team_game_context": teams,
        "upcoming_player_game_context": slate,
        "team_defense_zone_analysis": defense,
        "player_shot_zone_analysis": zones,
        "player_composite_factors": factors,
        "ml_feature_store_v2": features,
    }


def by_season(source: Source, start: date, end: date) -> Iterator[Tables]:
    """All nine tables from `start` to `end`, a season after the other."""
    cover = source.injuries_cover()
    before: list[pd.DataFrame] = []
    seasons = sorted({season_of(day) for day in days_between(game_days, start, end)}, key=lambda season: season.first_game)
    for season in seasons:
        last = min(season.last_game, end)
        raw = raw_games(source, season.first_game, last + timedelta(days=1))
        games = summaries(raw, [pd.Timestamp(day) for day in days_between(game_days, season.first_game, last)])
        before = [*before, games["player_game_summary"]][-2:]
        days = [pd.Timestamp(day) for day in days_between(eligible_days, max(season.first_game, start), last)]
        yield {**games, **(cascade(days, raw, games, cover, pd.concat(before)) if days else {})}


def everything(source: Source, start: date, end: date) -> Tables:
    """All nine tables from `start` to `end`, a season at a time."""
    parts = list(by_season(source, start, end))
    assert timedelta(days=DAYS_AGAINST_OPPONENT) < timedelta(days=2 * 365)  # two seasons hold the year before any day
    return {name: pd.concat([part[name] for part in parts if name in part], ignore_index=True) for name in parts[-1]}
