"""The daily run: yesterday's game summaries, then today's tables of the cascade, in production mode, before the first tip-off.

One schedule asks at 06:15 in New York and again every five minutes to midnight, and data decide: a tick looks at what is there and
asks for the runs that can be made now, mostly none. No sensor stands beside it: a cron of many times does what asking again needs,
knows when New York changes its clocks, sleeps at night, and is turned on by one switch. A schedule's run keys hold for one tick
alone, so the decision counts the runs that its keys, which are made from the inputs, have had.

A day goes on being asked for after its deadline; that the deadline has passed is what the check `ready_before_tip_off` says.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from hashlib import sha256

import dagster as dg
import pandas as pd
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from nba_precompute import dashboard, production
from nba_precompute.assets import CASCADE_TABLES, SUMMARY_TABLES, TABLES
from nba_precompute.backfill import RangedRun, run_request
from nba_precompute.coverage import (
    GAP,
    MISSING,
    STALE,
    THERE,
    SourceState,
    look_at_source,
    look_unless_unchanged,
    makers,
    survey,
)
from nba_precompute.game_days import (
    CALENDAR_COMMAND,
    NEW_YORK,
    SEASONS,
    TYPES_OF_GAME_DAYS,
    Clock,
    contiguous_ranges,
    days_of,
    eligible_days,
    game_days,
)
from nba_precompute.home import SIMULATED_LEAGUE, Home
from nba_precompute.instance import end_runs_of_dead_processes
from nba_precompute.lineage import READS, partitions_of
from nba_precompute.materialization import refused_in_production
from nba_precompute.preflight import NO_GO, input_coverage, inputs_there, runs_in_progress
from nba_precompute.production import INVENTED, PRODUCTION, mode_of, previous_game_day_of
from nba_precompute.sources import RawDataError, Source
from nba_precompute.storage import WarehouseError
from nba_precompute.tables.columns import Table

SCHEDULE = "daily_run"

TIMES = ["15-55/5 6 * * *", "*/5 7-23 * * *"]
"""06:15 in New York, by when the box scores of the last games in the West are final for hours, and every five minutes after."""

BEFORE_TIP_OFF = timedelta(hours=1)
"""How long before the first tip-off a day must be ready: predictions take minutes, and somebody must be able to do something."""

EARLIEST_TIP_OFF = time(12)
"""When a day is taken to begin whose tip-offs are not known: the earliest in five seasons were at noon in New York."""

USUAL_TIP_OFF = time(19)
"""When a day is taken to begin while its tip-offs cannot be read, mostly for a moment: of 1012 days in five seasons, 71 % began at
19:00 in New York or later, and an alarm before that would be false on these."""

DAYS_MADE_UP_FOR = 7
"""Days before today that are made late, where nobody asked for them in time. What is older is a backfill's, or the sensor
`missing_partitions`'s."""

MOST_RUNS = 3
"""Runs from the same inputs; a run that failed although nothing kept it from being made may have met a full disk or a lock."""

RUNS_LOOKED_AT = 100
"""Latest runs of the schedule among which those from the same inputs are counted; a day has a handful."""

READY = "ready_before_tip_off"
"""The check of the asset `coverage`."""

RUN_KEY_TAG, SCHEDULE_TAG = "dagster/run_key", "dagster/schedule_name"
"""Dagster's tags of the runs that a schedule asked for."""

ALL_ASSETS = IMPLICIT_ASSET_JOB_NAME
"""Dagster's job of all assets, from which the UI's runs are selected too: a schedule has one job, and a job of its own has one
partitions definition."""

SUMMARIES, CASCADE = "game summaries", "cascade"

MADE_TOGETHER = {SUMMARIES: SUMMARY_TABLES, CASCADE: CASCADE_TABLES}
"""The tables of a run."""

DECIDED_ENTRY = "decided"
"""The entry of the check's metadata that says of which day it has decided; none as long as the day has time."""

EVALUATIONS_LOOKED_AT = 20
"""Latest evaluations of the check among which the one that decided is looked for: whoever asks meanwhile adds one."""


@dataclass(frozen=True)
class Day:
    """A day of tables that are made together: the worst of their states, why they cannot be made, by what a run that made it
    from what it reads now, in place of the rows that are there, is known again, and when the last of its rows were published."""

    state: str
    reason: str | None = None
    inputs: str = ""
    published_at: datetime | None = None


