"""upcoming_player_game_context: the slate, who may play on a day, with his status, load, role and line.

The only place that decides who is on the slate; later tables left-join to it. Never taken from the day's own box score.
Grain: one row a player of the slate. Key: game_date, player_id. Partition: game_date.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nba_precompute.tables import columns, windows
from nba_precompute.tables.columns import Table, number
from nba_precompute.tables.windows import at_least

CANDIDATE_TEAM_GAMES = 10
"""A player stays a candidate while his latest appearance is within his team's last 10 games: 98.3 % of those who play are."""

ROLE_GAMES, USAGE_GAMES = 10, 7
"""Windows of the projected usage and stardom, and of the recent usage it is compared with (TABLES.md)."""

MEAN_USAGE = 20.0
"""Five players on the floor share 100 % of what a team uses, so the minutes-weighted mean is 20 by definition."""

STAR_POINTS, STAR_MINUTES, STAR_USAGE, STAR_USAGE_MINUTES = 18, 28, 25, 15
"""A star over his last 10: this many points a game, or minutes a game, or usage with at least these minutes a game."""

DAY_TO_DAY = "DTD"
"""What a news item's note holds when the player may yet play."""

UPCOMING_PLAYER_GAME_CONTEXT: Table = columns.table(
    dataset="nba_analytics",
    name="upcoming_player_game_context",
    day="game_date",
    key=["game_date", "player_id"],
    code_version="1",
    description=(
        "The slate: every player who may play on the day, as known on its morning. Candidates are those whose latest appearance "
        "was for a team that plays, within its last 10 games; those known to be out have left. Status, load, role and line."
    ),
    columns={
        "game_date": columns.day("partition; the day to be predicted"),
        **columns.shared("player_id", "player_lookup", "game_id"),
        "team_abbr": columns.team_abbr("team of his latest appearance of the season to date"),
        **columns.shared("opponent_team_abbr", "is_home"),
        "player_status": columns.text("by the latest news before the day", isin=columns.PLAYER_STATUSES),
        **columns.shared("player_age", "days_since_last_game", "is_back_to_back", "games_in_last_7_days"),
        **columns.shared("minutes_in_last_7_days", "avg_minutes_per_game_last_7", "back_to_backs_last_14_days"),
        **columns.shared("avg_usage_rate_last_7_games", "projected_usage_rate", "star_teammates_out"),
        "points_line": number("median over bookmakers of the latest snapshot before tip-off", "points", ge=0),
        **columns.shared("context_source"),
    },
)


def upcoming_player_game_context(
    days: Sequence[pd.Timestamp],
    *,
    schedule: pd.DataFrame,
    box_scores: pd.DataFrame,
    injuries: pd.DataFrame,
    props: pd.DataFrame,
    players: pd.DataFrame,
    player_game_summary: pd.DataFrame,
    team_context: pd.DataFrame,
) -> pd.DataFrame:
    """The slate of `days`.

    `player_game_summary` and `box_scores` (raw, all types) hold the seasons of the days from their first games on, `injuries`
    the news in the source's order, `props` the days' snapshots, `players` birth dates, `team_context` the days' teams.
    """
    candidates = candidates_of(days, schedule, player_game_summary, team_context)
    candidates["player_status"] = player_status(candidates, injuries, appearances(player_game_summary, box_scores))
    candidates = candidates.assign(**absences(candidates))
    slate = candidates[candidates["player_status"] != "out"].reset_index(drop=True)
    slate["projected_usage_rate"] = projected_usage_rate(slate)
    slate["avg_usage_rate_last_7_games"] = usage_over(slate, USAGE_GAMES)
    slate["player_age"] = player_age(slate, players)
    lines = columns.points_line(windows.latest_snapshot(windows.known_before_tip_off(props, schedule)))
    slate = slate.assign(**load(slate, box_scores)).merge(
        lines.rename("points_line"), on=["game_id", "player_id"], how="left", validate="one_to_one"
    )
    return UPCOMING_PLAYER_GAME_CONTEXT.conform(slate)


