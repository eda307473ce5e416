"""Good tables damaged in the ways in which the original was wrong, and each damage caught by a check that looks at the rows.

The damage is published through storage, so that hashes agree with it. Below each: the number of its row in DESIGN.md, "What went
wrong in the original", and what must be among that which finds it. The last tests damage rows behind storage's back.
"""

import dataclasses
import shutil
from datetime import timedelta
from functools import cached_property

import duckdb
import numpy as np
import pandas as pd
import pytest

from nba_precompute import validation
from nba_precompute.game_days import SEASONS
from nba_precompute.home import Home
from nba_precompute.lineage import TABLES
from nba_precompute.storage import ContractError, Publication
from nba_precompute.tables.columns import ZONES
from nba_precompute.tables.player_composite_factors import FACTORS
from nba_precompute.tables.team_defense_game_summary import OF_OPPONENT
from nba_precompute_tests.cascade import everything
from nba_precompute_tests.conftest import REAL_DATA

LENGTH = timedelta(days=50)
"""From a season's start: bootstrap, a window of 30 dates to be judged as one, and days on which readiness is judged."""

PGS, TOGS, TDGS = "player_game_summary", "team_offense_game_summary", "team_defense_game_summary"
UTGC, UPGC = "upcoming_team_game_context", "upcoming_player_game_context"
TDZA, PSZA = "team_defense_zone_analysis", "player_shot_zone_analysis"
PCF, MLFS = "player_composite_factors", "ml_feature_store_v2"


@dataclasses.dataclass(frozen=True)
class Good:
    """A season's first fifty days as they should be: the raw folder, a home, and the rows by table."""

    home: Home
    tables: dict[str, pd.DataFrame]

    @property
    def days(self):
        """First and last day."""
        days = self.tables[PGS]["game_date"]
        return days.min().date(), days.max().date()

    @cached_property
    def remarks(self):
        """What the checks say of the tables as they are."""
        return failed(self.home, self.days, self.tables)

    def copy(self, folder):
        """Another home with the same tables and source."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.home.folder / "warehouse.duckdb", folder)
        return Home(folder, self.home.raw)


def make_good(folder, raw, season):
    """The home of a season's first fifty days of the raw games in a folder."""
    home = Home(folder, raw)
    tables = everything(home.source(), season.first_game, season.first_game + LENGTH)
    publish(home, tables)
    return Good(home, tables)


def publish(home, tables, version=None):
    """Through storage, as a run does."""
    publications = []
    for name, rows in tables.items():
        table = TABLES[name] if version is None else dataclasses.replace(TABLES[name], code_version=version)
        days = sorted(rows[table.day].dt.date.unique())
        publications.append(Publication(table, rows, days, dict.fromkeys(days, "0")))
    home.warehouse.publish(publications, run_id="test", source=home.source_name)


def failed(home, days, tables):
    """The severity of each check that fails, by table, label and day."""
    results = validation.judge_home(home, *days, [TABLES[name] for name in tables])
    return {(result.table, label(result), day): result.severity for result in results for day in result.days}


def label(result):
    """The check, and of those that ask several columns or identities the one."""
    return f"{result.check} {result.column}" if result.column else result.check


# ---------------------------------------------------------------------------------------------------------- mutations


def some(rows, share=3):
    """Every third row, or another share."""
    return np.arange(len(rows)) % share == 0


def on_some_days(rows, day):
    """Rows of every second day."""
    return pd.factorize(rows[day])[0] % 2 == 1


def with_what_then_happened(rows, tables, *names):
    """The rows with columns of his box score of the same game; NULL where he did not play."""
    played = tables[PGS].set_index(["game_id", "player_id"])[list(names)].add_prefix("then_")
    return rows.join(played, on=["game_id", "player_id"], validate="one_to_one")


def day_before(rows, day, key):
    """The rows of each day as they were on the day before, where the same key had one."""
    days = rows[day].drop_duplicates().sort_values()
    earlier = rows.assign(**{day: rows[day].map(dict(zip(days, days.shift(-1), strict=True)))}).dropna(subset=[day])
    return rows[[day, key]].merge(earlier, on=[day, key], how="left", validate="one_to_one")