@dataclass(frozen=True)
class Facts:
    """What the decision knows. `summaries` and `cascade` are the days looked at, `refused` why production mode would not publish
    today although all it reads is there, `running` the runs that are making some of these days, `runs` how many each key has had."""

    now: datetime
    summaries: Mapping[date, Day] = field(default_factory=dict)
    cascade: Mapping[date, Day] = field(default_factory=dict)
    tip_off: datetime | None = None
    problem: str | None = None
    refused: Sequence[str] = ()
    running: Sequence[str] = ()
    runs: Mapping[str, int] = field(default_factory=dict)

    @property
    def today(self) -> date:
        """The league's date."""
        return self.now.date()

    @property
    def last_games(self) -> date:
        """The last game day before today; today, where none is looked at."""
        return max(self.summaries, default=self.today)

    @property
    def begins(self) -> datetime:
        """The first tip-off, as far as is known."""
        guess = USUAL_TIP_OFF if self.problem else EARLIEST_TIP_OFF
        return self.tip_off or datetime.combine(self.today, guess, self.now.tzinfo)

    @property
    def deadline(self) -> datetime:
        """By when today must be ready."""
        return self.begins - BEFORE_TIP_OFF


@dataclass(frozen=True)
class Ask:
    """A run to be asked for: tables that are made together, consecutive days, and the key of what they are made from."""

    group: str
    days: Sequence[date]
    key: str


@dataclass(frozen=True)
class Decision:
    """The runs to ask for now, and why today is not ready, a sentence a reason; of a day that is ready there is none."""

    asks: Sequence[Ask]
    missing: Sequence[str]


# ------------------------------------------------------------------------------------------------------------ decisions


def decide(facts: Facts) -> Decision:
    """What to ask for now: game summaries first, then today, then days of the cascade that nobody asked for in time.

    Game summaries of days before the last game day, and days of the cascade before today, are made where they are missing and left
    as they are where they are stale: today reads the former, and what happened to the latter is not this morning's.
    """
    if facts.problem is not None:
        return Decision([], [facts.problem])
    summaries = asks_for(
        facts,
        SUMMARIES,
        {day: found for day, found in facts.summaries.items() if wanted(found, or_stale=day == facts.last_games)},
    )
    missing = why_today_is_not_there(facts, summaries)
    today = {}
    if facts.today in facts.cascade and missing == [] and facts.cascade[facts.today].state != THERE:
        today = {facts.today: facts.cascade[facts.today]}
        missing = [f"{facts.today} is asked for now"]
    asks = [
        *summaries,
        *asks_for(facts, CASCADE, today),
        *asks_for(facts, CASCADE, {day: found for day, found in facts.cascade.items() if is_late(facts, day)}),
    ]
    if today and not any(facts.today in ask.days for ask in asks):
        missing = [spent(CASCADE, facts.today)]
    return Decision([] if facts.running else asks, missing)


def wanted(found: Day, *, or_stale: bool) -> bool:
    """Whether a day is to be made and can be."""
    return found.reason is None and (found.state == MISSING or (or_stale and found.state == STALE))


def is_late(facts: Facts, day: date) -> bool:
    """Whether a day of the cascade before today is missing and has the games of the last game day before it."""
    if day >= facts.today or not wanted(facts.cascade[day], or_stale=False):
        return False
    games = facts.summaries.get(previous_game_day_of(day))
    return games is None or games.state in (THERE, STALE)


def asks_for(facts: Facts, group: str, days: Mapping[date, Day]) -> list[Ask]:
    """Runs of consecutive days, but for those that were asked for in vain often enough.

    A range that was asked for and is not there goes a day a run, so that one that cannot be made keeps no other from being made.
    """
    asks = []
    for of_range in contiguous_ranges(partitions_of(MADE_TOGETHER[group][0]), days):
        was_asked_for = facts.runs.get(key_of(group, {day: days[day] for day in of_range}), 0)
        for part in [[day] for day in of_range] if was_asked_for else [of_range]:
            key = key_of(group, {day: days[day] for day in part})
            if facts.runs.get(key, 0) < MOST_RUNS:
                asks.append(Ask(group, part, key))
    return asks


def key_of(group: str, days: Mapping[date, Day]) -> str:
    """The key of a run: the same from the same inputs in the same place."""
    inputs = "\n".join(days[day].inputs for day in sorted(days))
    return f"{group} {min(days)} to {max(days)} {sha256(inputs.encode()).hexdigest()[:16]}"


