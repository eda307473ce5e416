"""What runs by itself, once a person has turned it on in the UI."""

import dagster as dg

from nba_precompute import refresh
from nba_precompute.home import Home


def sensors(home: Home) -> list[dg.SensorDefinition]:
    """Every sensor of the project."""
    return [*refresh.sensors(home)]


def checks(home: Home) -> list[dg.AssetChecksDefinition]:
    """The checks of what runs by itself."""
    return [refresh.stopped_asking(home)]
