"""Days replayed: a real home and instance whose clock is set, over raw games that grow as the days pass. For tests and benchmarks."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from time import perf_counter

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from dagster._utils.schedules import schedule_execution_time_iterator

from nba_precompute.assets import TABLES
from nba_precompute.backfill import QUIET, RANGE_END_TAG, RANGE_START_TAG, backfill_days
from nba_precompute.coverage import look_at_source, survey
from nba_precompute.daily_run import READY, RUN_KEY_TAG, SCHEDULE, SCHEDULE_TAG, TIMES, said_last
from nba_precompute.definitions import build_definitions
from nba_precompute.game_days import NEW_YORK
from nba_precompute.home import Home
from nba_precompute.instance import instance_of
from nba_precompute.next_phase import SENSOR
from nba_precompute.sources import layout

Change = dict[str, Callable[[pd.DataFrame], pd.DataFrame]]
"""What is otherwise in the raw files, by the file's name, than it will be in the end."""

MOST_TICKS = 6
"""Ticks until there must be nothing left to ask for: a day takes two that ask, made up days one more."""


@dataclass(frozen=True)
class Run:
    """A run that a tick asked for, made."""

    run_id: str
    key: str
    days: str
    status: str


@dataclass(frozen=True)
class Tick:
    """One tick of the schedule: the runs that it asked for, or why it asked for none, and how long it took to decide."""

    at: datetime
    runs: Sequence[Run]
    skipped: str | None
    seconds: float