def why_today_is_not_there(facts: Facts, summaries: Sequence[Ask]) -> list[str]:
    """What today still waits for; nothing where it is there, is none of the cascade's days, or can be asked for."""
    found = facts.cascade.get(facts.today)
    if found is None or found.state == THERE:
        return []
    if found.reason is not None:
        return found.reason.splitlines()
    if facts.running:
        return list(facts.running)
    if summaries:
        return [f"the game summaries of {named(ask.days)} are made first" for ask in summaries]
    games = facts.summaries.get(facts.last_games)
    if games is not None and games.state != THERE:
        return (games.reason or spent(SUMMARIES, facts.last_games)).splitlines()
    return list(facts.refused)


def spent(group: str, day: date) -> str:
    """That a day was asked for often enough."""
    return f"{MOST_RUNS} runs of {SCHEDULE} did not make the {group} of {day}; their pages in the UI say why"


def named(days: Sequence[date]) -> str:
    """A range in words."""
    return str(days[0]) if len(days) == 1 else f"{days[0]} to {days[-1]}"


@dataclass(frozen=True)
class Verdict:
    """Whether a day was ready in time; None while that is open."""

    passed: bool | None
    words: str


def verdict(facts: Facts, decision: Decision, last: bool | None) -> Verdict:
    """Whether today is ready before its first tip-off, given what was last said of today.

    A day that missed its deadline and is ready before the tip-off after all is in time. One that was ready in time stays so while
    what changed later is being made again, and after its tip-off; where it cannot be made again before that, it is not ready.
    """
    if facts.today not in facts.cascade:
        return Verdict(None, f"{facts.today} has no game to be predicted.")
    if facts.problem == INVENTED:
        return Verdict(None, f"Nobody waits for {facts.today}: {INVENTED}.")
    begins = f"first tip-off {facts.begins:%H:%M}{'' if facts.tip_off else ', as far as is known'}"
    if facts.cascade[facts.today].state == THERE:
        late = is_late_today(facts, last)
        return Verdict(not late, f"{facts.today} is ready{', too late' if late else ''} ({begins} in New York).")
    missing = "; ".join(decision.missing)
    is_open = facts.problem is not None or decision.asks or facts.running or facts.now >= facts.begins
    if facts.now < facts.deadline or (last and is_open):
        return Verdict(None, f"{facts.today} is not ready now: {missing} ({begins} in New York).")
    by = f"{'was ready and is not any more' if last else f'was not ready by {facts.deadline:%H:%M} in New York'}"
    return Verdict(False, f"{facts.today} {by} ({begins}{' in New York' if last else ''}): {missing}.")


def is_late_today(facts: Facts, last: bool | None) -> bool:
    """Whether today was made after its first tip-off, of which nobody may have said anything before."""
    made = facts.cascade[facts.today].published_at
    return facts.now >= facts.begins and (last is False or (last is None and made is not None and made >= facts.begins))


def skipped(facts: Facts, missing: Sequence[str]) -> str:
    """Why nothing is asked for."""
    if missing:
        return f"{facts.today} waits: {'; '.join(missing)}."
    if facts.today in facts.cascade:
        return f"{facts.today} is ready."
    if facts.running:
        return f"{'; '.join(facts.running)}."
    open_days = [f"{day}: {found.reason.splitlines()[0]}" for day, found in facts.summaries.items() if found.reason]
    return (
        "; ".join(open_days)
        or f"Nothing to make: {facts.today} has no game to be predicted, and the games before it are there."
    )


# -------------------------------------------------------------------------------------------------------------- looking


def look(home: Home, instance: dg.DagsterInstance, now: datetime) -> Facts:
    """All that the decision needs to know. Where the calendar has no games, the schedule alone is read: it may have some."""
    today = now.date()
    first = today - timedelta(days=DAYS_MADE_UP_FOR)
    eligible = [day for day in days_of(eligible_days) if first <= day <= today]
    if eligible:
        first = min(first, previous_game_day_of(eligible[-1]))
    games = [day for day in days_of(game_days) if first <= day < today]
    facts = Facts(now, dict.fromkeys(games, Day(MISSING)), dict.fromkeys(eligible, Day(MISSING)))
    has_games = bool(games or eligible)
    try:
        if home.source_name == SIMULATED_LEAGUE:
            return replace(facts, problem=INVENTED if has_games else None)
        source = home.source()
        facts = replace(facts, tip_off=first_tip_off(source, today))
        changed = None if is_bootstrap(today) else off_the_calendar(source.schedule(), facts.last_games, today)
        if not has_games:
            return replace(facts, cascade={today: Day(GAP, changed)} if changed else {})
        found = survey(home, instance, source_as_it_is(source, first, today, eligible), TABLES)
        versions = home.warehouse.partition_versions()
    except (RawDataError, WarehouseError) as wrong:
        return replace(facts, problem=str(wrong) if has_games else None)
    found = found.merge(made_by(instance, versions, today), how="left", on=["table", "day"])
    asked = instance.get_runs(dg.RunsFilter(tags={SCHEDULE_TAG: SCHEDULE}), limit=RUNS_LOOKED_AT)
    cascade = together(found, CASCADE_TABLES, eligible)
    return replace(
        facts,
        summaries=together(found, SUMMARY_TABLES, games),
        cascade={**cascade, today: Day(GAP, changed)} if changed else cascade,
        refused=too_few_games(versions, today) if today in eligible else [],
        running=runs_in_progress(instance, TABLES, first, today),
        runs=Counter(run.tags[RUN_KEY_TAG] for run in asked),
    )


