"""The next phase: when today's features are there, made in production mode, and keep their checks, predictions can be made.

One sensor starts the job `predict`, where there is a model, and sends a message to the webhook, where one is configured, each once for
every content that the day comes to have; one that comes back after another is told again, because whoever was told of the other
uses that. The webhook is also told of a day that missed its deadline. One thing a tick: a message that does not arrive
fails its tick, and the next tick sends it again. What has been done stands in the sensor's cursor, which Dagster writes after the
tick: a crash in between sends a message twice, with the same idempotency key.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from nba_precompute import daily_run, quality, validation
from nba_precompute.backfill import RANGE_END_TAG, RANGE_START_TAG
from nba_precompute.coverage import THERE
from nba_precompute.game_days import Clock, eligible_days
from nba_precompute.home import Home
from nba_precompute.predictions import has_model
from nba_precompute.storage import WarehouseError
from nba_precompute.tables.ml_feature_store_v2 import ML_FEATURE_STORE_V2
from nba_precompute.webhook import post

SENSOR = "next_phase"

PREDICT = "predict"
"""The job of the predictions phase, by name, so that whoever adds it need not come here."""

WEBHOOK = "webhook"

LOOK_EVERY_SECONDS = 60
"""The daily run is made within five minutes of its inputs; a minute more delays nobody."""

JUDGED_IN_THE_RUN = "reproduced"
"""The check that needs the season computed again: the run that made the rows has judged it by what it computed."""


@dataclass(frozen=True)
class News:
    """Something to be told: to whom, of what, which version of it (empty where there is one alone), and the message."""

    to: Sequence[str]
    subject: str
    version: str
    message: Mapping[str, object]


Done = tuple[str, str, str]
"""What the cursor keeps of a step: receiver, subject and version."""


@dataclass(frozen=True)
class Step:
    """One thing to do: a message for one receiver, who was told of this version `times` times before."""

    to: str
    news: News
    times: int

    @property
    def key(self) -> str:
        """What the message keeps however often it is sent."""
        again = f" ({self.times + 1})" if self.times else ""
        return f"{self.news.subject} {self.news.version}".rstrip() + again

    @property
    def done(self) -> Done:
        """What the cursor keeps of it."""
        return self.to, self.news.subject, self.news.version


# ------------------------------------------------------------------------------------------------------------ decisions


def next_step(news: Sequence[News], receivers: Sequence[str], done: Sequence[Done]) -> Step | None:
    """The first thing that its receiver was not told last; the job before the webhook, whose receiver may be down for long."""
    for receiver in receivers:
        for item in news:
            told = [version for to, subject, version in done if (to, subject) == (receiver, item.subject)]
            if receiver in item.to and told[-1:] != [item.version]:
                return Step(receiver, item, told.count(item.version))
    return None


def ready_news(day: date, rows: int, share_ready: float | None, version: str) -> News:
    """That the day's features can be used; of a day without rows no share of them is ready."""
    share_ready = None if share_ready is None else round(share_ready, 4)
    return News(
        [PREDICT, WEBHOOK],
        f"{ML_FEATURE_STORE_V2.name} {day}",
        version,
        {"event": "ready", "date": str(day), "rows": rows, "share_ready": share_ready, "data_version": version},
    )


def not_ready_news(day: date, words: str) -> News:
    """That the day missed its deadline, and what is missing."""
    message = {"event": "not ready", "date": str(day), "missing": words}
    return News([WEBHOOK], f"{daily_run.READY} {day}", "", message)


# -------------------------------------------------------------------------------------------------------------- looking


def version_of(home: Home, day: date) -> str | None:
    """The content hash of the day's features."""
    versions = home.warehouse.partition_versions()
    of_day = versions[(versions["table_name"] == ML_FEATURE_STORE_V2.qualified_name) & (versions["day"].dt.date == day)]
    return None if of_day.empty else str(of_day["content_hash"].iloc[0])


def failing_checks(home: Home, day: date) -> list[str]:
    """The ERROR checks that the day's features fail, as they are stored."""
    errors = [name for name, severity in quality.checks_of(ML_FEATURE_STORE_V2).items() if severity == quality.ERROR]
    asked = [name for name in errors if name != JUDGED_IN_THE_RUN]
    results = validation.judge_home(home, day, day, [ML_FEATURE_STORE_V2], asked)
    return sorted({result.check for result in results if not result.passed})


def deadline_missed(instance: dg.DagsterInstance, day: date) -> str | None:
    """What the check said when the day missed its deadline; None where it did not, or has become ready since."""
    said = daily_run.said_last(instance, day)
    return said.description if said is not None and not said.passed else None


# ------------------------------------------------------------------------------------------------------ what Dagster has