@dataclass
class Receiver:
    """What a webhook's server has been told. `answers` are the next status codes, then 200."""

    url: str = ""
    told: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A server on this machine that takes messages."""
    known = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = known.answers.pop(0) if known.answers else 200
            if status == 200:
                known.told.append((self.headers["Idempotency-Key"], message))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    known.url = f"http://127.0.0.1:{server.server_port}/hook"
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()


class Replay:
    """A home, its definitions and its instance, at a moment that is set; `everything` is the folder of all that there will be."""

    def __init__(self, folder: Path, everything: Path, seasons: Sequence[str], webhook: str | None = None) -> None:
        self.raw = folder / "raw"
        self.raw.mkdir(parents=True)
        self.home = Home(folder / "home", self.raw)
        self.instance = instance_of(self.home)
        self.now = datetime(2000, 1, 1, tzinfo=NEW_YORK)
        self.definitions = build_definitions(self.home, webhook, clock=lambda: self.now)
        self.repository = self.definitions.get_repository_def()
        self.cursor: str | None = None
        self.tables = {}
        for file in layout.FILES:
            if (everything / file.name).exists():
                table = pq.read_table(everything / file.name)
                of_seasons = "season" in file.columns and file is not layout.SCHEDULE
                self.tables[file.name] = table.filter(pc.field("season").isin(seasons)) if of_seasons else table
        games = self.tables[layout.BOX_SCORES.name]["game_id"].unique()
        self.tables[layout.SHOTS.name] = self.tables[layout.SHOTS.name].filter(pc.field("game_id").isin(games))

    def morning_of(self, day: date, change: Change | None = None) -> None:
        """Write the files as they are on the morning of a day: yesterday's games and news, today's lines, the whole schedule."""
        known = {}
        for name, table in self.tables.items():
            said = None
            if name in (layout.BOX_SCORES.name, layout.SHOTS.name):
                table = table.filter(pc.field("game_date") < day)
            elif name in (layout.LINES.name, layout.PROPS.name):
                table = table.filter(pc.field("game_date") <= day)
            elif name == layout.INJURIES.name:
                last = min(day - timedelta(days=1), self.last_news(table))
                table = table.filter(pc.field("date") < day)
                said = {"covered_from": str(pc.min(table["date"])), "covered_to": str(last)}
            known[name] = (table, said)
        for name, how in (change or {}).items():
            table, said = known[name]
            rows = how(table.to_pandas(date_as_object=False, ignore_metadata=True))
            known[name] = (pa.Table.from_pandas(rows, table.schema, preserve_index=False), said)
        for name, (table, said) in known.items():
            beside = self.raw / f"{name}.writing"
            pq.write_table(table.replace_schema_metadata(said), beside)
            beside.replace(self.raw / name)

    def last_news(self, table: pa.Table) -> date:
        """The last day that the whole file covers."""
        said = (table.schema.metadata or {}).get(b"covered_to")
        return date.fromisoformat(said.decode()) if said else pc.max(table["date"]).as_py()

    def backfill(self, start: date, end: date) -> None:
        """What a person does who fills the home before turning anything on."""
        state = look_at_source(self.home.source(), start, end)
        failures = backfill_days(
            self.definitions,
            self.home,
            self.instance,
            state,
            TABLES,
            tags={},
            force=False,
            on_progress=lambda *_: None,
        )
        assert failures == [], failures

    def tick(self, at: datetime) -> Tick:
        """The schedule's tick of a moment; the runs that it asks for are made at once, in this process."""
        self.now = at
        started = perf_counter()
        with dg.build_schedule_context(self.instance, repository_def=self.repository, scheduled_execution_time=at) as context:
            answered = self.repository.get_schedule_def(SCHEDULE).evaluate_tick(context)
        seconds = perf_counter() - started
        return Tick(at, [self.make(request) for request in answered.run_requests or []], answered.skip_message, seconds)

    def make(self, request: dg.RunRequest) -> Run:
        """The run that is asked for."""
        result = self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            asset_selection=list(request.asset_selection or []),
            run_config={**QUIET, **request.run_config},
            raise_on_error=False,
            tags={**request.tags, RUN_KEY_TAG: str(request.run_key), SCHEDULE_TAG: SCHEDULE},
        )
        run = result.dagster_run
        days = f"{request.tags[RANGE_START_TAG]} to {request.tags[RANGE_END_TAG]}"
        return Run(run.run_id, str(request.run_key), days, "SUCCESS" if result.success else "FAILURE")

    def ticks_from(self, at: datetime) -> list[Tick]:
        """The schedule's ticks from a moment, as its cron gives them, until one asks for nothing."""
        found = []
        for moment in islice(schedule_execution_time_iterator(at.timestamp(), TIMES, NEW_YORK.key), MOST_TICKS):
            found.append(self.tick(moment.astimezone(NEW_YORK)))
            if not found[-1].runs:
                return found
        raise AssertionError(f"{MOST_TICKS} ticks from {at} all asked for runs: {found[-1]}")

    def look_of_next_phase(self) -> dg.SensorResult | dg.SkipReason | None:
        """One tick of the sensor, its cursor kept as the daemon keeps it."""
        with dg.build_sensor_context(self.instance, repository_def=self.repository, cursor=self.cursor) as context:
            answered = self.repository.get_sensor_def(SENSOR).evaluate_tick(context)
        self.cursor = answered.cursor if answered.cursor is not None else self.cursor
        return answered

    def verdict(self) -> tuple[bool, str] | None:
        """What the check has last said of today: whether it passed, and the sentence."""
        said = said_last(self.instance, self.now.date())
        return (said.passed, str(said.description)) if said else None

    def states(self, start: date, end: date) -> pd.Series:
        """The state of every day of every table."""
        found = survey(self.home, self.instance, look_at_source(self.home.source(), start, end), TABLES)
        return found.set_index(["table", "day"])["state"]

    def versions(self) -> pd.DataFrame:
        """What is published, by table and day."""
        versions = self.home.warehouse.partition_versions()
        tables, days = versions["table_name"].str.split(".").str[1], versions["day"].dt.date
        return versions.assign(table=tables, day=days).set_index(["table", "day"]).sort_index()

    def evaluations(self) -> int:
        """How often the check was evaluated."""
        key = dg.AssetCheckKey(dg.AssetKey("coverage"), READY)
        return len(self.instance.event_log_storage.get_asset_check_execution_history(key, limit=1000))


def at(day: date, hour: int, minute: int = 0) -> datetime:
    """A time of a day in New York."""
    return datetime.combine(day, time(hour, minute), NEW_YORK)


def without_games(day: date, games: Sequence[str] | None = None) -> Change:
    """Box scores and shots of a day that are not there yet: of some games, or of all."""

    def withhold(rows: pd.DataFrame) -> pd.DataFrame:
        late = rows["game_date"] == pd.Timestamp(day)
        return rows[~(late & (rows["game_id"].isin(games) if games else True))]

    return dict.fromkeys((layout.BOX_SCORES.name, layout.SHOTS.name), withhold)


def moved(games: dict[str, tuple[date, str]]) -> Change:
    """Games that the schedule still has on another day: {game_id: (day, tip-off in UTC)}."""

    def move(schedule: pd.DataFrame) -> pd.DataFrame:
        for game, (day, tip_off) in games.items():
            of_game = schedule["game_id"] == game
            assert of_game.sum() == 1, game
            schedule.loc[of_game, "game_date"] = pd.Timestamp(day)
            schedule.loc[of_game, "start_utc"] = pd.Timestamp(tip_off, tz=schedule["start_utc"].dt.tz)
        return schedule

    return {layout.SCHEDULE.name: move}
