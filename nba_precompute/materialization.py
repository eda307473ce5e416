"""Between an asset and the other rooms: the days of a run, what they read, their publication, and what Dagster is told.

Assets orchestrate through this module; no formula, no SQL and no reading of files stands here.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, partial

import dagster as dg
import pandas as pd
from dagster import _check as check
from dagster._core.events import DagsterEventBatchMetadata, generate_event_batch_id

from nba_precompute import checks, lineage, production, quality, validation
from nba_precompute.game_days import season_of
from nba_precompute.home import Home
from nba_precompute.lineage import GAMES_OF_DAY, READS, Window
from nba_precompute.production import PRODUCTION
from nba_precompute.quality import Result
from nba_precompute.sources import Source, trust
from nba_precompute.storage import Publication
from nba_precompute.tables.columns import Table
from nba_precompute.tables.player_composite_factors import FACTORS, PLAYER_COMPOSITE_FACTORS
from nba_precompute.tables.points_predictions import POINTS_PREDICTIONS
from nba_precompute.turns import require_turn

ROW_COUNT = "dagster/partition_row_count"
"""Dagster's documented name of a partition's rows, in its metadata."""

COST_TAG = "warehouse/"
"""Before the name of what a run cost in the warehouse, on its page in the UI."""

REASONS_SHOWN = 20
"""How many reasons a failure prints; the rest is counted."""

AVERAGED = {PLAYER_COMPOSITE_FACTORS.name: FACTORS, POINTS_PREDICTIONS.name: ["predicted_points"]}
"""Columns whose mean of a day is recorded: a factor that drifts is seen in its plot before a check fails."""

Frames = Sequence[tuple[Table, pd.DataFrame]]
"""What a run publishes: rows of one or more tables."""

Made = dg.MaterializeResult | dg.AssetCheckResult
"""What an asset tells Dagster: its table's days, and what the checks found."""


@dataclass(frozen=True)
class Inputs:
    """What one run of an asset reads: the run's days that can be computed, why others cannot, and the rows they see.

    `versions` are the warehouse's partition versions before the run.
    """

    home: Home
    source: Source
    table: Table
    days: Sequence[date]
    read: Mapping[date, str]
    versions: pd.DataFrame
    untrusted: Mapping[date, str] = field(default_factory=dict)

    @property
    def timestamps(self) -> list[pd.Timestamp]:
        """The days as pandas has them."""
        return [pd.Timestamp(day) for day in self.days]

    @cached_property
    def season_start(self) -> date:
        """The first day of the season of the first day."""
        return season_of(self.days[0]).first_game

    def schedule(self) -> pd.DataFrame:
        """All games of the seasons of the days."""
        schedule = self.source.schedule()
        return schedule[schedule["season"].isin({season_of(day).name for day in self.days})]

    def box_scores(self) -> pd.DataFrame:
        """Raw box scores of all types that say who appeared, from the season's start."""
        return trust.appearances_of(self.source.box_scores(self.season_start, self.days[-1]))

    def box_scores_of_days(self) -> pd.DataFrame:
        """Raw box scores of the days alone."""
        rows = self.source.box_scores(self.days[0], self.days[-1])
        return rows[rows["game_date"].isin(self.timestamps)]

    def shots_of_days(self) -> pd.DataFrame:
        """Raw shots of the days alone."""
        rows = self.source.shots(self.days[0], self.days[-1])
        return rows[rows["game_date"].isin(self.timestamps)]

    def lines(self) -> pd.DataFrame:
        """Lines of the days' games."""
        return self.source.lines(self.days[0], self.days[-1])

    def props(self) -> pd.DataFrame:
        """Snapshots of bookmakers' lines on the days' games."""
        return self.source.props(self.days[0], self.days[-1])

    def season_to_date(self, table: Table) -> pd.DataFrame:
        """A table's rows from the season's start."""
        return self.published[table.name, Window.SEASON_TO_DATE]

    def last_year(self, table: Table) -> pd.DataFrame:
        """A table's rows from as far back as the first day looks."""
        return self.published[table.name, Window.LAST_YEAR]

    def same_days(self, table: Table) -> pd.DataFrame:
        """A table's rows of the days."""
        rows = self.published[table.name, Window.OWN_DAY]
        return rows[rows[table.day].isin(self.timestamps)]

    @cached_property
    def published(self) -> Mapping[tuple[str, Window], pd.DataFrame]:
        """All that the table reads of other tables, as of one moment: what `lineage` says of it, and nothing else."""
        reads = [read for read in READS[self.table.name] if read.stream in lineage.TABLES]
        rows = self.home.warehouse.read_together(
            [(lineage.TABLES[read.stream], lineage.first_day_seen(read.window, self.days[0]), self.days[-1]) for read in reads]
        )
        return {(read.stream, read.window): frame for read, frame in zip(reads, rows, strict=True)}


