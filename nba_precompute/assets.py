"""The whole graph on one screen: each asset names its inputs and makes one call into `tables/`. No arithmetic.

The cascade: what happened (game summaries) -> what is known on the morning of a day (contexts, zone analyses) -> factors ->
the feature row. Raw inputs are external assets, files that the tables read; what `ingest` writes of them is an asset of its own,
where there is such a thing.
"""

from collections.abc import Callable, Iterator, Sequence

import dagster as dg
import pandas as pd

from nba_precompute import dashboard, ingested_games, predictions
from nba_precompute.checks import check_specs
from nba_precompute.game_days import Clock, eligible_days, game_days, previous_game_day
from nba_precompute.home import Home
from nba_precompute.ingestion import INGESTED_FILES
from nba_precompute.lineage import partitions_of
from nba_precompute.materialization import Frames, Inputs, Made, materialize
from nba_precompute.sources import layout
from nba_precompute.sources.stats_api import StatsApi
from nba_precompute.tables import columns
from nba_precompute.tables import ml_feature_store_v2 as mlfs
from nba_precompute.tables import player_composite_factors as pcf
from nba_precompute.tables import player_game_summary as pgs
from nba_precompute.tables import player_shot_zone_analysis as psza
from nba_precompute.tables import points_predictions as preds
from nba_precompute.tables import team_defense_game_summary as tdgs
from nba_precompute.tables import team_defense_zone_analysis as tdza
from nba_precompute.tables import team_offense_game_summary as togs
from nba_precompute.tables import upcoming_player_game_context as upgc
from nba_precompute.tables import upcoming_team_game_context as utgc
from nba_precompute.tables.columns import Table

LONGEST_SEASON_DAYS = 220
"""Partitions a run of the cascade holds at most: a whole season (213 game days so far), so that one failure costs one season."""

BACKFILL_POLICY = dg.BackfillPolicy.multi_run(max_partitions_per_run=LONGEST_SEASON_DAYS)

DAYS_OF_TEN_SEASONS = 2200
"""Partitions a run of game summaries holds at most: five seasons of real games take 10 s and 0.7 GB.

In a backfill from the UI the daemon starts every half minute what can be made from what is there. With the summaries season by
season, each look finds some days of the cascade ready and others waiting, and Dagster puts no table with waiting days into the
run of the table it reads: five seasons took 33 runs, each with ten seconds of waiting and starting. With all summaries there, the
six tables of the cascade go together.
"""

SUMMARIES_POLICY = dg.BackfillPolicy.multi_run(max_partitions_per_run=DAYS_OF_TEN_SEASONS)

WAREHOUSE_POOL = "warehouse"
"""One writer at a time: DuckDB's file has one (the bounded wait in storage is the guarantee, the pool keeps it short)."""

RAW_FILES = {
    "raw_box_scores": layout.BOX_SCORES,
    "raw_shots": layout.SHOTS,
    "raw_schedule": layout.SCHEDULE,
    "raw_lines": layout.LINES,
    "raw_injuries": layout.INJURIES,
    "raw_props": layout.PROPS,
    "raw_players": layout.PLAYERS,
}

OWNER = "team:data-engineering"
"""Who backfills and repairs."""

WORDS_OF_DAY = {
    "played": "with games that are over",
    "to-be-predicted": "to be predicted, without a season's first 14 days",
}

COVERAGE_PAGE = f"/assets/{dashboard.NAME}?view=checks"

COLUMN_KINDS = {
    columns.TEXT: "string",
    columns.INTEGER: "int",
    columns.NUMBER: "float",
    columns.FLAG: "bool",
    columns.DAY: "date",
}

raw_assets = [
    dg.AssetSpec(
        name,
        group_name="raw",
        kinds={"parquet"},
        owners=[OWNER],
        description=f"{file.name} of the source, {'required' if file.required else 'optional: without it its columns are NULL'}.",
        metadata={
            "dagster/column_schema": dg.TableSchema([dg.TableColumn(column, kind) for column, kind in file.columns.items()])
        },
    )
    for name, file in RAW_FILES.items()
]


def column_schema(table: Table) -> dg.TableSchema:
    """The table's columns as the UI lists them: kind, meaning with unit, nullability."""
    return dg.TableSchema(
        [
            dg.TableColumn(
                name,
                type=COLUMN_KINDS[str(column.dtype)],
                description=columns.meaning(column),
                constraints=dg.TableColumnConstraints(nullable=column.nullable, unique=(name,) == table.key),
            )
            for name, column in table.schema.columns.items()
        ]
    )


def day_of(table: Table) -> str:
    """What a table's day is, as its tag says it."""
    return "played" if partitions_of(table) is game_days else "to-be-predicted"


