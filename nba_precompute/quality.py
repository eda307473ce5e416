"""What the rows of a table must be like to be trusted: a rule a function, over frames, every threshold a named constant.

Pure: no Dagster, no warehouse, no clock. `judge` asks everything of a table; who reads the rows and who is told the results stand
in `checks`, `validation` and `materialization`. A rule gives for each day how many of something it counted and how many of these
are bad; a day whose good share is below the rule's threshold fails, and one failing day fails the rule: a green Tuesday does not
hide a red January.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

import numpy as np
import pandas as pd
from pandera.errors import SchemaErrors

from nba_precompute.past_games import past_of, rows_on
from nba_precompute.storage.content_hash import hash_days
from nba_precompute.tables import columns, windows
from nba_precompute.tables.columns import Table
from nba_precompute.tables.ml_feature_store_v2 import FEATURES, INJURY_RISK, ML_FEATURE_STORE_V2, QUALITY_FEATURES
from nba_precompute.tables.player_composite_factors import (
    FACTORS,
    FATIGUE_POINTS,
    FRESH,
    PERCENT_PER_FACTOR,
    PLAYER_COMPOSITE_FACTORS,
    TOTAL_HIGHEST,
    TOTAL_LOWEST,
    VS_LEAGUE,
)
from nba_precompute.tables.player_game_summary import PLAYER_GAME_SUMMARY
from nba_precompute.tables.player_shot_zone_analysis import PLAYER_SHOT_ZONE_ANALYSIS
from nba_precompute.tables.team_defense_game_summary import OF_OPPONENT, TEAM_DEFENSE_GAME_SUMMARY
from nba_precompute.tables.team_defense_zone_analysis import TEAM_DEFENSE_ZONE_ANALYSIS
from nba_precompute.tables.team_offense_game_summary import COUNTS, TEAM_OFFENSE_GAME_SUMMARY
from nba_precompute.tables.upcoming_player_game_context import UPCOMING_PLAYER_GAME_CONTEXT
from nba_precompute.tables.upcoming_team_game_context import UPCOMING_TEAM_GAME_CONTEXT

ERROR, WARN = "ERROR", "WARN"

DAY, WINDOW = "day", "window"

COMPLETE = 95.0
"""Percent of its games, teams or slate below which a day is an error (TABLES.md, Checks: coverage)."""

ALL = 100.0
"""Percent of rows that a contract, an identity or a hash must hold for."""

CRITICAL_FILL = 95.0
"""Percent of a day's rows in which a factor or feature that a model leans on must be filled (TABLES.md, Checks: NULL rate)."""

OTHER_FILL = 50.0
"""Percent of a window's rows below which any other column is remarked on; the emptiest sound one, avg_points_vs_opponent aside,
is avg_minutes_per_game_last_7 around the all-star break, 74."""

JUDGED_FROM_GAMES = 5
"""Rows of players with fewer games in the sample may lack factors and features (TABLES.md, Checks: NULL rate)."""

GAME_SUMMARY_FILL = {
    "points": 99.5,
    "minutes_played": 99.0,
    "fg_attempts": 99.0,
    "ft_attempts": 99.0,
    "three_pt_attempts": 99.0,
    "rebounds": 99.0,
    "assists": 99.0,
    "usage_rate": 95.0,
    "paint_attempts": 95.0,
    "mid_range_attempts": 95.0,
    "three_zone_attempts": 95.0,
}
"""Percent filled of the game summaries' columns (TABLES.md); zones are not asked of play-in games, which have no shots."""

PLAY_IN = "5"
"""Third digit of a play-in game's id."""

CRITICAL_FEATURES = [name for number, name in enumerate(FEATURES) if number in {*range(9), 13, 14, *range(18, 25), 31, 32}]
"""Features 0-8, 13, 14, 18-24, 31, 32 (TABLES.md)."""

CRITICAL = {
    PLAYER_GAME_SUMMARY.name: GAME_SUMMARY_FILL,
    PLAYER_COMPOSITE_FACTORS.name: dict.fromkeys(FACTORS, CRITICAL_FILL),
    ML_FEATURE_STORE_V2.name: dict.fromkeys(CRITICAL_FEATURES, CRITICAL_FILL),
}
"""Columns whose NULLs are an error, with the percent that must be filled."""

MARKET_OR_AGE = {
    *("game_spread", "game_total", "implied_team_total"),
    *("points_line", "vegas_points_line", "vegas_opening_line", "vegas_line_move", "player_age"),
}
"""NULL wherever a source has no lines or no birth dates, which are optional."""

SELDOM_FILLED = MARKET_OR_AGE | {"avg_points_vs_opponent"}
"""Columns that are rightly NULL for most rows; nothing is remarked on them."""

MAY_BE_ONE_VALUE = {
    # flags and grades (TABLES.md, Checks: one-value columns)
    *("injury_risk", "minutes_change", "home_away", "back_to_back", "playoff_game", "has_vegas_line"),
    # hardly ever another value: overtimes, and in play-offs nobody plays two days running
    *("overtime_periods", "back_to_backs_last_14_days", "star_teammates_out"),
    *("avg_points_vs_opponent", "games_vs_opponent"),
    # of quality, not of basketball: full on every good day
    *("games_in_sample", "zone_games_in_sample", "games_in_sample_10", "games_in_sample_20", "zone_games_in_sample_10"),
    *("completeness_pct", "feature_quality_score"),
    *MARKET_OR_AGE,
}
"""Numbers that are rightly the same in nearly all rows of a window."""

ONE_VALUE_SHARE = 95.0
"""Percent of a window's rows above which one value means that the column does not vary (TABLES.md)."""

WINDOW_DATES = 30
"""Game dates of a window: what is judged over ranges, not over single days (TABLES.md, Checks)."""

BASELINE_WINDOWS = 3
"""Windows before one, of its season, whose mean it is held against (TABLES.md, Checks: regression)."""

REGRESSION, DEGRADATION, OK, IMPROVEMENT = "REGRESSION", "DEGRADATION", "OK", "IMPROVEMENT"

REGRESSION_BELOW, DEGRADATION_BELOW, IMPROVEMENT_ABOVE = 90.0, 95.0, 105.0
"""Percent of the baseline (TABLES.md)."""

SIZE_OF = "size of "
"""How measures of a factor's mean absolute value begin."""

FACTOR_HALVED, FACTOR_DOUBLED = 50.0, 200.0
"""Percent of the baseline's mean absolute value beyond which a factor regressed; with 90, half of the correct windows would be
reported (TABLES.md)."""

READINESS_FROM_DATE = 31
"""Eligible date of a season from which on readiness is judged: before, few players have the games (TABLES.md)."""

READY_SHARE = 75.0
"""Percent of a day's rows that are ready from the 31st eligible date on; about 93 are, on the worst real day 78."""

PLAYED_SHARE = 90.0
"""Percent of a day's box-score rows that must hold something: on the worst real day, rounded to whole minutes, 92 do."""

ON_SLATE, ON_SLATE_OF_DAY = 95.0, 90.0
"""Percent of those who played that were on the slate, over windows and on a single day (TABLES.md)."""

LEAGUE_TEAMS = 30

USED = ["fg_attempts", "ft_attempts", "turnovers"]
"""What ends a possession."""

IDENTITY_TOLERANCE = 1e-6
"""By how much a stored double may differ from what its own row's columns give: sums in another order differ in the last bits."""

EXAMPLES_SHOWN = 10
"""Rows that a finding shows."""

NOTHING_BROKEN = pd.DataFrame()
"""What a finding shows where there is none."""


