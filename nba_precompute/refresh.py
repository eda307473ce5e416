"""What refreshes itself: two sensors over the states of every day, and a check that names the days they stopped asking for.

`refresh_stale` makes again what is there and would come out of other inputs or other code now; `missing_partitions` makes the days
before today that have their games and no rows. Both ask in the order of a backfill, one wave at a time: the next look finds what
the wave has left as it was, and what reads only that is not asked for. A state has one sensor, so no day is asked for by both.

No automation conditions: `eager()` looks at the latest day alone and fires on unchanged rows, and those that do better ask for
every day in a run of its own, 3 s each (measured); here a season is one run a table.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from hashlib import sha256
from itertools import groupby

import dagster as dg
import pandas as pd
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus

from nba_precompute import dashboard, lineage
from nba_precompute.assets import TABLES
from nba_precompute.backfill import (
    RangedRun,
    days_to_make,
    failure_in_words,
    next_runs,
    run_request,
)
from nba_precompute.coverage import (
    MISSING,
    STALE,
    THERE,
    SourceState,
    game_days_so_far,
    look_at_source,
    look_unless_unchanged,
    makers,
    survey,
)
from nba_precompute.game_days import Clock, days_between, today_in_new_york
from nba_precompute.home import SIMULATED_LEAGUE, Home
from nba_precompute.instance import PROCESS_TAG, end_runs_of_dead_processes, in_words, is_alive
from nba_precompute.lineage import partitions_of
from nba_precompute.materialization import missing_upstream
from nba_precompute.preflight import SENSOR_TAG, days_of_run, runs_in_progress
from nba_precompute.production import BACKFILL, PRODUCTION, refused_by_source

STALE_SENSOR, MISSING_SENSOR = "refresh_stale", "missing_partitions"

STOPPED_ASKING = "stopped_asking"
"""The check of the asset `coverage`."""

READS_TAG = "nba_precompute/reads"
"""Tag of a run that a sensor asked for: the hash of what it was to read, by which a later look knows that nothing changed since."""

MOST_FAILURES = 3
"""Failed runs after which a day is not asked for again before what it reads or its code changes."""

BATCH_RUNS = 5
"""Ranged runs asked for at once: each starts a process, about 6 s, and whoever else makes tables waits behind them."""

BATCH_DAYS = 100
"""Missing days asked for at once, about half a season: half a minute for all tables. Stale ones go by whole ranges, a season at
most, because a later wave would find the rest of the range stale again."""

PART_DAYS = 10
"""Days asked for together where a table failed on a longer range; the third time, where other parts of it could be made, a day at a
time. So a day that ends whole runs keeps no other from being made, and where no day can be made a season fails in 45 runs."""

ENDED_EARLY = "the run ended before a step could say why: killed, canceled, or its process could not start"

LOOK_EVERY_SECONDS = 30
"""Dagster's own default. A wave takes about as long."""

DAYS_NAMED = 20
"""Days that the check names; the rest is counted."""

LEFT_TO_THE_DAILY_RUN = "its game day is not over in the source, so it is the daily run's"

FAILED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]

STILL_RUNNING = [BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING]

TableDay = tuple[str, date]


@dataclass(frozen=True)
class FailedRun:
    """A run that a sensor asked for and that failed or was canceled.

    `why` says of each table that failed what happened; it is empty where the run ended before a step could say anything.
    """

    run_id: str
    created: pd.Timestamp
    tables: Sequence[str]
    days: Sequence[date]
    reads: str
    why: Mapping[str, str]


Failures = Mapping[TableDay, Sequence[FailedRun]]
"""Of a day of a table that is to be made the runs that failed to, from what it would read now; the latest first."""


@dataclass(frozen=True)
class Look:
    """Every day of every table with its state; those that can be made, with who made what is there, and their failures.

    `finished` counts the sensors' runs that are over, by what they were to read.
    """

    found: pd.DataFrame
    wanted: pd.DataFrame
    failures: Failures
    today: date
    finished: Mapping[str, int]