def run_days(context: dg.AssetExecutionContext) -> list[date]:
    """The days of the run, one or a range, in order."""
    return sorted(date.fromisoformat(key) for key in context.partition_keys)


def inputs_of(home: Home, table: Table, days: Sequence[date]) -> Inputs:
    """The inputs of a table of the cascade; days whose upstream is not published are left out, with the reason.

    Hashes are taken before rows are read: what changes in between makes the day stale, never silently fresh.
    """
    source = home.source()
    versions = home.warehouse.partition_versions()
    start = lineage.earliest_day_read(table.name, days[0])
    raw = [read.stream for read in READS[table.name] if read.stream.startswith("raw_")]
    hashes = lineage.raw_hashes(source, raw, start, days[-1]) | published_hashes(versions)
    is_of_day = READS[table.name] is GAMES_OF_DAY
    untrusted = missing_upstream(table, days, hashes) | (problems_of_days if is_of_day else unscheduled_days)(source, days)
    there = [day for day in days if day not in untrusted]
    return Inputs(home, source, table, there, lineage.read_hashes(table.name, there, hashes), versions, untrusted)


def published_hashes(versions: pd.DataFrame) -> dict[str, pd.Series]:
    """Content hashes a day of every table, an empty series for one that has none yet."""
    by_table = {name.split(".")[1]: rows.set_index("day")["content_hash"] for name, rows in versions.groupby("table_name")}
    return {name: by_table.get(name, pd.Series(dtype="object")) for name in READS}


def problems_of_days(source: Source, days: Sequence[date]) -> dict[date, str]:
    """Days whose raw games cannot be trusted, each with its problems in words, a line a problem."""
    first, last = days[0], days[-1]
    timestamps = [pd.Timestamp(day) for day in days]
    schedule = source.schedule()
    of_games = trust.problems_by_day(timestamps, source.box_scores(first, last), source.shots(first, last), schedule)
    return problems_in_words(pd.concat([trust.days_without_games(timestamps, schedule), of_games]))


def unscheduled_days(source: Source, days: Sequence[date]) -> dict[date, str]:
    """Days of which no table can have rows, because the schedule has no game on them, with the reason."""
    return problems_in_words(trust.days_without_games([pd.Timestamp(day) for day in days], source.schedule()))


def problems_in_words(problems: pd.DataFrame) -> dict[date, str]:
    """The problems of each day, a line each, capped, with the number of those not shown."""
    words = {}
    for day, rows in problems.groupby("game_date"):
        lines = [trust.describe(problem) for _, problem in rows.head(REASONS_SHOWN).iterrows()]
        if len(rows) > REASONS_SHOWN:
            lines.append(f"and {len(rows) - REASONS_SHOWN} more problems on {day.date()}")
        words[day.date()] = "\n".join(lines)
    return words


def missing_upstream(table: Table, days: Sequence[date], hashes: Mapping[str, pd.Series]) -> dict[date, str]:
    """Days that must not be computed because a table they read has nothing for them, with the reason."""
    reasons: dict[date, str] = {}
    for read in READS[table.name]:
        if read.stream.startswith("raw_"):
            continue
        published = pd.DatetimeIndex(hashes[read.stream].index).sort_values()
        timestamps = pd.DatetimeIndex(days)
        if read.window is Window.OWN_DAY:
            seen = timestamps.isin(published)
        else:
            starts = pd.DatetimeIndex([season_of(day).first_game for day in days])
            seen = published.searchsorted(timestamps) > published.searchsorted(starts)
        for day in [day for day, is_seen in zip(days, seen, strict=True) if not is_seen]:
            words = (
                f"no rows of {day}; materialise it first"
                if read.window is Window.OWN_DAY
                else f"no games of {season_of(day).name} before {day}; materialise them first"
            )
            reasons.setdefault(day, f"{read.stream} has {words}")
    return reasons


def materialize(
    context: dg.AssetExecutionContext, home: Home, mode: str, tables: Sequence[Table], compute: Callable[[Inputs], Frames]
) -> Iterator[Made]:
    """Make the run's days of the selected tables and evaluate their selected checks; checks selected alone, over everything."""
    tables = [table for table in tables if dg.AssetKey(table.name) in context.selected_asset_keys]
    with cost_on_the_run(context, home):
        if tables:
            inputs = inputs_of(home, tables[0], run_days(context))
            yield from publish(context, fit_for_production(inputs) if mode == PRODUCTION else inputs, tables, compute)
        else:
            yield from evaluate_everything(context, home)