def the_game_itself_in_the_averages(tables):
    """`<=` instead of `<`: the last five games include the one to predict."""
    games = tables[PGS].sort_values("game_date")
    points = games.groupby("player_id")["points"].rolling(5, min_periods=1).mean().droplevel(0)
    with_today = tables | {PGS: games.assign(points=points)}
    rows = with_what_then_happened(tables[MLFS], with_today, "points")
    return {MLFS: rows.assign(points_avg_last_5=rows["then_points"].fillna(rows["points_avg_last_5"]))}


def the_games_own_points_in_a_feature(tables):
    """A feature that knows a tenth of what it is to predict."""
    rows = with_what_then_happened(tables[MLFS], tables, "points")
    return {MLFS: rows.assign(points_avg_season=rows["points_avg_season"] + 0.1 * rows["then_points"].fillna(0).astype(float))}


def the_game_itself_in_the_load(tables):
    """Games of the last seven days include the day's."""
    return {UPGC: tables[UPGC].assign(games_in_last_7_days=tables[UPGC]["games_in_last_7_days"].clip(upper=6) + 1)}


def the_game_itself_in_the_defense(tables):
    """What a defence allowed, with the day's game."""
    today = tables[TDGS].rename(columns={"game_date": "analysis_date"})[["analysis_date", "team_abbr", "points_allowed"]]
    rows = tables[TDZA].merge(today, on=["analysis_date", "team_abbr"], how="left", validate="one_to_one")
    games, points = rows["games_in_sample"].astype(float), rows["points_allowed"].astype(float)
    known = (rows["opponent_points_per_game"] * games + points) / (games + 1)
    return {TDZA: rows.assign(opponent_points_per_game=known.fillna(rows["opponent_points_per_game"]))}


def the_result_in_the_teams_form(tables):
    """Games won, with the day's."""
    won = tables[TOGS][["game_id", "team_abbr", "win_flag"]]
    rows = tables[UTGC].merge(won, on=["game_id", "team_abbr"], how="left", validate="one_to_one")
    return {UTGC: rows.assign(team_win_pct=0.9 * rows["team_win_pct"] + 0.1 * rows["win_flag"].fillna(False).astype(float))}


def the_game_itself_against_the_opponent(tables):
    """Points against this opponent include the game to predict."""
    rows = with_what_then_happened(tables[MLFS], tables, "points")
    return {MLFS: rows.assign(avg_points_vs_opponent=rows["then_points"].astype(float).fillna(rows["avg_points_vs_opponent"]))}


def minutes_null(tables):
    """MM:SS coerced to NULL."""
    return {PGS: tables[PGS].assign(minutes_played=np.nan)}


def minutes_cut_to_whole_ones(tables):
    """MM:SS read up to the colon, after usage was computed."""
    return {PGS: tables[PGS].assign(minutes_played=np.floor(tables[PGS]["minutes_played"]))}


def usage_lost_by_a_join(tables):
    """Half of the usage lost between two spellings of a game's id."""
    return {PGS: tables[PGS].assign(usage_rate=tables[PGS]["usage_rate"].mask(some(tables[PGS], 2)))}


def usage_on_0_to_1(tables):
    """usage_rate as a fraction."""
    return {PGS: tables[PGS].assign(usage_rate=tables[PGS]["usage_rate"] / 100)}


def a_third_of_rows_with_defaults(tables):
    """10 points, pace 100, rating 112 where nobody knew better."""
    rows = tables[MLFS]
    defaults = {
        **{"points_avg_last_5": 10.0, "points_avg_last_10": 10.0, "points_avg_season": 10.0},
        **{"team_pace": 100.0, "team_off_rating": 112.0, "opponent_def_rating": 112.0, "opponent_pace": 100.0},
    }
    return {MLFS: rows.assign(**{name: rows[name].mask(some(rows), value) for name, value in defaults.items()})}


