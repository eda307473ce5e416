"""Why a day or a player is as it is, in words: tiny frames in, sentences out; and once from a home."""

from datetime import date, timedelta

import pandas as pd
import pytest

from nba_precompute.assets import CASCADE_TABLES, SUMMARY_TABLES
from nba_precompute.coverage import GAP, MISSING, STALE, THERE
from nba_precompute.lineage import TABLES
from nba_precompute.tables.player_composite_factors import FACTORS, PLAYER_COMPOSITE_FACTORS
from nba_precompute.tables.player_game_summary import player_game_summary
from nba_precompute.tables.player_shot_zone_analysis import PLAYER_SHOT_ZONE_ANALYSIS
from nba_precompute.tables.team_defense_zone_analysis import TEAM_DEFENSE_ZONE_ANALYSIS
from nba_precompute.why import (
    calendar_in_words,
    history_in_words,
    player_in_words,
    state_in_words,
    table_in_words,
    why_off_slate,
)
from nba_precompute_tests.conftest import box_row, schedule_row
from nba_precompute_tests.test_command_line import run
from nba_precompute_tests.test_runs import Platform, folder_of

DAY = date(2021, 12, 10)

# ------------------------------------------------------------------------------------------------------------- the day


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (date(2024, 7, 15), "lies between two seasons"),
        (date(2031, 1, 15), "lies in no season from"),
        (date(2024, 11, 5), "is no game day"),
        (date(2023, 10, 30), "is a bootstrap day, one of the first 14 of 2023-24"),
        (date(2026, 3, 15), "has not come"),
    ],
)
def test_a_day_that_is_none_of_the_cascade_says_why(day, words):
    assert words in calendar_in_words(day, today=date(2026, 1, 2))


def test_an_eligible_day_is_one_of_the_cascade_from_its_own_morning_on():
    assert calendar_in_words(date(2026, 1, 2), today=date(2026, 1, 2)) is None


def survey_of(*states):
    return pd.DataFrame(
        [("player_game_summary", day, state, reason) for day, state, reason in states],
        columns=["table", "day", "state", "reason"],
    )


def test_missing_games_of_before_are_named_with_their_reason():
    first, second, third = (DAY - timedelta(days=number) for number in (3, 2, 1))
    found = survey_of(
        (first, THERE, None), (second, GAP, "no box score\nand more"), (third, MISSING, None), (DAY, MISSING, None)
    )
    assert history_in_words(found, DAY) == (
        "Games before it: 1 of 3 game days have game summaries. Missing: 2021-12-08 (no box score); 2021-12-09 (not made yet)."
    )


def state_of(state, reason=None, *, published=(), code_version="1"):
    versions = pd.DataFrame(
        [(TABLES[name].qualified_name, pd.Timestamp(day), "hash", code_version) for name, day in published],
        columns=["table_name", "day", "content_hash", "code_version"],
    ).astype({"day": "datetime64[ns]"})
    of_day = pd.DataFrame({"state": [state], "reason": [reason]}, index=["player_composite_factors"])
    return state_in_words(PLAYER_COMPOSITE_FACTORS, of_day, versions, DAY)


ITSELF = ("player_composite_factors", DAY)
UPSTREAM = [
    *((name, DAY) for name in ("upcoming_team_game_context", "upcoming_player_game_context")),
    *((name, DAY) for name in ("team_defense_zone_analysis", "player_shot_zone_analysis")),
    ("team_offense_game_summary", DAY - timedelta(days=1)),
]


def test_a_missing_day_says_what_it_waits_for():
    assert "missing, player_shot_zone_analysis has no rows of 2021-12-10" in state_of(MISSING, published=UPSTREAM[:3])
    assert "missing, not made yet, and everything it reads is there" in state_of(MISSING, published=UPSTREAM)
    assert "killed before it said so" in state_of(MISSING, published=[*UPSTREAM, ITSELF])
    assert "gap, no game is scheduled." in state_of(GAP, "no game is scheduled")


def test_a_stale_day_says_whether_its_code_or_its_inputs_changed():
    assert "its code is version 1 now, it was 0" in state_of(STALE, published=[ITSELF], code_version="0")
    assert "what it read has changed since it was made" in state_of(STALE, published=[ITSELF])


# ------------------------------------------------------------------------------------------------------- rows of a day