@contextmanager
def cost_on_the_run(context: dg.AssetExecutionContext, home: Home) -> Iterator[None]:
    """Add what the warehouse charges meanwhile to the run's tags (`warehouse/...`), where it charges anything."""
    before = home.warehouse.cost()
    try:
        yield
    finally:
        spent = {name: total - before.get(name, 0) for name, total in home.warehouse.cost().items()}
        if spent:
            run = check.not_none(context.instance.get_run_by_id(context.run.run_id))
            totals = {COST_TAG + name: int(run.tags.get(COST_TAG + name, 0)) + added for name, added in spent.items()}
            context.instance.add_run_tags(run.run_id, {name: str(total) for name, total in totals.items()})


def fit_for_production(inputs: Inputs) -> Inputs:
    """The inputs without the days that production mode refuses."""
    kept = without(inputs, production.refused_by_source(inputs.table, inputs.days, inputs.source))
    if not kept.days:
        return kept
    known = {name: frame for (name, _), frame in kept.published.items()}
    return without(kept, production.refused_by_inputs(kept.home, kept.table, kept.days, kept.source.schedule(), known))


def refused_in_production(home: Home, table: Table, days: Sequence[date]) -> Mapping[date, str]:
    """The days of a table that production mode would not publish now."""
    return fit_for_production(inputs_of(home, table, days)).untrusted


def without(inputs: Inputs, refused: Mapping[date, str]) -> Inputs:
    """The inputs with some of their days left out, for a reason."""
    kept = [day for day in inputs.days if day not in refused]
    return dataclasses.replace(inputs, days=kept, untrusted={**inputs.untrusted, **refused}) if refused else inputs


def evaluate_everything(context: dg.AssetExecutionContext, home: Home) -> Iterator[dg.AssetCheckResult]:
    """The selected checks over all days that the source has."""
    days = home.source().days_with_box_scores()
    tables = {key.asset_key.to_user_string() for key in context.selected_asset_check_keys}
    names = {key.name for key in context.selected_asset_check_keys}
    judged = [lineage.TABLES[name] for name in sorted(tables)]
    results = validation.judge_home(home, days[0], days[-1], judged, names)
    yield from checks.check_results(results, context.selected_asset_check_keys)


def publish(
    context: dg.AssetExecutionContext, inputs: Inputs, tables: Sequence[Table], compute: Callable[[Inputs], Frames]
) -> Iterator[Made]:
    """Publish the run's days of the tables in one transaction, tell Dagster of each day, and evaluate the checks.

    Days that were left out stay unmaterialised: the others are recorded one by one, and the step fails naming the rest.
    """
    computed = compute(inputs) if inputs.days else []
    frames = [(table, frame) for table, frame in computed if table in tables]
    versions = inputs.home.warehouse.publish(
        [Publication(table, frame, inputs.days, inputs.read) for table, frame in frames],
        run_id=context.run.run_id,
        source=inputs.source.name,
        before_commit=partial(require_turn, inputs.home),
    )
    metadata = {table.name: metadata_by_day(table, frame, versions) for table, frame in frames}
    results = judge_run(inputs, tables, {table.name: frame for table, frame in computed}, versions)
    evaluations = list(checks.check_results(results, context.selected_asset_check_keys))
    if inputs.untrusted:
        for table, _ in frames:
            record_days(context, table, metadata[table.name])
        yield from evaluations
        named = ", ".join(str(day) for day in list(inputs.untrusted)[:REASONS_SHOWN])
        raise dg.Failure(
            f"{len(inputs.untrusted)} of {len(inputs.untrusted) + len(inputs.days)} days were not published: {named}. "
            f"{next(iter(inputs.untrusted.values())).splitlines()[0]}. All reasons are in this failure's metadata.",
            metadata={"days": ", ".join(str(day) for day in inputs.untrusted), "reasons": reasons_in_words(inputs.untrusted)},
            allow_retries=False,
        )
    for table, _ in frames:
        add_metadata_of_days(context, table, metadata[table.name])
        of_table = [evaluation for evaluation in evaluations if evaluation.asset_key == dg.AssetKey(table.name)]
        yield dg.MaterializeResult(asset_key=table.name, check_results=of_table)


