"""What a table and a column are: the `Table` record, the kinds of columns, and the columns that several tables share.

A column is defined once, with its meaning, unit, nullability and bounds; the contract before publication, the warehouse's
DDL and comments, and the column list in the UI all follow from it. Of formulas only those stand here that several tables share.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from pandera.pandas import Check, Column, DataFrameSchema

TEXT, INTEGER, NUMBER, FLAG, DAY = "object", "Int32", "float64", "boolean", "datetime64[ns]"
"""The kinds of columns, as pandas' dtypes. That a TEXT holds words alone is a check (`text`)."""

POSSESSIONS_PER_FREE_THROW = 0.44
"""Share of free-throw attempts that end a possession; the league's long-run figure, as in the original's formulas."""

READY_COMPLETENESS = 50.0
"""Percent of its inputs below which a row is not production ready (TABLES.md, the cascade of production_ready)."""

READY_GAMES = 5
"""Games in the sample below which an analysis row is not production ready (TABLES.md)."""

CALCULATION_VERSION = "v1"
"""Version of the rules of TDZA, PSZA and MLFS (TABLES.md); PCF has its own."""

ZONES = {"paint": "paint", "mid_range": "mid_range", "three_pt": "three_zone"}
"""A zone as the analyses' columns call it, and as the game summaries' counts do."""

ZONE_COUNTS = [f"{zone}_{kind}" for zone in ZONES.values() for kind in ("makes", "attempts")]
"""The six zone columns of the game summaries, one block."""

PLAYER_STATUSES = ["available", "probable", "questionable", "doubtful", "out"]
ZONE_NAMES = ["paint", "mid_range", "perimeter"]
"""The names of a player's or team's zone; perimeter is the name of the zone whose counts are called three."""


