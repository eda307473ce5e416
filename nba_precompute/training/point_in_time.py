"""The proof that features hold nothing but games before their day: they are computed again while games are withheld.

Of sampled days the whole cascade is computed three times or more: with all games, with those before the day alone, and with ever
fewer, until a row changes. The last date whose games made a difference is the latest that entered it. Nothing is taken from what a
column says of itself, so a column that looks ahead is found whatever it is called and wherever it was added.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from nba_precompute.assets import CASCADE_TABLES, SUMMARY_TABLES
from nba_precompute.game_days import season_of
from nba_precompute.home import Home
from nba_precompute.lineage import Window, first_day_seen
from nba_precompute.recomputation import recomputed
from nba_precompute.sources import Source
from nba_precompute.tables.ml_feature_store_v2 import ML_FEATURE_STORE_V2

DAYS_SAMPLED = 6
"""Days whose rows are all compared, evenly spread over those exported: a formula that looks ahead does it on every day, and each
day costs one and a half seconds."""

ROWS_NAMED = 10
"""Rows of each sampled day that the manifest names, by a fixed seed."""

CLOSE = 1e-9
"""Below it two values are the same: sums of doubles differ in the last bits."""

MakeFeatures = Callable[[date, date | None], pd.DataFrame]
"""The features of a day, by player_id, from the games dated before the second day alone; None: from all games."""


@dataclass(frozen=True)
class Proof:
    """The days that were sampled, the rows compared, some of them with the latest game date that entered, what is wrong."""

    days: Sequence[date]
    rows_compared: int
    sample: pd.DataFrame
    violations: Sequence[str]


@dataclass(frozen=True)
class KnownGames:
    """A source as it was when no game dated `until` or later had been played; what is known before a game is as it is."""

    source: Source
    until: date

    @property
    def name(self) -> str:
        """The source's own."""
        return self.source.name

    def box_scores(self, start: date, end: date) -> pd.DataFrame:
        """A row a player who appeared in a game before `until`."""
        return self._played(self.source.box_scores(start, end))

    def shots(self, start: date, end: date) -> pd.DataFrame:
        """A row a field-goal attempt before `until`."""
        return self._played(self.source.shots(start, end))

    def schedule(self) -> pd.DataFrame:
        """A row a game, past and coming."""
        return self.source.schedule()

    def lines(self, start: date, end: date) -> pd.DataFrame:
        """A row a game: point spread and total."""
        return self.source.lines(start, end)

    def props(self, start: date, end: date) -> pd.DataFrame:
        """A row a bookmaker's line on a player's points in one snapshot."""
        return self.source.props(start, end)

    def injuries(self) -> pd.DataFrame:
        """A row a news item."""
        return self.source.injuries()

    def injuries_cover(self) -> tuple[date, date] | None:
        """First and last date for which all injury news is there."""
        return self.source.injuries_cover()

    def players(self) -> pd.DataFrame:
        """A row a player: his birth date."""
        return self.source.players()

    def days_with_box_scores(self) -> Sequence[date]:
        """The days before `until` with box scores."""
        return [day for day in self.source.days_with_box_scores() if day < self.until]

    def days_with_shots(self) -> Sequence[date]:
        """The days before `until` with shots."""
        return [day for day in self.source.days_with_shots() if day < self.until]

    def _played(self, rows: pd.DataFrame) -> pd.DataFrame:
        return rows[rows["game_date"] < pd.Timestamp(self.until)]


def prove(home: Home, rows: pd.DataFrame, features: Sequence[str], make: MakeFeatures | None = None) -> Proof:
    """Prove of sampled days that the rows' features come out of games before their day; `rows` has game_date and player_id."""
    make = make or features_again(home)
    exported = sorted(rows["game_date"].dt.date.unique())
    places = np.linspace(0, len(exported) - 1, min(DAYS_SAMPLED, len(exported))).round().astype(int)
    days = [exported[place] for place in places]
    samples, violations, compared = [], [], 0
    for day in days:
        of_day = rows[rows["game_date"] == pd.Timestamp(day)].set_index("player_id")[list(features)]
        compared += len(of_day)
        morning = make(day, day)
        latest = latest_game_dates(day, of_day.index, features, make, morning)
        violations += from_elsewhere(day, of_day, morning) + from_the_day_itself(day, latest)
        named = latest.sample(min(ROWS_NAMED, len(latest)), random_state=0).sort_index()
        samples.append(
            pd.DataFrame({"game_date": pd.Timestamp(day), "player_id": named.index, "latest_game_date": named.array})
        )
    return Proof(days, compared, pd.concat(samples, ignore_index=True), violations)


