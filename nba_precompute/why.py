"""Why a day, or a player on it, is as it is: the cascade in words, from the top down.

Text from frames; `explain` alone reads. Nothing is computed here that the tables do not say: a row's reason for not being ready is
in its own columns, and of a feature row in its factors' row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg
import pandas as pd

from nba_precompute.assets import CASCADE_TABLES, SUMMARY_TABLES
from nba_precompute.coverage import GAP, MISSING, STALE, THERE, game_days_so_far, look_at_source, survey
from nba_precompute.game_days import SEASONS, CalendarError, season_of, today_in_new_york
from nba_precompute.home import Home
from nba_precompute.materialization import missing_upstream, published_hashes
from nba_precompute.production import uncaptured
from nba_precompute.sources import Source, trust
from nba_precompute.tables import columns, windows
from nba_precompute.tables import upcoming_player_game_context as upgc
from nba_precompute.tables.columns import Table
from nba_precompute.tables.ml_feature_store_v2 import ML_FEATURE_STORE_V2, QUALITY_FEATURES
from nba_precompute.tables.player_composite_factors import FACTORS, PLAYER_COMPOSITE_FACTORS
from nba_precompute.tables.player_game_summary import PLAYER_GAME_SUMMARY
from nba_precompute.tables.player_shot_zone_analysis import PLAYER_SHOT_ZONE_ANALYSIS
from nba_precompute.tables.team_defense_zone_analysis import TEAM_DEFENSE_ZONE_ANALYSIS
from nba_precompute.tables.upcoming_player_game_context import CANDIDATE_TEAM_GAMES, UPCOMING_PLAYER_GAME_CONTEXT
from nba_precompute.tables.upcoming_team_game_context import UPCOMING_TEAM_GAME_CONTEXT

DAYS_NAMED = 5
"""Missing game days that are named; the rest is counted."""

Rows = Mapping[str, pd.DataFrame]
"""Rows of the day of each table of the cascade, by name."""


@dataclass(frozen=True)
class Explanation:
    """What was found, a sentence a line, and whether everything of the day is there."""

    lines: Sequence[str]
    complete: bool


def explain(home: Home, instance: dg.DagsterInstance, day: date, player_id: int | None) -> Explanation:
    """The cascade of a day in words, and with a player his row in each of its tables."""
    outside = calendar_in_words(day, today_in_new_york())
    if outside is not None and day not in game_days_so_far():
        return Explanation([outside], complete=True)
    source, season = home.source(), season_of(day)
    tables = CASCADE_TABLES if outside is None else SUMMARY_TABLES
    found = survey(home, instance, look_at_source(source, season.first_game, day), [*SUMMARY_TABLES, *CASCADE_TABLES])
    of_day = found[(found["day"] == day) & found["table"].isin([table.name for table in tables])].set_index("table")
    complete = bool((of_day["state"] == THERE).all())
    versions = home.warehouse.partition_versions()
    if outside is not None:
        states = [state_in_words(table, of_day, versions, day) for table in tables if table.name in of_day.index]
        return Explanation([outside, *states], complete)
    read = home.warehouse.read_together([(table, day, day) for table in CASCADE_TABLES])
    rows = {table.name: frame for table, frame in zip(CASCADE_TABLES, read, strict=True)}
    lines = [
        f"{day} is an eligible day of {season.name}.",
        history_in_words(found, day),
        context_in_words(source, day),
        *(table_in_words(table, of_day, versions, rows, day) for table in CASCADE_TABLES),
    ]
    if player_id is not None:
        last = day - timedelta(days=1)
        schedule = source.schedule()
        off_slate = why_off_slate(
            player_id,
            day,
            games=home.warehouse.read(PLAYER_GAME_SUMMARY, season.first_game, last),
            teams=rows[UPCOMING_TEAM_GAME_CONTEXT.name],
            schedule=schedule[schedule["season"] == season.name],
            box_scores=trust.appearances_of(source.box_scores(season.first_game, last)),
            injuries=source.injuries(),
        )
        lines += player_in_words(player_id, rows, off_slate)
    return Explanation(lines, complete)


# ------------------------------------------------------------------------------------------------------------- the day


def calendar_in_words(day: date, today: date) -> str | None:
    """Why the day is none of the cascade; None where it is one."""
    try:
        season = season_of(day)
    except CalendarError as wrong:
        between = SEASONS[0].first_game < day < SEASONS[-1].last_game
        return (
            f"{day} lies between two seasons. No table has it, and none misses it." if between else f"{wrong} No table has it."
        )
    if day in season.days_off:
        return f"{day} is no game day: no game that counts is scheduled in {season.name}. No table has it, and none misses it."
    if day > today:
        return f"{day} has not come: a day is made from its own morning on, and in New York it is {today}."
    if season.is_bootstrap(day):
        return (
            f"{day} is a bootstrap day, one of the first 14 of {season.name}: the game summaries have it, the cascade does not."
        )
    return None


def history_in_words(found: pd.DataFrame, day: date) -> str:
    """How many game days of the season before the day have game summaries."""
    before = found[(found["table"] == PLAYER_GAME_SUMMARY.name) & (found["day"] < day)]
    absent = before[before["state"].isin([MISSING, GAP])]
    said = f"Games before it: {len(before) - len(absent)} of {len(before)} game days have game summaries."
    if absent.empty:
        return said
    named = "; ".join(
        f"{row.day} ({row.reason.splitlines()[0] if row.reason else 'not made yet'})"
        for row in absent.tail(DAYS_NAMED).itertuples(index=False)
    )
    more = f", the last {DAYS_NAMED} of them" if len(absent) > DAYS_NAMED else ""
    return f"{said} Missing{more}: {named}."


def context_in_words(source: Source, day: date) -> str:
    """Whether the context is captured, and if not, why."""
    missing = uncaptured([day], source)
    return (
        f"Context: synthetic. {missing[day]}." if missing else "Context: captured, the injury news of the day before is there."
    )


def state_in_words(table: Table, of_day: pd.DataFrame, versions: pd.DataFrame, day: date) -> str:
    """Whether the day of a table is there, and why it is missing or stale."""
    state, reason = of_day.at[table.name, "state"], of_day.at[table.name, "reason"]
    if state == THERE:
        return f"{table.name}: there."
    known = versions[(versions["table_name"] == table.qualified_name) & (versions["day"] == pd.Timestamp(day))]
    if state == STALE:
        code = known["code_version"].iloc[0]
        changed = (
            f"its code is version {table.code_version} now, it was {code}"
            if code != table.code_version
            else "what it read has changed since it was made"
        )
        return f"{table.name}: stale, {changed}."
    if reason is None and len(known):
        reason = "its rows were written by a run that was killed before it said so"
    elif reason is None:
        hashes = published_hashes(versions)
        reason = missing_upstream(table, [day], hashes).get(day, "not made yet, and everything it reads is there")
    return f"{table.name}: {state}, {reason.splitlines()[0]}."


def table_in_words(table: Table, of_day: pd.DataFrame, versions: pd.DataFrame, rows: Rows, day: date) -> str:
    """The day of a table, with the rows that are ready and why the others are not."""
    said, stored = state_in_words(table, of_day, versions, day), rows[table.name]
    if stored.empty:
        return said
    if "production_ready" not in stored.columns:
        return f"{said} {len(stored)} rows."
    ready = int(stored["production_ready"].sum())
    counted = {words: int(short.sum()) for words, short in shortfalls(table, rows).items() if short.any()}
    reasons = "; ".join(f"{count} {words}" for words, count in counted.items())
    return f"{said} {ready} of {len(stored)} rows are ready." + (f" The others: {reasons}." if reasons else "")


def shortfalls(table: Table, rows: Rows) -> dict[str, pd.Series]:
    """Each reason for not being ready, with the rows that have it, as the columns of the row say."""
    stored = rows[table.name]
    short = {
        f"completeness_pct below {columns.READY_COMPLETENESS:g}": ~windows.at_least(
            stored["completeness_pct"], columns.READY_COMPLETENESS
        )
    }
    match table.name:
        case TEAM_DEFENSE_ZONE_ANALYSIS.name:
            short[f"games_in_sample below {columns.READY_GAMES}"] = stored["games_in_sample"] < columns.READY_GAMES
        case PLAYER_SHOT_ZONE_ANALYSIS.name:
            short[f"games_in_sample_10 below {columns.READY_GAMES}"] = stored["games_in_sample_10"] < columns.READY_GAMES
        case PLAYER_COMPOSITE_FACTORS.name:
            short["opponent's defence not ready (upstream_team_defense_ready)"] = ~stored["upstream_team_defense_ready"]
            short["own shot zones not ready (upstream_shot_zone_ready)"] = ~stored["upstream_shot_zone_ready"]
        case ML_FEATURE_STORE_V2.name:
            factors = rows[PLAYER_COMPOSITE_FACTORS.name].set_index("player_id")["production_ready"]
            ready = factors.reindex(stored["player_id"]).fillna(False).astype(bool).to_numpy()
            short["row of player_composite_factors not ready"] = pd.Series(~ready, stored.index)
    return {words: rows_short.astype(bool) for words, rows_short in short.items()}


# ---------------------------------------------------------------------------------------------------------- a player


def player_in_words(player_id: int, rows: Rows, off_slate: str) -> list[str]:
    """The player's row in each table of the day."""
    slate = of_player(rows[UPCOMING_PLAYER_GAME_CONTEXT.name], player_id)
    lines = [f"Player {player_id}:"]
    if slate.empty:
        lines.append(f"  not on the slate: {off_slate}.")
        opponent = None
    else:
        row = slate.iloc[0]
        opponent = row["opponent_team_abbr"]
        lines.append(
            f"  on the slate: {row['player_lookup']}, {row['team_abbr']} {'against' if row['is_home'] else 'at'} {opponent}, "
            f"{row['player_status']}."
        )
    defenses, zones = rows[TEAM_DEFENSE_ZONE_ANALYSIS.name], rows[PLAYER_SHOT_ZONE_ANALYSIS.name]
    if opponent is not None:
        lines.append(
            row_in_words(
                f"{TEAM_DEFENSE_ZONE_ANALYSIS.name} of {opponent}",
                TEAM_DEFENSE_ZONE_ANALYSIS,
                rows,
                defenses["team_abbr"] == opponent,
            )
        )
    lines.append(row_in_words(PLAYER_SHOT_ZONE_ANALYSIS.name, PLAYER_SHOT_ZONE_ANALYSIS, rows, zones["player_id"] == player_id))
    if opponent is not None:
        for table in (PLAYER_COMPOSITE_FACTORS, ML_FEATURE_STORE_V2):
            lines.append(row_in_words(table.name, table, rows, rows[table.name]["player_id"] == player_id))
    return lines