def rows_of_day():
    """A slate of two: player 1 is ready, player 2 is not, for his zones and for his opponent's defence."""
    rows = {table.name: table.no_rows() for table in CASCADE_TABLES}
    for name, columns in {
        "upcoming_player_game_context": {
            "player_id": [1, 2],
            "player_lookup": ["one", "two"],
            "team_abbr": ["BOS", "NYK"],
            "opponent_team_abbr": ["NYK", "BOS"],
            "is_home": [True, False],
            "player_status": ["available", "doubtful"],
        },
        "team_defense_zone_analysis": {
            "team_abbr": ["BOS", "NYK"],
            "completeness_pct": [40.0, 100.0],
            "games_in_sample": [4, 15],
            "zone_games_in_sample": [4, 15],
            "production_ready": [False, True],
        },
        "player_shot_zone_analysis": {
            "player_id": [1, 2, 3],
            "completeness_pct": [100.0, 100.0, 20.0],
            "games_in_sample_10": [10, 3, 1],
            "zone_games_in_sample_10": [10, 3, 1],
            "production_ready": [True, False, False],
        },
        "player_composite_factors": {
            "player_id": [1, 2],
            **{factor: [1, 1] for factor in FACTORS},
            "pace_score": [1.0, None],
            "completeness_pct": [100.0, 75.0],
            "upstream_team_defense_ready": [True, False],
            "upstream_shot_zone_ready": [True, False],
            "production_ready": [True, False],
        },
        "ml_feature_store_v2": {
            "player_id": [1, 2],
            "completeness_pct": [100.0, 80.0],
            "games_in_sample": [10, 3],
            "production_ready": [True, False],
        },
    }.items():
        table = TABLES[name]
        given = pd.DataFrame(columns)
        rows[name] = given.reindex(columns=table.columns).astype(
            {column: str(table.schema.columns[column].dtype) for column in columns}
        )
    return rows


def in_words(name):
    of_day = pd.DataFrame({"state": [THERE], "reason": [None]}, index=[name])
    versions = pd.DataFrame(columns=["table_name", "day"]).astype({"day": "datetime64[ns]"})
    return table_in_words(TABLES[name], of_day, versions, rows_of_day(), DAY)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("upcoming_player_game_context", "there. 2 rows."),
        (
            "team_defense_zone_analysis",
            "1 of 2 rows are ready. The others: 1 completeness_pct below 50; 1 games_in_sample below 5.",
        ),
        (
            "player_shot_zone_analysis",
            "1 of 3 rows are ready. The others: 1 completeness_pct below 50; 2 games_in_sample_10 below 5.",
        ),
        ("player_composite_factors", "1 of 2 rows are ready. The others: 1 opponent's defence not ready"),
        ("ml_feature_store_v2", "1 of 2 rows are ready. The others: 1 row of player_composite_factors not ready."),
    ],
)
def test_a_table_counts_its_ready_rows_and_the_reasons_of_the_others(name, words):
    assert words in in_words(name)


def test_a_player_is_followed_down_the_cascade_with_the_reason_at_each_step():
    ready = player_in_words(1, rows_of_day(), "")
    assert ready[1] == "  on the slate: one, BOS against NYK, available."
    assert [": ready (" in line for line in ready[2:]] == [True] * 4
    _, slate, defense, zones, factors, features = player_in_words(2, rows_of_day(), "")
    assert slate == "  on the slate: two, NYK at BOS, doubtful."
    assert (
        "of BOS: not ready, completeness_pct below 50, games_in_sample below 5 (completeness_pct 40, games_in_sample 4"
        in defense
    )
    assert "not ready, games_in_sample_10 below 5 (completeness_pct 100, games_in_sample_10 3" in zones
    assert "(upstream_team_defense_ready), own shot zones not ready (upstream_shot_zone_ready)" in factors
    assert "NULL: pace_score" in factors
    assert "not ready, row of player_composite_factors not ready (completeness_pct 80, games_in_sample 3)" in features


def test_a_player_off_the_slate_has_his_zones_and_nothing_further_down():
    _, slate, zones = player_in_words(3, rows_of_day(), "his team does not play")
    assert slate == "  not on the slate: his team does not play."
    assert zones.startswith("  player_shot_zone_analysis: not ready")
    assert player_in_words(4, rows_of_day(), "no game")[2] == "  player_shot_zone_analysis: no row."


# -------------------------------------------------------------------------------------------------------- off the slate

OLD, USUAL, ELSEWHERE, INJURED, NOBODY = 1, 2, 3, 4, 5