def source_as_it_is(source: Source, first: date, today: date, eligible: Sequence[date]) -> SourceState:
    """The source over the days looked at."""
    return look_unless_unchanged(
        __name__,
        (first, today),
        source,
        lambda: replace(look_at_source(source, first, today), refused=production.uncaptured(eligible, source)),
    )


def first_tip_off(source: Source, day: date) -> datetime | None:
    """When the first game of the day begins, in New York; None where the schedule does not say."""
    schedule = source.schedule()
    first = schedule.loc[schedule["game_date"] == pd.Timestamp(day), "start_utc"].min()
    return None if pd.isna(first) else first.tz_localize("UTC").tz_convert(NEW_YORK).to_pydatetime()


def is_bootstrap(day: date) -> bool:
    """Whether the day is too early in its season for the cascade."""
    return any(season.is_bootstrap(day) for season in SEASONS)


def off_the_calendar(schedule: pd.DataFrame, start: date, end: date) -> str | None:
    """The days from `start` to `end` that have a counting game in the schedule or in the calendar, and not in the other."""
    counting = schedule["game_id"].str[2].isin(TYPES_OF_GAME_DAYS) & schedule["game_date"].between(str(start), str(end))
    scheduled = set(schedule.loc[counting, "game_date"].dt.date)
    known = {day for day in days_of(game_days) if start <= day <= end}
    added, gone = sorted(scheduled - known), sorted(known - scheduled)
    changes = [
        f"the {one} has games on {', '.join(map(str, days))}, the {other} none"
        for one, other, days in (("schedule", "calendar", added), ("calendar", "schedule", gone))
        if days
    ]
    remedy = f"run `{CALENDAR_COMMAND}` with the new schedule and reload the definitions"
    return "; ".join([*changes, remedy]) if changes else None


def made_by(instance: dg.DagsterInstance, versions: pd.DataFrame, today: date) -> pd.DataFrame:
    """Of every published day of a table the run that made it, and whether today was made in production mode."""
    of_today = versions["day"] == pd.Timestamp(today)
    modes = {run_id: mode_of(instance.get_run_by_id(run_id)) for run_id in versions.loc[of_today, "run_id"].unique()}
    return makers(versions).assign(is_fit=~of_today | (versions["run_id"].map(modes) == PRODUCTION))


def together(found: pd.DataFrame, tables: Sequence[Table], days: Sequence[date]) -> dict[date, Day]:
    """The days of tables that are made together. Today is stale where it was made in backfill mode, which accepts more.

    The inputs name the runs whose rows are stale: a correction that is taken back replaces those of another run and is asked for
    again. A run that fails midway leaves stale rows as they were, so its repetitions are counted.
    """
    of_tables = found[found["table"].isin([table.name for table in tables])]
    states = of_tables["state"].mask((of_tables["state"] == THERE) & (of_tables["is_fit"] == False), STALE)  # noqa: E712
    versions = {table.name: table.code_version for table in tables}
    result = {}
    for day, rows in of_tables.assign(state=states).groupby("day"):
        worst = next(state for state in (GAP, MISSING, STALE, THERE) if state in set(rows["state"]))
        reasons = [] if worst == THERE else list(rows["reason"].dropna())
        inputs = [
            f"{row.table} {versions[row.table]} {row.reads} {row.state} {row.run_id if row.state == STALE else ''}"
            for row in rows.itertuples()
        ]
        made = rows["published_at"].max()
        published_at = None if pd.isna(made) else made.tz_localize("UTC").tz_convert(NEW_YORK).to_pydatetime()
        result[day] = Day(worst, reasons[0] if reasons else None, "\n".join(inputs), published_at)
    return {day: result[day] for day in days}