def of_player(rows: pd.DataFrame, player_id: int) -> pd.DataFrame:
    """The player's rows."""
    return rows[rows["player_id"] == player_id]


NUMBERS_SHOWN = ["completeness_pct", "games_in_sample", "games_in_sample_10", "zone_games_in_sample", "zone_games_in_sample_10"]
"""What readiness is decided by, where a table has it."""

MAY_BE_EMPTY = {PLAYER_COMPOSITE_FACTORS.name: FACTORS, ML_FEATURE_STORE_V2.name: QUALITY_FEATURES}
"""The columns that completeness_pct counts."""


def row_in_words(name: str, table: Table, rows: Rows, wanted: pd.Series) -> str:
    """One row: ready or why not, and the numbers that decide it."""
    found = rows[table.name][wanted]
    if found.empty:
        return f"  {name}: no row."
    row = found.iloc[0]
    reasons = [words for words, short in shortfalls(table, rows).items() if short[found.index[0]]]
    numbers = [f"{column} {row[column]:g}" for column in NUMBERS_SHOWN if column in found.columns]
    empty = [column for column in MAY_BE_EMPTY.get(table.name, []) if pd.isna(row[column])]
    return f"  {name}: {'ready' if row['production_ready'] else 'not ready, ' + ', '.join(reasons)} ({', '.join(numbers)})" + (
        f"; NULL: {', '.join(empty)}." if empty else "."
    )