def missing_percentages_as_zero(tables):
    """A zone without attempts has a percentage of zero."""
    names = [f"{zone}_pct_last_10" for zone in ZONES]
    return {PSZA: tables[PSZA].assign(**tables[PSZA][names].fillna(0.0))}


def no_line_filled_with_the_average(tables):
    """A line for everybody: his own average where nobody offers one."""
    rows = tables[MLFS]
    return {MLFS: rows.assign(vegas_points_line=rows["vegas_points_line"].fillna(rows["points_avg_season"]), has_vegas_line=1)}


def did_not_play_as_zero_points_in_the_averages(tables):
    """Two games that he missed, averaged as zero points."""
    rows = tables[MLFS]
    games = rows["games_in_sample"].astype(float)
    return {MLFS: rows.assign(points_avg_last_10=rows["points_avg_last_10"] * (games - 2).clip(lower=0) / games)}


def did_not_play_as_rows_of_zeros(tables):
    """Box-score rows of players who were listed and did not play."""
    rows = tables[PGS]
    counts = [name for name in rows.columns if str(rows[name].dtype) == "Int32" and name != "player_id"]
    absent = rows[rows["minutes_played"] > 0].groupby(["game_id", "team_abbr"]).head(3).copy()
    absent["player_id"] = absent["player_id"] + 900_000_000
    absent[counts], absent["minutes_played"], absent["usage_rate"] = 0, 0.0, np.nan
    absent[["ts_pct", "efg_pct"]] = np.nan
    return {PGS: pd.concat([rows, absent], ignore_index=True)}


def one_of_187_players(tables):
    """One player of a day's slate, taken for success."""
    return {name: tables[name].groupby("game_date").head(1) for name in (PCF, MLFS)}


def one_player_of_a_days_box_scores(tables):
    """One player of a day's games."""
    return {PGS: tables[PGS].groupby("game_date").head(1)}


def a_third_of_the_slate_forgotten(tables):
    """Two of three players who may play."""
    return {UPGC: tables[UPGC][~some(tables[UPGC])]}


def a_bench_forgotten(tables):
    """No player of the bench in the box scores of every second day; team sums of all."""
    rows = tables[PGS]
    bench = ~rows["starter"].fillna(True).astype(bool) & on_some_days(rows, "game_date")
    return {PGS: rows[~bench], TOGS: tables[TOGS]}


def threes_of_the_box_score_with_missing_zones(tables):
    """Threes from the box score beside empty zones of the play-by-play."""
    rows = tables[PGS]
    block = {name: rows[name].mask(some(rows), 0) for name in rows.columns if name.startswith(("paint_", "mid_range_"))}
    return {PGS: rows.assign(**block)}


def zones_of_half_a_block(tables):
    """Zones of the paint NULL, the other four there."""
    rows = tables[PGS]
    block = {name: rows[name].mask(some(rows)) for name in ("paint_makes", "paint_attempts")}
    return {PGS: rows.assign(**block)}


def a_team_missing_among_the_defenses(tables):
    """29 of 30 teams."""
    teams = sorted(tables[TDZA]["team_abbr"].unique())
    return {TDZA: tables[TDZA][tables[TDZA]["team_abbr"] != teams[7]]}


def factors_before_the_defenses(tables):
    """Factors computed before the team table was there."""
    rows = tables[PCF].assign(shot_zone_mismatch_score=np.nan, total_composite_adjustment=np.nan, completeness_pct=75.0)
    opponent = [name for name in rows.columns if name.endswith("_defense_vs_league_avg")]
    return {PCF: rows.assign(**dict.fromkeys(opponent, np.nan), upstream_team_defense_ready=False, production_ready=False)}


def readiness_forced(tables):
    """production_ready set, whatever the row says."""
    return {name: tables[name].assign(production_ready=True) for name in (TDZA, PSZA, PCF, MLFS)}


def rows_that_stand_twice(tables):
    """A quarter of the rows twice."""
    rows = tables[MLFS]
    return {MLFS: pd.concat([rows, rows[some(rows, 4)]], ignore_index=True)}


