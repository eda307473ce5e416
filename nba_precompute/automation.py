"""What runs by itself, each made by a function of its own module. Nothing here runs before a person has turned it on."""

from collections.abc import Sequence

import dagster as dg

from nba_precompute import daily_run, next_phase, refresh
from nba_precompute.game_days import Clock
from nba_precompute.home import Home


def schedules(home: Home, clock: Clock) -> Sequence[dg.ScheduleDefinition]:
    """Every schedule."""
    return [daily_run.schedule(home, clock)]


def sensors(home: Home, clock: Clock, webhook: str | None) -> Sequence[dg.SensorDefinition]:
    """Every sensor."""
    return [*refresh.sensors(home, clock), next_phase.sensor(home, clock, webhook, jobs())]


def jobs() -> Sequence[dg.JobDefinition]:
    """Every job; one with the name `predict` is what `next_phase` starts."""
    return []


def checks(home: Home, clock: Clock) -> Sequence[dg.AssetChecksDefinition]:
    """What schedules and sensors say about the data."""
    return [daily_run.ready_before_tip_off(home, clock), refresh.stopped_asking(home, clock)]