def why_off_slate(
    player_id: int,
    day: date,
    *,
    games: pd.DataFrame,
    teams: pd.DataFrame,
    schedule: pd.DataFrame,
    box_scores: pd.DataFrame,
    injuries: pd.DataFrame,
) -> str:
    """Why a player is not on the slate of a day; of one who is on it nobody asks.

    `games` is player_game_summary and `box_scores` raw appearances, both of the season to date; `teams` is the day's
    upcoming_team_game_context, `schedule` the season's, `injuries` all news in the source's order.
    """
    timestamp = pd.Timestamp(day)
    his = of_player(games, player_id)
    if his.empty:
        return f"no candidate, he has no game in {season_of(day).name} before {day}"
    latest = windows.in_order(his, "player_id").iloc[-1]
    team, seen = latest["team_abbr"], latest["game_date"].date()
    if teams.empty:
        return f"{UPCOMING_TEAM_GAME_CONTEXT.name} has no rows of the day, and the slate comes from it"
    if team not in set(teams["team_abbr"]):
        return f"no candidate, his latest game ({seen}) was for {team}, which does not play"
    candidate = of_player(upgc.candidates_of([timestamp], schedule, games, teams), player_id)
    if candidate.empty:
        return f"no candidate, his latest game ({seen}) was before the last {CANDIDATE_TEAM_GAMES} of {team}"
    status = upgc.player_status(candidate, injuries, upgc.appearances(games, box_scores)).iloc[0]
    if status != "out":
        return f"he is a candidate and {status}; the stored slate is stale or not made"
    news = injuries[(injuries["player_id"] == player_id) & (injuries["date"] < timestamp)]
    item = news.sort_values("date", kind="stable").iloc[-1]
    return (
        f"known to be out by the news of {item['date'].date()} ({item['note']}), and not seen playing since; "
        f"his latest game was on {seen}"
    )
