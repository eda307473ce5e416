"""The two sensors turned on in a running instance: what each correction and gap leads to, on five seasons.

`uv run python -m nba_precompute_tests.benchmarks.refresh_live [--raw DIR]` (default: the simulated league) fills a home, starts
`nba-precompute ui`, turns `refresh_stale` and `missing_partitions` on, and plays its scenarios one after the other. It prints of each
what was asked for, when both sensors found nothing more to ask for, and how long their slowest look took, and ends with exit code 1
where the tables are not what they must be then, or something is stale or missing.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus
from rich.console import Console
from rich.table import Table as Grid

from nba_precompute.assets import CASCADE_TABLES, SUMMARY_TABLES, TABLES
from nba_precompute.backfill import RANGE_END_TAG, RANGE_START_TAG
from nba_precompute.coverage import MISSING, STALE, look_at_source, survey
from nba_precompute.home import Home
from nba_precompute.instance import instance_of
from nba_precompute.preflight import SENSOR_TAG
from nba_precompute.refresh import MISSING_SENSOR, STALE_SENSOR, STOPPED_ASKING
from nba_precompute.sources import layout
from nba_precompute.sources.simulated import write_simulated_league
from nba_precompute.tables.player_composite_factors import PLAYER_COMPOSITE_FACTORS
from nba_precompute.tables.player_game_summary import PLAYER_GAME_SUMMARY
from nba_precompute.tables.team_defense_zone_analysis import TEAM_DEFENSE_ZONE_ANALYSIS
from nba_precompute_tests.benchmarks.kills import published
from nba_precompute_tests.benchmarks.running_instance import ENDED, launch, runs_of, typed, until
from nba_precompute_tests.test_resume import change, made_by_older_code, one_more_free_throw
from nba_precompute_tests.ui import ask, running_ui

START, END = date(2021, 10, 19), date(2026, 1, 2)

CORRECTED, LATE, ASSISTED = (pd.Timestamp(day) for day in ("2023-01-16", "2024-03-05", "2024-12-10"))
LOST = ("2025-12-10", "2025-12-12")
UNWRITABLE = ("2025-12-26", "2025-12-29")

WIDTH = 170

MOST_RUNS = 12
"""Runs that a scenario may take: few ranged ones, not one a day. The most are those of a table's five seasons, in batches."""

TURN_ON = """
mutation ($selector: SensorSelector!) { startSensor(sensorSelector: $selector) { ... on Sensor { name } } }
"""

RELOAD = """
mutation ($location: String!) {
    reloadRepositoryLocation(repositoryLocationName: $location) { ... on WorkspaceLocationEntry { name } }
}
"""

LOCATION = "{workspaceOrError {... on Workspace {locationEntries {name}}}}"


@dataclass(frozen=True)
class Platform:
    """A home with its instance and the address of its UI."""

    home: Home
    instance: dg.DagsterInstance
    url: str


@dataclass(frozen=True)
class Scenario:
    """What is done, how many runs may fail, and what the tables and the check must be like when nothing more is asked for."""

    name: str
    act: Callable[[Platform], object]
    as_before: bool = True
    may_fail: int = 0
    stops_asking: bool = False


# ------------------------------------------------------------------------------------------------------ what is done


def lose(platform: Platform, table: str, days: tuple[str, str], *more: str) -> None:
    """Take days of a table out of the warehouse by hand."""
    name = table.split(".")[1]
    with duckdb.connect(platform.home.folder / "warehouse.duckdb") as warehouse:
        [key] = [known.day for known in TABLES if known.name == name]
        warehouse.execute(f"DELETE FROM {table} WHERE {key} BETWEEN ? AND ?", days)
        warehouse.execute(
            "DELETE FROM nba_reference.partition_versions WHERE table_name = ? AND day BETWEEN ? AND ?", [table, *days]
        )
        for statement in more:
            warehouse.execute(statement)


def correct(platform: Platform) -> None:
    """One more free throw."""
    change(platform, layout.BOX_SCORES, lambda rows: one_more_free_throw(rows, CORRECTED))


def take_back(platform: Platform) -> None:
    """The file as it was."""
    assert platform.home.raw is not None
    shutil.copy(as_it_was(platform.home.raw) / layout.BOX_SCORES.name, platform.home.raw)


def lose_shots(platform: Platform) -> None:
    """The file as it is before the shots of a day are in."""
    change(platform, layout.SHOTS, lambda rows: rows[rows["game_date"] != LATE])


def give_shots(platform: Platform) -> None:
    """The file with them."""
    assert platform.home.raw is not None
    shutil.copy(as_it_was(platform.home.raw) / layout.SHOTS.name, platform.home.raw)


def assist_misses(platform: Platform) -> None:
    """What no table counts."""
    change(
        platform,
        layout.SHOTS,
        lambda rows: rows.assign(assisted=rows["assisted"].mask((rows["game_date"] == ASSISTED) & ~rows["made"], True)),
    )


def make_unwritable(platform: Platform) -> None:
    """Days lost, and a column of another type than the contract's, so that no run can write them."""
    name = PLAYER_COMPOSITE_FACTORS.qualified_name
    lose(platform, name, UNWRITABLE, f"ALTER TABLE {name} ALTER fatigue_score TYPE VARCHAR")