@dataclass(frozen=True)
class Evidence:
    """What is known of one table on days of one season.

    `days` are those that should be there, `season_to_date` the stored rows from the season's start to the last of them, `schedule`
    all games of the season, `versions` the table's published versions of the days. `against` holds, by name, the rows of the days
    of the tables that `UPSTREAM` names, of player_game_summary the season to date and the days. `recomputed` is what the formulas
    make of the days now; None where nobody asked them. `just_published` says
    that the contract was held a moment ago, by publication.
    """

    table: Table
    days: Sequence[date]
    season_to_date: pd.DataFrame
    schedule: pd.DataFrame
    versions: pd.DataFrame
    against: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    recomputed: pd.DataFrame | None = None
    just_published: bool = False

    @property
    def player_games(self) -> pd.DataFrame:
        """player_game_summary, season to date and on the days."""
        return self.against[PLAYER_GAME_SUMMARY.name]

    @property
    def slate(self) -> pd.DataFrame:
        """upcoming_player_game_context of the days."""
        return self.against[UPCOMING_PLAYER_GAME_CONTEXT.name]

    @cached_property
    def timestamps(self) -> pd.DatetimeIndex:
        """The days as pandas has them."""
        return pd.DatetimeIndex([pd.Timestamp(day) for day in self.days])

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The table's rows of the days."""
        rows = rows_on(self.season_to_date, self.table.day, self.timestamps)
        return rows if rows is self.season_to_date else rows.reset_index(drop=True)

    @cached_property
    def rows_a_day(self) -> pd.Series:
        """How many rows each of the days has that has any."""
        return self.rows.groupby(self.table.day).size()

    @cached_property
    def stored_and_published(self) -> pd.DataFrame:
        """The hash of each day's rows as they are stored and as it was kept at publication; NULL where there is none."""
        stored = hash_days(self.rows, self.table.day, self.table.columns)
        kept = self.versions.set_index("day")["content_hash"]
        return pd.DataFrame({"stored": stored, "published": kept[kept.index.isin(self.timestamps)]})

    @cached_property
    def games(self) -> pd.DataFrame:
        """Scheduled games of the days that count."""
        return windows.of_form(self.schedule[self.schedule["game_date"].isin(self.timestamps)])

    @cached_property
    def windows(self) -> list[pd.DatetimeIndex]:
        """Windows of 30 stored dates, back from the last day, as long as they hold one of the days."""
        stored = pd.DatetimeIndex(self.season_to_date[self.table.day].unique()).sort_values()
        stored = stored[stored <= self.timestamps.max()] if len(self.days) else stored[:0]
        found = []
        while len(stored) >= WINDOW_DATES and stored[-1] >= self.timestamps.min():
            found.append(stored[-WINDOW_DATES:])
            stored = stored[:-WINDOW_DATES]
        return found[::-1]

    def in_window(self, window: pd.DatetimeIndex) -> pd.DataFrame:
        """The table's rows of a window."""
        return self.season_to_date.iloc[self.places_of(window)]

    def places_of(self, window: pd.DatetimeIndex) -> slice:
        """Where a window's rows are; stored rows are in order of their day."""
        day = self.season_to_date[self.table.day]
        return slice(day.searchsorted(window[0]), day.searchsorted(window[-1], side="right"))

    @cached_property
    def presence(self) -> pd.DataFrame:
        """Expected and stored keys of the days: their day, and whether each is expected and there."""
        key, expected = expected_keys(self)
        stored = self.rows[key].drop_duplicates()
        both = expected.astype(stored.dtypes.to_dict()).merge(stored, on=key, how="outer", indicator=True)
        return both.assign(day=both[key[0]], expected=both["_merge"] != "right_only", there=both["_merge"] != "left_only")


@dataclass(frozen=True)
class Result:
    """What one rule found.

    `value` is the percent of what was counted (`denominator`) that is good, over all days; `days` are those whose own percent is
    below `threshold`, and the rule passes without one. A rule that is judged `per` window has the value of the worst window, counts
    windows, and names the last day of each failing one. `worst` shows where to look.
    """

    table: str
    check: str
    severity: str
    column: str | None
    value: float
    threshold: float
    denominator: int
    days: tuple[date, ...]
    remedy: str
    worst: pd.DataFrame = field(default_factory=pd.DataFrame, compare=False)
    per: str = DAY

    @property
    def passed(self) -> bool:
        """Whether no day failed."""
        return not self.days

    @property
    def in_words(self) -> str:
        """The number, what it is a share of, and what it must be."""
        counted = f"the worst of {self.denominator}" if self.per == WINDOW else f"of {self.denominator:,}"
        return f"{self.value:.2f} % good ({counted}), at least {self.threshold:g} % a {self.per} wanted"


def counted(
    evidence: Evidence,
    check: str,
    severity: str,
    bad: pd.Series,
    of: pd.Series,
    *,
    threshold: float,
    remedy: str,
    column: str | None = None,
    worst: pd.DataFrame | None = None,
) -> Result:
    """A rule's result from the numbers of bad and of all, each by day; a day with nothing to count is good."""
    of = of.astype("float64")
    bad = bad.reindex(of.index, fill_value=0).astype("float64")
    good = 100 * (1 - bad / of.where(of > 0)).fillna(1.0)
    failing = good.index[good < threshold - windows.ON_THRESHOLD]
    total = of.sum()
    return Result(
        evidence.table.name,
        check,
        severity,
        column,
        float(100 * (1 - bad.sum() / total)) if total else 100.0,
        threshold,
        int(total),
        tuple(failing.date),
        remedy,
        worst_days(good[failing], bad[failing], of[failing]) if worst is None else worst,
    )


def worst_days(good: pd.Series, bad: pd.Series, of: pd.Series) -> pd.DataFrame:
    """The failing days, the worst first; a frame costs as much as all else of a rule that nothing breaks."""
    if good.empty:
        return NOTHING_BROKEN
    by_day = pd.DataFrame({"day": pd.DatetimeIndex(good.index).date, "good_percent": good.round(2), "bad": bad, "of": of})
    return by_day.sort_values("good_percent").head(EXAMPLES_SHOWN)


def counted_in_windows(
    evidence: Evidence, check: str, column: str | None, good: Mapping[pd.Timestamp, float], *, threshold: float, remedy: str
) -> Result:
    """A rule's result from the good percent of each window, by the window's last day; a failing window names that day."""
    failing = {window.date(): share for window, share in good.items() if share < threshold - windows.ON_THRESHOLD}
    return Result(
        evidence.table.name,
        check,
        WARN,
        column,
        float(np.nanmin(list(good.values()))) if good else 100.0,
        threshold,
        len(good),
        tuple(failing),
        remedy,
        pd.DataFrame({"window_to": list(failing), "good_percent": np.round(list(failing.values()), 2)})
        if failing
        else NOTHING_BROKEN,
        per=WINDOW,
    )


# ------------------------------------------------------------------------------------------------ what should be there


def expected_keys(evidence: Evidence) -> tuple[list[str], pd.DataFrame]:
    """The columns that tell what a row is about (the day first), and the ones that the days should have."""
    day, table = evidence.table.day, evidence.table.name
    if table == TEAM_DEFENSE_ZONE_ANALYSIS.name:
        regular = evidence.schedule[evidence.schedule["game_id"].str[2] == "2"]
        teams = pd.DataFrame({"team_abbr": pd.unique(regular[["home_team", "away_team"]].to_numpy().ravel())})
        return [day, "team_abbr"], pd.DataFrame({day: evidence.timestamps}).merge(teams, how="cross")
    if table == PLAYER_SHOT_ZONE_ANALYSIS.name:
        first_game = evidence.player_games.groupby("player_id")["game_date"].min().reset_index()
        pairs = pd.DataFrame({day: evidence.timestamps}).merge(first_game, how="cross")
        return [day, "player_id"], pairs.loc[pairs["game_date"] < pairs[day], [day, "player_id"]]
    if table in (PLAYER_COMPOSITE_FACTORS.name, ML_FEATURE_STORE_V2.name):
        return ["game_date", "player_id"], evidence.slate[["game_date", "player_id"]]
    sides = windows.team_games(evidence.games)[["game_date", "game_id", "team_abbr"]]
    return ["game_date", "game_id", "team_abbr"], sides


def coverage(evidence: Evidence) -> Result:
    """Every day has at least 95 % of its scheduled games (both sides), teams, players or slate; a day that is not there has none."""
    keys = evidence.presence
    expected = keys[keys["expected"]]
    of = expected.groupby("day").size().reindex(evidence.timestamps, fill_value=0)
    of = of.where(of > 0, 1)  # a day of which nothing is known should have something
    there = expected[expected["there"]].groupby("day").size().reindex(of.index, fill_value=0)
    return counted(
        evidence, "coverage", ERROR, of - there, of, threshold=COMPLETE, remedy="Make the days again: nba-precompute backfill."
    )


