"""Where tables live, behind one small interface. What a warehouse promises stands here; each module beside this keeps it once.

Publication is all or nothing: the days of a run are replaced together, rows and content hashes in one transaction.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import pandas as pd

from nba_precompute.tables.columns import Table


class WarehouseError(Exception):
    """The warehouse refused or could not be used; nothing was changed. The message says what to do."""


class ContractError(WarehouseError):
    """Rows break their table's contract: which column and rule, how many rows, examples by key."""


class SchemaChanged(WarehouseError):
    """A stored table has a column of another type than the contract."""


class SourceMismatch(WarehouseError):
    """The home's tables were made from another source."""


class WarehouseBusy(WarehouseError):
    """Somebody else held the warehouse for longer than the wait limit."""


class WarehouseUnreadable(WarehouseError):
    """What stands in the warehouse's place is no warehouse that this version can read."""


class WarehouseUnwritable(WarehouseError):
    """The warehouse cannot be written where it is: no space, no permission."""


def source_mismatch(
    home: str, known: str, asked_for: str, another: str = "another home (NBA_PRECOMPUTE_HOME=DIR)"
) -> SourceMismatch:
    """The refusal of a second source, with the two ways out."""
    return SourceMismatch(
        f"{home} was made from {known}, {asked_for} was asked for, and rows of two sources must not meet. "
        f"Use {another}, or delete this one's tables and history with --reset."
    )


@dataclass(frozen=True)
class Publication:
    """The rows of exactly these days of one table, and for each day the hash of what it read.

    A day without rows is refused: it is not published, and stays missing.
    """

    table: Table
    frame: pd.DataFrame
    days: Sequence[date]
    read: Mapping[date, str]


class Warehouse(Protocol):
    """Tables by day."""

    def publish(
        self,
        publications: Sequence[Publication],
        *,
        run_id: str,
        source: str,
        before_commit: Callable[[], None] = lambda: None,
    ) -> pd.DataFrame:
        """Replace the days of every publication, all in one transaction; the first publication of all fixes the source.

        `before_commit` is called when all else is done; what it raises ends the publication, and the old rows stay. Returns what
        `partition_versions` has of these days from now on.
        """
        ...

    def read(
        self, table: Table, start: date | None = None, end: date | None = None, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Rows of the days from `start` to `end`, both included, in the contract's types; empty where there are none."""
        ...

    def read_together(self, wanted: Sequence[tuple[Table, date, date]]) -> list[pd.DataFrame]:
        """What `read` gives for each table with its first and last day, all as of one moment."""
        ...

    def partition_versions(self) -> pd.DataFrame:
        """A row a published day of a table.

        Columns table_name (dataset.table), day (datetime64[ns]), content_hash, read_hash, code_version, row_count, run_id,
        published_at (UTC).
        """
        ...

    def source(self) -> str | None:
        """The source that the tables were made from; None before the first publication."""
        ...

    def unwritable(self) -> str | None:
        """Why rows could not be written now, found by trying; None where they can be. Changes nothing and waits for nobody."""
        ...

    def delete(self) -> None:
        """Remove the whole warehouse."""
        ...

    def cost(self) -> Mapping[str, int]:
        """What this process has asked of the warehouse so far, by kind, where somebody sends a bill; else nothing."""
        ...