def mend_by_hand(platform: Platform) -> None:
    """The column as it was, and the days typed."""
    with duckdb.connect(platform.home.folder / "warehouse.duckdb") as warehouse:
        warehouse.execute(f"ALTER TABLE {PLAYER_COMPOSITE_FACTORS.qualified_name} ALTER fatigue_score TYPE INTEGER")
    typed(platform.home, *(date.fromisoformat(day) for day in UNWRITABLE)).wait()


def raise_code_version(platform: Platform) -> None:
    """The rows as older code made them, and the definitions reloaded, as whoever raises a version does."""
    made_by_older_code(platform, TEAM_DEFENSE_ZONE_ANALYSIS.name, lambda rows: rows)
    assert ask(platform.url, RELOAD, location=location_of(platform.url))["reloadRepositoryLocation"]["name"]


def correct_beside_a_backfill(platform: Platform) -> None:
    """A backfill of the UI is asked for and the file is corrected: neither sensor may ask before it has ended."""
    backfill = launch(platform.url, SUMMARY_TABLES, date(2022, 10, 18), date(2023, 6, 12))
    correct(platform)
    until(lambda: bool(runs_of(platform.instance, backfill)))
    until(lambda: {run.dagster_run.status for run in runs_of(platform.instance, backfill)} <= ENDED)


SCENARIOS = [
    Scenario("nothing to do", lambda platform: None),
    Scenario(f"a box score of {CORRECTED.date()} corrected", correct, as_before=False),
    Scenario("the correction taken back", take_back),
    Scenario(f"the shots of {LATE.date()} are not there", lose_shots, as_before=False),
    Scenario("they arrive late", give_shots),
    Scenario(f"assists of missed shots of {ASSISTED.date()}, which no table counts", assist_misses),
    Scenario(
        "code_version of team_defense_zone_analysis raised, its rows the same",
        raise_code_version,
    ),
    Scenario(
        f"player_game_summary lost {LOST[0]} to {LOST[1]}",
        lambda platform: lose(platform, PLAYER_GAME_SUMMARY.qualified_name, LOST),
    ),
    Scenario(
        "player_composite_factors wiped in the UI",
        lambda platform: platform.instance.wipe_assets([dg.AssetKey(PLAYER_COMPOSITE_FACTORS.name)]),
    ),
    Scenario(
        f"player_composite_factors lost {UNWRITABLE[0]} to {UNWRITABLE[1]} and cannot be written",
        make_unwritable,
        as_before=False,
        may_fail=12,
        stops_asking=True,
    ),
    Scenario("it can be written again, and the days are made by hand", mend_by_hand),
    Scenario("a correction while a backfill of the UI runs", correct_beside_a_backfill, as_before=False),
    Scenario("that taken back", take_back),
]


# ------------------------------------------------------------------------------------------------------ what comes of it


def as_it_was(raw: Path) -> Path:
    """The raw games that nobody changes."""
    return raw.with_name("as it was")


def location_of(url: str) -> str:
    """The name of the code location."""
    [location] = ask(url, LOCATION)["workspaceOrError"]["locationEntries"]
    return str(location["name"])


def turn_on(url: str) -> None:
    """What a person does in the UI: the switches of both sensors."""
    for name in (STALE_SENSOR, MISSING_SENSOR):
        selector = {
            "repositoryLocationName": location_of(url),
            "repositoryName": "__repository__",
            "sensorName": name,
        }
        assert ask(url, TURN_ON, selector=selector)["startSensor"] == {"name": name}


def ticks_since(instance: dg.DagsterInstance, since: float) -> dict[str, Sequence[InstigatorTick]]:
    """The looks of both sensors that began since a moment, the latest first."""
    states = {state.instigator_name: state for state in instance.all_instigator_state()}
    return {
        name: instance.get_ticks(states[name].instigator_origin_id, states[name].selector_id, after=since)
        for name in (STALE_SENSOR, MISSING_SENSOR)
        if name in states
    }


def both_rest(instance: dg.DagsterInstance, since: float) -> bool:
    """Whether each sensor has looked since the last run ended, waited for nobody, and asked for nothing."""
    runs = instance.get_run_records(dg.RunsFilter(created_after=datetime.fromtimestamp(since, UTC)))
    if any(run.end_time is None for run in runs):
        return False
    quiet_since = max([since, *(run.end_time for run in runs if run.end_time)])
    latest = [of_sensor[:1] for of_sensor in ticks_since(instance, quiet_since).values()]
    looks = [tick for ticks in latest for tick in ticks]
    return len(looks) == len((STALE_SENSOR, MISSING_SENSOR)) and all(
        tick.status is TickStatus.SKIPPED and not str(tick.skip_reason).startswith("Waiting") for tick in looks
    )