def a_box_score_row_without_its_game(tables):
    """Rows whose game id got lost."""
    return {PGS: tables[PGS].assign(game_id=tables[PGS]["game_id"].mask(some(tables[PGS]), None))}


def lines_taken_during_the_game(tables):
    """Lines that have moved towards what he then scored."""
    rows = with_what_then_happened(tables[UPGC], tables, "points")
    moved = (rows["points_line"] + rows["then_points"].astype(float)) / 2
    line = moved.fillna(rows["points_line"])
    features = tables[MLFS].merge(rows[["game_date", "player_id"]].assign(line=line), on=["game_date", "player_id"])
    move = features["line"] - features["vegas_opening_line"]
    return {
        UPGC: rows.assign(points_line=line),
        MLFS: features.assign(vegas_points_line=features["line"], vegas_line_move=move),
    }


def pace_constant(tables):
    """Every game's pace the same."""
    return {name: tables[name].assign(pace=100.0) for name in (TOGS, TDGS)}


def team_pace_constant(tables):
    """Every team's pace the same, as its default was."""
    return {UTGC: tables[UTGC].assign(team_pace_last_10=100.0)}


def pace_score_always_zero(tables):
    """A factor that never says anything."""
    rows = tables[PCF]
    return {
        PCF: rows.assign(pace_score=0.0, total_composite_adjustment=rows["total_composite_adjustment"] - rows["pace_score"])
    }


def rest_advantage_always_two(tables):
    """rest_advantage constant."""
    return {MLFS: tables[MLFS].assign(rest_advantage=2)}


def trend_inverted(tables):
    """Rising players fall."""
    return {MLFS: tables[MLFS].assign(recent_trend=-tables[MLFS]["recent_trend"])}


def pace_score_inverted(tables):
    """Fast games slow players down; the total follows."""
    rows = tables[PCF]
    total = rows["total_composite_adjustment"] - 2 * rows["pace_score"]
    return {PCF: rows.assign(pace_score=-rows["pace_score"], total_composite_adjustment=total)}


def defenses_inverted(tables):
    """Hard defences are soft."""
    names = [f"{zone}_defense_vs_league_avg" for zone in ZONES]
    return {TDZA: tables[TDZA].assign(**-tables[TDZA][names])}


def spread_from_the_wrong_side(tables):
    """Favourites are underdogs; the implied total follows."""
    rows = tables[UTGC]
    spread = -rows["game_spread"]
    return {UTGC: rows.assign(game_spread=spread, implied_team_total=(rows["game_total"] - spread) / 2)}


def winners_and_losers_swapped(tables):
    """win_flag inverted."""
    return {name: tables[name].assign(win_flag=~tables[name]["win_flag"]) for name in (PGS, TOGS)}


def the_adjustment_in_the_scores_column(tables):
    """fatigue_adjustment, -5..0, written as fatigue_score."""
    return {PCF: tables[PCF].assign(fatigue_score=tables[PCF]["fatigue_adjustment"].round())}


def the_score_less_the_adjustment(tables):
    """The adjustment written into the score's column, still within its bounds."""
    rows = tables[PCF]
    return {PCF: rows.assign(fatigue_score=rows["fatigue_score"] + rows["fatigue_adjustment"].round())}


def the_total_without_usage(tables):
    """A factor forgotten in the sum."""
    rows = tables[PCF]
    return {PCF: rows.assign(total_composite_adjustment=rows["total_composite_adjustment"] - rows["usage_spike_score"])}


def features_lost(tables):
    """A join that finds nobody: no shares of attempts."""
    return {MLFS: tables[MLFS].assign(pct_paint=np.nan, pct_mid_range=np.nan, pct_three=np.nan)}


def stale_zones(tables):
    """Zones of the day before under every second date."""
    rows = tables[PSZA]
    stale = day_before(rows, "analysis_date", "player_id")
    kept = ~on_some_days(rows, "analysis_date") | stale["season"].isna()
    return {PSZA: pd.concat([rows[kept], stale[~kept]], ignore_index=True)}