@dataclass(frozen=True)
class Request:
    """A run to be asked for; the key is that of these rows made from these inputs in place of those that are there."""

    run: RangedRun
    mode: str
    key: str
    reads: str


# ------------------------------------------------------------------------------------------------------ decisions


def requests(seen: Look, state: str) -> list[Request]:
    """The runs to ask for now, of the days in one state, STALE or MISSING."""
    if seen.wanted.empty:
        return []
    reads = seen.found.set_index(["table", "day"])["reads"].to_dict()
    made_by = seen.wanted.set_index(["table", "day"])["run_id"].fillna("nobody").to_dict()
    to_make = days_to_make(seen.found, {day: reads[day] for day in stopped(seen.failures)}, force=False)
    planned = [part for run in next_runs(to_make[to_make["state"] == state]) for part in apart_from(seen.today, run)]
    runs = [part for run in planned for part in in_parts(run, seen)]
    most_days = BATCH_DAYS if state == MISSING else sum(len(run.days) for run in runs)
    asked = []
    for run in batch(runs, most_days):
        of_run = reads_of_run([table.name for table in run.tables], run.days, reads)
        key = key_of(run, reads, made_by, seen.failures, seen.finished.get(of_run, 0))
        mode = PRODUCTION if run.days[-1] == seen.today else BACKFILL
        asked.append(Request(run, mode, f"{run.tables[0].name} {run.days[0]} to {run.days[-1]} {key}", of_run))
    return asked


def stopped(failures: Failures) -> list[TableDay]:
    """The days that are not asked for any more."""
    return [day for day, runs in failures.items() if len(runs) >= MOST_FAILURES]


def apart_from(today: date, run: RangedRun) -> list[RangedRun]:
    """Today in a run of its own: it is made in another mode."""
    return [RangedRun(run.tables, list(days)) for _, days in groupby(run.days, key=lambda day: day == today)]


def in_parts(run: RangedRun, seen: Look) -> list[RangedRun]:
    """The run, days of it that have failed in shorter ones."""
    to_make = set(zip(seen.wanted["table"], seen.wanted["day"], strict=True))

    def longest(day: date) -> int:
        of_day = max((seen.failures.get((table.name, day), ()) for table in run.tables), key=len)
        failed = [failed_run for failed_run in of_day if failed_run.why]
        if not failed:
            return len(run.days)
        others_made = any((run.tables[0].name, other) not in to_make for other in failed[-1].days)
        return 1 if len(failed) > 1 and others_made else PART_DAYS

    parts = []
    for most, group in groupby(run.days, key=longest):
        days = list(group)
        parts += [RangedRun(run.tables, days[first : first + most]) for first in range(0, len(days), most)]
    return parts


def batch(runs: Sequence[RangedRun], most_days: int) -> list[RangedRun]:
    """As many of the runs, in order, as are asked for at once; the last one may be cut short."""
    chosen: list[RangedRun] = []
    for run in runs[:BATCH_RUNS]:
        left = most_days - sum(len(earlier.days) for earlier in chosen)
        if left > 0:
            chosen.append(RangedRun(run.tables, run.days[:left]))
    return chosen


def key_of(
    run: RangedRun, reads: Mapping[TableDay, str], made_by: Mapping[TableDay, str], failures: Failures, finished: int
) -> str:
    """A hash of what the run makes from what, in whose place, after how many failures and how many runs that did the same.

    The same correction has the same key, be it looked at twice. Taken back, it replaces other rows; made a second time after that,
    it replaces those of another run. A day that was lost again replaces nobody's rows each time: the number of runs tells them apart.
    """
    return hash_of(
        f"{finished} {table.name} {day} {table.code_version} {reads.get((table.name, day))} "
        f"{made_by.get((table.name, day))} {len(failures.get((table.name, day), ()))}"
        for table in run.tables
        for day in run.days
    )


