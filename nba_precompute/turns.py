"""Whose turn it is to make tables in a home: one run at a time, whoever started it.

A run reads its tables one after the other and publishes them one after the other. With another run's rows in between, they would
not fit together: the players of one slate, the zones of another. Readers need no turn, a warehouse never shows half a publication.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from nba_precompute.home import Home
from nba_precompute.storage import WarehouseBusy

WAIT_LIMIT_SECONDS = 600.0
"""How long a run waits for its turn. A run takes seconds (a season of all tables about ten), and several may be waiting."""

LOCK, HOLDER = "runs.lock", "runs.lock.holder"
"""The lock that the process whose turn it is holds, and its id for those who wait. A process that dies lets go of its lock."""


@contextmanager
def turn(home: Home, say: Callable[[str], None], wait_limit_seconds: float = WAIT_LIMIT_SECONDS) -> Iterator[bool]:
    """While this lasts no other process makes tables in the home; within another turn of this thread it is that one.

    Yields whether somebody had to be waited for, and may have made what is missing. Says for whom it waits; raises WarehouseBusy
    after the wait limit.
    """
    home.folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(home.folder / LOCK, is_singleton=True), home.folder / HOLDER
    waited = False
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waited = True
        say(f"Waiting for {_named(holder)}, which makes tables in {home.folder}.")
        try:
            lock.acquire(timeout=wait_limit_seconds)
        except Timeout:
            raise WarehouseBusy(
                f"{_named(holder)} has been making tables in {home.folder} for {wait_limit_seconds:g} s. "
                "Wait for it or end it, then run the same command again; nothing was changed."
            ) from None
    try:
        holder.write_text(str(os.getpid()))
        yield waited
    finally:
        lock.release()


def _named(holder: Path) -> str:
    return f"process {holder.read_text()}" if holder.exists() else "another process"