def row_count(evidence: Evidence) -> Result:
    """On a day that is there, the rows are exactly those of the schedule, the 30 teams, the players or the slate."""
    keys = evidence.presence
    keys = keys[keys["day"].isin(evidence.rows[evidence.table.day].unique())]
    wrong = keys[keys["expected"] != keys["there"]]
    of = keys.groupby("day").size()
    bad = wrong.groupby("day").size()
    if evidence.table.name == TEAM_DEFENSE_ZONE_ANALYSIS.name:
        rows = evidence.rows.groupby("analysis_date").size()
        bad = bad.add((rows - LEAGUE_TEAMS).abs(), fill_value=0)
    return counted(
        evidence,
        "row_count",
        ERROR,
        bad,
        of,
        threshold=ALL,
        remedy="Make the day and what it reads again: nba-precompute backfill --force --start DAY --end DAY.",
        worst=wrong.drop(columns=["_merge", "day"]).head(EXAMPLES_SHOWN),
    )


def played_on_slate(evidence: Evidence) -> list[Result]:
    """Those who played were on the slate: 95 % over a window, 90 % on a single day."""
    keys = ["game_date", "player_id"]
    days = evidence.season_to_date["game_date"].unique()
    played = evidence.player_games.loc[evidence.player_games["game_date"].isin(days), keys]
    slate = evidence.season_to_date[keys].drop_duplicates()
    found = played.merge(slate, on=keys, how="left", indicator=True, validate="many_to_one")
    on_slate = (found["_merge"] == "both").groupby(found["game_date"]).agg(["sum", "size"])
    of_days = on_slate[on_slate.index.isin(evidence.timestamps)]
    remedy = "Look at candidates and injuries in upcoming_player_game_context: who played and was not expected?"
    by_window = {}
    for window in evidence.windows:
        in_window = on_slate[on_slate.index.isin(window)].sum()
        if in_window["size"]:
            by_window[window[-1]] = 100 * in_window["sum"] / in_window["size"]
    return [
        counted(
            evidence,
            "played_on_slate",
            WARN,
            of_days["size"] - of_days["sum"],
            of_days["size"],
            threshold=ON_SLATE_OF_DAY,
            remedy=remedy,
            column="a day",
        ),
        counted_in_windows(evidence, "played_on_slate", "a window", by_window, threshold=ON_SLATE, remedy=remedy),
    ]


# ---------------------------------------------------------------------------------------------------- what rows hold