def reads_of_run(tables: Sequence[str], days: Sequence[date], reads: Mapping[TableDay, str]) -> str:
    """A hash of the code of a run's tables and of what the first of them reads: what the others read, the run may make itself."""
    return hash_of(
        [
            *(f"{name} {lineage.TABLES[name].code_version}" for name in tables),
            *(f"{day} {reads.get((tables[0], day))}" for day in days),
        ]
    )


def hash_of(lines: Iterable[str]) -> str:
    """Sixteen hexadecimal digits, as content hashes have."""
    return sha256("\n".join(lines).encode()).hexdigest()[:16]


def failures_of_days(wanted: pd.DataFrame, found: pd.DataFrame, failed: Sequence[FailedRun]) -> Failures:
    """Which of the failed runs count for which of the wanted days.

    A run does not count where what it read has changed, where its table did not fail (it waited for one that did), and for a day
    that was made since.
    """
    reads = found.set_index(["table", "day"])["reads"].to_dict()
    still = [run for run in failed if run.reads == reads_of_run(run.tables, run.days, reads)]
    failures = {}
    for row in wanted.itertuples(index=False):
        of_day = [
            run
            for run in still
            if (row.table in run.why or not run.why)
            and row.table in run.tables
            and row.day in run.days
            # of a missing day the warehouse may have rows that Dagster has not recorded: they do not end the failures
            and not (row.state == STALE and row.published_at > run.created)
        ]
        if of_day:
            failures[row.table, row.day] = of_day
    return failures


def left_out(found: pd.DataFrame, today: date, last_games: date) -> pd.DataFrame:
    """The survey with a reason for days that no sensor asks for: missing ones that are the daily run's, and what would read nothing.

    A missing day may read what is missing itself and goes in the same wave; a stale one waits until the other sensor has made that.
    """
    early = (found["state"] == MISSING) & ((found["day"] > last_games) | (found["day"] >= today))
    found = found.assign(reason=found["reason"].mask(early & found["reason"].isna(), LEFT_TO_THE_DAILY_RUN))
    can_be_made = found["reason"].isna()
    there = found["state"].isin([THERE, STALE])
    for state, read in ((STALE, there), (MISSING, there | ((found["state"] == MISSING) & can_be_made))):
        streams = {
            name: pd.Series("", pd.DatetimeIndex(found.loc[read & (found["table"] == name), "day"])) for name in lineage.TABLES
        }
        for name, rows in found[(found["state"] == state) & can_be_made].groupby("table"):
            found.loc[rows.index, "reason"] = rows["day"].map(
                missing_upstream(lineage.TABLES[name], list(rows["day"]), streams)
            )
    return found


# ------------------------------------------------------------------------------------------------------ looking


def source_as_it_is(home: Home, today: date) -> SourceState:
    """The source over all its days to today."""
    source = home.source()

    def look_at_all_days() -> SourceState:
        known = game_days_so_far()
        start = min((day for day in source.days_with_box_scores() if day in known), default=today)
        return replace(look_at_source(source, start, today), refused=refused_by_source(TABLES[-1], [today], source))

    return look_unless_unchanged(__name__, today, source, look_at_all_days)


def look(home: Home, instance: dg.DagsterInstance, today: date) -> Look:
    """All that the decisions need to know."""
    state = source_as_it_is(home, today)
    found = left_out(survey(home, instance, state, TABLES), today, last_day_with_games(state))
    wanted = days_to_make(found, {}, force=False)
    if wanted.empty:
        return Look(found, wanted, {}, today, {})
    wanted = wanted.merge(makers(home.warehouse.partition_versions()), how="left", on=["table", "day"])
    finished = instance.get_run_records(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS, *FAILED], tags={SENSOR_TAG: [STALE_SENSOR, MISSING_SENSOR]})
    )
    failures = failures_of_days(wanted, found, failed_runs(home, instance, finished, wanted))
    return Look(found, wanted, failures, today, Counter(record.dagster_run.tags[READS_TAG] for record in finished))