def latest_game_dates(
    day: date, players: pd.Index, features: Sequence[str], make: MakeFeatures, morning: pd.DataFrame
) -> pd.Series:
    """For each player the latest game date without whose games his features of the day would be others."""
    latest = pd.Series(pd.NaT, index=players, dtype="datetime64[ns]")
    known = [name for name in features if name in morning]
    with_more = make(day, None).reindex(players)[known]
    with_fewer = morning.reindex(players)[known]
    # what games of the day or later change is dated on the day: which of them it was does not matter, none may
    latest[changed(with_more, with_fewer).any(axis=1)] = pd.Timestamp(day)
    before = [game_day for game_day in season_of(day).game_days if game_day < day]
    while latest.isna().any() and before:
        withheld = before.pop()
        with_more, with_fewer = with_fewer, make(day, withheld).reindex(players)[known]
        latest[latest.isna() & changed(with_more, with_fewer).any(axis=1)] = pd.Timestamp(withheld)
    return latest


def changed(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Where two frames of the same rows and columns differ; two missing values do not."""
    left, right = (frame.to_numpy(dtype="float64", na_value=np.nan) for frame in (one, other))
    return pd.DataFrame(~np.isclose(left, right, rtol=CLOSE, atol=CLOSE, equal_nan=True), one.index, one.columns)


def from_elsewhere(day: date, exported: pd.DataFrame, morning: pd.DataFrame) -> list[str]:
    """What the exported rows hold that the games before the day do not give."""
    found = []
    for name in exported:
        if name not in morning:
            found.append(f"{name} of {day}: no formula makes it from games before the day. Leave it out of the features.")
            continue
        differs = changed(exported[[name]], morning.reindex(exported.index)[[name]])[name]
        if differs.any():
            found.append(
                f"{name} of {day}: the games before the day give another value for {differs.sum()} players (first: "
                f"{differs.index[differs][0]}). Where the day is stale, `nba-precompute backfill` makes it again; else its formula "
                "looks ahead."
            )
    return found


def from_the_day_itself(day: date, latest: pd.Series) -> list[str]:
    """The players whose features games of the day or later change."""
    late = latest.index[latest >= pd.Timestamp(day)]
    if late.empty:
        return []
    return [
        f"{len(late)} rows of {day} change with games of the day or later (first: player {late[0]}); a formula looks ahead."
    ]


def features_again(home: Home) -> MakeFeatures:
    """The cascade computed again from the home's source and game summaries; reads each season once."""
    source = home.source()
    read: dict[str, Mapping[str, pd.DataFrame]] = {}

    def make(day: date, until: date | None) -> pd.DataFrame:
        season = season_of(day)
        if season.name not in read:
            read.clear()
            first = first_day_seen(Window.LAST_YEAR, season.first_game)
            read[season.name] = {table.name: home.warehouse.read(table, first, season.last_game) for table in SUMMARY_TABLES}
        stored = read[season.name]
        if until is None:
            return cascade(day, source, stored)
        played = {name: rows[rows["game_date"] < pd.Timestamp(until)] for name, rows in stored.items()}
        return cascade(day, KnownGames(source, until), played)

    return make


def cascade(day: date, source: Source, stored: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The feature rows of a day, by player_id, through all tables between."""
    rows = dict(stored)
    for table in CASCADE_TABLES:
        rows[table.name] = recomputed(table, [day], source, rows)
    return rows[ML_FEATURE_STORE_V2.name].set_index("player_id")