def contract(evidence: Evidence) -> Result:
    """The stored rows keep the table's contract: types, bounds, allowed values, keys."""
    rows, table = evidence.rows, evidence.table
    broken = pd.DataFrame(columns=["rule", "column", *table.key])
    places = pd.Index([])
    try:
        if not evidence.just_published:
            table.schema.validate(rows, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases.dropna(subset=["index"])
        cases = cases.assign(index=cases["index"].astype("int64"))
        places = pd.Index(cases["index"].unique())
        keys = rows.loc[cases["index"], list(table.key)].set_axis(cases.index)
        broken = pd.concat([cases[["check", "column"]].rename(columns={"check": "rule"}), keys], axis=1)
    return counted(
        evidence,
        "contract",
        ERROR,
        rows.loc[places].groupby(table.day).size(),
        evidence.rows_a_day,
        threshold=ALL,
        remedy="These rows were not published by this project; make the days again with --force.",
        worst=broken.head(EXAMPLES_SHOWN),
    )


def content_hash(evidence: Evidence) -> Result:
    """What is stored is what was published: each day's rows have the hash that was kept with them, and no day is without one."""
    both = evidence.stored_and_published
    differing = both["stored"] != both["published"]
    return counted(
        evidence,
        "content_hash",
        ERROR,
        differing.astype("int64"),
        pd.Series(1, both.index),
        threshold=ALL,
        remedy="Somebody changed rows behind the project's back; make the days again with --force.",
        worst=both[differing].head(EXAMPLES_SHOWN).reset_index(names="day"),
    )


def critical_null_rates(evidence: Evidence) -> list[Result]:
    """Columns that a model leans on are filled on every day."""
    rows, day = evidence.rows, evidence.table.day
    critical = CRITICAL[evidence.table.name]
    asked = pd.DataFrame({column: asked_of(evidence, column) for column in critical})
    empty = rows[list(critical)].isna() & asked
    of, bad = asked.groupby(rows[day]).sum(), empty.groupby(rows[day]).sum()
    return [
        counted(
            evidence,
            "critical_null_rate",
            ERROR,
            bad[column],
            of[column],
            threshold=percent,
            column=column,
            remedy=f"Find out why {column} is NULL: its inputs on these days, then its formula in tables/.",
        )
        for column, percent in critical.items()
    ]


def null_rates(evidence: Evidence) -> list[Result]:
    """Any other column is remarked on where a whole window is more than half empty."""
    critical = CRITICAL.get(evidence.table.name, {})
    others = [
        name
        for name, column in evidence.table.schema.columns.items()
        if column.nullable and name not in critical and name not in SELDOM_FILLED
    ]
    filled: dict[str, dict[pd.Timestamp, float]] = {name: {} for name in others}
    for window in evidence.windows:
        shares = 100 * evidence.in_window(window)[others].notna().mean()
        for name in others:
            filled[name][window[-1]] = shares[name]
    return [
        counted_in_windows(
            evidence,
            "null_rate",
            name,
            filled[name],
            threshold=OTHER_FILL,
            remedy=f"Does the source still say what {name} is made from?",
        )
        for name in others
    ]


def asked_of(evidence: Evidence, column: str) -> pd.Series:
    """Whether a critical column must be filled in each row of the days."""
    rows = evidence.rows
    match evidence.table.name:
        case PLAYER_GAME_SUMMARY.name if column == "usage_rate":
            return rows["minutes_played"] != 0  # by its formula NULL for a few seconds that round to none
        case PLAYER_GAME_SUMMARY.name if column in columns.ZONE_COUNTS:
            return rows["game_id"].str[2] != PLAY_IN
        case PLAYER_GAME_SUMMARY.name:
            return pd.Series(True, rows.index)
        case PLAYER_COMPOSITE_FACTORS.name:
            keys = {"analysis_date": "analysis_date", "player_id": "player_id"}
            sample = looked_up(rows, keys, evidence.against[PLAYER_SHOT_ZONE_ANALYSIS.name], ["games_in_sample_10"])[
                "games_in_sample_10"
            ]
            return (sample >= JUDGED_FROM_GAMES).fillna(False).astype(bool)
        case _:
            return (rows["games_in_sample"] >= JUDGED_FROM_GAMES).astype(bool)


def one_value(evidence: Evidence) -> list[Result]:
    """Numbers vary over a window: none is the same in more than 95 % of its rows."""
    varying = [
        name
        for name, column in evidence.table.schema.columns.items()
        if str(column.dtype) in (columns.INTEGER, columns.NUMBER)
        and name not in MAY_BE_ONE_VALUE
        and (column.metadata or {}).get("unit") != "id"
    ]
    differing: dict[str, dict[pd.Timestamp, float]] = {name: {} for name in varying}
    for name in varying if evidence.windows else []:
        values = evidence.season_to_date[name].to_numpy(dtype="float64", na_value=np.nan)
        for window in evidence.windows:
            in_window = values[evidence.places_of(window)]
            filled = in_window[~np.isnan(in_window)]
            if len(filled):
                # a value of more than half of the rows is their median
                middle = np.partition(filled, len(filled) // 2)[len(filled) // 2]
                differing[name][window[-1]] = 100 * float((filled != middle).mean())
    return [
        counted_in_windows(
            evidence,
            "one_value",
            name,
            differing[name],
            threshold=100 - ONE_VALUE_SHARE,
            remedy=f"{name} hardly varies: is its input constant, or a default?",
        )
        for name in varying
    ]


# --------------------------------------------------------------------------------------------------------- identities

RowRule = Callable[[pd.DataFrame, Evidence], pd.Series]
"""Whether each row keeps an identity; `True` where it has nothing to say."""


def near(left: pd.Series, right: pd.Series | float) -> pd.Series:
    """Equal but for the last bits; a missing value equals a missing value alone."""
    one = left.to_numpy("float64", na_value=np.nan)
    other = right.to_numpy("float64", na_value=np.nan) if isinstance(right, pd.Series) else np.full(len(left), right)
    equal = (one == other) | (np.isnan(one) & np.isnan(other))
    if not equal.all():
        equal |= np.abs(one - other) <= IDENTITY_TOLERANCE * np.maximum(np.abs(other), 1.0)
    return pd.Series(equal, left.index)


def true(flags: pd.Series) -> pd.Series:
    """A rule's answer where a missing operand has nothing to say."""
    return flags.astype("boolean").fillna(True).astype(bool)


def same(left: pd.Series, right: pd.Series) -> pd.Series:
    """Whether values of any kind are equal; a missing value equals a missing value alone."""
    if pd.api.types.is_numeric_dtype(left.dtype):  # flags too
        return near(left, right)
    equal = left.to_numpy() == right.to_numpy()
    return pd.Series(equal | (left.isna() & right.isna()).to_numpy() if not equal.all() else equal, left.index)


def looked_up(rows: pd.DataFrame, keys: Mapping[str, str], upstream: pd.DataFrame, wanted: Sequence[str]) -> pd.DataFrame:
    """The wanted columns of each row's upstream row, by `keys` (own name: the upstream's); NULL without one.

    Keys that stand twice are the contract's finding; here the first counts.
    """
    once = upstream[[*keys.values(), *wanted]].drop_duplicates(list(keys.values()))
    found = rows[list(keys)].merge(
        once, left_on=list(keys), right_on=list(keys.values()), how="left", suffixes=(" of row", ""), validate="many_to_one"
    )
    return found[list(wanted)].set_axis(rows.index)


def zones_are_one_block(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """The six zone columns are filled or NULL together, as has_complete_shot_zones says."""
    suffix = "_allowed" if evidence.table.name == TEAM_DEFENSE_GAME_SUMMARY.name else ""
    filled = rows[[f"{name}{suffix}" for name in columns.ZONE_COUNTS]].notna()
    complete = rows["has_complete_shot_zones"].astype(bool)
    return (filled.all(axis=1) & complete) | (~filled.any(axis=1) & ~complete)


def zones_sum_to_attempts(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """Attempts and makes of the three zones are all of the row's; threes of the zone are its threes."""
    before, after = ("opp_", "_allowed") if evidence.table.name == TEAM_DEFENSE_GAME_SUMMARY.name else ("", "")
    attempts = sum(rows[f"{zone}_attempts{after}"] for zone in columns.ZONES.values())
    return true(attempts == rows[f"{before}fg_attempts"]) & true(
        rows[f"three_zone_attempts{after}"] == rows[f"{before}three_pt_attempts"]
    )


def points_add_up(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """Points are two a field goal, one more a three, one a free throw."""
    before, points = {
        PLAYER_GAME_SUMMARY.name: ("", "points"),
        TEAM_OFFENSE_GAME_SUMMARY.name: ("", "points_scored"),
        TEAM_DEFENSE_GAME_SUMMARY.name: ("opp_", "points_allowed"),
    }[evidence.table.name]
    made = 2 * rows[f"{before}fg_makes"] + rows[f"{before}three_pt_makes"] + rows[f"{before}ft_makes"]
    return true(rows[points] == made)


def assists_split_the_makes(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """Assisted and unassisted makes are all makes."""
    return true(rows["assisted_fg_makes"] + rows["unassisted_fg_makes"] == rows["fg_makes"])


def sums_are_the_players(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """A team's counts are those of its players; of a defence, of the opponent's players."""
    side, names = (
        ("team_abbr", {"points": "points_scored", **{name: name for name in COUNTS}})
        if evidence.table.name == TEAM_OFFENSE_GAME_SUMMARY.name
        else ("opponent_team_abbr", {"points": "points_allowed", **{name: OF_OPPONENT[name] for name in COUNTS}})
    )
    sums = evidence.player_games.groupby(["game_id", "team_abbr"])[list(names)].sum()
    of_players = sums.reindex(pd.MultiIndex.from_frame(rows[["game_id", side]])).set_axis(rows.index)
    return pd.concat([near(rows[name], of_players[count]) for count, name in names.items()], axis=1).all(axis=1)


def sides_are_the_schedules(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """Home, away and opponent are as the schedule has them."""
    sides = windows.team_games(evidence.schedule).set_index(["game_id", "team_abbr"])
    of_rows = sides.reindex(pd.MultiIndex.from_frame(rows[["game_id", "team_abbr"]]))
    same_side = rows["is_home"].astype("object").to_numpy() == of_rows["is_home"].to_numpy()
    return pd.Series(
        same_side & (rows["opponent_team_abbr"].to_numpy() == of_rows["opponent_team_abbr"].to_numpy()), rows.index
    )


def pace_is_of_both_sides(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """Both sides of a game have its pace: the mean of their possessions in 48 minutes."""
    possessions = rows["opp_possessions" if evidence.table.name == TEAM_DEFENSE_GAME_SUMMARY.name else "possessions"]
    minutes = rows["game_id"].map(evidence.player_games.groupby("game_id")["minutes_played"].sum())
    # ten players are on the floor
    return near(rows["pace"], possessions.groupby(rows["game_id"]).transform("mean") * 48 / (minutes / 10))


def ratings_are_of_the_counts(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """Possessions are FGA + 0.44 FTA + TOV - OREB, the rating is points in 100 of them."""
    before, points, rating = (
        ("opp_", "points_allowed", "defensive_rating")
        if evidence.table.name == TEAM_DEFENSE_GAME_SUMMARY.name
        else ("", "points_scored", "offensive_rating")
    )
    own = rows.rename(columns=lambda name: name.removeprefix(before))
    possessions = columns.possessions(own.astype(dict.fromkeys([*USED, "offensive_rebounds"], "float64")))
    return near(own["possessions"], possessions) & near(rows[rating] * possessions, 100 * rows[points].astype("float64"))


def rates_are_of_the_counts(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """usage_rate, ts_pct and efg_pct follow from the box score of the player and his team, on their scales."""
    shot = rows["fg_attempts"] + columns.POSSESSIONS_PER_FREE_THROW * rows["ft_attempts"]
    effective = rows["fg_makes"] + 0.5 * rows["three_pt_makes"]
    minutes, used = rows["minutes_played"].fillna(0.0), (shot + rows["turnovers"]).astype("float64")
    team = [rows["game_id"], rows["team_abbr"]]
    of_team = minutes.groupby(team).transform("sum") / 5 / used.groupby(team).transform("sum")
    usage = near(rows["usage_rate"], 100 * used * of_team / minutes.where(minutes > 0))
    shooting = near(rows["ts_pct"] * 2 * shot, rows["points"].where(shot > 0))
    return usage & shooting & near(rows["efg_pct"] * rows["fg_attempts"], effective.where(rows["fg_attempts"] > 0))


def winner_scored_more(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """win_flag is set where the team's players scored more than the opponent's."""
    points = evidence.player_games["points"].astype("float64")
    game, team = evidence.player_games["game_id"], evidence.player_games["team_abbr"]
    share = points.groupby([game, team]).sum() / points.groupby(game).sum().rename_axis("game_id")
    of_rows = share.reindex(pd.MultiIndex.from_frame(rows[["game_id", "team_abbr"]])).to_numpy()
    return true(rows["win_flag"] == pd.Series(of_rows > 0.5, rows.index))


def copies_are_the_originals(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """What a row takes over from other tables is what these hold of the day."""
    kept = pd.Series(True, rows.index)
    for upstream, keys, names in COPIES[evidence.table.name]:
        originals = looked_up(rows, keys, evidence.against[upstream.name], list(dict.fromkeys(names.values())))
        for name, original in names.items():
            found = originals[original]
            # the flag of a row that is not there is not set
            kept &= same(rows[name], found.fillna(False) if original == "production_ready" else found)
    return kept


def implied_total_is_half_of_total_less_spread(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """implied_team_total = (total - spread) / 2."""
    return near(rows["implied_team_total"], (rows["game_total"] - rows["game_spread"]) / 2)


def one_source_a_date(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """context_source is the same in all rows of a date."""
    return rows.groupby(evidence.table.day)["context_source"].transform("nunique") == 1


def rates_sum_to_100(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """The shares of attempts of the three zones are all attempts."""
    rates = rows[[f"{zone}_rate_last_10" for zone in columns.ZONES]]
    return near(rates.sum(axis=1, skipna=False), 100.0) | rates.isna().all(axis=1)


def shares_sum_to_1(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """The shares of attempts of the three zones are all attempts."""
    shares = rows[["pct_paint", "pct_mid_range", "pct_three"]]
    return near(shares.sum(axis=1, skipna=False), 1.0) | shares.isna().all(axis=1)


def against_the_league(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """Each zone's defence is its percentage allowed less the league's, in points."""
    kept = [
        near(rows[f"{zone}_defense_vs_league_avg"], 100 * (rows[f"{zone}_pct_allowed_last_15"] - rows[f"league_{zone}_pct"]))
        for zone in columns.ZONES
    ]
    return pd.concat(kept, axis=1).all(axis=1)


def adjustment_is_of_the_score(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """fatigue_adjustment = (fatigue_score - 100) / 20."""
    return near(rows["fatigue_adjustment"], (rows["fatigue_score"].astype("float64") - FRESH) / FATIGUE_POINTS)


def total_is_the_sum(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """total_composite_adjustment is the clamped sum of its four parts."""
    parts = rows[["fatigue_adjustment", "shot_zone_mismatch_score", "pace_score", "usage_spike_score"]].astype("float64")
    return near(rows["total_composite_adjustment"], parts.sum(axis=1, skipna=False).clip(TOTAL_LOWEST, TOTAL_HIGHEST))


def completeness_counts_the_factors(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """completeness_pct = 25 a factor that is not NULL."""
    return near(rows["completeness_pct"], PERCENT_PER_FACTOR * rows[FACTORS].notna().sum(axis=1))


def completeness_counts_the_features(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """completeness_pct and feature_quality_score are the percent of features other than 25-28 that are not NULL."""
    filled = 100 * rows[QUALITY_FEATURES].notna().mean(axis=1)
    return near(rows["completeness_pct"], filled) & near(rows["feature_quality_score"], filled)


def ready_as_the_rule_says(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """production_ready follows from the row and, in the feature table, from its factors' row."""
    complete = windows.at_least(rows["completeness_pct"], columns.READY_COMPLETENESS)
    match evidence.table.name:
        case TEAM_DEFENSE_ZONE_ANALYSIS.name:
            ready = complete & (rows["games_in_sample"] >= columns.READY_GAMES)
        case PLAYER_SHOT_ZONE_ANALYSIS.name:
            ready = complete & (rows["games_in_sample_10"] >= columns.READY_GAMES)
        case PLAYER_COMPOSITE_FACTORS.name:
            ready = complete & rows["upstream_team_defense_ready"] & rows["upstream_shot_zone_ready"]
        case _:
            factors = looked_up(rows, OF_PLAYER, evidence.against[PLAYER_COMPOSITE_FACTORS.name], ["production_ready"])[
                "production_ready"
            ]
            ready = complete & factors.astype("boolean").fillna(False)
    return true(rows["production_ready"] == ready)


def rest_is_of_the_schedule(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """A team's rest and load are dates of its scheduled games before the day."""
    past = past_of(rows, "game_date", windows.team_games(evidence.schedule), "team_abbr")
    return (
        near(rows["days_since_last_game"], past.days_since())
        & (rows["is_back_to_back"] == (past.days_since() == 1)).astype(bool)
        & near(rows["games_in_last_7_days"], past.count_within(7))
        & near(rows["games_in_last_14_days"], past.count_within(14))
    )


def form_is_of_past_games(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """A team's share of games won and rating are of its games of the season before the day."""
    players = evidence.player_games
    used = players[[*USED, "offensive_rebounds"]].astype("float64")
    sides = players.assign(possessions=columns.possessions(used)).groupby(["game_id", "team_abbr"], as_index=False)
    games = sides.agg({"game_date": "first", "win_flag": "first", "points": "sum", "possessions": "sum"})
    past = past_of(rows, "game_date", games, "team_abbr")
    rating = 100 * past.sums("points", 10) / past.sums("possessions", 10)
    return near(rows["team_win_pct"], past.mean("win_flag")) & near(rows["team_off_rating_last_10"], rating)


def load_agrees_with_itself(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """Back to back is one day after the last game; minutes of the last 7 days are those a game times the games."""
    minutes = (rows["avg_minutes_per_game_last_7"] * rows["games_in_last_7_days"].astype("float64")).fillna(0.0)
    back_to_back = (rows["days_since_last_game"] == 1).fillna(False)
    return near(rows["minutes_in_last_7_days"], minutes) & (rows["is_back_to_back"] == back_to_back).astype(bool)


def defense_is_of_past_games(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """What a defence allowed is of its last 15 games of the season before the day."""
    sides = evidence.player_games.groupby(["game_id", "opponent_team_abbr"], as_index=False)
    games = sides.agg(
        {
            "game_date": "first",
            "points": "sum",
            "has_complete_shot_zones": "all",
            "paint_makes": "sum",
            "paint_attempts": "sum",
        }
    ).rename(columns={"opponent_team_abbr": "team_abbr", "has_complete_shot_zones": "complete"})
    for count in ("paint_makes", "paint_attempts"):
        games[count] = games[count].where(games["complete"])
    past = past_of(rows, "analysis_date", games, "team_abbr")
    allowed = past.sums("paint_makes", 15) / past.sums("paint_attempts", 15).where(lambda attempts: attempts > 0)
    return (
        near(rows["games_in_sample"], past.count(15))
        & near(rows["zone_games_in_sample"], past.sums("complete", 15))
        & near(rows["opponent_points_per_game"], past.mean("points", 15))
        & near(rows["paint_pct_allowed_last_15"], allowed)
    )


def zones_are_of_past_games(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """Where a player shoots from, and set up by whom, is of his last 10 and 20 games of the season before the day."""
    players = evidence.player_games
    games = players.assign(makes_known=players["fg_makes"].where(players["assisted_fg_makes"].notna()))
    past = past_of(rows, "analysis_date", games, "player_id")
    attempts = [f"{zone}_attempts" for zone in columns.ZONES.values()]
    short, long = (sum(past.sums(zone, games) for zone in attempts) for games in (10, 20))
    zone_games, makes = past.sums("has_complete_shot_zones", 10), past.sums("makes_known", 10)
    return (
        near(rows["games_in_sample_10"], past.count(10))
        & near(rows["games_in_sample_20"], past.count(20))
        & near(rows["zone_games_in_sample_10"], zone_games)
        & near(rows["total_shots_last_10"], short.where(zone_games > 0))
        & near(rows["paint_rate_last_10"], 100 * past.sums("paint_attempts", 10) / short.where(short > 0))
        & near(rows["paint_rate_last_20"], 100 * past.sums("paint_attempts", 20) / long.where(long > 0))
        & near(rows["assisted_rate_last_10"], 100 * past.sums("assisted_fg_makes", 10) / makes.where(makes > 0))
        & near(rows["unassisted_rate_last_10"], 100 * past.sums("unassisted_fg_makes", 10) / makes.where(makes > 0))
    )


def no_attempts_no_percentage(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """A zone has a percentage exactly where there are attempts from it."""
    kept = [
        rows[f"{zone}_pct_last_10"].notna() == (rows[f"{zone}_attempts_per_game"].fillna(0.0) > 0) for zone in columns.ZONES
    ]
    return pd.concat(kept, axis=1).all(axis=1)


def averages_are_of_past_games(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """A player's points and minutes a game are of his games of the season before the day, and of no other."""
    past = past_of(rows, "game_date", evidence.player_games, "player_id")
    points, minutes = past.sums("points", 10), past.sums("minutes_played", 10)
    return (
        near(rows["points_avg_last_5"], past.mean("points", 5))
        & near(rows["points_avg_last_10"], past.mean("points", 10))
        & near(rows["points_avg_season"], past.mean("points"))
        & near(rows["minutes_avg_last_10"], past.mean("minutes_played", 10))
        & near(rows["ppm_avg_last_10"], points / minutes.where(minutes > 0))
        & near(rows["games_in_sample"], past.count(10))
    )


def trend_points_where_points_go(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """recent_trend rises with the last two games' points above the three before, and is NULL below five games."""
    past = past_of(rows, "game_date", evidence.player_games, "player_id")
    change = past.sums("points", 2) / 2 - (past.sums("points", 5) - past.sums("points", 2)) / 3
    grade = sum(
        windows.at_least(change, step).astype("float64") - windows.at_least(-change, step).astype("float64") for step in (2, 5)
    )
    return near(rows["recent_trend"], grade.where(past.count() >= 5))


def scores_follow_their_inputs(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """Pace and usage scores are what their inputs in the row give; a mismatch has the sign of the opponent's softness."""
    expected = (rows["team_pace_last_10"] + rows["opponent_pace_last_10"]) / 2
    pace = near(rows["pace_score"], ((expected - rows["league_pace"]) / 2).clip(-3, 3))
    rise = 0.3 * (rows["projected_usage_rate"] - rows["avg_usage_rate_last_7_games"])
    with_stars_out = rise * rows["star_teammates_out"].map({0: 1.0, 1: 1.15}).fillna(1.3).astype("float64")
    usage = near(rows["usage_spike_score"], rise.mask(rise > 0, with_stars_out).clip(-3, 3))
    mismatch = pd.Series(True, rows.index)
    for zone, name in zip(columns.ZONE_NAMES, columns.ZONES, strict=True):
        of_zone = rows["primary_scoring_zone"] == zone
        soft = rows[f"opponent_{name}_defense_vs_league_avg"]
        mismatch &= ~of_zone | true(rows["shot_zone_mismatch_score"] * soft >= 0)
    return pace & usage & mismatch


def rest_and_risk_are_the_contexts(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """rest_advantage is own days of rest less the opponent's, injury_risk follows from the player's status."""
    own, other = (
        looked_up(
            rows,
            {"game_date": "game_date", side: "team_abbr"},
            evidence.against[UPCOMING_TEAM_GAME_CONTEXT.name],
            ["days_since_last_game"],
        )["days_since_last_game"].astype("float64")
        for side in ("team_abbr", "opponent_team_abbr")
    )
    status = looked_up(rows, OF_PLAYER, evidence.slate, ["player_status"])["player_status"]
    return near(rows["rest_advantage"], (own - other).clip(-2, 2)) & near(rows["injury_risk"], status.map(INJURY_RISK))


def shares_are_the_rates(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """pct_paint, pct_mid_range and pct_three are the shot-zone analysis' rates as fractions."""
    rates = [f"{zone}_rate_last_10" for zone in columns.ZONES]
    found = looked_up(
        rows, {"game_date": "analysis_date", "player_id": "player_id"}, evidence.against[PLAYER_SHOT_ZONE_ANALYSIS.name], rates
    )
    shares = ["pct_paint", "pct_mid_range", "pct_three"]
    return pd.concat([near(100 * rows[share], found[rate]) for share, rate in zip(shares, rates, strict=True)], axis=1).all(
        axis=1
    )


def home_is_home(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """home_away says what is_home says."""
    return true(rows["home_away"] == rows["is_home"].astype("Int32"))


def line_moves_from_opening(rows: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """vegas_line_move is line less opening line; has_vegas_line says whether there is one."""
    moved = near(rows["vegas_line_move"], rows["vegas_points_line"] - rows["vegas_opening_line"])
    return moved & true(rows["has_vegas_line"] == rows["vegas_points_line"].notna().astype("Int32"))


OF_PLAYER = {"game_date": "game_date", "player_id": "player_id"}
OF_TEAM = {"game_date": "game_date", "team_abbr": "team_abbr"}
OF_OPPONENT_TEAM = {"game_date": "game_date", "opponent_team_abbr": "team_abbr"}
OF_PLAYERS_ZONES = {"game_date": "analysis_date", "player_id": "player_id"}
OF_OPPONENTS_DEFENSE = {"game_date": "analysis_date", "opponent_team_abbr": "team_abbr"}
"""Where a row finds its upstream rows: own key, the upstream's key."""

GAME = ["game_id", "opponent_team_abbr", "is_home", "context_source"]
LOAD = [
    *("player_lookup", "team_abbr", "player_age", "days_since_last_game", "is_back_to_back", "games_in_last_7_days"),
    *("minutes_in_last_7_days", "avg_minutes_per_game_last_7", "back_to_backs_last_14_days"),
    *("projected_usage_rate", "avg_usage_rate_last_7_games", "star_teammates_out"),
]
RATES = ["primary_scoring_zone", *(f"{zone}_rate_last_10" for zone in columns.ZONES)]

COPIES: Mapping[str, Sequence[tuple[Table, Mapping[str, str], Mapping[str, str]]]] = {
    UPCOMING_PLAYER_GAME_CONTEXT.name: [(UPCOMING_TEAM_GAME_CONTEXT, OF_TEAM, {name: name for name in GAME})],
    PLAYER_COMPOSITE_FACTORS.name: [
        (UPCOMING_PLAYER_GAME_CONTEXT, OF_PLAYER, {name: name for name in [*GAME, *LOAD]}),
        (UPCOMING_TEAM_GAME_CONTEXT, OF_TEAM, {"team_pace_last_10": "team_pace_last_10"}),
        (UPCOMING_TEAM_GAME_CONTEXT, OF_OPPONENT_TEAM, {"opponent_pace_last_10": "team_pace_last_10"}),
        (
            PLAYER_SHOT_ZONE_ANALYSIS,
            OF_PLAYERS_ZONES,
            {**{name: name for name in RATES}, "upstream_shot_zone_ready": "production_ready"},
        ),
        (
            TEAM_DEFENSE_ZONE_ANALYSIS,
            OF_OPPONENTS_DEFENSE,
            {**{f"opponent_{name}": name for name in VS_LEAGUE}, "upstream_team_defense_ready": "production_ready"},
        ),
    ],
    ML_FEATURE_STORE_V2.name: [
        (
            UPCOMING_PLAYER_GAME_CONTEXT,
            OF_PLAYER,
            {
                **{name: name for name in [*GAME, "player_lookup", "team_abbr", "games_in_last_7_days"]},
                "back_to_back": "is_back_to_back",
                "vegas_points_line": "points_line",
            },
        ),
        (
            UPCOMING_TEAM_GAME_CONTEXT,
            OF_TEAM,
            {
                "team_pace": "team_pace_last_10",
                "team_off_rating": "team_off_rating_last_10",
                "team_win_pct": "team_win_pct",
            },
        ),
        (
            TEAM_DEFENSE_ZONE_ANALYSIS,
            OF_OPPONENTS_DEFENSE,
            {"opponent_def_rating": "defensive_rating_last_15", "opponent_pace": "opponent_pace"},
        ),
        (PLAYER_COMPOSITE_FACTORS, OF_PLAYER, {name: name for name in FACTORS}),
    ],
}
"""What each table takes over unchanged: from which table and row of it, and own name: the original's."""

IDENTITIES: Mapping[str, Sequence[RowRule]] = {
    PLAYER_GAME_SUMMARY.name: [
        zones_are_one_block,
        zones_sum_to_attempts,
        points_add_up,
        assists_split_the_makes,
        sides_are_the_schedules,
        winner_scored_more,
        rates_are_of_the_counts,
    ],
    TEAM_OFFENSE_GAME_SUMMARY.name: [
        zones_are_one_block,
        zones_sum_to_attempts,
        points_add_up,
        sums_are_the_players,
        sides_are_the_schedules,
        winner_scored_more,
        ratings_are_of_the_counts,
        pace_is_of_both_sides,
    ],
    TEAM_DEFENSE_GAME_SUMMARY.name: [
        zones_are_one_block,
        zones_sum_to_attempts,
        points_add_up,
        sums_are_the_players,
        sides_are_the_schedules,
        winner_scored_more,
        ratings_are_of_the_counts,
        pace_is_of_both_sides,
    ],
    UPCOMING_TEAM_GAME_CONTEXT.name: [
        sides_are_the_schedules,
        rest_is_of_the_schedule,
        implied_total_is_half_of_total_less_spread,
        form_is_of_past_games,
        one_source_a_date,
    ],
    UPCOMING_PLAYER_GAME_CONTEXT.name: [
        sides_are_the_schedules,
        copies_are_the_originals,
        load_agrees_with_itself,
        one_source_a_date,
    ],
    TEAM_DEFENSE_ZONE_ANALYSIS.name: [against_the_league, defense_is_of_past_games, ready_as_the_rule_says],
    PLAYER_SHOT_ZONE_ANALYSIS.name: [
        rates_sum_to_100,
        no_attempts_no_percentage,
        zones_are_of_past_games,
        ready_as_the_rule_says,
    ],
    PLAYER_COMPOSITE_FACTORS.name: [
        sides_are_the_schedules,
        copies_are_the_originals,
        scores_follow_their_inputs,
        adjustment_is_of_the_score,
        total_is_the_sum,
        completeness_counts_the_factors,
        ready_as_the_rule_says,
        one_source_a_date,
    ],
    ML_FEATURE_STORE_V2.name: [
        sides_are_the_schedules,
        home_is_home,
        copies_are_the_originals,
        averages_are_of_past_games,
        trend_points_where_points_go,
        rest_and_risk_are_the_contexts,
        shares_are_the_rates,
        shares_sum_to_1,
        line_moves_from_opening,
        completeness_counts_the_features,
        ready_as_the_rule_says,
        one_source_a_date,
    ],
}
"""What must hold between the columns of a row, between rows of a day, and between a row and the one it was made from."""


def identities(evidence: Evidence) -> list[Result]:
    """Every row keeps every identity of its table."""
    rows = evidence.rows
    results = []
    for rule in IDENTITIES[evidence.table.name]:
        broken = rows.iloc[np.flatnonzero(~rule(rows, evidence).to_numpy(dtype=bool))]
        results.append(
            counted(
                evidence,
                "identity",
                ERROR,
                broken.groupby(evidence.table.day).size(),
                evidence.rows_a_day,
                threshold=ALL,
                column=rule.__name__,
                remedy=f"{rule.__doc__} Make the days again with --force; if it still fails, the formula is wrong.",
                worst=broken[keys_of(evidence.table)].head(EXAMPLES_SHOWN),
            )
        )
    return results


def reproduced(evidence: Evidence) -> list[Result]:
    """The formulas make the stored rows again, from the source and the upstream tables as they are now."""
    if evidence.recomputed is None:
        return []
    table, stored = evidence.table, evidence.rows
    again = rows_on(evidence.recomputed, table.day, stored[table.day].unique())
    if evidence.just_published and has_just_published(evidence, again):
        differences = differences_of(table, stored.head(0), again.head(0))
    else:
        differences = differences_of(table, stored, again)
    rows = differences.drop_duplicates(keys_of(table))
    return [
        counted(
            evidence,
            "reproduced",
            ERROR,
            rows.groupby(table.day).size(),
            evidence.rows_a_day,
            threshold=ALL,
            remedy="The source or a table it reads has changed since, or other code made these rows: nba-precompute backfill; "
            "if it still fails, with --force.",
            worst=differences.drop_duplicates("column").head(EXAMPLES_SHOWN),
        )
    ]


def has_just_published(evidence: Evidence, again: pd.DataFrame) -> bool:
    """Whether a run's stored days are all among those it has computed, with the hashes that these were published under."""
    both = evidence.stored_and_published
    return bool((both["stored"] == both["published"]).all()) and set(both.index) <= set(again[evidence.table.day].unique())


def keys_of(table: Table) -> list[str]:
    """What names a row: the day and the key."""
    return list(dict.fromkeys([table.day, *table.key]))


def differences_of(table: Table, stored: pd.DataFrame, again: pd.DataFrame) -> pd.DataFrame:
    """A row for every value that differs, by key and column; of rows that only one side has, a row, of column NULL."""
    keys = keys_of(table)
    stored, again = stored.reset_index(drop=True), again.reset_index(drop=True)
    found = []
    if not stored[keys].equals(again[keys]):  # hardly ever, and it costs as much as all comparisons
        left, right = stored[keys].drop_duplicates().reset_index(names="left"), again[keys].reset_index(names="right")
        places = left.merge(right, on=keys, how="outer", validate="one_to_one")
        surplus, absent = places[places["right"].isna()], places[places["left"].isna()]
        found.append(surplus[keys].assign(column=None, stored="a row", recomputed="no row"))
        found.append(absent[keys].assign(column=None, stored="no row", recomputed="a row"))
        places = places.dropna(subset=["left", "right"]).astype({"left": "int64", "right": "int64"})
        stored = stored.iloc[places["left"]].reset_index(drop=True)
        again = again.iloc[places["right"]].reset_index(drop=True)
    for name in table.columns:
        unlike = ~same(stored[name], again[name])
        if unlike.any():
            values = {"stored": stored[name][unlike], "recomputed": again[name][unlike]}
            found.append(
                stored.loc[unlike, keys].assign(column=name, **{side: of.astype("object") for side, of in values.items()})
            )
    found = [part for part in found if len(part)]
    return pd.concat(found, ignore_index=True) if found else stored[keys].head(0).assign(column=None)


def played(evidence: Evidence) -> Result:
    """Rows of a box score are of players who played: hardly any holds no minute and nothing done."""
    rows = evidence.rows
    done = ["points", "fg_attempts", "ft_attempts", "rebounds", "assists", "steals", "blocks", "turnovers", "personal_fouls"]
    nothing = (rows["minutes_played"].fillna(0) == 0) & (rows[done].fillna(0).sum(axis=1) == 0)
    by_day = nothing.groupby(rows["game_date"]).agg(["sum", "size"])
    return counted(
        evidence,
        "played",
        ERROR,
        by_day["sum"],
        by_day["size"],
        threshold=PLAYED_SHARE,
        remedy="Does the source list players who did not play? Not playing is the absence of a row.",
        worst=rows.loc[nothing, ["game_date", "game_id", "player_id"]].head(EXAMPLES_SHOWN),
    )


# ------------------------------------------------------------------------------------------------- versions, readiness


def calculation_versions(evidence: Evidence) -> Result:
    """All days come from the table's code as it is now, by one calculation version."""
    versions = evidence.versions[evidence.versions["day"].isin(evidence.timestamps)]
    old = set(versions.loc[versions["code_version"] != evidence.table.code_version, "day"])
    rows = evidence.rows
    if "calculation_version" in rows.columns and len(rows):
        usual = rows["calculation_version"].mode().iloc[0]
        old |= set(rows.loc[rows["calculation_version"] != usual, evidence.table.day])
    days = pd.DatetimeIndex(versions["day"].unique())
    return counted(
        evidence,
        "calculation_versions",
        WARN,
        pd.Series(days.isin(list(old)).astype("int64"), days),
        pd.Series(1, days),
        threshold=ALL,
        remedy="These days are of another version of the code: nba-precompute backfill makes them again.",
    )


def readiness(evidence: Evidence) -> Result:
    """From the 31st eligible date of the season on, most rows of a day are production ready."""
    ready = evidence.season_to_date.groupby(evidence.table.day)["production_ready"].agg(["sum", "size"]).sort_index()
    judged = ready.iloc[READINESS_FROM_DATE - 1 :]
    judged = judged[judged.index.isin(evidence.timestamps)]
    return counted(
        evidence,
        "readiness",
        WARN,
        judged["size"] - judged["sum"],
        judged["size"],
        threshold=READY_SHARE,
        remedy="Why a row is not ready: nba-precompute status --why DAY.",
    )


# --------------------------------------------------------------------------------------------------------- regression


def regression(evidence: Evidence) -> list[Result]:
    """No window of 30 game dates is much worse than the three before it in the season; a result a measure."""
    return [
        counted_in_windows(
            evidence,
            "regression",
            name,
            of_measure.set_index("window_to")["percent"].map(lambda percent, name=name: either_way(name, percent)).to_dict(),
            threshold=FACTOR_HALVED if name.startswith(SIZE_OF) else REGRESSION_BELOW,
            remedy="Compare the window with the ones before it: nba-precompute validate --check-regression.",
        )
        for name, of_measure in compared(evidence).groupby("measure", sort=False)
    ]


def either_way(measure: str, percent: float) -> float:
    """Percent of the baseline; a factor's size twice its baseline is as wrong as half of it."""
    if measure.startswith(SIZE_OF) and percent > 0:
        return min(percent, FACTOR_HALVED * FACTOR_DOUBLED / percent)
    return percent


def compared(evidence: Evidence) -> pd.DataFrame:
    """A row a window and measure: the window's last day, the measure, its percent of the baseline and the grade of that."""
    rows = []
    for window, measures, baseline in windows_and_baselines(evidence):
        for name, value in measures.items():
            if name in baseline.index and baseline[name]:
                percent = 100 * value / baseline[name]
                rows.append((window[-1], str(name), percent, grade(str(name), percent)))
    return pd.DataFrame(rows, columns=["window_to", "measure", "percent", "grade"])


def windows_and_baselines(evidence: Evidence) -> Iterable[tuple[pd.DatetimeIndex, pd.Series, pd.Series]]:
    """Each window of the days with its measures, and the mean measures of up to three windows before it in the season."""
    stored = pd.DatetimeIndex(evidence.season_to_date[evidence.table.day].unique()).sort_values()
    known: dict[pd.Timestamp, pd.Series] = {}
    for window in evidence.windows:
        earlier = stored[stored < window[0]]
        before: list[pd.DatetimeIndex] = []
        while len(earlier) >= WINDOW_DATES and len(before) < BASELINE_WINDOWS:
            before.append(earlier[-WINDOW_DATES:])
            earlier = earlier[:-WINDOW_DATES]
        if before:
            for each in [window, *before]:
                if each[-1] not in known:
                    known[each[-1]] = measures_of(evidence, each, stored)
            yield window, known[window[-1]], pd.DataFrame([known[each[-1]] for each in before]).mean()


def measures_of(evidence: Evidence, window: pd.DatetimeIndex, stored: pd.DatetimeIndex) -> pd.Series:
    """Rows a scheduled game, fill of each critical column, mean size of each factor, share ready of the judged dates."""
    rows = evidence.in_window(window)
    if "game_id" in rows.columns:
        games = windows.of_form(evidence.schedule[evidence.schedule["game_date"].isin(window)])
        measures = {"rows a game": len(rows) / len(games) if len(games) else np.nan}
    else:  # teams and players of the whole league, whoever plays
        measures = {"rows a day": len(rows) / len(window)}
    for column in CRITICAL.get(evidence.table.name, {}):
        measures[f"fill of {column}"] = 100 * rows[column].notna().mean()
    if evidence.table.name == PLAYER_COMPOSITE_FACTORS.name:
        for factor in FACTORS:
            measures[f"{SIZE_OF}{factor}"] = float(rows[factor].astype("float64").abs().mean())
    if "production_ready" in rows.columns:
        judged = rows[rows[evidence.table.day].isin(stored[READINESS_FROM_DATE - 1 :])]
        measures["share ready"] = 100 * float(judged["production_ready"].astype("float64").mean())
    return pd.Series(measures, dtype="float64").dropna()


def grade(measure: str, percent: float) -> str:
    """REGRESSION, DEGRADATION, OK or IMPROVEMENT of a measure that is `percent` of its baseline; a factor regresses or is OK."""
    if measure.startswith(SIZE_OF):
        return REGRESSION if either_way(measure, percent) < FACTOR_HALVED - windows.ON_THRESHOLD else OK
    if percent < REGRESSION_BELOW - windows.ON_THRESHOLD:
        return REGRESSION
    if percent < DEGRADATION_BELOW - windows.ON_THRESHOLD:
        return DEGRADATION
    return IMPROVEMENT if percent > IMPROVEMENT_ABOVE + windows.ON_THRESHOLD else OK


# ------------------------------------------------------------------------------------------------------- all together

UPSTREAM: Mapping[str, Sequence[Table]] = {
    PLAYER_GAME_SUMMARY.name: [PLAYER_GAME_SUMMARY],
    TEAM_OFFENSE_GAME_SUMMARY.name: [PLAYER_GAME_SUMMARY],
    TEAM_DEFENSE_GAME_SUMMARY.name: [PLAYER_GAME_SUMMARY],
    UPCOMING_TEAM_GAME_CONTEXT.name: [PLAYER_GAME_SUMMARY],
    UPCOMING_PLAYER_GAME_CONTEXT.name: [PLAYER_GAME_SUMMARY, UPCOMING_TEAM_GAME_CONTEXT],
    TEAM_DEFENSE_ZONE_ANALYSIS.name: [PLAYER_GAME_SUMMARY],
    PLAYER_SHOT_ZONE_ANALYSIS.name: [PLAYER_GAME_SUMMARY],
    PLAYER_COMPOSITE_FACTORS.name: [
        UPCOMING_PLAYER_GAME_CONTEXT,
        UPCOMING_TEAM_GAME_CONTEXT,
        TEAM_DEFENSE_ZONE_ANALYSIS,
        PLAYER_SHOT_ZONE_ANALYSIS,
    ],
    ML_FEATURE_STORE_V2.name: [
        PLAYER_GAME_SUMMARY,
        UPCOMING_PLAYER_GAME_CONTEXT,
        UPCOMING_TEAM_GAME_CONTEXT,
        TEAM_DEFENSE_ZONE_ANALYSIS,
        PLAYER_SHOT_ZONE_ANALYSIS,
        PLAYER_COMPOSITE_FACTORS,
    ],
}
"""The tables whose rows a table is judged against."""

ANALYSES = [TEAM_DEFENSE_ZONE_ANALYSIS, PLAYER_SHOT_ZONE_ANALYSIS, PLAYER_COMPOSITE_FACTORS, ML_FEATURE_STORE_V2]
"""Tables whose rows say whether they are production ready."""


def checks_of(table: Table) -> dict[str, str]:
    """The names of a table's checks, each with its severity."""
    names = {"coverage": ERROR, "row_count": ERROR, "contract": ERROR, "identity": ERROR}
    names |= {"reproduced": ERROR, "content_hash": ERROR}
    if table.name in CRITICAL:
        names["critical_null_rate"] = ERROR
    if table.name == PLAYER_GAME_SUMMARY.name:
        names["played"] = ERROR
    if table.name == UPCOMING_PLAYER_GAME_CONTEXT.name:
        names["played_on_slate"] = WARN
    names |= {"null_rate": WARN, "one_value": WARN, "regression": WARN, "calculation_versions": WARN}
    if table in ANALYSES:
        names["readiness"] = WARN
    return names


RULES: Mapping[str, Callable[[Evidence], Result | list[Result]]] = {
    "coverage": coverage,
    "row_count": row_count,
    "contract": contract,
    "identity": identities,
    "reproduced": reproduced,
    "content_hash": content_hash,
    "critical_null_rate": critical_null_rates,
    "null_rate": null_rates,
    "played": played,
    "played_on_slate": played_on_slate,
    "one_value": one_value,
    "regression": regression,
    "calculation_versions": calculation_versions,
    "readiness": readiness,
}


def judge(evidence: Evidence, checks: Iterable[str] | None = None) -> list[Result]:
    """The results of the named checks of the evidence's table, by default of all."""
    wanted = [name for name in checks_of(evidence.table) if checks is None or name in set(checks)]
    results: list[Result] = []
    for name in wanted:
        found = RULES[name](evidence)
        results += found if isinstance(found, list) else [found]
    return results


def merge(results: Iterable[Result]) -> list[Result]:
    """Results of the same rule over several seasons as one: all failing days, the value over all."""
    merged: dict[tuple[str, str, str | None], Result] = {}
    for result in results:
        key = (result.table, result.check, result.column)
        merged[key] = _both(merged[key], result) if key in merged else result
    return list(merged.values())


def _both(one: Result, other: Result) -> Result:
    total = one.denominator + other.denominator
    if one.per == WINDOW:
        value = min(one.value, other.value)
    else:
        value = (one.value * one.denominator + other.value * other.denominator) / total if total else 100.0
    return Result(
        one.table,
        one.check,
        one.severity,
        one.column,
        value,
        one.threshold,
        total,
        tuple(sorted({*one.days, *other.days})),
        one.remedy,
        pd.concat([one.worst, other.worst], ignore_index=True).head(EXAMPLES_SHOWN),
        one.per,
    )
