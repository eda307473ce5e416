"""Nothing of the day itself or later changes a day of the cascade: box scores, shots, news, scores, snapshots after tip-off.

The day's own schedule, lines and props are read, and are known before it.
"""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nba_precompute.game_days import days_between, game_days
from nba_precompute_tests.cascade import cascade, raw_games, summaries

FIRST, LAST = date(2023, 10, 24), date(2023, 12, 20)
DAYS = [date(2023, 11, 8), date(2023, 11, 22), date(2023, 12, 16), date(2023, 12, 18)]
FUTURE = ("absent", "scrambled", "doubled")


@pytest.fixture(scope="module")
def raw(simulated_season):
    return raw_games(simulated_season, FIRST, LAST)


@pytest.fixture(scope="module")
def cover(simulated_season):
    return simulated_season.injuries_cover()


def tables_of(day, raw, cover):
    games = summaries(raw, [pd.Timestamp(known) for known in days_between(game_days, FIRST, LAST)])
    return cascade([pd.Timestamp(day)], raw, games, cover)


def scrambled_box_scores(rows, rng):
    """Other people's figures for the same games, adding up as box scores do."""
    shuffled = rows.copy()
    figures = [
        column
        for column in rows.columns
        if column not in ("game_id", "game_date", "season", "season_type", "team", "player_id")
    ]
    shuffled[figures] = rows[figures].sample(frac=1, random_state=int(rng.integers(2**31))).to_numpy()
    return shuffled.astype(rows.dtypes.to_dict())


def scrambled_shots(rows, rng):
    return rows.assign(made=rng.random(len(rows)) < 0.5, assisted=False, is_three=rng.random(len(rows)) < 0.5).astype(
        rows.dtypes
    )


def scrambled_news(rows, rng):
    return rows.assign(status=np.where(rng.random(len(rows)) < 0.5, "out", "returned"), note="")


def doubled(rows):
    return pd.concat([rows, rows], ignore_index=True)


def with_other_future(raw, day, future, seed):
    """The same games with another future from the day on."""
    rng = np.random.default_rng(seed)
    changed = dict(raw)
    for name, dated, scramble in (
        ("box_scores", "game_date", scrambled_box_scores),
        ("shots", "game_date", scrambled_shots),
        ("injuries", "date", scrambled_news),
    ):
        past = raw[name][raw[name][dated] < pd.Timestamp(day)]
        coming = raw[name][raw[name][dated] >= pd.Timestamp(day)]
        if future == "scrambled":
            changed[name] = pd.concat([past, scramble(coming, rng)])
        elif future == "doubled" and name == "injuries":
            changed[name] = pd.concat([past, doubled(coming)])
        else:
            changed[name] = past
    scores = rng.integers(80, 140, (2, len(raw["schedule"])))
    changed["schedule"] = raw["schedule"].assign(
        home_pts=scores[0], away_pts=scores[1], has_player_box=rng.random(scores.shape[1]) < 0.5
    )
    changed["lines"] = raw["lines"].assign(home_pts=1, away_pts=2, h2_total=rng.normal(110, 5, len(raw["lines"])))
    tip_off = raw["props"]["game_id"].map(raw["schedule"].set_index("game_id")["start_utc"])
    late = raw["props"]["snapshot_time"] >= tip_off
    changed["props"] = raw["props"].assign(line=raw["props"]["line"].where(~late, 99.5))
    return changed


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(day=st.sampled_from(DAYS), future=st.sampled_from(FUTURE), seed=st.integers(0, 2**32 - 1))
def test_another_future_leaves_every_table_of_the_day_as_it_is(raw, cover, day, future, seed):
    expected = tables_of(day, raw, cover)
    found = tables_of(day, with_other_future(raw, day, future, seed), cover)
    for name, rows in expected.items():
        assert len(rows)
        pd.testing.assert_frame_equal(found[name], rows)


def test_another_past_does_change_the_day(raw, cover):
    day = DAYS[-1]
    past = raw["box_scores"]["game_date"] < pd.Timestamp(day)
    rng = np.random.default_rng(1)
    scrambled = pd.concat([scrambled_box_scores(raw["box_scores"][past], rng), raw["box_scores"][~past]])
    found = tables_of(day, {**raw, "box_scores": scrambled}, cover)
    expected = tables_of(day, raw, cover)
    for name in (
        "upcoming_team_game_context",
        "upcoming_player_game_context",
        "player_composite_factors",
        "ml_feature_store_v2",
    ):
        with pytest.raises(AssertionError):
            pd.testing.assert_frame_equal(found[name], expected[name])


def test_news_of_the_day_before_is_known_and_news_of_the_day_is_not(raw, cover):
    day = pd.Timestamp(DAYS[1])
    slate = tables_of(DAYS[1], raw, cover)["upcoming_player_game_context"]
    player = slate.loc[slate["player_status"] == "available", "player_id"].iloc[0]

    def with_news_of(when):
        item = {"date": when, "player_id": player, "status": "out", "note": "placed on IL"}
        news = raw["injuries"][raw["injuries"]["player_id"] != player]
        news = pd.concat([news, pd.DataFrame([item])], ignore_index=True)
        return set(tables_of(DAYS[1], {**raw, "injuries": news}, cover)["upcoming_player_game_context"]["player_id"])

    assert player not in with_news_of(day - pd.Timedelta(days=1))
    assert player in with_news_of(day)