@dataclass(frozen=True)
class Table:
    """A table of the warehouse: where it lives, how it is partitioned and keyed, and its contract."""

    dataset: str
    name: str
    day: str
    key: tuple[str, ...]
    code_version: str
    schema: DataFrameSchema

    @property
    def qualified_name(self) -> str:
        """The name that SQL uses, `dataset.table`."""
        return f"{self.dataset}.{self.name}"

    @property
    def columns(self) -> list[str]:
        """Column names in the contract's order."""
        return list(self.schema.columns)

    @property
    def description(self) -> str:
        """Grain and meaning, in prose."""
        return self.schema.description or ""

    @property
    def kinds(self) -> dict[str, str]:
        """pandas' dtype of each column."""
        return {name: str(column.dtype) for name, column in self.schema.columns.items()}

    def no_rows(self) -> pd.DataFrame:
        """An empty frame in the contract's columns and types."""
        return pd.DataFrame(columns=self.columns).astype(self.kinds)

    def conform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the table's columns in order with the contract's types, sorted by day and key; extra columns are dropped."""
        kinds = self.kinds
        typed = frame[self.columns].astype(kinds, copy=False)
        words = [name for name, kind in kinds.items() if kind == TEXT and typed[name].hasnans]
        if words:
            typed = typed.assign(**{name: typed[name].where(typed[name].notna(), None) for name in words})
        by = list(dict.fromkeys([self.day, *self.key]))
        return typed.sort_values(by, kind="stable", ignore_index=True)


def table(
    *,
    dataset: str,
    name: str,
    day: str,
    key: Sequence[str],
    code_version: str,
    description: str,
    columns: Mapping[str, Column],
    checks: Sequence[Check] = (),
) -> Table:
    """Make a table whose contract is strict (no other column), ordered, and unique in its key."""
    schema = DataFrameSchema(
        dict(columns),
        name=name,
        description=description,
        checks=list(checks),
        strict=True,
        ordered=True,
        unique=list(key),
    )
    return Table(dataset, name, day, tuple(key), code_version, schema)


def _column(dtype: str, description: str, unit: str | None, nullable: bool, checks: list[Check]) -> Column:
    return Column(dtype, checks=checks, nullable=nullable, description=description, metadata={"unit": unit})


def meaning(column: Column) -> str:
    """A column's description with its unit, as the warehouse's comment and the UI show it."""
    unit = (column.metadata or {}).get("unit")
    return f"{column.description} ({unit})" if unit else str(column.description)


def _bounds(ge: float | None, le: float | None) -> list[Check]:
    checks = []
    if ge is not None:
        checks.append(Check.ge(ge))
    if le is not None:
        checks.append(Check.le(le))
    return checks


def text(description: str, *, nullable: bool = False, isin: Sequence[str] | None = None, matches: str | None = None) -> Column:
    """Words; `isin` names the only allowed ones, `matches` a regular expression that all satisfy."""
    checks = [_of_distinct(lambda words: words.map(lambda word: isinstance(word, str)), "is_text")]
    if isin is not None:
        checks.append(Check.isin(list(isin)))
    if matches is not None:
        checks.append(_of_distinct(lambda words: words.astype(str).str.match(matches), f"str_matches('{matches}')"))
    return _column(TEXT, description, None, nullable, checks)


def _of_distinct(holds: Callable[[pd.Series], pd.Series], name: str) -> Check:
    # a column of words has few distinct ones: asked of every row, as pandera's own checks do, they took half of a contract's time
    def of_rows(words: pd.Series) -> pd.Series:
        rows, distinct = pd.factorize(words.to_numpy(dtype="object"))
        return pd.Series(holds(pd.Series(distinct, dtype="object")).to_numpy(dtype=bool)[rows], index=words.index)

    return Check(of_rows, name=name, error=name)


def integer(
    description: str, unit: str = "count", *, nullable: bool = True, ge: float | None = 0, le: float | None = None
) -> Column:
    """Whole numbers, at least 0 unless `ge` says otherwise."""
    return _column(INTEGER, description, unit, nullable, _bounds(ge, le))


def number(description: str, unit: str, *, nullable: bool = True, ge: float | None = None, le: float | None = None) -> Column:
    """Measured or divided figures, stored unrounded."""
    return _column(NUMBER, description, unit, nullable, _bounds(ge, le))


def fraction(description: str) -> Column:
    """A share between 0 and 1."""
    return number(description, "fraction 0-1", ge=0, le=1)


def percent(description: str, *, nullable: bool = True) -> Column:
    """A share between 0 and 100."""
    return number(description, "percent 0-100", nullable=nullable, ge=0, le=100 + 1e-9)


def flag(description: str, *, nullable: bool = False) -> Column:
    """True or false."""
    return _column(FLAG, description, None, nullable, [])


def day(description: str) -> Column:
    """A calendar day, US Eastern."""
    return _column(DAY, description, None, False, [])


def team_abbr(description: str) -> Column:
    """A team."""
    return text(description, matches=r"^[A-Z]{3}$")


def rating(description: str) -> Column:
    """Points per 100 possessions."""
    return number(description, "points per 100 possessions", ge=0)


def pace(description: str) -> Column:
    """Possessions of a team in 48 minutes."""
    return number(description, "possessions per 48 minutes", ge=0)


def vs_league(description: str) -> Column:
    """A zone's field-goal percentage allowed, minus the league's."""
    return number(f"{description}; positive = softer than the league", "percentage points", ge=-100, le=100)


SHARED = {
    "game_id": text("NBA game id; the third digit is the type (2 season, 4 play-offs, 5 play-in)", matches=r"^\d{10}$"),
    "season": text("season, e.g. 2024-25", matches=r"^\d{4}-\d{2}$"),
    "season_type": text("kind of game as in the source, e.g. Regular Season"),
    "player_id": integer("NBA person id", "id", nullable=False),
    "player_lookup": text("normalised name: NFKD, lower case, only a-z and 0-9 kept", matches=r"^[a-z0-9]*$"),
    "opponent_team_abbr": team_abbr("the other team, 3 letters"),
    "is_home": flag("the schedule's home team, on neutral ground too"),
    "days_since_last_game": integer("difference of dates, 1 = back to back; NULL before the first", "days", ge=1),
    "is_back_to_back": flag("days_since_last_game = 1; false before the first"),
    "games_in_last_7_days": integer("games with D-7 <= date < D", nullable=False, le=7),
    "minutes_in_last_7_days": number("sum over the last 7 days; 0 without a game", "minutes", nullable=False, ge=0),
    "avg_minutes_per_game_last_7": number("a game of the last 7 days; NULL without one", "minutes", ge=0, le=70),
    "back_to_backs_last_14_days": integer("pairs of consecutive dates, both in the last 14 days", nullable=False, le=13),
    "player_age": integer("whole years on the date; NULL without a source", "years", ge=15, le=60),
    "avg_usage_rate_last_7_games": number("usage on the sums over his last 7 games", "percent", ge=0),
    "projected_usage_rate": number("usage over his last 10, scaled to a team mean of 20 over the available", "percent", ge=0),
    "star_teammates_out": integer("absent stars of his team other than himself; 0 on synthetic dates", nullable=False),
    "pace": pace("mean of both teams' possessions * 48 / (mean of both teams' minutes / 5); equal in both rows"),
    "overtime_periods": integer("0 = none"),
    "team_pace_last_10": pace("mean of the team's last 10 games"),
    "primary_scoring_zone": text(
        "paint >= 40, perimeter >= 40, mid_range >= 35 percent of attempts in that order, else balanced",
        nullable=True,
        isin=[*ZONE_NAMES, "balanced"],
    ),
    "paint_rate_last_10": percent("share of attempts from the paint, zone games of the last 10"),
    "mid_range_rate_last_10": percent("share of attempts from mid-range, zone games of the last 10"),
    "three_pt_rate_last_10": percent("share of attempts for three, zone games of the last 10"),
    "context_source": text(
        "captured where injuries are known as of the day before, else synthetic; one a date",
        isin=["captured", "synthetic"],
    ),
}
"""Columns that mean the same in several tables, defined once."""


def shared(*names: str) -> dict[str, Column]:
    """The named shared columns, in the order given."""
    return {name: SHARED[name] for name in names}


def possessions(counts: pd.DataFrame) -> pd.Series:
    """Possessions of a side: FGA + 0.44 FTA + TOV - OREB (players' sums, so a little below the league's own)."""
    ended = counts["fg_attempts"] + POSSESSIONS_PER_FREE_THROW * counts["ft_attempts"] + counts["turnovers"]
    return ended - counts["offensive_rebounds"]


USAGE_PARTS = ["fg_attempts", "ft_attempts", "turnovers", "seconds"]
"""The counts of a player, and with the prefix `team_` of his team in the same games, that usage is made from."""


def usage_rate(sums: pd.DataFrame) -> pd.Series:
    """Percent of his team's possessions that a player used while on court; over several games on the sums of each part.

    `sums` holds USAGE_PARTS and the same with the prefix `team_`. NULL where he has no minutes or his team used nothing.
    Source: the usual definition, 100 (FGA + 0.44 FTA + TOV) (TmMIN / 5) / (MIN (TmFGA + 0.44 TmFTA + TmTOV)).
    """
    used = sums["fg_attempts"] + POSSESSIONS_PER_FREE_THROW * sums["ft_attempts"] + sums["turnovers"]
    team_used = sums["team_fg_attempts"] + POSSESSIONS_PER_FREE_THROW * sums["team_ft_attempts"] + sums["team_turnovers"]
    return ratio(100 * used * (sums["team_seconds"] / 5), sums["seconds"] * team_used)


def usage_parts(player_games: pd.DataFrame) -> pd.DataFrame:
    """USAGE_PARTS of each player-game of whole games, his own and his team's; seconds are whole."""
    own = player_games[["fg_attempts", "ft_attempts", "turnovers"]].astype("float64")
    own["seconds"] = (player_games["minutes_played"] * 60).round()
    team = own.groupby([player_games["game_id"], player_games["team_abbr"]]).transform("sum")
    return own.join(team.add_prefix("team_"))