def candidates_of(
    days: Sequence[pd.Timestamp], schedule: pd.DataFrame, player_game_summary: pd.DataFrame, team_context: pd.DataFrame
) -> pd.DataFrame:
    """Players whose latest appearance was for a team that plays, within that team's last 10 games, with their sums of form."""
    games = windows.in_order(player_game_summary, "player_id")
    latest = games[["game_date", "season", "player_id", "player_lookup", "team_abbr"]].join(sums_of_form(games))
    players = windows.players_as_of(windows.days_of(schedule, days), latest)
    sides = ["game_date", "team_abbr", "game_id", "opponent_team_abbr", "is_home", "context_source"]
    players = players.merge(team_context[sides], on=["game_date", "team_abbr"], validate="many_to_one")
    played_by_team = games[["game_date", "season", "team_abbr", "game_id"]].drop_duplicates(["game_id", "team_abbr"])
    window_start = played_by_team.groupby(["season", "team_abbr"])["game_date"].shift(CANDIDATE_TEAM_GAMES - 1)
    window_start = windows.season_to_date(players, played_by_team.assign(window_start=window_start), "team_abbr")[
        "window_start"
    ]
    return players[window_start.isna() | (players["seen_date"] >= window_start)].reset_index(drop=True)


def sums_of_form(games: pd.DataFrame) -> pd.DataFrame:
    """Sums over each player's last 10 and last 7 games, named with the suffixes `_last_10` and `_last_7`."""
    parts = columns.usage_parts(games).assign(games=1.0, points=games["points"].astype("float64"))
    parts[["season", "player_id"]] = games[["season", "player_id"]]
    summed = [*columns.USAGE_PARTS, *(f"team_{part}" for part in columns.USAGE_PARTS), "games", "points"]
    return pd.concat(
        [windows.sums_of_last(parts, n, "player_id", summed).add_suffix(f"_last_{n}") for n in (ROLE_GAMES, USAGE_GAMES)],
        axis=1,
    )


def usage_over(players: pd.DataFrame, games: int) -> pd.Series:
    """Usage on the sums over the last `games` games."""
    suffix = f"_last_{games}"
    sums = players[[name for name in players.columns if name.endswith(suffix)]]
    return columns.usage_rate(sums.rename(columns=lambda name: name.removesuffix(suffix)))


def minutes_a_game(players: pd.DataFrame) -> pd.Series:
    """Minutes a game over the last 10."""
    return players["seconds_last_10"] / players["games_last_10"] / 60


def appearances(player_game_summary: pd.DataFrame, box_scores: pd.DataFrame) -> pd.DataFrame:
    """Dates on which a player was seen playing: in the games that count, and in Cup finals."""
    cup_finals = box_scores[~box_scores.index.isin(windows.of_form(box_scores).index)]
    return pd.concat(
        [rows[["game_date", "player_id"]].astype({"player_id": "int64"}) for rows in (player_game_summary, cup_finals)]
    )


def player_status(candidates: pd.DataFrame, injuries: pd.DataFrame, appearances: pd.DataFrame) -> pd.Series:
    """out, doubtful, questionable or available, by the latest news before the day; nobody is known out on synthetic dates.

    An `out` holds until he appears in a game (Cup finals included) or newer news comes. Day-to-day items do not hold him out:
    doubtful on the day after the item, questionable later. Items without a player are left aside.
    """
    identified = injuries[injuries["player_id"].notna()].rename(columns={"date": "game_date"})
    identified = identified.assign(player_id=identified["player_id"].astype("int64"))
    item = windows.latest_before(candidates, identified[["game_date", "player_id", "status", "note"]], "player_id")
    last_seen_playing = windows.latest_before(candidates, appearances, "player_id")["seen_date"]
    returned = last_seen_playing > item["seen_date"]
    holds = (item["status"] == "out") & ~returned & (candidates["context_source"] == "captured")
    day_to_day = item["note"].fillna("").str.contains(DAY_TO_DAY, regex=False)
    fresh = candidates["game_date"] - item["seen_date"] == pd.Timedelta(days=1)
    status = np.select([holds & ~day_to_day, holds & fresh, holds], ["out", "doubtful", "questionable"], "available")
    return pd.Series(status, index=candidates.index, dtype="object")


