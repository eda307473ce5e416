"""A home: the folder with a warehouse, Dagster's storage and, where it is used, the simulated league; and its one source.

Paths and the choice of warehouse and source end here. Nothing is computed or read from a table.
"""

import errno
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from upath import UPath

from nba_precompute.sources import RawDataError, Source, layout
from nba_precompute.sources.parquet_folder import parquet_folder
from nba_precompute.sources.simulated import write_simulated_league
from nba_precompute.storage import Warehouse, source_mismatch
from nba_precompute.storage.duckdb import DuckDBWarehouse

DEFAULT_FOLDER = Path(".nba")
"""Below the working directory, where `dagster.yaml` has Dagster's storage too, so that plain `dagster dev` shows it."""

SIMULATED_LEAGUE = "simulated league"
"""The name under which a home remembers that its games are invented."""


INGESTED_FOLDER = "raw"
"""Real games within the home, where `ingest` has written them."""

DAGSTER_FOLDER = "dagster"
"""Dagster's storage within the home, as `dagster.yaml` names it."""


COPIES_FOLDER = "copied_from_bigquery"
"""Within the home: raw games whose tables are in BigQuery, as they were when they were last read."""


NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NO_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}
NO_FOLDER = {errno.EEXIST, errno.ENOTDIR}

AGAIN = "then run the same command again; what was published stays."

DAMAGED = ("file is not a database", "malformed")
"""What SQLite says of a file that it cannot use; all else that it says is of the disk, of permissions or of a lock."""


@dataclass(frozen=True)
class BigQueryDatasets:
    """Where in BigQuery the tables live: the project, where its datasets are (None: where BigQuery likes), what their names begin with.

    `emulated`: an emulator answers in place of Google.
    """

    project: str
    location: str | None = None
    prefix: str = ""
    emulated: bool = False

    def __str__(self) -> str:
        """As messages name it."""
        return f"BigQuery {self.project}.{self.prefix}*{' (emulated)' if self.emulated else ''}"


@dataclass(frozen=True)
class Home:
    """One folder, one source, one history. `raw` is the folder of raw games that was asked for, or the file that names their tables in
    BigQuery; None where nothing was said.

    `wait_limit_seconds` is how long to wait for whoever holds the warehouse, None for as long as the warehouse finds right. The
    warehouse is a file in the folder, or `bigquery`. The history is in the folder too, or in the database `postgres` (its address),
    which several machines share. Points models are in the folder, or in `models_folder`, which may be on gs://.
    """

    folder: Path = DEFAULT_FOLDER
    raw: Path | None = None
    wait_limit_seconds: float | None = None
    bigquery: BigQueryDatasets | None = None
    postgres: str | None = field(default=None, repr=False)  # it has a password
    models_folder: str | None = None

    @property
    def warehouse(self) -> Warehouse:
        """Where the tables live."""
        patience: dict[str, Any] = {} if self.wait_limit_seconds is None else {"wait_limit_seconds": self.wait_limit_seconds}
        if self.bigquery is None:
            return DuckDBWarehouse(self.folder / "warehouse.duckdb", **patience)
        from nba_precompute.storage.bigquery import bigquery_warehouse  # Google's client takes a second to import

        place = self.bigquery
        return replace(bigquery_warehouse(place.project, place.location, place.prefix, place.emulated), **patience)

    @property
    def warehouse_kind(self) -> str:
        """What the UI calls the warehouse."""
        return "duckdb" if self.bigquery is None else "bigquery"

    @property
    def league_folder(self) -> Path:
        """Where the simulated league is, or will be made."""
        return self.folder / "simulated"

    @property
    def models(self) -> UPath:
        """Where points models are, with the report of each, and of the one in use."""
        return UPath(self.models_folder or self.folder / "models")

    @property
    def ingested_folder(self) -> Path:
        """Where `ingest` writes real games, unless told otherwise: the home's own source, but never the simulated league."""
        known = None if self.raw is not None else self.warehouse.source()
        return Path(known) if known not in (None, SIMULATED_LEAGUE) else self.default_ingested_folder

    @property
    def default_ingested_folder(self) -> Path:
        """The folder that was asked for, else the one within the home, whatever the warehouse remembers."""
        return self.raw if self.raw is not None else self.folder / INGESTED_FOLDER

    @property
    def source_name(self) -> str:
        """What was asked for, else what the warehouse remembers, else the real games that were ingested, else the simulated league."""
        return self._source_beside(self.warehouse.source())

    def _source_beside(self, known: str | None) -> str:
        if self.raw is not None:
            return str(self.raw.resolve())
        ingested = self.folder / INGESTED_FOLDER
        return known or (str(ingested.resolve()) if (ingested / layout.BOX_SCORES.name).exists() else SIMULATED_LEAGUE)

    def delete_warehouse(self) -> None:
        """Forget all tables and the source."""
        self.warehouse.delete()

    def source(self) -> Source:
        """The source of raw games; makes the simulated league where it is wanted and not there yet.

        Raises SourceMismatch where another was asked for than the home's tables were made from, RawDataError where invented games
        would go into BigQuery: only an emulator takes them.
        """
        known = self.warehouse.source()
        name = self._source_beside(known)
        if known is not None and known != name:
            raise source_mismatch(str(self.bigquery or self.folder), known, name)
        if names_tables(Path(name)):
            from nba_precompute.sources.bigquery_tables import bigquery_tables  # Google's client takes a second to import

            return bigquery_tables(Path(name), self.folder / COPIES_FOLDER)
        if name != SIMULATED_LEAGUE:
            return parquet_folder(Path(name), name=name)
        if self.bigquery is not None and not self.bigquery.emulated:
            raise RawDataError(
                f"Invented games do not go into {self.bigquery}. Name the folder of your games with --raw DIR (NBA_PRECOMPUTE_RAW), "
                "or look at the simulated league in the embedded warehouse (NBA_PRECOMPUTE_WAREHOUSE=duckdb)."
            )
        if not self.league_folder.exists():
            write_simulated_league(self.league_folder)
        return parquet_folder(self.league_folder, name=SIMULATED_LEAGUE)


def names_tables(raw: Path) -> bool:
    """Whether this is no folder of raw games but a file that names the tables of BigQuery which hold them."""
    return raw.suffix in (".yaml", ".yml")


def hindrance(home: Home, error: BaseException) -> str | None:
    """What keeps the home from being written, and what to do, where that is why something failed; None where it is not."""
    for cause in _causes(error):
        if isinstance(cause, sqlite3.Error):
            return of_dagsters_storage(home, str(cause))
        if isinstance(cause, OSError) and cause.errno in NO_FOLDER:
            return (
                f"{cause.filename} cannot be made: a file stands where a folder must be. Move the file, or use another home "
                "(NBA_PRECOMPUTE_HOME=DIR)."
            )
        if isinstance(cause, OSError) and cause.errno in NO_SPACE | NO_PERMISSION:
            advice = "Free space on its disk" if cause.errno in NO_SPACE else "Allow this user to write there"
            return f"{cause.filename or home.folder} cannot be written ({os.strerror(cause.errno)}). {advice}, {AGAIN}"
    return None


def of_dagsters_storage(home: Home, words: str) -> str:
    """What SQLite says of the history, with what to do."""
    storage = home.folder / DAGSTER_FOLDER
    if any(damage in words for damage in DAMAGED):
        return (
            f"Dagster's storage in {storage} is damaged ({words}). Move it away: its history is lost, and the next backfill makes "
            "all days again."
        )
    return (
        f"Dagster's storage in {storage} cannot be written ({words}). Free space on its disk and allow this user to write there, "
        f"{AGAIN}"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
