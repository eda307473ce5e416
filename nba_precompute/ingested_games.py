"""Ingestion as Dagster shows it: the asset `ingested_games`, a partition a game day, and the schedule `daily_ingestion`.

The graph has them where the home's raw games were ingested. Elsewhere (a folder of one's own, the simulated league) no day is
missing because nobody asked the NBA for it, and a grey bar of 900 days would say so. `ingest` on the command line records the same
days in the same way.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import groupby

import dagster as dg
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from nba_precompute.game_days import NEW_YORK, Clock, days_of, game_days, season_of
from nba_precompute.home import Home
from nba_precompute.ingestion import CORRECTION_DAYS, Ingested, ingest
from nba_precompute.instance import UNFINISHED, instance_of
from nba_precompute.sources.stats_api import RESPONSES, StatsApi

NAME = "ingested_games"

SCHEDULE = "daily_ingestion"

TIMES = "*/30 4-12 * * *"
"""From four in the morning in New York, when the last games in the West are over for hours, so that `daily_run` finds them at 06:15."""

DAYS_A_RUN = 28
"""At a second a request, four weeks and the birth dates of all players are a quarter of an hour; runs are ended after half of one."""

POOL = "statistics_api"
"""One run asks at a time."""


def is_ingested(home: Home) -> bool:
    """Whether `ingest` has written the home's raw games; asks no warehouse, because definitions are loaded while one is written."""
    return (home.default_ingested_folder / RESPONSES).is_dir()


def asset(home: Home, api: StatsApi, clock: Clock) -> dg.AssetsDefinition:
    """The asset; `api` is asked."""

    @dg.multi_asset(
        name=NAME,
        specs=[
            dg.AssetSpec(
                NAME,
                group_name="raw",
                kinds={"parquet"},
                description="Box scores, shots, schedule and birth dates of a game day from the NBA's statistics API, and what was "
                "corrected in the week before. Make it before the tables, which read the files that it writes.",
            )
        ],
        partitions_def=game_days,
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=DAYS_A_RUN),
        pool=POOL,
    )
    def ingested_games(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """The days of the run, season by season. Where games are missing the days that are complete are recorded, and the run fails."""
        asked = [date.fromisoformat(day) for day in context.partition_keys]
        told = replace(api, say=context.log.info)
        made: list[dg.AssetMaterialization] = []
        problems: list[str] = []
        for season, days in groupby(asked, key=season_of):
            of_season = list(days)
            first, last = of_season[0] - CORRECTION_DAYS, of_season[-1]
            found = ingest(home.default_ingested_folder, told, season.name, first, last, clock().date())
            made += materializations(found, of_season)
            without_games = set(of_season) - {*found.days, *(game.day for game in found.missing)}
            problems += [game.why for game in found.missing if game.day in of_season]
            problems += [f"{day}: the schedule has no game" for day in sorted(without_games)]
        recorded_by_result = set() if problems else set(context.partition_keys)
        for event in made:
            if event.partition not in recorded_by_result:
                context.log_event(event)
        if problems:
            raise dg.Failure(
                f"{len(problems)} games are missing, first: {problems[0]}. Make these days again later; the others are there.",
                metadata={"missing": dg.MetadataValue.md("\n".join(f"- {problem}" for problem in problems))},
                allow_retries=False,
            )
        return dg.MaterializeResult(asset_key=NAME)

    return ingested_games


def materializations(found: Ingested, asked: Collection[date]) -> Iterator[dg.AssetMaterialization]:
    """What is recorded: the game days that are complete, of those asked for, and others where something is new."""
    days = set(asked) | set(found.new_days) | set(found.corrected_days)
    for day in sorted(days & set(found.complete_days) & set(days_of(game_days))):
        yield dg.AssetMaterialization(NAME, partition=str(day), metadata={"corrected": day in found.corrected_days})


def record(home: Home, found: Ingested) -> None:
    """Record in the home's history what the command line ingested into the home's own folder, as a run of the asset does."""
    with instance_of(home) as instance:
        recorded = {date.fromisoformat(day) for day in instance.get_materialized_partitions(dg.AssetKey(NAME))}
        for event in materializations(found, set(found.complete_days) - recorded):
            instance.report_runless_asset_event(event)


def schedule(clock: Clock) -> dg.ScheduleDefinition:
    """The schedule, stopped until a person starts it: it asks for the last game day until its games are all there."""

    @dg.schedule(
        name=SCHEDULE,
        job_name=IMPLICIT_ASSET_JOB_NAME,
        cron_schedule=TIMES,
        execution_timezone=NEW_YORK.key,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="The games of the last game day from the NBA's statistics API, and what was corrected in the week before.",
    )
    def daily_ingestion(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return decide(context.instance, clock().date())

    return daily_ingestion


def decide(instance: dg.DagsterInstance, today: date) -> dg.RunRequest | dg.SkipReason:
    """A run for the last game day before today, where it is not there and none is being made."""
    yesterday = today - timedelta(days=1)
    if yesterday not in days_of(game_days):
        return dg.SkipReason(f"{yesterday} is no game day.")
    key = dg.AssetKey(NAME)
    if str(yesterday) in instance.get_materialized_partitions(key):
        return dg.SkipReason(f"The games of {yesterday} are there.")
    unfinished = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED, *UNFINISHED]))
    if any(key in (run.asset_selection or ()) for run in unfinished):
        return dg.SkipReason("A run is asking for games.")
    day = {ASSET_PARTITION_RANGE_START_TAG: str(yesterday), ASSET_PARTITION_RANGE_END_TAG: str(yesterday)}
    return dg.RunRequest(asset_selection=[key], tags=day)
