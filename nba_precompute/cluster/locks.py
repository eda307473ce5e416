"""Named locks in Postgres, shared or exclusive, that end with the process that holds them."""

import os
import socket
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b

from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

WHEN_A_MACHINE_IS_LOST = "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"
"""A process that dies closes its connection, and its locks end. One whose machine or network is gone does not: Postgres asks it after
half a minute of silence (by its own settings, two hours), and gives up after another half."""

LOCK_NOT_AVAILABLE = "55P03"
"""Postgres' code of a wait that was longer than `lock_timeout`."""

HOLDERS = text("""
    SELECT DISTINCT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (classid::bigint << 32) + objid::bigint = ANY(:numbers)
    ORDER BY application_name
""")


class HeldTooLong(Exception):
    """Others held a lock for longer than the wait limit; the message says who."""


class LockLost(Exception):
    """The connection that held the locks ended before the work did, so that others may have had them too."""


@contextmanager
def locked(
    address: str, is_exclusive: Mapping[str, bool], on_wait: Callable[[str], None], wait_limit_seconds: float
) -> Iterator[tuple[bool, Callable[[], None]]]:
    """Hold the locks, each exclusively or shared, while this lasts.

    Yields whether somebody had to be waited for, which `on_wait` is told of, and what raises LockLost where the locks ended before
    the work. Locks are taken in the order of their numbers, so that no two wait for each other.
    """
    numbers = dict(sorted((number_of(name), exclusive) for name, exclusive in is_exclusive.items()))
    engine = create_engine(address, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:  # its end is the end of the locks
        try:
            waited = take_all(connection, numbers, on_wait, wait_limit_seconds)
        except DBAPIError as broken:
            raise LockLost from broken
        yield waited, partial(require_open, connection)
        require_open(connection)


def take_all(
    connection: Connection, numbers: Mapping[int, bool], on_wait: Callable[[str], None], wait_limit_seconds: float
) -> bool:
    """Take the locks in their order, each exclusively or shared; whether somebody had to be waited for."""
    connection.exec_driver_sql(WHEN_A_MACHINE_IS_LOST)
    connection.execute(text("SELECT set_config('application_name', :name, false)"), {"name": this_process_in_words()})
    if all(take(connection, "try_advisory", number, exclusive) for number, exclusive in numbers.items()):
        return False
    connection.exec_driver_sql("SELECT pg_advisory_unlock_all()")
    on_wait(holders(connection, numbers))
    # each waits for as long; what was waited for the first is mostly what the others need
    connection.exec_driver_sql(f"SET lock_timeout = {wait_limit_seconds * 1000:.0f}")
    try:
        for number, exclusive in numbers.items():
            take(connection, "advisory", number, exclusive)
    except OperationalError as refused:
        if getattr(refused.orig, "pgcode", None) != LOCK_NOT_AVAILABLE:
            raise
        raise HeldTooLong(holders(connection, numbers)) from None
    return True


def require_open(connection: Connection) -> None:
    """Raise LockLost where the connection is, or was, broken: with it went its locks, and it would be opened again without them."""
    if connection.invalidated:
        raise LockLost
    try:
        connection.exec_driver_sql("SELECT 1")
    except DBAPIError as gone:
        raise LockLost from gone


def take(connection: Connection, how: str, number: int, exclusive: bool) -> bool:
    """Take a lock; whether it was there to be taken."""
    kind = "lock" if exclusive else "lock_shared"
    return connection.execute(text(f"SELECT pg_{how}_{kind}(:number)"), {"number": number}).scalar() is not False


def holders(connection: Connection, numbers: Collection[int]) -> str:
    """Who holds some of the locks now, in words."""
    return ", ".join(connection.execute(HOLDERS, {"numbers": list(numbers)}).scalars()) or "another process"


def this_process_in_words() -> str:
    """This process as others are told of it; Postgres keeps 63 bytes."""
    return f"process {os.getpid()} on {socket.gethostname()}"[:63]


def number_of(name: str) -> int:
    """The number by which Postgres knows a lock: 56 bits, so that two names share one by a chance that costs a wait."""
    return int.from_bytes(blake2b(name.encode(), digest_size=7).digest(), "big")