def is_star(players: pd.DataFrame) -> pd.Series:
    """Whether a player's last 10 games make him one whose absence changes what the others use."""
    points = players["points_last_10"] / players["games_last_10"]
    minutes = minutes_a_game(players)
    usage = usage_over(players, ROLE_GAMES)
    used = at_least(usage, STAR_USAGE) & at_least(minutes, STAR_USAGE_MINUTES)
    return at_least(points, STAR_POINTS) | at_least(minutes, STAR_MINUTES) | used


def absences(candidates: pd.DataFrame) -> dict[str, pd.Series]:
    """Who is absent (known out or doubtful), and how many absent stars his team has other than himself."""
    absent = candidates["player_status"].isin(["out", "doubtful"])
    absent_star = (absent & is_star(candidates)).astype("int64")
    of_team = absent_star.groupby([candidates["game_date"], candidates["team_abbr"]]).transform("sum")
    return {"is_absent": absent, "star_teammates_out": of_team - absent_star}


def projected_usage_rate(slate: pd.DataFrame) -> pd.Series:
    """His usage over the last 10, scaled so that the minutes-weighted mean of his team's available players is 20."""
    usage = usage_over(slate, ROLE_GAMES)
    weight = minutes_a_game(slate).where(~slate["is_absent"] & usage.notna(), 0.0)
    team = [slate["game_date"], slate["team_abbr"]]
    weighted_usage = (usage.fillna(0.0) * weight).groupby(team).transform("sum")
    available_mean = columns.ratio(weighted_usage, weight.groupby(team).transform("sum"))
    return columns.ratio(usage * MEAN_USAGE, available_mean)


def player_age(slate: pd.DataFrame, players: pd.DataFrame) -> pd.Series:
    """Whole years on the day."""
    born = pd.to_datetime(slate["player_id"].map(players.set_index("player_id")["birth_date"]))
    on = slate["game_date"].dt
    birthday_to_come = (on.month < born.dt.month) | ((on.month == born.dt.month) & (on.day < born.dt.day))
    return on.year - born.dt.year - birthday_to_come


def load(slate: pd.DataFrame, box_scores: pd.DataFrame) -> dict[str, pd.Series]:
    """Rest, games, minutes and back-to-backs lately, from raw box scores of all types."""
    games = windows.in_order(box_scores[["game_date", "game_id", "season", "player_id", "minutes"]], "player_id")
    games["seconds"] = (games["minutes"].astype("float64") * 60).round()
    games["games"] = 1
    previous = games.groupby("player_id")["game_date"].shift()
    games["back_to_backs"] = (games["game_date"] - previous == pd.Timedelta(days=1)).astype("int64")
    last_week = windows.sums_of_last_days(slate, games, 7, "player_id", ["games", "seconds"])
    last_game = windows.season_to_date(slate, games[["game_date", "season", "player_id"]], "player_id")["seen_date"]
    days_since_last_game = (slate["game_date"] - last_game).dt.days
    return {
        "days_since_last_game": days_since_last_game,
        "is_back_to_back": days_since_last_game == 1,
        "games_in_last_7_days": last_week["games"],
        "minutes_in_last_7_days": last_week["seconds"] / 60,
        "avg_minutes_per_game_last_7": columns.ratio(last_week["seconds"] / 60, last_week["games"]),
        # a pair counts where its first date is in the last 14 days, so its second is in the last 13
        "back_to_backs_last_14_days": windows.sums_of_last_days(slate, games, 13, "player_id", ["back_to_backs"])[
            "back_to_backs"
        ],
    }