def description(table: Table) -> str:
    """What the asset's page says first: what the table is, where to see what is missing, and whether it can be trusted."""
    page = f"/assets/{table.name}?view="
    return f"""{table.description}

- **A row** is one {", ".join(f"`{column}`" for column in table.key)}; **a partition** is a day {WORDS_OF_DAY[day_of(table)]}.
- **Which days are missing?** The grey ones of [Partitions]({page}partitions); why: `uv run nba-precompute status --why DATE`.
- **Can it be trusted?** Its [Checks]({page}checks); over all tables and days those of [{dashboard.NAME}]({COVERAGE_PAGE}).
"""


def spec(table: Table, deps: Sequence[str | dg.AssetDep]) -> dg.AssetSpec:
    """What the UI shows of a table."""
    return dg.AssetSpec(
        table.name,
        deps=deps,
        group_name=table.dataset.removeprefix("nba_"),
        kinds={"pandas"},
        owners=[OWNER],
        tags={"day": day_of(table), "row": "team" if "team_abbr" in table.key else "player"},
        description=description(table),
        code_version=table.code_version,
        metadata={"dagster/table_name": table.qualified_name, "dagster/column_schema": column_schema(table)},
    )


def history(table: Table) -> dg.AssetDep:
    """A dependency on games before the day; declared as the previous game day alone (the windows are in `lineage`)."""
    return dg.AssetDep(table.name, partition_mapping=previous_game_day)


def cascade_asset(
    table: Table, deps: Sequence[str | dg.AssetDep]
) -> Callable[[Callable[[Inputs], pd.DataFrame]], dg.AssetsDefinition]:
    """Make the asset of a table whose day is the one to be predicted; the decorated function computes its rows."""

    def make(compute: Callable[[Inputs], pd.DataFrame]) -> dg.AssetsDefinition:
        @dg.multi_asset(
            name=table.name,
            specs=[spec(table, deps)],
            check_specs=check_specs([table]),
            can_subset=True,
            partitions_def=eligible_days,
            backfill_policy=BACKFILL_POLICY,
            pool=WAREHOUSE_POOL,
        )
        def asset(
            context: dg.AssetExecutionContext, home: dg.ResourceParam[Home], mode: dg.ResourceParam[str]
        ) -> Iterator[Made]:
            yield from materialize(context, home, mode, [table], lambda inputs: [(table, compute(inputs))])

        return asset

    return make


SUMMARY_TABLES = [pgs.PLAYER_GAME_SUMMARY, togs.TEAM_OFFENSE_GAME_SUMMARY, tdgs.TEAM_DEFENSE_GAME_SUMMARY]
"""What happened on a day: partitions of `game_days`, published together."""


@dg.multi_asset(
    name="game_summaries",
    specs=[
        spec(pgs.PLAYER_GAME_SUMMARY, ["raw_box_scores", "raw_shots", "raw_schedule"]),
        spec(togs.TEAM_OFFENSE_GAME_SUMMARY, [pgs.PLAYER_GAME_SUMMARY.name]),
        spec(tdgs.TEAM_DEFENSE_GAME_SUMMARY, [togs.TEAM_OFFENSE_GAME_SUMMARY.name]),
    ],
    check_specs=check_specs(SUMMARY_TABLES),
    can_subset=True,
    partitions_def=game_days,
    backfill_policy=SUMMARIES_POLICY,
    pool=WAREHOUSE_POOL,
)
def game_summaries(
    context: dg.AssetExecutionContext, home: dg.ResourceParam[Home], mode: dg.ResourceParam[str]
) -> Iterator[Made]:
    """What happened on the days: players, offences and defences of every game, published together."""

    def compute(inputs: Inputs) -> Frames:
        players = pgs.player_game_summary(inputs.box_scores_of_days(), inputs.shots_of_days(), inputs.schedule())
        offense = togs.team_offense_game_summary(players)
        defense = tdgs.team_defense_game_summary(offense)
        return [
            (pgs.PLAYER_GAME_SUMMARY, players),
            (togs.TEAM_OFFENSE_GAME_SUMMARY, offense),
            (tdgs.TEAM_DEFENSE_GAME_SUMMARY, defense),
        ]

    yield from materialize(context, home, mode, SUMMARY_TABLES, compute)


@cascade_asset(
    utgc.UPCOMING_TEAM_GAME_CONTEXT,
    ["raw_schedule", "raw_lines", "raw_injuries", history(togs.TEAM_OFFENSE_GAME_SUMMARY)],
)
def upcoming_team_game_context(inputs: Inputs) -> pd.DataFrame:
    """Rest, line and form of every team that plays."""
    return utgc.upcoming_team_game_context(
        inputs.timestamps,
        schedule=inputs.schedule(),
        lines=inputs.lines(),
        team_offense_game_summary=inputs.season_to_date(togs.TEAM_OFFENSE_GAME_SUMMARY),
        injuries_cover=inputs.source.injuries_cover(),
    )