def judge_run(
    inputs: Inputs, tables: Sequence[Table], computed: Mapping[str, pd.DataFrame], published: pd.DataFrame
) -> list[Result]:
    """What the rules say of the run's days, those that were left out among them; `published` are the versions it has made."""
    known = dict(computed)
    if inputs.days:
        known |= {name: frame for (name, _), frame in inputs.published.items()}
    days = sorted({*inputs.days, *inputs.untrusted})
    left_out = inputs.versions[inputs.versions["day"].isin([pd.Timestamp(day) for day in inputs.untrusted])]
    versions = pd.concat([frame for frame in (left_out, published) if len(frame)] or [published])
    return validation.judge_run(inputs.home, tables, days, inputs.source.schedule(), known, versions, quality.RULES)


def record_days(
    context: dg.AssetExecutionContext, table: Table, metadata: Mapping[str, Mapping[str, int | float | str]]
) -> None:
    """What `context.log_event` does with each day's materialization, in one batch, as Dagster does with those of a result.

    Alone each is a commit: a season with one bad day took a minute, and the daemon, which starts every half minute what can be
    made from what is recorded so far, cut the cascade into ever more pieces.
    """
    batch = generate_event_batch_id()
    for number, (day, of_day) in enumerate(metadata.items(), 1):
        made = dg.AssetMaterialization(
            table.name,
            partition=day,
            metadata=of_day,
            tags={"dagster/data_version": str(of_day["content_hash"]), "dagster/code_version": table.code_version},
        )
        is_last = number == len(metadata)
        dg.DagsterEvent.asset_materialization(
            context.get_step_execution_context(), made, DagsterEventBatchMetadata(batch, is_last)
        )


def add_metadata_of_days(
    context: dg.AssetExecutionContext, table: Table, metadata: Mapping[str, Mapping[str, int | float | str]]
) -> None:
    """What `context.add_asset_metadata` does for each of the run's days, without asking every time whether it is one of them.

    That question hashes all days that the calendar excludes, twice: 1.5 ms a day, a fifth of a backfill of five seasons.
    """
    step = context.get_step_execution_context()
    for day, of_day in metadata.items():
        step._metadata_accumulator = step._metadata_accumulator.with_additional_asset_metadata(
            asset_key=dg.AssetKey(table.name), metadata=of_day, partition_key=day
        )


def reasons_in_words(untrusted: Mapping[date, str]) -> dg.MetadataValue:
    """A list of days and reasons, capped, with the number of those not shown."""
    shown = ["\n  - ".join([f"- {day}", *reason.splitlines()]) for day, reason in list(untrusted.items())[:REASONS_SHOWN]]
    if len(untrusted) > REASONS_SHOWN:
        shown.append(f"- and {len(untrusted) - REASONS_SHOWN} more days")
    return dg.MetadataValue.md("\n".join(shown))


def metadata_by_day(table: Table, frame: pd.DataFrame, versions: pd.DataFrame) -> dict[str, dict[str, int | float | str]]:
    """What Dagster records of each day, by partition key; the UI plots the numbers.

    Rows, games, teams or players, share ready, the NULL rate of the worst column that must be filled and its name, the mean of each
    factor; hash, context's source. Each is one pass over all days: a backfill of five seasons has 7,815 of them.
    """
    hashes = versions[versions["table_name"] == table.qualified_name].set_index("day")["content_hash"]
    days = frame.groupby(table.day)
    numbers = {ROW_COUNT: days.size()}
    counted = {"game_id": "games", "player_id": "players", "team_abbr": "teams"}
    for column, name in counted.items():
        if column in frame.columns:
            numbers[name] = days[column].nunique()
    by_day = pd.DataFrame(numbers)
    if "production_ready" in frame.columns:
        by_day["share_ready"] = days["production_ready"].mean()
    for column in AVERAGED.get(table.name, []):
        by_day[f"mean_{column}"] = days[column].mean()
    words = pd.DataFrame({"content_hash": hashes.reindex(by_day.index)})
    must_be_filled = list(quality.CRITICAL.get(table.name, []))
    if must_be_filled:
        null_rates = frame[must_be_filled].isna().groupby(frame[table.day]).mean()
        by_day["worst_null_rate"] = null_rates.max(axis=1)
        words["worst_null_rate_of"] = null_rates.idxmax(axis=1).where(by_day["worst_null_rate"] > 0, "none")
    if "context_source" in frame.columns:
        words["context_source"] = days["context_source"].first()
    return {
        str(day.date()): {**{name: _number(value) for name, value in row.items() if pd.notna(value)}, **of_day}
        for day, row, of_day in zip(by_day.index, by_day.to_dict("records"), words.to_dict("records"), strict=True)
    }


def _number(value: float) -> int | float:
    return int(value) if float(value).is_integer() else float(value)