def ratio(numerator: pd.Series, denominator: pd.Series) -> pd.Series:
    """The quotient, NULL where the denominator is zero or either side is missing."""
    return numerator / denominator.where(denominator != 0)


def points_line(snapshot: pd.DataFrame) -> pd.Series:
    """The consensus line on a player's points, by game_id and player_id, from the rows of one snapshot a game.

    Each bookmaker's main line is the one whose over and under prices are closest by implied probability (a missing price comes
    last; ties: the lower line); the consensus is the median over bookmakers.
    """
    offered = snapshot[snapshot["player_id"].notna() & snapshot["line"].notna()]
    offered = offered.assign(
        player_id=offered["player_id"].astype("int64"),
        line=offered["line"].astype("float64"),
        price_gap=(implied_probability(offered["american_over"]) - implied_probability(offered["american_under"]))
        .abs()
        .round(9),
    )
    main = offered.sort_values(["price_gap", "line"], na_position="last").drop_duplicates(["game_id", "player_id", "bookmaker"])
    return main.groupby(["game_id", "player_id"])["line"].median()


def implied_probability(american_odds: pd.Series) -> pd.Series:
    """The probability at which a bet at American odds breaks even: -150 needs 150 to win 100, +150 needs 100 to win 150."""
    odds = american_odds.astype("float64")
    return (100 / (odds + 100)).where(odds > 0, odds / (odds - 100))