@cascade_asset(
    upgc.UPCOMING_PLAYER_GAME_CONTEXT,
    [
        *("raw_box_scores", "raw_schedule", "raw_injuries", "raw_props", "raw_players"),
        history(pgs.PLAYER_GAME_SUMMARY),
        utgc.UPCOMING_TEAM_GAME_CONTEXT.name,
    ],
)
def upcoming_player_game_context(inputs: Inputs) -> pd.DataFrame:
    """The slate."""
    return upgc.upcoming_player_game_context(
        inputs.timestamps,
        schedule=inputs.schedule(),
        box_scores=inputs.box_scores(),
        injuries=inputs.source.injuries(),
        props=inputs.props(),
        players=inputs.source.players(),
        player_game_summary=inputs.season_to_date(pgs.PLAYER_GAME_SUMMARY),
        team_context=inputs.same_days(utgc.UPCOMING_TEAM_GAME_CONTEXT),
    )


@cascade_asset(tdza.TEAM_DEFENSE_ZONE_ANALYSIS, ["raw_schedule", history(tdgs.TEAM_DEFENSE_GAME_SUMMARY)])
def team_defense_zone_analysis(inputs: Inputs) -> pd.DataFrame:
    """Where each defence is soft or hard."""
    return tdza.team_defense_zone_analysis(
        inputs.timestamps,
        schedule=inputs.schedule(),
        team_defense_game_summary=inputs.season_to_date(tdgs.TEAM_DEFENSE_GAME_SUMMARY),
    )


@cascade_asset(psza.PLAYER_SHOT_ZONE_ANALYSIS, ["raw_schedule", history(pgs.PLAYER_GAME_SUMMARY)])
def player_shot_zone_analysis(inputs: Inputs) -> pd.DataFrame:
    """Where each player shoots from."""
    return psza.player_shot_zone_analysis(
        inputs.timestamps,
        schedule=inputs.schedule(),
        player_game_summary=inputs.season_to_date(pgs.PLAYER_GAME_SUMMARY),
    )


@cascade_asset(
    pcf.PLAYER_COMPOSITE_FACTORS,
    [
        upgc.UPCOMING_PLAYER_GAME_CONTEXT.name,
        utgc.UPCOMING_TEAM_GAME_CONTEXT.name,
        tdza.TEAM_DEFENSE_ZONE_ANALYSIS.name,
        psza.PLAYER_SHOT_ZONE_ANALYSIS.name,
        history(togs.TEAM_OFFENSE_GAME_SUMMARY),
    ],
)
def player_composite_factors(inputs: Inputs) -> pd.DataFrame:
    """Fatigue, mismatch, pace and usage of the slate."""
    return pcf.player_composite_factors(
        player_context=inputs.same_days(upgc.UPCOMING_PLAYER_GAME_CONTEXT),
        team_context=inputs.same_days(utgc.UPCOMING_TEAM_GAME_CONTEXT),
        team_defense=inputs.same_days(tdza.TEAM_DEFENSE_ZONE_ANALYSIS),
        player_zones=inputs.same_days(psza.PLAYER_SHOT_ZONE_ANALYSIS),
        team_offense_game_summary=inputs.season_to_date(togs.TEAM_OFFENSE_GAME_SUMMARY),
    )


@cascade_asset(
    mlfs.ML_FEATURE_STORE_V2,
    [
        upgc.UPCOMING_PLAYER_GAME_CONTEXT.name,
        utgc.UPCOMING_TEAM_GAME_CONTEXT.name,
        tdza.TEAM_DEFENSE_ZONE_ANALYSIS.name,
        psza.PLAYER_SHOT_ZONE_ANALYSIS.name,
        pcf.PLAYER_COMPOSITE_FACTORS.name,
        *("raw_schedule", "raw_props"),
        history(pgs.PLAYER_GAME_SUMMARY),
    ],
)
def ml_feature_store_v2(inputs: Inputs) -> pd.DataFrame:
    """The feature row of the slate."""
    return mlfs.ml_feature_store_v2(
        player_context=inputs.same_days(upgc.UPCOMING_PLAYER_GAME_CONTEXT),
        team_context=inputs.same_days(utgc.UPCOMING_TEAM_GAME_CONTEXT),
        team_defense=inputs.same_days(tdza.TEAM_DEFENSE_ZONE_ANALYSIS),
        player_zones=inputs.same_days(psza.PLAYER_SHOT_ZONE_ANALYSIS),
        composite_factors=inputs.same_days(pcf.PLAYER_COMPOSITE_FACTORS),
        schedule=inputs.schedule(),
        props=inputs.props(),
        player_game_summary=inputs.last_year(pgs.PLAYER_GAME_SUMMARY),
    )


