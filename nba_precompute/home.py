"""A home: the folder with a warehouse, Dagster's storage and, where it is used, the simulated league; and its one source.

Paths and the choice of the source end here. Nothing is computed or read from a table.
"""

from dataclasses import dataclass
from pathlib import Path

from nba_precompute.sources import Source
from nba_precompute.sources.parquet_folder import ParquetFolder
from nba_precompute.sources.simulated import write_simulated_league
from nba_precompute.storage import Warehouse, source_mismatch
from nba_precompute.storage.duckdb import DuckDBWarehouse

DEFAULT_FOLDER = Path(".nba")
"""Below the working directory, where `dagster.yaml` has Dagster's storage too, so that plain `dagster dev` shows it."""

SIMULATED_LEAGUE = "simulated league"
"""The name under which a home remembers that its games are invented."""


DAGSTER_FOLDER = "dagster"
"""Dagster's storage within the home, as `dagster.yaml` names it."""


@dataclass(frozen=True)
class Home:
    """One folder, one source, one history. `raw` is the folder of raw games that was asked for, None where nothing was said."""

    folder: Path = DEFAULT_FOLDER
    raw: Path | None = None

    @property
    def warehouse(self) -> Warehouse:
        """Where the tables live."""
        return DuckDBWarehouse(self.folder / "warehouse.duckdb")

    @property
    def league_folder(self) -> Path:
        """Where the simulated league is, or will be made."""
        return self.folder / "simulated"

    @property
    def source_name(self) -> str:
        """What was asked for, else what the warehouse remembers, else the simulated league."""
        return self._source_beside(self.warehouse.source())

    def _source_beside(self, known: str | None) -> str:
        return str(self.raw.resolve()) if self.raw is not None else known or SIMULATED_LEAGUE

    def delete_warehouse(self) -> None:
        """Forget all tables and the source."""
        self.warehouse.delete()

    def source(self) -> Source:
        """The source of raw games; makes the simulated league where it is wanted and not there yet.

        Raises SourceMismatch where another was asked for than the home's tables were made from.
        """
        known = self.warehouse.source()
        name = self._source_beside(known)
        if known is not None and known != name:
            raise source_mismatch(str(self.folder), known, name)
        if name != SIMULATED_LEAGUE:
            return ParquetFolder(Path(name), name=name)
        if not self.league_folder.exists():
            write_simulated_league(self.league_folder)
        return ParquetFolder(self.league_folder, name=SIMULATED_LEAGUE)