def too_few_games(versions: pd.DataFrame, today: date) -> list[str]:
    """The inputs of today of which too few days of the season are there."""
    shares = inputs_there(versions, CASCADE_TABLES, today, today)
    lines = [input_coverage(table, share) for table, share in shares.items()]
    return [str(line.reason) for line in lines if line.result == NO_GO]


def refused_today(home: Home, today: date) -> list[str]:
    """The inputs of today that fail an ERROR check, asked of the tables that read games alone; the others read these."""
    names = {table.name for table in CASCADE_TABLES}
    first_ones = [table for table in CASCADE_TABLES if not names & {read.stream for read in READS[table.name]}]
    reasons = [refused_in_production(home, table, [today]).get(today, "") for table in first_ones]
    return list(dict.fromkeys(line for reason in reasons for line in reason.splitlines()))


def said_last(instance: dg.DagsterInstance, today: date) -> dg.AssetCheckEvaluation | None:
    """What the check last decided of today."""
    history = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey(dashboard.NAME), READY),
        EVALUATIONS_LOOKED_AT,
        status={AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED},
    )
    for record in history:
        evaluation = record.evaluation
        if evaluation is not None and evaluation.metadata[DECIDED_ENTRY].value == str(today):
            return evaluation
    return None


# ------------------------------------------------------------------------------------------------------ what Dagster has


def tick(home: Home, instance: dg.DagsterInstance, now: datetime) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Look, record whether today was ready in time, and ask."""
    end_runs_of_dead_processes(instance)  # they would be waited for
    facts = look(home, instance, now)
    decision = decide(facts)
    if any(facts.today in ask.days for ask in decision.asks):  # seldom, so that most ticks do not pay for it
        facts = replace(facts, refused=refused_today(home, facts.today))
        decision = decide(facts)
    last = said_last(instance, facts.today)
    now_said = verdict(facts, decision, last.passed if last else None)
    if now_said.passed is not None and (last is None or now_said.passed != last.passed):
        instance.report_runless_asset_event(as_evaluation(facts, now_said))
    for ask in decision.asks:
        yield run_request(RangedRun(MADE_TOGETHER[ask.group], ask.days), PRODUCTION, ask.key)
    if not decision.asks:
        yield dg.SkipReason(skipped(facts, decision.missing))


def metadata_of(facts: Facts, said: Verdict) -> dict[str, dg.MetadataValue]:
    """What the check shows beside its sentence."""
    remedy = f"`nba-precompute status --why {facts.today}` names what is missing. As soon as it is there, the next tick makes the day."
    return {
        DECIDED_ENTRY: dg.MetadataValue.text("not yet" if said.passed is None else str(facts.today)),
        "asked_at": dg.MetadataValue.text(f"{facts.now:%H:%M} in New York"),
        "what_to_do": dg.MetadataValue.md(remedy if said.passed is False else "Nothing."),
    }


def as_evaluation(facts: Facts, said: Verdict) -> dg.AssetCheckEvaluation:
    """The verdict as an event outside of runs."""
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(dashboard.NAME),
        check_name=READY,
        passed=bool(said.passed),
        description=said.words,
        metadata=metadata_of(facts, said),
    )


def ready_before_tip_off(home: Home, clock: Clock) -> dg.AssetChecksDefinition:
    """The check, which a person can execute too: it says whether today is ready now."""

    @dg.asset_check(
        asset=dashboard.NAME,
        name=READY,
        description=f"Today's tables are there before the first tip-off. The schedule {SCHEDULE} evaluates it.",
    )
    def evaluate(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        facts = look(home, context.instance, clock())
        last = said_last(context.instance, facts.today)
        said = verdict(facts, decide(facts), last.passed if last else None)
        return dg.AssetCheckResult(passed=said.passed is not False, description=said.words, metadata=metadata_of(facts, said))

    return evaluate


def schedule(home: Home, clock: Clock) -> dg.ScheduleDefinition:
    """The schedule, stopped until a person starts it."""

    @dg.schedule(
        name=SCHEDULE,
        job_name=ALL_ASSETS,
        cron_schedule=TIMES,
        execution_timezone=NEW_YORK.key,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Yesterday's game summaries, then today's tables, in production mode, as soon as their inputs are there.",
    )
    def daily_run(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        yield from tick(home, context.instance, clock())

    return daily_run