CASCADE_TABLES = [
    utgc.UPCOMING_TEAM_GAME_CONTEXT,
    upgc.UPCOMING_PLAYER_GAME_CONTEXT,
    tdza.TEAM_DEFENSE_ZONE_ANALYSIS,
    psza.PLAYER_SHOT_ZONE_ANALYSIS,
    pcf.PLAYER_COMPOSITE_FACTORS,
    mlfs.ML_FEATURE_STORE_V2,
]
"""As of the morning of a day: partitions of `eligible_days`, each after those it reads."""

TABLES = [*SUMMARY_TABLES, *CASCADE_TABLES]


@dg.asset(
    name=dashboard.NAME,
    deps=[table.name for table in TABLES],
    check_specs=dashboard.whole_check_specs(),
    pool=WAREHOUSE_POOL,
    group_name="quality",
    kinds={"pandas"},
    owners=[OWNER],
    description="Every rule over the whole warehouse, with the calendar heatmap: can the tables be trusted, and where not?",
)
def coverage(home: dg.ResourceParam[Home]) -> Iterator[dg.MaterializeResult]:
    """The dashboard of all checks."""
    yield from dashboard.evaluate_whole_warehouse(home)


@dg.asset(
    name=predictions.POINTS_MODEL,
    deps=[mlfs.ML_FEATURE_STORE_V2.name, pgs.PLAYER_GAME_SUMMARY.name],
    check_specs=[predictions.model_check_spec()],
    group_name="predictions",
    kinds={"xgboost"},
    owners=[OWNER],
    code_version=predictions.POINTS_MODEL_CODE_VERSION,
    description="The points model, trained on all days that there are and measured on the last season; the report is in its metadata.",
)
def points_model(context: dg.AssetExecutionContext, home: dg.ResourceParam[Home]) -> dg.MaterializeResult:
    """Features and the points that followed, to a model."""
    return predictions.train_points_model(home, context.log.info)


@dg.multi_asset(
    name=preds.POINTS_PREDICTIONS.name,
    specs=[spec(preds.POINTS_PREDICTIONS, [mlfs.ML_FEATURE_STORE_V2.name, predictions.POINTS_MODEL])],
    can_subset=True,
    partitions_def=eligible_days,
    backfill_policy=BACKFILL_POLICY,
    pool=WAREHOUSE_POOL,
)
def points_predictions(
    context: dg.AssetExecutionContext, home: dg.ResourceParam[Home], config: predictions.PredictionsConfig
) -> Iterator[dg.MaterializeResult]:
    """The slate, scored before the games."""
    yield from predictions.materialize_predictions(context, home, config.model)


@dg.asset(
    name=predictions.SERVED_PREDICTIONS,
    deps=[preds.POINTS_PREDICTIONS.name, mlfs.ML_FEATURE_STORE_V2.name, pgs.PLAYER_GAME_SUMMARY.name],
    check_specs=predictions.served_check_specs(),
    group_name="predictions",
    kinds={"pandas"},
    owners=[OWNER],
    description="What was said of days that are over, beside the features as they are now, what was scored, and the baselines.",
)
def served_predictions(home: dg.ResourceParam[Home]) -> dg.MaterializeResult:
    """What the predictions turned out to be worth."""
    return predictions.compare_served(home)


ASSETS: list[dg.AssetsDefinition | dg.AssetSpec] = [
    *raw_assets,
    game_summaries,
    upcoming_team_game_context,
    upcoming_player_game_context,
    team_defense_zone_analysis,
    player_shot_zone_analysis,
    player_composite_factors,
    ml_feature_store_v2,
    points_model,
    points_predictions,
    served_predictions,
    coverage,
]
"""The graph of every home."""


def assets_of(home: Home, clock: Clock, stats_api: StatsApi) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """All assets of a home: its tables say in which kind of warehouse they are, and where its games are ingested, `ingested_games`
    stands before the raw inputs that it fills."""
    fills = ingested_games.is_ingested(home)
    filled = {dg.AssetKey(name) for name, file in RAW_FILES.items() if fills and file in INGESTED_FILES}

    def of_home(spec: dg.AssetSpec) -> dg.AssetSpec:
        if spec.key in filled:
            return spec.replace_attributes(deps=[ingested_games.NAME])
        return spec.merge_attributes(kinds={home.warehouse_kind}) if "dagster/table_name" in spec.metadata else spec

    assets = dg.map_asset_specs(of_home, ASSETS)
    return [ingested_games.asset(home, stats_api, clock), *assets] if fills else list(assets)