def stale_defenses(tables):
    """Defences of the day before under every second date."""
    rows = tables[TDZA]
    stale = day_before(rows, "analysis_date", "team_abbr")
    kept = ~on_some_days(rows, "analysis_date") | stale["season"].isna()
    return {TDZA: pd.concat([rows[kept], stale[~kept]], ignore_index=True)}


def factors_of_another_day(tables):
    """The feature table holds the factors of his game before."""
    rows = tables[MLFS].sort_values(["player_id", "game_date"])
    return {MLFS: rows.assign(**rows.groupby("player_id")[FACTORS].shift())}


def box_scores_corrected_and_nothing_made_again(tables):
    """A box score that was corrected after the features were made."""
    rows = tables[PGS].copy()
    first_day = rows["game_date"] == rows["game_date"].min()
    rows.loc[first_day, ["points", "ft_makes", "ft_attempts"]] += 1
    return {PGS: rows, TOGS: tables[TOGS], MLFS: tables[MLFS]}


def features_of_another_player(tables):
    """Points of the next player in the list."""
    rows = tables[MLFS]
    names = ["points_avg_last_5", "points_avg_last_10", "points_avg_season", "points_std_last_10", "recent_trend"]
    return {MLFS: rows.assign(**rows.groupby("game_date")[names].shift().fillna(rows[names]))}


def his_own_team_for_the_opponent(tables):
    """Rating and pace of his own defence."""
    own = tables[TDZA].rename(columns={"analysis_date": "game_date"})
    rows = tables[MLFS][["game_date", "team_abbr"]].merge(
        own, on=["game_date", "team_abbr"], how="left", validate="many_to_one"
    )
    rows = rows.set_axis(tables[MLFS].index)
    return {
        MLFS: tables[MLFS].assign(opponent_def_rating=rows["defensive_rating_last_15"], opponent_pace=rows["opponent_pace"])
    }


def home_and_away_swapped(tables):
    """Everybody plays at the other's place."""
    features = tables[MLFS].assign(is_home=~tables[MLFS]["is_home"], home_away=1 - tables[MLFS]["home_away"])
    return {UTGC: tables[UTGC].assign(is_home=~tables[UTGC]["is_home"]), MLFS: features}


def the_window_ends_a_month_early(tables):
    """Averages of another time: what was so thirty days before."""
    rows = tables[MLFS]
    earlier = rows[["game_date", "player_id", "points_avg_last_10", "minutes_avg_last_10"]]
    earlier = earlier.assign(seen=earlier["game_date"]).sort_values("seen").drop(columns="game_date")
    then = rows[["game_date", "player_id"]].assign(day=rows["game_date"] - pd.Timedelta(days=30)).sort_values("day")
    then = pd.merge_asof(then, earlier, left_on="day", right_on="seen", by="player_id").sort_values(["game_date", "player_id"])
    names = ["points_avg_last_10", "minutes_avg_last_10"]
    return {MLFS: rows.assign(**then[names].set_axis(rows.index).fillna(rows[names]))}


def rates_on_0_to_1(tables):
    """Shares of attempts as fractions in columns of percent."""
    names = [f"{zone}_rate_last_10" for zone in ZONES]
    return {PSZA: tables[PSZA].assign(**tables[PSZA][names] / 100)}


def shares_on_0_to_100(tables):
    """Percent in columns of fractions."""
    return {MLFS: tables[MLFS].assign(pct_paint=100 * tables[MLFS]["pct_paint"])}


def assisted_and_unassisted_swapped(tables):
    """What others set up counts as his own."""
    rows = tables[PSZA]
    return {
        PSZA: rows.assign(
            assisted_rate_last_10=rows["unassisted_rate_last_10"], unassisted_rate_last_10=rows["assisted_rate_last_10"]
        )
    }


