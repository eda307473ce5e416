"""The daily run replayed: captured days of 2024-25 on a real instance with a set clock, over raw games that grow as the days pass.

`uv run python -m nba_precompute_tests.benchmarks.daily_scenarios [--raw DIR]` prints of each scenario the ticks of the schedule, the
runs that they asked for, what the webhook was told and how it ended, and ends with exit code 1 where a day is not complete, not what
a backfill of the finished games makes, or there twice. The runs are made in this process; with `--live` two more days are made
by `dagster dev`, schedule and sensor turned on, whose clock runs and is set to that day: for that, it must be between 06:15 and
midnight in New York. On the second, two backfills of the UI are launched at the same time.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.storage.tags import BACKFILL_ID_TAG
from rich.console import Console

from nba_precompute.assets import CASCADE_TABLES, SUMMARY_TABLES
from nba_precompute.coverage import THERE
from nba_precompute.daily_run import RUN_KEY_TAG, SCHEDULE
from nba_precompute.game_days import NEW_YORK, SEASONS, days_of, game_days, season_of
from nba_precompute.home import DAGSTER_FOLDER
from nba_precompute.next_phase import SENSOR
from nba_precompute.refresh import STILL_RUNNING
from nba_precompute.tables.columns import Table
from nba_precompute_tests.benchmarks.running_instance import launch
from nba_precompute_tests.conftest import REAL_DATA
from nba_precompute_tests.replay import Change, Receiver, Replay, Tick, at, moved, receiver, without_games
from nba_precompute_tests.ui import free_port

console = Console(width=150, highlight=False, soft_wrap=True)

SEASON_BEFORE = "2023-24"
"""The features look back a year."""

Moment = tuple[datetime, Change | None]
"""From when on the raw files are otherwise than they will be in the end; None: as they will be, of all days so far."""

Wanted = tuple[Sequence[Table], date, date]
"""Tables and days that a backfill of the UI is to make."""


@dataclass(frozen=True)
class Scenario:
    """Days that are played: what changes when, the days that must be right afterwards, and whether the check passes in the end."""

    name: str
    moments: Sequence[Moment]
    summaries: Sequence[date]
    cascade: Sequence[date]
    passes: bool | None = True


def day(words: str) -> date:
    """A day as people write it."""
    return date.fromisoformat(words)


MOVED_ON_9_JANUARY = {"0022400524": (day("2025-01-09"), "2025-01-10 03:30")}
"""CHA at LAL, postponed because of the fires; played on 2025-02-19."""

MOVED_ON_11_JANUARY = {
    "0022400532": (day("2025-01-11"), "2025-01-12 00:30"),  # HOU at ATL, snow
    "0022400537": (day("2025-01-11"), "2025-01-12 03:30"),  # SAS at LAL, fires
    "0022400538": (day("2025-01-11"), "2025-01-12 03:30"),  # CHA at LAC, fires
}
"""Postponed on the day itself."""

ONLY_GAME_MOVED = {"0022400647": (day("2025-02-18"), "2025-02-19 00:30")}
"""The only game of 2025-01-26, as if it had been postponed to a day off; it was played."""

SCENARIOS = [
    Scenario(
        "the change from daylight saving time, 2024-11-03: a bootstrap day, so game summaries alone",
        [(at(day("2024-11-03"), 6, 15), None), (at(day("2024-11-04"), 6, 15), None)],
        [day("2024-11-02"), day("2024-11-03")],
        [],
        passes=None,
    ),
    Scenario(
        "a game in double overtime, MIA at SAC on 2025-01-06",
        [(at(day("2025-01-07"), 6, 15), None)],
        [day("2025-01-06")],
        [day("2025-01-07")],
    ),
    Scenario(
        "a postponed game, CHA at LAL on 2025-01-09, that the schedule moves on the next day at 11:00",
        [(at(day("2025-01-10"), 6, 15), moved(MOVED_ON_9_JANUARY)), (at(day("2025-01-10"), 11), None)],
        [day("2025-01-09")],
        [day("2025-01-10")],
    ),
    Scenario(
        "a schedule change at noon, three games of 2025-01-11 postponed",
        [(at(day("2025-01-11"), 6, 15), moved(MOVED_ON_11_JANUARY)), (at(day("2025-01-11"), 12), None)],
        [day("2025-01-10")],
        [day("2025-01-11")],
    ),
    Scenario(
        "a late box score, one of 2025-01-14 that comes at 14:00",
        [(at(day("2025-01-15"), 6, 15), without_games(day("2025-01-14"), ["0022400555"])), (at(day("2025-01-15"), 14), None)],
        [day("2025-01-14")],
        [day("2025-01-15")],
    ),
    Scenario(
        "box scores of 2025-01-15 that come at 18:30, after the deadline and before the first tip-off at 19:00",
        [
            (at(day("2025-01-16"), 6, 15), without_games(day("2025-01-15"))),
            (at(day("2025-01-16"), 18), without_games(day("2025-01-15"))),
            (at(day("2025-01-16"), 18, 30), None),
        ],
        [day("2025-01-15")],
        [day("2025-01-16")],
    ),
    Scenario(
        "a day whose only game is postponed, 2025-01-26: the calendar has the day, the schedule no more, and somebody must say so",
        [(at(day("2025-01-26"), 6, 15), moved(ONLY_GAME_MOVED)), (at(day("2025-01-26"), 18), moved(ONLY_GAME_MOVED))],
        [day("2025-01-25")],
        [],
        passes=False,
    ),
    Scenario(
        "a daemon that was down for three days, 2025-02-03 to 2025-02-05, and is back on the 6th at 09:00",
        [(at(day("2025-02-06"), 9), None)],
        [day("2025-02-02"), day("2025-02-03"), day("2025-02-04"), day("2025-02-05")],
        [day("2025-02-03"), day("2025-02-04"), day("2025-02-05"), day("2025-02-06")],
    ),
    Scenario(
        "the all-star break: off days after games, 2025-02-14, and after none, 2025-02-17; a day in July",
        [(at(day(morning), 6, 15), None) for morning in ("2025-02-14", "2025-02-17", "2025-07-15")],
        [day("2025-02-13")],
        [],
        passes=None,
    ),
    Scenario(
        "the change to daylight saving time, 2025-03-09",
        [(at(day("2025-03-09"), 6, 15), None)],
        [day("2025-03-08")],
        [day("2025-03-09")],
    ),
    Scenario(
        "a day of 2025-26, which is not captured, 2025-11-07, to its deadline",
        [(at(day("2025-11-07"), 6, 15), None), (at(day("2025-11-07"), 18), None)],
        [day("2025-11-06")],
        [],
        passes=False,
    ),
]


LIVE, LIVE_AND_CROWDED = (
    Scenario(name, [(at(today, 6, 15), None)], [today - timedelta(days=1)], [today])
    for name, today in (("live", day("2025-04-02")), ("live and crowded", day("2025-04-09")))
)
"""Captured days of 2024-25 that no scenario above plays, after days with games."""

CROWD = [
    (SUMMARY_TABLES, day("2024-10-22"), day("2025-04-07")),
    (CASCADE_TABLES, day("2023-11-08"), day("2024-06-17")),
]
"""What two people make again from the UI at the same time: one days that the daily run looks at, and waits for; one older ones."""


def play(replay: Replay, hook: Receiver, scenario: Scenario) -> list[str]:
    """Play a scenario over a home that is filled up to it; returns what is wrong afterwards."""
    console.print(f"\n[bold]{scenario.name}[/bold]")
    first = scenario.moments[0][0].date()
    known = min([first, *scenario.cascade, *(later + timedelta(days=1) for later in scenario.summaries)])
    filled = max((earlier for earlier in days_of(game_days) if earlier < known), default=known)
    replay.morning_of(filled)
    replay.backfill(season_of(filled).first_game, filled)
    hook.told.clear()
    ticks: list[Tick] = []
    started = len(replay.instance.get_runs())
    for moment, change in scenario.moments:
        replay.morning_of(moment.date(), change)
        for tick in replay.ticks_from(moment):
            show(tick)
            ticks.append(tick)
        for _ in range(3):
            replay.look_of_next_phase()
    said = replay.verdict()
    told = [f"{message['event']} ({key})" for key, message in hook.told]
    console.print(f"  check: {said[1] if said else 'nothing to say'}", markup=False)
    console.print(f"  webhook: {', '.join(told) or 'nothing'}", markup=False)
    wrong = wrong_in(replay, scenario, ticks, started)
    if (said[0] if said else None) != scenario.passes:
        wrong.append("the check says otherwise than it must")
    if len({key for key, _ in hook.told}) != len(hook.told):
        wrong.append("a message was sent twice")
    return wrong


def show(tick: Tick) -> None:
    """A tick on the terminal."""
    what = tick.skipped or "; ".join(f"{run.key[:-17]}: run {run.run_id[:8]} {run.status}" for run in tick.runs)
    console.print(f"  {tick.at:%Y-%m-%d %H:%M %Z}  {tick.seconds:4.1f} s  {what}", markup=False)


def wrong_in(replay: Replay, scenario: Scenario, ticks: Sequence[Tick], started: int) -> list[str]:
    """What is missing, stale, there twice, or was made twice; values are compared when all scenarios are over."""
    wrong = [
        f"run {run.run_id} of {run.key} ended as {run.status}" for tick in ticks for run in tick.runs if run.status != "SUCCESS"
    ]
    keys = [run.key for tick in ticks for run in tick.runs]
    if len(keys) != len(set(keys)) or len(replay.instance.get_runs()) != started + len(keys):
        wrong.append("something was made twice")
    for tables, days in ((SUMMARY_TABLES, scenario.summaries), (CASCADE_TABLES, scenario.cascade)):
        states = replay.states(min(days), max(days)) if days else {}
        for table in tables:
            wrong += [
                f"{table.name} {of_day} is {states[table.name, of_day]}"
                for of_day in days
                if states[table.name, of_day] != THERE
            ]
            for of_day in days:
                rows = replay.home.warehouse.read(table, of_day, of_day)
                if rows.duplicated(list(table.key)).any():
                    wrong.append(f"{table.name} {of_day} has a row twice")
    return wrong


def differences(replay: Replay, finished: Replay, scenario: Scenario) -> list[str]:
    """Days of the scenario whose rows are not those that a backfill of the finished games makes."""
    found, right = (home.versions()["content_hash"] for home in (replay, finished))
    return [
        f"{table.name} {of_day} differs"
        for tables, days in ((SUMMARY_TABLES, scenario.summaries), (CASCADE_TABLES, scenario.cascade))
        for table in tables
        for of_day in days
        if found.get((table.name, of_day)) != right[table.name, of_day]
    ]


DEFINITIONS = """
from datetime import datetime, timedelta
from pathlib import Path