def tick(
    home: Home, instance: dg.DagsterInstance, clock: Clock, webhook: str | None, receivers: Sequence[str], cursor: str | None
) -> dg.SensorResult | dg.SkipReason:
    """Look, and do one thing that has not been done for what is there.

    That yesterday missed its deadline is told today too: a receiver may be down over midnight.
    """
    day = clock().date()
    if not receivers:
        return dg.SkipReason("Nobody to tell: no points model (`nba-precompute train`), and NBA_PRECOMPUTE_WEBHOOK is not set.")
    days = [day - timedelta(days=1), day]
    known = json.loads(cursor or "[]")
    done = [(to, subject, version) for to, subject, version in known if subject.endswith(tuple(map(str, days)))]
    missed = [(missed_day, deadline_missed(instance, missed_day)) for missed_day in days]
    news = [not_ready_news(missed_day, words) for missed_day, words in missed if words]
    try:
        ready, waits = look_at_features(home, instance, clock, receivers, done)
    except WarehouseError as held:
        if next_step(news, receivers, done) is None:
            raise
        ready, waits = [], str(held)
    step = next_step([*news, *ready], receivers, done)
    if step is None:
        return dg.SkipReason(waits)
    result = do(step, day, webhook)
    return result._replace(cursor=json.dumps([*done, step.done]))


def look_at_features(
    home: Home, instance: dg.DagsterInstance, clock: Clock, receivers: Sequence[str], done: Sequence[Done]
) -> tuple[list[News], str]:
    """The news that today's features can be used, where they can and somebody has not been told, and why there is none else."""
    day = clock().date()
    if not eligible_days.has_partition_key(str(day)):
        return [], f"{day} has no game to be predicted."
    version = version_of(home, day)
    if version is None:
        return [], f"{day} is not ready yet."
    if next_step([ready_news(day, 0, 0.0, version)], receivers, done) is None:
        return [], f"{day} was told of, as {version}."
    was_told = any(subject == ready_news(day, 0, 0.0, version).subject for _, subject, _ in done)
    hindrances = hindrances_of(home, instance, clock, was_told)
    if hindrances:
        return [], f"{day} is there and not told of: {'; '.join(hindrances)}."
    rows = home.warehouse.read(ML_FEATURE_STORE_V2, day, day, ["production_ready"])
    share_ready = float(rows["production_ready"].mean()) if len(rows) else None
    return [ready_news(day, len(rows), share_ready, version)], f"{day} is ready."


def hindrances_of(home: Home, instance: dg.DagsterInstance, clock: Clock, was_told: bool) -> list[str]:
    """Why the day's features cannot be used although they are there.

    A day that comes late is told of all the same; what was made anew once its games had begun is of no use to who was told of it.
    """
    facts = daily_run.look(home, instance, clock())
    made = facts.cascade[facts.today].published_at
    if was_told and made is not None and min(made, facts.now) >= facts.begins:
        return [f"it was told of before, and made again after its games began at {facts.begins:%H:%M}"]
    state = facts.cascade[facts.today].state
    if facts.problem or state != THERE:
        return [facts.problem or f"some of its tables are {state}, or were made in backfill mode"]
    return [f"{ML_FEATURE_STORE_V2.name} fails the check {check}" for check in failing_checks(home, facts.today)]


def do(step: Step, day: date, webhook: str | None) -> dg.SensorResult:
    """Ask for the job's run, or send the message; one that does not arrive raises, and the cursor stays as it was."""
    if step.to == PREDICT:
        tags = {RANGE_START_TAG: str(day), RANGE_END_TAG: str(day)}
        return dg.SensorResult([dg.RunRequest(run_key=step.key, job_name=PREDICT, tags=tags)])
    post(str(webhook), step.news.message, step.key)
    return dg.SensorResult(skip_reason=f"Told the webhook: {step.key}.")


def sensor(home: Home, clock: Clock, webhook: str | None, jobs: Sequence[UnresolvedAssetJobDefinition]) -> dg.SensorDefinition:
    """The sensor, stopped until a person starts it."""
    predict = [job for job in jobs if job.name == PREDICT]

    @dg.sensor(
        name=SENSOR,
        jobs=predict or None,
        minimum_interval_seconds=LOOK_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=(
            f"Starts {PREDICT}, where there is a model, and tells the webhook, once today's {ML_FEATURE_STORE_V2.name} is there, "
            "made in production mode, and keeps its checks; tells the webhook of a day that missed its deadline."
        ),
    )
    def next_phase(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        receivers = [*(PREDICT for _ in predict if has_model(home)), *([WEBHOOK] if webhook else [])]
        return tick(home, context.instance, clock, webhook, receivers, context.cursor)

    return next_phase