def off_slate(player, *, captured="captured", plays=("BOS", "NYK"), news=()):
    """BOS and NYK have played eleven games, the OLD player in the first alone, the player ELSEWHERE once for MIA."""
    games, schedule = [], []
    for number in range(11):
        day, game_id = f"2021-11-{number + 10}", f"00221000{number + 10}"
        schedule.append(schedule_row(game_id, day, "BOS", "NYK"))
        here = {"game_id": game_id, "game_date": pd.Timestamp(day)}
        games += [box_row(USUAL, "BOS", **here), box_row(INJURED, "BOS", **here), box_row(9, "NYK", **here)]
        if number == 0:
            games.append(box_row(OLD, "BOS", **here))
    there = {"game_id": "0022100099", "game_date": pd.Timestamp("2021-11-30")}
    schedule.append(schedule_row("0022100099", "2021-11-30", "MIA", "CHI"))
    games += [box_row(ELSEWHERE, "MIA", **there), box_row(8, "CHI", **there)]
    schedule.append(schedule_row("0022100050", DAY, "BOS", "NYK"))
    schedule, games = pd.DataFrame(schedule), pd.DataFrame(games)
    shots = pd.DataFrame(columns=["game_id", "game_date", "player_id", "zone", "is_three", "made", "assisted"])
    teams = pd.DataFrame(
        {
            "game_date": pd.Timestamp(DAY),
            "team_abbr": plays,
            "game_id": "0022100050",
            "opponent_team_abbr": plays[::-1],
            "is_home": [team == "BOS" for team in plays],
            "context_source": captured,
        }
    )
    items = pd.DataFrame(news, columns=["date", "player_id", "status", "note"]).astype({"date": "datetime64[ns]"})
    return why_off_slate(
        player,
        DAY,
        games=player_game_summary(games, shots, schedule),
        teams=teams,
        schedule=schedule,
        box_scores=games,
        injuries=items,
    )


OUT = [("2021-12-01", INJURED, "out", "surgery")]


@pytest.mark.parametrize(
    ("player", "facts", "words"),
    [
        (NOBODY, {}, "no candidate, he has no game in 2021-22 before 2021-12-10"),
        (ELSEWHERE, {}, "no candidate, his latest game (2021-11-30) was for MIA, which does not play"),
        (OLD, {}, "no candidate, his latest game (2021-11-10) was before the last 10 of BOS"),
        (INJURED, {"news": OUT}, "known to be out by the news of 2021-12-01 (surgery), and not seen playing since; his latest"),
        (
            INJURED,
            {"news": OUT, "captured": "synthetic"},
            "he is a candidate and available; the stored slate is stale or not made",
        ),
        (USUAL, {"news": OUT}, "he is a candidate and available"),
        (USUAL, {"plays": ()}, "upcoming_team_game_context has no rows of the day"),
    ],
    ids=["no game", "other team", "long ago", "out", "synthetic", "candidate", "no teams"],
)
def test_a_player_off_the_slate_says_why(player, facts, words):
    assert words in off_slate(player, **facts)


# ----------------------------------------------------------------------------------------------------------- from a home


def test_status_explains_a_day_and_a_player_from_the_top_of_the_cascade_down(simulated_season, tmp_path, tmp_path_factory):
    platform = Platform(tmp_path / "home", folder_of(simulated_season, tmp_path_factory))
    day = date(2023, 11, 9)
    platform.backfill(date(2023, 10, 24), day, [*SUMMARY_TABLES, *CASCADE_TABLES[:4]])
    zones = platform.home.warehouse.read(PLAYER_SHOT_ZONE_ANALYSIS, day, day)
    defenses = platform.home.warehouse.read(TEAM_DEFENSE_ZONE_ANALYSIS, day, day)
    slate = platform.home.warehouse.read(CASCADE_TABLES[1], day, day)
    player = slate["player_id"].iloc[0]
    said = run("status", "--why", day, "--player", player, home=platform.home.folder, expect=1).out.splitlines()[2:]
    assert said[:3] == [
        "2023-11-09 is an eligible day of 2023-24.",
        "Games before it: 15 of 15 game days have game summaries.",
        "Context: captured, the injury news of the day before is there.",
    ]
    assert said[4] == f"upcoming_player_game_context: there. {len(slate)} rows."
    assert said[5].startswith(f"team_defense_zone_analysis: there. {defenses['production_ready'].sum()} of 30 rows are ready.")
    assert said[6].startswith(
        f"player_shot_zone_analysis: there. {zones['production_ready'].sum()} of {len(zones)} rows are ready."
    )
    assert said[7] == "player_composite_factors: missing, not made yet, and everything it reads is there."
    assert said[8] == "ml_feature_store_v2: missing, player_composite_factors has no rows of 2023-11-09; materialise it first."
    assert said[9] == f"Player {player}:"
    assert said[10].startswith(f"  on the slate: {slate['player_lookup'].iloc[0]}, {slate['team_abbr'].iloc[0]} ")
    assert said[-2:] == ["  player_composite_factors: no row.", "  ml_feature_store_v2: no row."]
