"""What a table and a column are: the `Table` record, the kinds of columns, and the columns that several tables share.

A column is defined once, with its meaning, unit, nullability and bounds; the contract before publication, the warehouse's
DDL and comments, and the column list in the UI all follow from it. No formula belongs here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pandera.pandas import Check, Column, DataFrameSchema

TEXT, INTEGER, NUMBER, FLAG, DAY = "str", "Int32", "float64", "boolean", "datetime64[ns]"

SEASON_TYPES_OF_FORM = ("2", "4", "5")
"""Third character of a game_id: regular season, play-offs, play-in. Cup finals (6) are load, never form."""

POSSESSIONS_PER_FREE_THROW = 0.44
"""Share of free-throw attempts that end a possession; the league's long-run figure, as in the original's formulas."""


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

    def conform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the table's columns in order with the contract's types, sorted by day and key; extra columns are dropped."""
        types = {name: str(column.dtype) for name, column in self.schema.columns.items()}
        by = list(dict.fromkeys([self.day, *self.key]))
        return frame[self.columns].astype(types).sort_values(by, kind="stable", ignore_index=True)


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


def _bounds(ge: float | None, le: float | None) -> list[Check]:
    checks = []
    if ge is not None:
        checks.append(Check.ge(ge))
    if le is not None:
        checks.append(Check.le(le))
    return checks


def text(description: str, *, nullable: bool = False, isin: Sequence[str] | None = None, matches: str | None = None) -> Column:
    """Words; `isin` names the only allowed ones, `matches` a regular expression that all satisfy."""
    checks = [] if isin is None else [Check.isin(list(isin))]
    if matches is not None:
        checks.append(Check.str_matches(matches))
    return _column(TEXT, description, None, nullable, checks)


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


def game_id() -> Column:
    """The NBA's id of a game."""
    return text("NBA game id, 10 digits; the third is the type (2 regular season, 4 play-offs, 5 play-in)", matches=r"^\d{10}$")


def player_id() -> Column:
    """The NBA's id of a person."""
    return integer("NBA person id", "id", nullable=False)


def player_lookup() -> Column:
    """The normalised name."""
    return text("normalised name: NFKD, lower case, only a-z and 0-9 kept", matches=r"^[a-z0-9]*$")


def team_abbr(description: str) -> Column:
    """A team."""
    return text(description, matches=r"^[A-Z]{3}$")


def season() -> Column:
    """A season."""
    return text("season, e.g. 2024-25", matches=r"^\d{4}-\d{2}$")


def context_source() -> Column:
    """Whether injuries are known for the date."""
    return text("captured where injuries are known as of the day before, else synthetic; one a date", isin=["captured", "synthetic"])
