"""Whose turn it is to make tables in a home, whoever started the run: what it makes and what it reads hold still meanwhile.

A run reads its tables one after the other and publishes them one after the other. With another run's rows in between, they would
not fit together: the players of one slate, the zones of another. Readers need no turn, a warehouse never shows half a publication.

A home of one machine has one turn, a lock in its folder. A home of several has locks in its Postgres, one a table and season, so that
seasons go side by side where by `lineage` neither run reads or makes what the other makes.
"""

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from filelock import FileLock, Timeout

from nba_precompute.cluster.locks import HeldTooLong, LockLost, locked
from nba_precompute.game_days import SEASONS
from nba_precompute.home import Home
from nba_precompute.lineage import READS, TABLES, first_day_seen
from nba_precompute.storage import WarehouseBusy

WAIT_LIMIT_SECONDS = 600.0
"""How long a run waits for its turn. A run takes seconds (a season of all tables about ten), and several may be waiting."""

LOCK, HOLDER = "runs.lock", "runs.lock.holder"
"""The lock that the process whose turn it is holds, and its id for those who wait. A process that dies lets go of its lock."""

OTHER_RUNS = "other runs"
"""The lock of runs that make something else than tables by day: `coverage`, checks alone, jobs. They go one at a time."""


@dataclass(frozen=True)
class Making:
    """What a run makes: tables by name, from a first to a last day. A run that makes no table of `lineage` reads all of them."""

    tables: Collection[str]
    first: date = date.min
    last: date = date.max


EVERYTHING = Making(tuple(TABLES))


class _OfThread(threading.local):
    """The homes in Postgres whose turn this thread has, and what raises LockLost where it has it no more."""

    def __init__(self) -> None:
        self.homes: dict[str, Callable[[], None]] = {}


_of_thread = _OfThread()


@contextmanager
def turn(
    home: Home, say: Callable[[str], None], making: Making = EVERYTHING, wait_limit_seconds: float = WAIT_LIMIT_SECONDS
) -> Iterator[bool]:
    """While this lasts no other process makes what the run makes or reads; within another turn of this thread it is that one.

    Yields whether somebody had to be waited for, and may have made what is missing. Says for whom it waits; raises WarehouseBusy
    after the wait limit.
    """

    def wait_for(holder: str) -> None:
        say(f"Waiting for {holder}, which makes tables in {home.folder}.")

    try:
        with _turn(home, making, wait_for, wait_limit_seconds) as waited:
            yield waited
    except HeldTooLong as held:
        raise WarehouseBusy(
            f"{held} has been making tables in {home.folder} for {wait_limit_seconds:g} s. "
            "Wait for it or end it, then run the same command again; nothing was changed."
        ) from None
    except LockLost as lost:
        raise _lost(home) from lost


def require_turn(home: Home) -> None:
    """Raise WarehouseBusy where this thread had the turn over the home and lost it: what it has read may have changed since."""
    require = _of_thread.homes.get(home.postgres or "")
    if require is not None:
        try:
            require()
        except LockLost as lost:
            raise _lost(home) from lost


def _lost(home: Home) -> WarehouseBusy:
    return WarehouseBusy(
        f"The connection to Postgres that held the turn over {home.folder} broke before its run had ended, so another may have made "
        "some of its tables at the same time. Run the same command again: what is missing or does not fit together is made."
    )


@contextmanager
def _turn(home: Home, making: Making, wait_for: Callable[[str], None], wait_limit_seconds: float) -> Iterator[bool]:
    if home.postgres is None:
        with _folder_locked(home.folder, wait_for, wait_limit_seconds) as waited:
            yield waited
    elif home.postgres in _of_thread.homes:
        yield False
    else:
        with locked(home.postgres, locks(making), wait_for, wait_limit_seconds) as (waited, require_held):
            _of_thread.homes[home.postgres] = require_held
            try:
                yield waited
            finally:
                del _of_thread.homes[home.postgres]


@contextmanager
def _folder_locked(folder: Path, wait_for: Callable[[str], None], wait_limit_seconds: float) -> Iterator[bool]:
    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(folder / LOCK, is_singleton=True), folder / HOLDER
    waited = False
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waited = True
        wait_for(_named(holder))
        try:
            lock.acquire(timeout=wait_limit_seconds)
        except Timeout:
            raise HeldTooLong(_named(holder)) from None
    try:
        holder.write_text(str(os.getpid()))
        yield waited
    finally:
        lock.release()


def _named(holder: Path) -> str:
    return f"process {holder.read_text()}" if holder.exists() else "another process"


def locks(making: Making) -> Mapping[str, bool]:
    """The locks of a run in Postgres, each exclusive or shared: a table and season that it makes, one that it reads."""
    tables = [name for name in making.tables if name in TABLES]
    if not tables:
        return {OTHER_RUNS: True} | dict.fromkeys(locks(EVERYTHING), False)
    first = max(making.first, SEASONS[0].first_game)
    made = [(name, season) for name in tables for season in seasons_between(first, making.last)]
    read = [
        (read.stream, season)
        for name in tables
        for read in READS[name]
        if read.stream in TABLES
        for season in seasons_between(first_day_seen(read.window, first), making.last)
    ]
    others = {} if len(tables) == len(making.tables) else {OTHER_RUNS: True}
    return {
        **{f"{name} {season}": False for name, season in read},
        **{f"{name} {season}": True for name, season in made},
        **others,
    }


def seasons_between(first: date, last: date) -> list[str]:
    """The names of the seasons of which some days lie between two days, both included."""
    return [season.name for season in SEASONS if season.first_game <= last and first <= season.last_game]