def last_day_with_games(state: SourceState) -> date:
    """The last day of which the source has box scores."""
    days = state.hashes["raw_box_scores"].index
    return days.max().date() if len(days) else state.start - timedelta(days=1)


def failed_runs(
    home: Home, instance: dg.DagsterInstance, finished: Sequence[dg.RunRecord], wanted: pd.DataFrame
) -> list[FailedRun]:
    """The runs that the sensors asked for, failed or canceled, over some of the wanted days; the latest first.

    Dagster's retry of a run has its tags: of the two, asked for once, the retry is the one that counts.
    """
    pairs = set(zip(wanted["table"], wanted["day"], strict=True))
    found = []
    seen: set[str] = set()
    for record in finished:
        run = record.dagster_run
        first_try = run.root_run_id or run.run_id
        if run.status not in FAILED or first_try in seen:
            continue
        seen.add(first_try)
        tables = [table for table in TABLES if dg.AssetKey(table.name) in (run.asset_selection or ())]
        ranged = RangedRun(tables, days_between(partitions_of(tables[0]), *days_of_run(run)))
        names = [table.name for table in tables]
        if any((name, day) in pairs for name in names for day in ranged.days):
            created = pd.Timestamp(record.create_timestamp).tz_convert("UTC").tz_localize(None)
            why = why_failed(home, instance, run, ranged)
            found.append(FailedRun(run.run_id, created, names, ranged.days, run.tags[READS_TAG], why))
    return found


def why_failed(home: Home, instance: dg.DagsterInstance, run: dg.DagsterRun, ranged: RangedRun) -> dict[str, str]:
    """Of each table of a run that failed, what happened; nothing where no step came to say."""
    names = [table.name for table in ranged.tables]
    why: dict[str, str] = {}
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.get_dagster_event()
        words = failure_in_words(home, ranged, event)
        why |= dict.fromkeys([name for name in names if name == event.step_key] or names, words)
    return why


def maker(instance: dg.DagsterInstance) -> str | None:
    """Who makes tables now, in words; None where nobody does."""
    for words in runs_in_progress(instance, TABLES, date.min, date.max):
        return words
    for run in instance.get_runs(limit=1):
        if PROCESS_TAG in run.tags and is_alive(run.tags[PROCESS_TAG]):
            return f"process {in_words(run.tags[PROCESS_TAG])}, a command, is between two of its runs"
    for backfill in instance.get_backfills(BulkActionsFilter(statuses=STILL_RUNNING), limit=1):
        return f"backfill {backfill.backfill_id} of the UI is {backfill.status.value}"
    return None


# ------------------------------------------------------------------------------------------------------ what Dagster has


def stopped_asking_result(seen: Look) -> dg.AssetCheckResult:
    """The check: which days are not asked for any more, and why."""
    days = stopped(seen.failures)
    named = ", ".join(f"{table} {day}" for table, day in days[:DAYS_NAMED])
    more = f" and {len(days) - DAYS_NAMED} more" if len(days) > DAYS_NAMED else ""
    records = [
        dg.TableRecord(
            {
                "table": table,
                "day": str(day),
                "failed runs": ", ".join(run.run_id[:8] for run in seen.failures[table, day]),
                "why": seen.failures[table, day][0].why.get(table, ENDED_EARLY),
            }
        )
        for table, day in days[:DAYS_NAMED]
    ]
    return dg.AssetCheckResult(
        asset_key=dashboard.NAME,
        check_name=STOPPED_ASKING,
        passed=not days,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(days)} days of tables failed {MOST_FAILURES} times and are not asked for again."
        if days
        else "No day of a table has failed too often.",
        metadata={
            "days": named + more or "none",
            "stopped": len(days),
            "what_to_do": dg.MetadataValue.md(
                "Correct what the reason names: as soon as what the day reads or its table's `code_version` is another, it is asked "
                "for again. Where the reason was the machine's (disk, memory), materialise the day by hand, in the UI or with "
                "`nba-precompute backfill`."
                if days
                else "Nothing."
            ),
            **({"why": dg.MetadataValue.table(records)} if days else {}),
        },
    )