def offense_for_defense(tables):
    """What a team scored for what it allowed."""
    own = tables[TOGS].set_index(["game_id", "team_abbr"])[list(OF_OPPONENT)].rename(columns=OF_OPPONENT)
    rows = tables[TDGS].drop(columns=list(OF_OPPONENT.values())).join(own, on=["game_id", "team_abbr"], validate="one_to_one")
    return {TDGS: rows}


def points_that_do_not_add_up(tables):
    """Free throws counted twice."""
    return {PGS: tables[PGS].assign(points=tables[PGS]["points"] + tables[PGS]["ft_makes"])}


def nobody_known_to_be_hurt(tables):
    """Every status available on captured dates."""
    return {UPGC: tables[UPGC].assign(player_status="available", star_teammates_out=0)}


def synthetic_dates_called_captured(tables):
    """The other source in one of the two contexts."""
    other = tables[UPGC]["context_source"].map({"captured": "synthetic", "synthetic": "captured"})
    return {UPGC: tables[UPGC].assign(context_source=other)}


def calculation_versions_that_nobody_knows(tables):
    """Rows of a version that the contract does not have."""
    rows = tables[PCF]
    return {PCF: rows.assign(calculation_version=rows["calculation_version"].mask(some(rows), "v1_8factors"))}


MUTATIONS = {
    the_game_itself_in_the_averages: (1, {"identity averages_are_of_past_games", "reproduced"}),
    the_games_own_points_in_a_feature: (1, {"identity averages_are_of_past_games", "reproduced"}),
    the_game_itself_in_the_load: (1, {"identity load_agrees_with_itself", "reproduced"}),
    the_game_itself_in_the_defense: (1, {"identity defense_is_of_past_games", "reproduced"}),
    the_result_in_the_teams_form: (1, {"identity form_is_of_past_games", "reproduced"}),
    the_game_itself_against_the_opponent: (1, {"reproduced"}),
    minutes_null: (2, {"critical_null_rate minutes_played", "identity rates_are_of_the_counts", "reproduced"}),
    minutes_cut_to_whole_ones: (2, {"identity rates_are_of_the_counts", "reproduced"}),
    usage_lost_by_a_join: (3, {"critical_null_rate usage_rate", "identity rates_are_of_the_counts", "reproduced"}),
    usage_on_0_to_1: (3, {"identity rates_are_of_the_counts", "reproduced"}),
    a_third_of_rows_with_defaults: (
        4,
        {"identity averages_are_of_past_games", "identity copies_are_the_originals", "reproduced"},
    ),
    missing_percentages_as_zero: (4, {"identity no_attempts_no_percentage", "reproduced"}),
    no_line_filled_with_the_average: (4, {"identity copies_are_the_originals", "reproduced"}),
    did_not_play_as_zero_points_in_the_averages: (5, {"identity averages_are_of_past_games", "reproduced"}),
    did_not_play_as_rows_of_zeros: (5, {"played", "reproduced"}),
    one_of_187_players: (6, {"coverage", "row_count", "reproduced"}),
    one_player_of_a_days_box_scores: (6, {"coverage", "row_count", "reproduced"}),
    a_third_of_the_slate_forgotten: (6, {"played_on_slate a day", "played_on_slate a window", "reproduced"}),
    a_bench_forgotten: (6, {"identity sums_are_the_players", "identity rates_are_of_the_counts", "reproduced"}),
    threes_of_the_box_score_with_missing_zones: (7, {"identity zones_sum_to_attempts", "reproduced"}),
    zones_of_half_a_block: (7, {"identity zones_are_one_block", "critical_null_rate paint_attempts", "reproduced"}),
    a_team_missing_among_the_defenses: (8, {"row_count", "reproduced"}),
    factors_before_the_defenses: (
        8,
        {"identity copies_are_the_originals", "critical_null_rate shot_zone_mismatch_score", "readiness", "reproduced"},
    ),
    readiness_forced: (8, {"identity ready_as_the_rule_says", "reproduced"}),
    rows_that_stand_twice: (9, {"contract"}),
    a_box_score_row_without_its_game: (3, {"contract"}),
    lines_taken_during_the_game: (10, {"reproduced"}),
    pace_constant: (11, {"one_value pace", "identity pace_is_of_both_sides", "reproduced"}),
    team_pace_constant: (11, {"one_value team_pace_last_10", "reproduced"}),
    pace_score_always_zero: (11, {"one_value pace_score", "identity scores_follow_their_inputs", "reproduced"}),
    rest_advantage_always_two: (
        11,
        {"one_value rest_advantage", "identity rest_and_risk_are_the_contexts", "reproduced"},
    ),
    trend_inverted: (11, {"identity trend_points_where_points_go", "reproduced"}),
    pace_score_inverted: (11, {"identity scores_follow_their_inputs", "reproduced"}),
    defenses_inverted: (11, {"identity against_the_league", "reproduced"}),
    spread_from_the_wrong_side: (11, {"reproduced"}),
    winners_and_losers_swapped: (11, {"identity winner_scored_more", "reproduced"}),
    the_adjustment_in_the_scores_column: (12, {"contract"}),
    the_score_less_the_adjustment: (12, {"identity adjustment_is_of_the_score", "reproduced"}),
    the_total_without_usage: (12, {"identity total_is_the_sum", "reproduced"}),
    features_lost: (3, {"critical_null_rate pct_paint", "identity shares_are_the_rates", "reproduced"}),
    stale_zones: (16, {"identity zones_are_of_past_games", "reproduced"}),
    stale_defenses: (16, {"identity defense_is_of_past_games", "reproduced"}),
    factors_of_another_day: (16, {"identity copies_are_the_originals", "reproduced"}),
    box_scores_corrected_and_nothing_made_again: (
        1,
        {"identity sums_are_the_players", "identity averages_are_of_past_games", "reproduced"},
    ),
    features_of_another_player: (None, {"identity averages_are_of_past_games", "reproduced"}),
    his_own_team_for_the_opponent: (None, {"identity copies_are_the_originals", "reproduced"}),
    home_and_away_swapped: (None, {"identity sides_are_the_schedules", "reproduced"}),
    the_window_ends_a_month_early: (None, {"identity averages_are_of_past_games", "reproduced"}),
    rates_on_0_to_1: (None, {"identity rates_sum_to_100", "identity zones_are_of_past_games", "reproduced"}),
    shares_on_0_to_100: (None, {"contract"}),
    assisted_and_unassisted_swapped: (None, {"identity zones_are_of_past_games", "reproduced"}),
    offense_for_defense: (None, {"identity sums_are_the_players", "reproduced"}),
    points_that_do_not_add_up: (None, {"identity points_add_up", "reproduced"}),
    nobody_known_to_be_hurt: (None, {"reproduced"}),
    synthetic_dates_called_captured: (None, {"identity copies_are_the_originals", "reproduced"}),
    calculation_versions_that_nobody_knows: (None, {"contract"}),
}
"""Each damage: the row of DESIGN.md that it is, and what must be among that which finds it (`contract`: refuses to publish it)."""


