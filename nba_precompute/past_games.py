"""Figures over games before a day, counted a second time: apart from `tables.windows`, so that a wrong window there is seen.

Each row's games are found by two binary searches in one sorted array of (player or team, day); those dated on the row's day are
never among them. For the rules of `quality`, never for a table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import pandas as pd

FAR = 1_000_000
"""More days than there are since 1970, so that a player's games never meet the next one's."""


@dataclass(frozen=True)
class Past:
    """Where each row's games of the season lie among all games in order: from `first` up to, not including, `until`."""

    games: pd.DataFrame
    codes: np.ndarray
    rows: np.ndarray
    index: pd.Index

    @cached_property
    def first(self) -> np.ndarray:
        """The place of the first game of the row's player or team."""
        return np.searchsorted(self.codes, self.rows // FAR * FAR)

    @cached_property
    def until(self) -> np.ndarray:
        """The place of the first game on the row's day or later."""
        return np.searchsorted(self.codes, self.rows)

    def count(self, last: int | None = None) -> pd.Series:
        """How many games there are before the day, the last `last` at most."""
        return self._series(self.until - self._start(last))

    def sums(self, column: str, last: int | None = None) -> pd.Series:
        """The sum of a column over the last `last` games before the day, or over all; missing values count 0."""
        running = np.concatenate([[0.0], np.cumsum(self.games[column].astype("float64").fillna(0.0).to_numpy())])
        return self._series(running[self.until] - running[self._start(last)])

    def mean(self, column: str, last: int | None = None) -> pd.Series:
        """The mean of a column over these games; NULL without one."""
        count = self.count(last)
        return self.sums(column, last) / count.where(count > 0)

    def count_within(self, days: int) -> pd.Series:
        """How many games there are in the `days` days before the day."""
        return self._series(self.until - np.maximum(np.searchsorted(self.codes, self.rows - days), self.first))

    def days_since(self) -> pd.Series:
        """Days from the latest game before the day; NULL without one."""
        latest = self.codes[np.maximum(self.until - 1, 0)] if len(self.codes) else self.rows
        return self._series(self.rows - latest).where(self.count() > 0)

    def _start(self, last: int | None) -> np.ndarray:
        return self.first if last is None else np.maximum(self.until - last, self.first)

    def _series(self, values: np.ndarray) -> pd.Series:
        return pd.Series(values.astype("float64"), self.index)


def rows_on(rows: pd.DataFrame, day: str, days: Sequence[pd.Timestamp] | pd.DatetimeIndex) -> pd.DataFrame:
    """The rows of the days; the rows themselves where all are meant, as a copy of half a million costs more than to ask."""
    wanted = rows[day].isin(days)
    return rows if wanted.all() else rows[wanted]


def rows_from(rows: pd.DataFrame, day: str, first: date) -> pd.DataFrame:
    """The rows of the first day and later; the rows themselves where all are."""
    wanted = rows[day] >= pd.Timestamp(first)
    return rows if wanted.all() else rows[wanted]


def past_of(rows: pd.DataFrame, day: str, games: pd.DataFrame, by: str) -> Past:
    """The games, with a column game_date, before each row's day of the same `by`; the games are of one season."""
    known = pd.Index(games[by].unique())
    codes = _codes(games, "game_date", by, known)
    order = np.argsort(codes, kind="stable")
    return Past(games.iloc[order], codes[order], _codes(rows, day, by, known), rows.index)


def _codes(frame: pd.DataFrame, day: str, by: str, known: pd.Index) -> np.ndarray:
    # 0 for a player or team without a game: before all others
    who = known.get_indexer(frame[by]) + 1
    return who.astype("int64") * FAR + frame[day].to_numpy().astype("datetime64[D]").astype("int64")
