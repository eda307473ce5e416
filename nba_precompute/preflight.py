"""Whether a backfill has what it needs: the decision matrix over gathered facts, GO or NO-GO with the reasons.

`decide` is pure, `gather` looks. Nothing is changed. What a backfill can live with it deals with itself: it waits for a run in
progress (`turns`), and leaves the days that production mode refuses out, naming them.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import dagster as dg
import pandas as pd
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME

from nba_precompute import lineage
from nba_precompute.backfill import RANGE_END_TAG, RANGE_START_TAG
from nba_precompute.coverage import SourceState
from nba_precompute.game_days import SEASONS, days_between, eligible_days, game_days
from nba_precompute.home import SIMULATED_LEAGUE, Home
from nba_precompute.instance import PROCESS_TAG, UNFINISHED, in_words, is_alive
from nba_precompute.lineage import READS
from nba_precompute.production import INVENTED, PRODUCTION, uncaptured
from nba_precompute.tables.columns import Table
from nba_precompute.tables.player_game_summary import PLAYER_GAME_SUMMARY
from nba_precompute.tables.player_shot_zone_analysis import PLAYER_SHOT_ZONE_ANALYSIS
from nba_precompute.tables.team_defense_game_summary import TEAM_DEFENSE_GAME_SUMMARY
from nba_precompute.tables.team_defense_zone_analysis import TEAM_DEFENSE_ZONE_ANALYSIS

GO, NO_GO, REPORTED = "GO", "NO-GO", "reported"
"""REPORTED: a figure that decides nothing."""

COVERAGE_NEEDED = {
    PLAYER_GAME_SUMMARY.name: 80.0,
    TEAM_DEFENSE_GAME_SUMMARY.name: 80.0,
    TEAM_DEFENSE_ZONE_ANALYSIS.name: 75.0,
    PLAYER_SHOT_ZONE_ANALYSIS.name: 75.0,
}
"""Percent of the days read of an input that must be there (the original's thresholds, over the days that can be there)."""

CAPTURED_NEEDED = 100.0
"""Percent of the days that must be captured in production mode: it publishes no other (TABLES.md, production_ready)."""

MEGABYTE = 1_000_000

DISK_NEEDED = 500 * MEGABYTE
"""Five seasons of real games take 100 MB of warehouse and 60 MB of Dagster's storage. While they are made again the warehouse
holds old and new rows and its log, about as much once more; the rest is for whatever else fills the disk meanwhile."""

IN_PROGRESS = [dg.DagsterRunStatus.QUEUED, *UNFINISHED]

PARTITION_TAG = "dagster/partition"
"""Dagster's documented tag of a run of one partition."""

SENSOR_TAG = "dagster/sensor_name"
"""Dagster's documented tag of a run that a sensor asked for."""

DEFINITIONS, RUNS, CONTEXTS, SOURCE, WAREHOUSE, DISK = (
    "definitions load",
    "no run in progress for the same days and tables",
    "contexts captured",
    "source readable and the home's own",
    "warehouse writable",
    "disk space",
)

DEALT_WITH = {RUNS: "waited for", CONTEXTS: "left out and named"}
"""What a backfill does about a criterion that does not hold, instead of not starting. Two backfills on one home take turns."""


@dataclass(frozen=True)
class Share:
    """How many of the days that are needed are there, and those that are not."""

    there: int
    needed: int
    absent: Sequence[date]

    @property
    def percent(self) -> float:
        """Of nothing, all is there."""
        return 100 * self.there / self.needed if self.needed else 100.0

    def __str__(self) -> str:
        """As the matrix shows it."""
        return f"{self.percent:.1f} % ({self.there} of {self.needed} days)"


@dataclass(frozen=True)
class Facts:
    """What is known before anything is made. A problem is a sentence, None where there is none.

    `inputs` holds the days of tables that are read and not made by the command itself; `captured` is None where no day to be made
    has a context.
    """

    mode: str
    inputs: Mapping[str, Share] = field(default_factory=dict)
    captured: Share | None = None
    uncaptured_because: str | None = None
    runs: Sequence[str] = ()
    definitions_problem: str | None = None
    source: str = ""
    source_problem: str | None = None
    warehouse_problem: str | None = None
    free_bytes: int = DISK_NEEDED


@dataclass(frozen=True)
class Criterion:
    """One line of the matrix; the reason says what does not hold and what to do."""

    criterion: str
    threshold: str
    actual: str
    result: str
    reason: str | None = None


def decide(facts: Facts) -> list[Criterion]:
    """The decision matrix, a line a criterion."""
    return [
        *(input_coverage(table, facts.inputs.get(table)) for table in COVERAGE_NEEDED),
        contexts_captured(facts),
        no_run_in_progress(facts.runs),
        holds(DEFINITIONS, facts.definitions_problem),
        source_is_the_homes(facts),
        holds(WAREHOUSE, facts.warehouse_problem),
        disk_space(facts.free_bytes),
    ]


def no_go(matrix: Sequence[Criterion], dealt_with: Mapping[str, str] | None = None) -> list[Criterion]:
    """The criteria that forbid to start; those that are dealt with do not."""
    return [line for line in matrix if line.result == NO_GO and line.criterion not in (dealt_with or {})]


def input_coverage(table: str, share: Share | None) -> Criterion:
    """An input's days are there."""
    name, needed = f"{table} coverage", COVERAGE_NEEDED[table]
    threshold = f">= {needed:g} %"
    if share is None:
        return Criterion(name, threshold, "made here, or not read", REPORTED)
    if share.percent >= needed:
        return Criterion(name, threshold, str(share), GO)
    reason = (
        f"{table} lacks {share.needed - share.there} of {share.needed} days that are read, from {share.absent[0]} "
        f"to {share.absent[-1]}; make them first: nba-precompute backfill --tables {table}"
    )
    return Criterion(name, threshold, str(share), NO_GO, reason)


def contexts_captured(facts: Facts) -> Criterion:
    """In production mode every day is captured; in backfill mode the share is told."""
    threshold = f">= {CAPTURED_NEEDED:g} %" if facts.mode == PRODUCTION else "none"
    if facts.captured is None:
        return Criterion(CONTEXTS, threshold, "no day with a context", REPORTED)
    if facts.mode != PRODUCTION:
        return Criterion(CONTEXTS, threshold, str(facts.captured), REPORTED)
    result = GO if facts.captured.percent >= CAPTURED_NEEDED else NO_GO
    return Criterion(CONTEXTS, threshold, str(facts.captured), result, facts.uncaptured_because if result == NO_GO else None)


def no_run_in_progress(runs: Sequence[str]) -> Criterion:
    """Nobody is making the same days of the same tables."""
    if not runs:
        return Criterion(RUNS, "none", "none", GO)
    return Criterion(RUNS, "none", f"{len(runs)}", NO_GO, runs[0])


def source_is_the_homes(facts: Facts) -> Criterion:
    """The source can be read, is the one that the home was made from, and in production mode holds real games."""
    invented = INVENTED if facts.mode == PRODUCTION and facts.source == SIMULATED_LEAGUE else None
    return holds(SOURCE, facts.source_problem or invented)


def holds(criterion: str, problem: str | None) -> Criterion:
    """A criterion that holds unless there is a problem."""
    return Criterion(criterion, "yes", "no" if problem else "yes", NO_GO if problem else GO, problem)


def disk_space(free_bytes: int) -> Criterion:
    """There is room for what will be written."""
    actual = f"{free_bytes / MEGABYTE:,.0f} MB free"
    enough = free_bytes >= DISK_NEEDED
    reason = None if enough else "free space on the home's disk, or use a home on another (NBA_PRECOMPUTE_HOME=DIR)"
    return Criterion(DISK, f">= {DISK_NEEDED / MEGABYTE:,.0f} MB", actual, GO if enough else NO_GO, reason)


def gather(
    home: Home,
    instance: dg.DagsterInstance,
    definitions: dg.Definitions,
    state: SourceState | None,
    tables: Sequence[Table],
    mode: str,
    source_problem: str | None = None,
    warehouse_problem: str | None = None,
) -> Facts:
    """Look at everything that `decide` asks for; without a `state` the source could not be looked at, as a problem says."""
    days: list[date] = []
    inputs: dict[str, Share] = {}
    refused: dict[date, str] = {}
    if state is not None:
        inputs = inputs_there(home.warehouse.partition_versions(), tables, state.start, state.end)
        if any(lineage.partitions_of(table) is eligible_days for table in tables):
            days = days_between(eligible_days, state.start, state.end)
            refused = uncaptured(days, state.source)
    return Facts(
        mode,
        inputs,
        Share(len(days) - len(refused), len(days), list(refused)) if days else None,
        f"{len(refused)} of {len(days)} days: {next(iter(refused.values()))}" if refused else None,
        runs_in_progress(instance, tables, state.start, state.end) if state is not None else [],
        definitions_problem(definitions),
        state.source.name if state is not None else "",
        source_problem,
        warehouse_problem or home.warehouse.unwritable(),
        shutil.disk_usage(home.folder).free,
    )


def inputs_there(versions: pd.DataFrame, tables: Sequence[Table], start: date, end: date) -> dict[str, Share]:
    """The days read of each watched table that some table reads and that is not itself among the tables to be made."""
    made = {table.name for table in tables}
    read = {read.stream for table in tables for read in READS[table.name]}
    shares = {}
    for name in COVERAGE_NEEDED:
        if name in read and name not in made:
            table = lineage.TABLES[name]
            there = set(versions.loc[versions["table_name"] == table.qualified_name, "day"].dt.date)
            needed = days_read(table, start, end)
            absent = [day for day in needed if day not in there]
            shares[name] = Share(len(needed) - len(absent), len(needed), absent)
    return shares


def days_read(table: Table, start: date, end: date) -> list[date]:
    """The days of an input that days from `start` to `end` read: the same days, or the games of their seasons before them."""
    if lineage.partitions_of(table) is eligible_days:
        return days_between(eligible_days, start, end)
    needed: list[date] = []
    for season in SEASONS:
        wanted = days_between(eligible_days, max(start, season.first_game), min(end, season.last_game))
        if wanted:
            needed += [day for day in days_between(game_days, season.first_game, wanted[-1]) if day < wanted[-1]]
    return needed


def runs_in_progress(instance: dg.DagsterInstance, tables: Sequence[Table], start: date, end: date) -> list[str]:
    """Unfinished runs of living processes and of the UI that make some of the tables on some of the days, in words."""
    found = []
    wanted = {table.name for table in tables}
    for run in instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS)):
        process = run.tags.get(PROCESS_TAG)
        first, last = days_of_run(run)
        making = wanted & tables_of_run(run)
        if making and first <= end and start <= last and (process is None or is_alive(process)):
            who = f"process {in_words(process)}" if process else run.tags.get(SENSOR_TAG, "the UI")
            found.append(
                f"run {run.run_id[:8]} of {who} ({run.status.value}) makes "
                f"{', '.join(sorted(making))} from {first} to {last}; wait for it, or end it "
                f"{f'with `kill {in_words(process)}`' if process else 'in the UI'}"
            )
    return found


def tables_of_run(run: dg.DagsterRun) -> set[str]:
    """The tables that a run makes: those selected, all where nothing is; none where checks alone are, or a job of another kind runs."""
    if run.asset_selection is None:
        return set(lineage.TABLES) if run.job_name == IMPLICIT_ASSET_JOB_NAME and not run.asset_check_selection else set()
    return {key.to_user_string() for key in run.asset_selection}


def days_of_run(run: dg.DagsterRun) -> tuple[date, date]:
    """First and last day that a run makes; every day where its tags do not say."""
    single = run.tags.get(PARTITION_TAG)
    first, last = (run.tags.get(tag, single) for tag in (RANGE_START_TAG, RANGE_END_TAG))
    return (date.fromisoformat(first), date.fromisoformat(last)) if first and last else (date.min, date.max)


def definitions_problem(definitions: dg.Definitions) -> str | None:
    """Why Dagster cannot load the graph."""
    try:
        dg.Definitions.validate_loadable(definitions)
    except Exception as wrong:
        return f"Dagster cannot load the graph: {wrong}"
    return None
