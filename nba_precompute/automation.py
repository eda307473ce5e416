"""What runs by itself, each made by a function of its own module. Nothing of one machine runs before a person has turned it on."""

from collections.abc import Sequence
from dataclasses import replace

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from nba_precompute import daily_run, dashboard, ingested_games, next_phase, refresh
from nba_precompute.cluster.lost_runs import lost_runs
from nba_precompute.game_days import NEW_YORK, Clock
from nba_precompute.home import Home
from nba_precompute.predictions import SERVED_PREDICTIONS
from nba_precompute.tables.points_predictions import POINTS_PREDICTIONS

TICK_WAITS_SECONDS = 20.0
"""How long a tick waits for whoever holds the warehouse, and then says so: Dagster ends one after 60 s without its words."""


DAILY_COVERAGE = dg.ScheduleDefinition(
    name="daily_coverage",
    target=dg.AssetSelection.assets(dashboard.NAME),
    # before the daily run begins to ask
    cron_schedule="0 5 * * *",
    execution_timezone=NEW_YORK.key,
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every rule over the whole warehouse, so that checks and heatmap of `coverage` are of this morning.",
)
"""Nothing else evaluates the rules over all days: a run judges its own."""


def schedules(home: Home, clock: Clock) -> Sequence[dg.ScheduleDefinition]:
    """Every schedule."""
    ingestion = [ingested_games.schedule(clock)] if ingested_games.is_ingested(home) else []
    return [daily_run.schedule(_less_patient(home), clock), DAILY_COVERAGE, *ingestion]


def sensors(home: Home, clock: Clock, webhook: str | None) -> Sequence[dg.SensorDefinition]:
    """Every sensor."""
    home = _less_patient(home)
    of_several_machines = [lost_runs] if home.postgres else []
    return [*refresh.sensors(home, clock), next_phase.sensor(home, clock, webhook, jobs()), *of_several_machines]


PREDICT_JOB = dg.define_asset_job(
    next_phase.PREDICT,
    [POINTS_PREDICTIONS.name, SERVED_PREDICTIONS],
    description="A slate's predictions, and what those of days that are over were worth.",
)


def jobs() -> Sequence[UnresolvedAssetJobDefinition]:
    """Every job; one with the name `predict` is what `next_phase` starts."""
    return [PREDICT_JOB]


def checks(home: Home, clock: Clock) -> Sequence[dg.AssetChecksDefinition]:
    """What schedules and sensors say about the data."""
    return [daily_run.ready_before_tip_off(home, clock), refresh.stopped_asking(home, clock)]


def _less_patient(home: Home) -> Home:
    return replace(home, wait_limit_seconds=TICK_WAITS_SECONDS)