def as_news(instance: dg.DagsterInstance, result: dg.AssetCheckResult) -> list[dg.AssetCheckEvaluation]:
    """The check's result as an event outside of runs, unless it is what was said last: most looks find nothing new."""
    evaluation = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(dashboard.NAME),
        check_name=STOPPED_ASKING,
        passed=result.passed,
        metadata=result.metadata,
        severity=result.severity,
        description=result.description,
    )
    record = instance.get_latest_asset_check_evaluation_record(evaluation.asset_check_key)
    said = record.evaluation if record else None  # what a run has only planned is no evaluation
    return [] if isinstance(said, dg.AssetCheckEvaluation) and said.metadata == evaluation.metadata else [evaluation]


def tick(home: Home, instance: dg.DagsterInstance, state: str, today: date) -> dg.SensorResult | dg.SkipReason:
    """One look of the sensor of a state."""
    if home.source_name == SIMULATED_LEAGUE and not home.league_folder.exists():
        return dg.SkipReason(
            "There are no games yet: make the simulated league's, or give real ones, with `nba-precompute backfill`."
        )
    end_runs_of_dead_processes(instance)  # they would hold the pool that the runs asked for need
    busy = maker(instance)
    if busy:
        return dg.SkipReason(f"Waiting: {busy}.")
    seen = look(home, instance, today)
    asked = requests(seen, state)
    days_stopped = len(stopped(seen.failures))
    nothing = (
        f"{days_stopped} days were stopped asking for: see {STOPPED_ASKING}." if days_stopped else nothing_to_ask(seen, state)
    )
    return dg.SensorResult(
        run_requests=[run_request(each.run, each.mode, each.key, {READS_TAG: each.reads}) for each in asked],
        skip_reason=None if asked else nothing,
        asset_events=as_news(instance, stopped_asking_result(seen)),
    )


def nothing_to_ask(seen: Look, state: str) -> str:
    """That no day is asked for; of stale days with why the first is not. Missing ones may be the daily run's or have no games yet."""
    if state == STALE:
        for reason in seen.found.loc[seen.found["state"] == STALE, "reason"].dropna():
            return f"No stale day can be made: {reason}."
    return f"No {state} day can be made."


def sensors(home: Home, clock: Clock) -> list[dg.SensorDefinition]:
    """Both sensors, stopped until a person starts them."""
    return [
        sensor_of(
            home,
            clock,
            STALE_SENSOR,
            STALE,
            "Makes days again whose games were corrected or whose table's code_version was raised, and the days that see them, in "
            "ranged runs, a wave at a time. Today in production mode, older days in backfill mode.",
        ),
        sensor_of(
            home,
            clock,
            MISSING_SENSOR,
            MISSING,
            f"Makes days before today that have their games and no rows, at most {BATCH_DAYS} at a time. A day that failed "
            f"{MOST_FAILURES} times is not asked for again before something changes: the check {STOPPED_ASKING} names it.",
        ),
    ]


def sensor_of(home: Home, clock: Clock, name: str, state: str, description: str) -> dg.SensorDefinition:
    """The sensor of a state."""

    @dg.sensor(
        name=name,
        description=description,
        asset_selection=[dg.AssetKey(table.name) for table in TABLES],
        minimum_interval_seconds=LOOK_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.STOPPED,
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        return tick(home, context.instance, state, today_in_new_york(clock()))

    return sensor


def stopped_asking(home: Home, clock: Clock) -> dg.AssetChecksDefinition:
    """The check, for whoever executes it by hand; the sensors report what they see themselves."""

    @dg.asset_check(
        asset=dashboard.NAME,
        name=STOPPED_ASKING,
        description=f"Days that the sensors asked for {MOST_FAILURES} times in vain and do not ask for again, with the reason.",
    )
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return stopped_asking_result(look(home, context.instance, today_in_new_york(clock())))

    return check
