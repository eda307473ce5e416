"""Where raw games come from. What every source offers stands here; each module beside this is one source.

Foreign ids and spellings end in this room, and so do rows that break the contract of raw games: by day, with reasons.
Nothing here knows a table of the warehouse.
"""

from collections.abc import Sequence
from datetime import date
from typing import Protocol

import pandas as pd


class RawDataError(Exception):
    """The source cannot be used as it is; the message names the file, what is wrong with it and what to do."""


class Source(Protocol):
    """Raw games by date range (both ends included), in the columns of `sources.layout`.

    Dates are datetime64[ns] at midnight, US Eastern. A frame of an absent optional file is empty.
    """

    @property
    def name(self) -> str:
        """What a home remembers, so that rows of two sources never meet."""
        ...

    def box_scores(self, start: date, end: date) -> pd.DataFrame:
        """A row a player who appeared in a game, of all types of games."""
        ...

    def shots(self, start: date, end: date) -> pd.DataFrame:
        """A row a field-goal attempt."""
        ...

    def schedule(self) -> pd.DataFrame:
        """A row a game, past and coming, of all seasons."""
        ...

    def lines(self, start: date, end: date) -> pd.DataFrame:
        """A row a game: its point spread and total."""
        ...

    def props(self, start: date, end: date) -> pd.DataFrame:
        """A row a bookmaker's line on a player's points in one snapshot."""
        ...

    def injuries(self) -> pd.DataFrame:
        """A row a news item, in the source's order."""
        ...

    def injuries_cover(self) -> tuple[date, date] | None:
        """First and last date for which all injury news is there."""
        ...

    def players(self) -> pd.DataFrame:
        """A row a player: his birth date."""
        ...

    def days_with_box_scores(self) -> Sequence[date]:
        """The days on which the source has box scores, in order."""
        ...

    def days_with_shots(self) -> Sequence[date]:
        """The days on which the source has shots, in order."""
        ...