from nba_precompute.definitions import build_definitions
from nba_precompute.game_days import NEW_YORK
from nba_precompute.home import Home

BEHIND = timedelta(seconds={behind})
defs = build_definitions(
    Home(Path({home!r}), Path({raw!r})), {webhook!r}, clock=lambda: datetime.now(NEW_YORK) - BEHIND
)
"""
"""What `dagster dev` loads: the home, with a clock that runs and is set to another day."""


def live(replay: Replay, hook: Receiver, scenario: Scenario, folder: Path, crowd: Sequence[Wanted] = ()) -> list[str]:
    """Make a day through `dagster dev`, its daemon and its workers, beside backfills of the UI; returns what is wrong afterwards."""
    [morning] = scenario.cascade
    beside = f", {len(crowd)} backfills of the UI at once" if crowd else ""
    console.print(f"\n[bold]{morning}, live: dagster dev, schedule and sensor turned on{beside}[/bold]")
    filled = max(earlier for earlier in days_of(game_days) if earlier < morning)
    replay.morning_of(filled)
    replay.backfill(season_of(filled).first_game, filled)
    replay.morning_of(morning)
    hook.told.clear()
    now = datetime.now(NEW_YORK)
    replay.now = at(morning, 6, 16)
    behind = (now.replace(tzinfo=None) - replay.now.replace(tzinfo=None)).total_seconds()
    file = folder / "live_definitions.py"
    file.write_text(DEFINITIONS.format(behind=behind, home=str(replay.home.folder), raw=str(replay.raw), webhook=hook.url))
    port = free_port()
    known = {run.run_id for run in replay.instance.get_runs()}
    environment = {**os.environ, "DAGSTER_HOME": str(replay.home.folder / DAGSTER_FOLDER)}
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "dagster", "dev", "-f", str(file), "--port", str(port)],
        env=environment,
        stdout=(folder / "said").open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        turn_on(environment, file)
        console.print(f"  turned on after {time.monotonic() - started:.0f} s")
        backfills = [launch(f"http://127.0.0.1:{port}", *wanted) for wanted in crowd]
        limit = started + 20 * 60
        while not (hook.told and all(has_ended(replay, backfill) for backfill in backfills)):
            if time.monotonic() > limit or process.poll() is not None:
                return [f"it does not end: {(folder / 'said').read_text()[-2000:]}"]
            time.sleep(1)
        time.sleep(90)  # another look of the sensor, and a tick of the schedule: nothing more must come of them
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    runs = [record for record in replay.instance.get_run_records() if record.dagster_run.run_id not in known]
    for record in reversed(runs):
        run = record.dagster_run
        took = (record.end_time or 0) - record.create_timestamp.timestamp()
        whose = run.tags.get(RUN_KEY_TAG, "")[:-17] or f"backfill {run.tags.get(BACKFILL_ID_TAG)}"
        console.print(f"  run {run.run_id[:8]} {whose}: {run.status.value}, {took:.0f} s after it was asked for")
    states = {state.instigator_name: state for state in replay.instance.all_instigator_state()}
    for name in (SCHEDULE, SENSOR):
        for tick in reversed(replay.instance.get_ticks(states[name].instigator_origin_id, states[name].selector_id)):
            took = (tick.end_timestamp or tick.timestamp) - tick.timestamp
            words = tick.skip_reason or ", ".join(run[:8] for run in tick.run_ids) or "-"
            when = datetime.fromtimestamp(tick.timestamp, NEW_YORK)
            console.print(f"  {name} {when:%H:%M:%S} {tick.status.value} {took:.1f} s: {words}", markup=False)
    console.print(f"  webhook: {[key for key, _ in hook.told]}", markup=False)
    wrong = [
        f"run {record.dagster_run.run_id} is {record.dagster_run.status.value}"
        for record in runs
        if record.dagster_run.status is not dg.DagsterRunStatus.SUCCESS
    ]
    asked_for = [record for record in runs if RUN_KEY_TAG in record.dagster_run.tags]
    if len(asked_for) != 2 or len(hook.told) != 1:
        wrong.append(f"{len(asked_for)} runs and {len(hook.told)} messages instead of two and one")
    if {record.dagster_run.tags.get(BACKFILL_ID_TAG) for record in runs} - {None} != set(backfills):
        wrong.append("a backfill was not made")
    return wrong


def has_ended(replay: Replay, backfill: str) -> bool:
    """Whether a backfill of the UI is over, well or not."""
    known = replay.instance.get_backfill(backfill)
    return known is not None and known.status not in STILL_RUNNING


def turn_on(environment: dict[str, str], file: Path) -> None:
    """What a person does in the UI: the switch of the schedule, and that of the sensor."""
    for kind, name in (("schedule", SCHEDULE), ("sensor", SENSOR)):
        subprocess.run(
            [sys.executable, "-m", "dagster", kind, "start", name, "-f", str(file)],
            env=environment,
            check=True,
            capture_output=True,
        )


def main() -> None:
    """Play every scenario, compare, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", type=Path, default=REAL_DATA)
    parser.add_argument("--live", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, receiver() as hook:
        seasons = [season.name for season in SEASONS if season.name >= SEASON_BEFORE]
        replay = Replay(Path(folder) / "played", asked.raw, seasons, hook.url)
        finished = Replay(Path(folder) / "finished", asked.raw, seasons)
        before = next(season for season in SEASONS if season.name == SEASON_BEFORE)
        for home in (replay, finished):
            home.morning_of(day("2024-10-22"))
            home.backfill(before.first_game, before.last_game)
        wrong = {scenario.name: play(replay, hook, scenario) for scenario in SCENARIOS}
        if asked.live:
            wrong[LIVE.name] = live(replay, hook, LIVE, Path(folder))
            wrong[LIVE_AND_CROWDED.name] = live(replay, hook, LIVE_AND_CROWDED, Path(folder), CROWD)
        finished.morning_of(day("2025-11-08"))
        for start, end in (("2024-10-22", str(LIVE_AND_CROWDED.cascade[0])), ("2025-10-21", "2025-11-06")):
            finished.backfill(day(start), day(end))
        for scenario in [*SCENARIOS, LIVE, LIVE_AND_CROWDED]:
            if scenario.name in wrong:
                wrong[scenario.name] += differences(replay, finished, scenario)
        console.print()
        for name, found in wrong.items():
            console.print(f"{'; '.join(found) or 'complete, right, nothing twice'}: {name}", markup=False)
    sys.exit(any(wrong.values()))


if __name__ == "__main__":
    main()
