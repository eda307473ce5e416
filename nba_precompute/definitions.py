"""The Dagster definitions: `build_definitions(home)` for any home, and `defs` for the one that the environment names.

The only place that reads the environment: NBA_PRECOMPUTE_HOME (default .nba), NBA_PRECOMPUTE_RAW (the folder of raw games;
without it the home's own source, else the simulated league), NBA_PRECOMPUTE_WEBHOOK (where `next_phase` sends its messages),
NBA_PRECOMPUTE_WAREHOUSE (duckdb, or bigquery with NBA_PRECOMPUTE_BIGQUERY_PROJECT, _LOCATION and _PREFIX),
NBA_PRECOMPUTE_POSTGRES (where several machines have their history) and NBA_PRECOMPUTE_MODELS (where points models are).
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from dagster import _check as check

from nba_precompute import automation
from nba_precompute.assets import assets_of
from nba_precompute.game_days import Clock, now_in_new_york, warn_when_running_out
from nba_precompute.home import DEFAULT_FOLDER, BigQueryDatasets, Home
from nba_precompute.preflight import days_of_run, tables_of_run
from nba_precompute.production import BACKFILL, MODE_RESOURCE, PRODUCTION
from nba_precompute.sources.stats_api import StatsApi
from nba_precompute.storage import WarehouseError
from nba_precompute.turns import Making, turn


def build_definitions(
    home: Home, webhook: str | None = None, clock: Clock = now_in_new_york, stats_api: StatsApi | None = None
) -> dg.Definitions:
    """The whole graph over one home, and what runs by itself: its clock can be set, so that other days can be replayed.

    `stats_api` is asked where the home's games are ingested; by default the NBA's own.
    """
    return dg.Definitions(
        assets=assets_of(home, clock, stats_api or StatsApi()),
        asset_checks=automation.checks(home, clock),
        schedules=automation.schedules(home, clock),
        sensors=automation.sensors(home, clock, webhook),
        jobs=automation.jobs(),
        resources={"home": in_turn(home), MODE_RESOURCE: mode_of_run},
        # one process a run: starting one for each of its few steps takes longer than they do
        executor=dg.in_process_executor,
    )


@dg.resource(
    config_schema={
        MODE_RESOURCE: dg.Field(
            dg.Enum(
                "Mode",
                [
                    dg.EnumValue(BACKFILL, description="Gaps and synthetic contexts are accepted."),
                    dg.EnumValue(
                        PRODUCTION, description="A day must be captured, and its inputs must keep their ERROR checks."
                    ),
                ],
            ),
            default_value=BACKFILL,
            is_required=False,
        )
    },
    description="What the run accepts; it changes no value.",
)
def mode_of_run(context: dg.InitResourceContext) -> str:
    """The mode that the run's config names. (Dagster shows a resource's config as a mapping, and loads nothing else.)"""
    return str(context.resource_config[MODE_RESOURCE])


def in_turn(home: Home) -> dg.ResourceDefinition:
    """The home as a run has it: while the run lasts, no other changes what it makes or reads.

    It has no config: a run that wrote elsewhere would not be seen by sensors and schedules, which read the home of the environment.
    """

    tables = f"in {home.bigquery}" if home.bigquery is not None else f"in a file of {home.folder}"

    @dg.resource(
        description=f"The folder of history and source; its tables are {tables}, as the environment says. A run holds it: others wait "
        "for their turn."
    )
    def home_of_run(context: dg.InitResourceContext) -> Iterator[Home]:
        run = check.not_none(context.run)
        with turn(home, check.not_none(context.log).info, Making(tables_of_run(run), *days_of_run(run))):
            yield home

    return home_of_run


def home_of_environment() -> Home:
    """The home that the environment names."""
    raw = os.environ.get("NBA_PRECOMPUTE_RAW")
    folder = Path(os.environ.get("NBA_PRECOMPUTE_HOME", DEFAULT_FOLDER))
    history = os.environ.get("NBA_PRECOMPUTE_POSTGRES")
    models = os.environ.get("NBA_PRECOMPUTE_MODELS")
    return Home(folder, Path(raw) if raw else None, bigquery=bigquery_of_environment(), postgres=history, models_folder=models)


def bigquery_of_environment() -> BigQueryDatasets | None:
    """Where in BigQuery the environment wants the tables; None where it wants them in the home's own file."""
    warehouse = os.environ.get("NBA_PRECOMPUTE_WAREHOUSE", "duckdb")
    if warehouse == "duckdb":
        return None
    if warehouse != "bigquery":
        raise WarehouseError(f"NBA_PRECOMPUTE_WAREHOUSE is {warehouse!r}: it may be duckdb (the default) or bigquery.")
    project = os.environ.get("NBA_PRECOMPUTE_BIGQUERY_PROJECT")
    if not project:
        raise WarehouseError("NBA_PRECOMPUTE_WAREHOUSE is bigquery: name the project in NBA_PRECOMPUTE_BIGQUERY_PROJECT.")
    prefix = os.environ.get("NBA_PRECOMPUTE_BIGQUERY_PREFIX", "")
    if not re.fullmatch(r"[A-Za-z0-9_]*", prefix):
        raise WarehouseError(
            f"NBA_PRECOMPUTE_BIGQUERY_PREFIX is {prefix!r}: names of datasets have letters, digits and underscores."
        )
    return BigQueryDatasets(
        project,
        os.environ.get("NBA_PRECOMPUTE_BIGQUERY_LOCATION"),
        prefix,
        emulated="BIGQUERY_EMULATOR_HOST" in os.environ,  # Google's client goes there
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The graph over the home that the environment names, when Dagster asks for it."""
    return build_definitions(home_of_environment(), os.environ.get("NBA_PRECOMPUTE_WEBHOOK"))


warn_when_running_out()