def catch(good, damage, folder):
    """The labels of what finds the damage, with severities: days fail that do not in the good tables."""
    damaged = damage(good.tables)
    home = good.copy(folder)
    try:
        publish(home, damaged)
    except ContractError:
        return {"contract": "ERROR"}
    found = failed(home, good.days, damaged)
    return {name: severity for (table, name, day), severity in found.items() if (table, name, day) not in good.remarks}


# -------------------------------------------------------------------------------------------------------------- tests


@pytest.fixture(scope="module")
def good(tmp_path_factory, request):
    """The real 2024-25 where it is, which has lines, news and props, else the simulated 2023-24."""
    folder = tmp_path_factory.mktemp("good")
    if REAL_DATA.is_dir():
        return make_good(folder, REAL_DATA, season_named("2024-25"))
    return make_good(folder, request.getfixturevalue("simulated_season").path, season_named("2023-24"))


def season_named(name):
    return next(season for season in SEASONS if season.name == name)


def test_undamaged_tables_fail_no_check_that_is_an_error(good):
    assert "ERROR" not in good.remarks.values()


@pytest.mark.parametrize("damage", MUTATIONS, ids=lambda damage: damage.__name__)
def test_each_damage_is_caught_by_a_check_that_looks_at_the_rows(good, damage, tmp_path):
    _, must_find = MUTATIONS[damage]
    caught = catch(good, damage, tmp_path)
    assert must_find <= set(caught)
    assert "ERROR" in {caught[name] for name in must_find}
    assert "content_hash" not in caught