def in_words(run: dg.DagsterRun) -> str:
    """Which tables a run was asked to make, and of when."""
    names = [table.name for table in TABLES if dg.AssetKey(table.name) in (run.asset_selection or ())]
    words = {len(CASCADE_TABLES): "cascade"}.get(len(names), ", ".join(names))
    words = "game summaries" if names == [table.name for table in SUMMARY_TABLES] else words
    how = "" if run.is_success else f" {run.status.value}"
    tags = run.tags.get
    return f"{words}: {tags(RANGE_START_TAG)} to {tags(RANGE_END_TAG)}{how}"


def wrong_in(platform: Platform, scenario: Scenario, before: pd.Series, runs: Sequence[dg.RunRecord]) -> list[str]:
    """What is not as it must be, when nothing more is asked for."""
    wrong = []
    found = survey(platform.home, platform.instance, look_at_source(platform.home.source(), START, END), TABLES)
    states = found["state"].value_counts()
    if not scenario.stops_asking and (states.get(STALE, 0) or states.get(MISSING, 0)):
        wrong.append(f"{states.get(STALE, 0)} stale, {states.get(MISSING, 0)} missing")
    if scenario.as_before != published(platform.home)["content_hash"].equals(before):
        wrong.append("the tables are not as before" if scenario.as_before else "the tables are as before")
    asked_for = [run for run in runs if SENSOR_TAG in run.dagster_run.tags]
    if len(asked_for) > MOST_RUNS:
        wrong.append(f"{len(asked_for)} runs were asked for")
    others = [run for run in runs if run not in asked_for]
    wrong += [
        f"run {run.dagster_run.run_id} was asked for while run {other.dagster_run.run_id} made tables"
        for run in asked_for
        for other in others
        if other.create_timestamp <= run.create_timestamp and run.create_timestamp.timestamp() < (other.end_time or 0)
    ]
    failed = sum(not run.dagster_run.is_success for run in runs)
    if failed > scenario.may_fail:
        wrong.append(f"{failed} runs failed")
    key = dg.AssetCheckKey(dg.AssetKey("coverage"), STOPPED_ASKING)
    record = platform.instance.get_latest_asset_check_evaluation_record(key)
    said = record.evaluation if record else None
    if said is None or said.passed == scenario.stops_asking:
        wrong.append(f"the check {STOPPED_ASKING} says otherwise")
    return wrong


def as_of_one_made_from_nothing(platform: Platform, folder: Path) -> bool:
    """Whether the tables are those of a home that a command fills from the games as they are now."""
    other = Home(folder, platform.home.raw)
    typed(other, START, END).wait()
    return published(platform.home)["content_hash"].equals(published(other)["content_hash"])


def play(platform: Platform, scenario: Scenario, before: pd.Series, grid: Grid) -> bool:
    """Do it, wait until both sensors rest, add the row; whether all is as it must be."""
    known = {run.run_id for run in platform.instance.get_runs()}
    began = time.time()
    scenario.act(platform)
    acted = time.time()
    until(lambda: both_rest(platform.instance, acted))
    took = time.time() - acted
    runs = [record for record in reversed(platform.instance.get_run_records()) if record.dagster_run.run_id not in known]
    asked_by_sensors = [record.dagster_run for record in runs if SENSOR_TAG in record.dagster_run.tags]
    looks = [tick for of_sensor in ticks_since(platform.instance, began).values() for tick in of_sensor]
    slowest = max((tick.end_timestamp or tick.timestamp) - tick.timestamp for tick in looks)
    waited = sum(str(tick.skip_reason).startswith("Waiting") for tick in looks)
    wrong = wrong_in(platform, scenario, before, runs)
    asked = "\n".join(map(in_words, asked_by_sensors)) or "nothing"
    grid.add_row(scenario.name, asked, f"{took:.0f}", f"{slowest:.1f}", str(waited), "; ".join(wrong) or "as it must be")
    Console(width=WIDTH, stderr=True).print(grid)
    return not wrong


def main() -> None:
    """Fill, turn on, play, print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", type=Path)
    asked = parser.parse_args()
    grid = Grid(
        "scenario", "runs that the sensors asked for", "at rest after s", "slowest look s", "waits", "then", show_lines=True
    )
    grid.title = f"{asked.raw or 'simulated league'}, {START} to {END}, both sensors turned on"
    with tempfile.TemporaryDirectory(prefix="refresh_live-") as folder:
        raw = Path(folder) / "raw"
        if asked.raw:
            shutil.copytree(asked.raw, raw, copy_function=shutil.copyfile)
        else:
            write_simulated_league(raw)
        shutil.copytree(raw, as_it_was(raw))
        home = Home(Path(folder) / "home", raw)
        typed(home, START, END).wait()
        before = published(home)["content_hash"]
        is_right = []
        with running_ui(home) as url, instance_of(home) as instance:
            platform = Platform(home, instance, url)
            turn_on(url)
            for scenario in SCENARIOS:
                is_right.append(play(platform, scenario, before, grid))
                if scenario.act is correct:
                    is_right.append(as_of_one_made_from_nothing(platform, Path(folder) / "from nothing"))
                    words = "as of a home" if is_right[-1] else "NOT as of a home"
                    grid.add_row("", f"the tables are {words} made from the corrected games", *[""] * 4)
    Console(width=WIDTH).print(grid)
    sys.exit(not all(is_right))


if __name__ == "__main__":
    main()