def test_a_month_that_was_not_loaded_is_missing_from_coverage_and_from_what_was_made_of_it(good, tmp_path):
    first = pd.Timestamp(good.days[0])
    box_scores = good.tables[PGS]
    not_loaded = box_scores["game_date"].between(first + pd.Timedelta(days=10), first + pd.Timedelta(days=40))
    home = Home(tmp_path, good.home.raw)
    publish(home, {**good.tables, PGS: box_scores[~not_loaded]})
    results = validation.judge_home(home, *good.days, [TABLES[PGS], TABLES[MLFS]])
    errors = {(result.table, label(result)): result for result in results if not result.passed and result.severity == "ERROR"}
    assert {(PGS, "coverage"), (MLFS, "identity averages_are_of_past_games"), (MLFS, "reproduced")} <= set(errors)
    assert list(errors[PGS, "coverage"].days) == sorted(box_scores.loc[not_loaded, "game_date"].dt.date.unique())


def test_days_of_older_code_among_those_of_the_present_are_named(good, tmp_path):
    home = good.copy(tmp_path)
    rows = good.tables[MLFS]
    older = rows[on_some_days(rows, "game_date")]
    publish(home, {MLFS: older}, version="0")
    results = validation.judge_home(home, *good.days, [TABLES[MLFS]], ["calculation_versions", "content_hash", "reproduced"])
    found = {result.check: list(result.days) for result in results}
    named = sorted(older["game_date"].dt.date.unique())
    assert found == {"calculation_versions": named, "content_hash": [], "reproduced": []}


@pytest.mark.parametrize(
    ("statement", "also"),
    [
        ("UPDATE nba_predictions.ml_feature_store_v2 SET points_avg_season = points_avg_season + 1 WHERE {one}", "reproduced"),
        ("UPDATE nba_predictions.ml_feature_store_v2 SET player_lookup = upper(player_lookup) WHERE {one}", "contract"),
        ("DELETE FROM nba_predictions.ml_feature_store_v2 WHERE {one}", "row_count"),
        ("DELETE FROM nba_predictions.ml_feature_store_v2 WHERE game_date = '{day}'", "coverage"),
        ("INSERT INTO nba_predictions.ml_feature_store_v2 FROM nba_predictions.ml_feature_store_v2 WHERE {one}", "contract"),
    ],
)
def test_what_is_changed_behind_storages_back_has_not_the_hash_that_was_published(good, statement, also, tmp_path):
    home = good.copy(tmp_path)
    row = good.tables[MLFS].iloc[len(good.tables[MLFS]) // 2]
    day = row["game_date"].date()
    with duckdb.connect(home.folder / "warehouse.duckdb") as connection:
        connection.execute(statement.format(one=f"game_date = '{day}' AND player_id = {row['player_id']}", day=day))
    results = {
        result.check: result for result in validation.judge_home(home, *good.days, [TABLES[MLFS]], ["content_hash", also])
    }
    assert results["content_hash"].days == (day,)
    assert results["content_hash"].severity == "ERROR"
    assert results[also].days == (day,)


def test_a_hash_that_was_changed_behind_storages_back_is_not_that_of_the_rows(good, tmp_path):
    home = good.copy(tmp_path)
    day = good.days[1]
    with duckdb.connect(home.folder / "warehouse.duckdb") as connection:
        connection.execute(f"UPDATE nba_reference.partition_versions SET content_hash = '0' WHERE day = '{day}'")
    for result in validation.judge_home(home, *good.days, checks=["content_hash"]):
        assert result.days == (day,)
