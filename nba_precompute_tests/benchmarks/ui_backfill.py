"""Five seasons from the UI, clicked in a browser: all assets on an empty home, what is missing then, one cancelled and continued.

`uv run python -m nba_precompute_tests.benchmarks.ui_backfill [--raw DIR] [--start DATE] [--end DATE]` (default: the simulated
league) prints a row an action and ends with exit code 1 where the tables are not those of the command line in the end, where
something is stale, or where runs of one backfill were not made one at a time.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pandas as pd
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from playwright.sync_api import Page
from rich.console import Console
from rich.table import Table as Grid

from nba_precompute.assets import CASCADE_TABLES, TABLES
from nba_precompute.coverage import GAP, MISSING, STALE, look_at_source, survey
from nba_precompute.game_days import days_between, eligible_days, game_days
from nba_precompute.home import Home
from nba_precompute.instance import instance_of
from nba_precompute_tests.benchmarks.kills import published
from nba_precompute_tests.ui import browser_page, chromium, running_ui

GIVE_UP_SECONDS = 3600.0

WIDTH = 170

EVERYTHING = "/asset-groups"
OF_CASCADE = " or ".join(f'key:"{table.name}"' for table in CASCADE_TABLES)
THE_CASCADE = f"/asset-groups~{quote(OF_CASCADE)}/"
"""The graph, narrowed to assets as its search box does."""

ENDED = {
    BulkActionStatus.COMPLETED,
    BulkActionStatus.COMPLETED_SUCCESS,
    BulkActionStatus.COMPLETED_FAILED,
    BulkActionStatus.CANCELED,
    BulkActionStatus.FAILED,
}


@dataclass(frozen=True)
class Clicked:
    """What an action in the UI led to."""

    status: str
    seconds: float
    runs: Sequence[dg.RunRecord]

    @property
    def failed(self) -> int:
        """Runs that ended red."""
        return sum(run.dagster_run.status is dg.DagsterRunStatus.FAILURE for run in self.runs)

    @property
    def one_at_a_time(self) -> bool:
        """Whether no run began before the one before it had ended."""
        begun = sorted((run.start_time, run.end_time) for run in self.runs if run.start_time and run.end_time)
        return all(earlier[1] <= later[0] for earlier, later in pairwise(begun))


def launch(page: Page, address: str, start: date, end: date) -> None:
    """Select the assets that the address shows and the days in the dialog, and launch."""
    page.goto(address)
    page.get_by_role("button", name="Materialize all").first.click()
    dialog = page.get_by_role("dialog")
    days = dialog.get_by_placeholder(re.compile("^ex:"))
    days.fill(f"[{start}...{end}]")
    days.press("Enter")
    only_missing = dialog.get_by_text("Backfill only failed and missing partitions within selection")
    if only_missing.count():
        only_missing.click()
    dialog.get_by_role("button", name="Launch backfill").click()
    dialog.wait_for(state="hidden")


def choose(page: Page, url: str, backfill: PartitionBackfill, action: str) -> None:
    """An action of the menu on the backfill's page, confirmed where the page asks."""
    page.goto(f"{url}/runs/b/{backfill.backfill_id}")
    page.get_by_text("Partitions targeted").wait_for()
    page.locator("button").filter(has_text=re.compile("^$")).last.click()  # the menu, which has no name
    page.get_by_text(action, exact=True).click()
    page.wait_for_timeout(2000)
    confirm = page.get_by_role("dialog").get_by_role("button", name=action, exact=True)
    if confirm.count():
        confirm.click()


def newest(instance: dg.DagsterInstance) -> PartitionBackfill:
    """The backfill that was launched last."""
    return max(instance.get_backfills(), key=lambda backfill: backfill.backfill_timestamp)


def until(look: Callable[[], bool]) -> None:
    """Wait until it is so."""
    give_up_at = time.monotonic() + GIVE_UP_SECONDS
    while not look():
        assert time.monotonic() < give_up_at, "the backfill does not end"
        time.sleep(1)


def wait_for_end(instance: dg.DagsterInstance, backfill: PartitionBackfill, began: float) -> Clicked:
    """What the backfill led to, when it has ended."""

    def status() -> BulkActionStatus:
        known = instance.get_backfill(backfill.backfill_id)
        assert known is not None
        return known.status

    until(lambda: status() in ENDED)
    return Clicked(status().value, time.monotonic() - began, runs_of(instance, backfill))


def runs_of(instance: dg.DagsterInstance, backfill: PartitionBackfill) -> Sequence[dg.RunRecord]:
    """The runs of a backfill."""
    return instance.get_run_records(dg.RunsFilter(tags={"dagster/backfill": backfill.backfill_id}))


def in_words(found: pd.DataFrame) -> tuple[str, str]:
    """What is missing, by table with its days, and how much is stale."""
    missing = found[found["state"].isin([MISSING, GAP])]
    by_days = missing.groupby("table", sort=False)["day"].agg(
        lambda days: ", ".join(map(str, days)) if len(days) < 6 else len(days)
    )
    words = [f"{', '.join(by_days.index[by_days == days])}: {days}" for days in by_days.unique()]
    return "\n".join(words) or "nothing", str((found["state"] == STALE).sum())


@dataclass(frozen=True)
class Story:
    """One home in the UI: what was asked for, and the rows that tell of it."""

    home: Home
    instance: dg.DagsterInstance
    page: Page
    url: str
    start: date
    end: date
    grid: Grid

    def launch(self, view: str, partitions: dg.PartitionsDefinition) -> PartitionBackfill:
        """Launch the days of the assets that the view shows; the dialog refuses a range whose ends are no partitions."""
        known = {backfill.backfill_id for backfill in self.instance.get_backfills()}
        days = days_between(partitions, self.start, self.end)
        launch(self.page, self.url + view, days[0], days[-1])
        until(lambda: bool({backfill.backfill_id for backfill in self.instance.get_backfills()} - known))
        return newest(self.instance)

    def tell(self, action: str, backfill: PartitionBackfill, began: float) -> bool:
        """Wait for the backfill's end and add its row; whether its runs were made one at a time."""
        clicked = wait_for_end(self.instance, backfill, began)
        found = self.looked_at()
        ordered = "yes" if clicked.one_at_a_time else "NO"
        counts = str(len(clicked.runs)), str(clicked.failed), ordered, f"{clicked.seconds:.0f}"
        self.grid.add_row(self.home.folder.name, action, clicked.status, *counts, *in_words(found))
        Console(width=WIDTH, stderr=True).print(self.grid)
        return clicked.one_at_a_time

    def cancelled_and_continued(self) -> list[bool]:
        """All assets, cancelled as soon as one run has ended well, and continued from there."""
        began = time.monotonic()
        first = self.launch(EVERYTHING, game_days)
        until(lambda: any(run.dagster_run.is_success for run in runs_of(self.instance, first)))
        choose(self.page, self.url, first, "Cancel backfill")
        ordered = self.tell("all assets, cancelled after a run", first, began)
        began = time.monotonic()
        choose(self.page, self.url, first, "Re-execute from failure")
        until(lambda: newest(self.instance).backfill_id != first.backfill_id)
        return [ordered, self.tell("continued: re-execute from failure", newest(self.instance), began)]

    def all_at_once(self) -> list[bool]:
        """All assets and days in one dialog."""
        began = time.monotonic()
        return [self.tell(f"all assets, {self.start} to {self.end}", self.launch(EVERYTHING, game_days), began)]

    def looked_at(self) -> pd.DataFrame:
        """The survey of the days that were asked for."""
        return survey(self.home, self.instance, look_at_source(self.home.source(), self.start, self.end), TABLES)

    def what_the_cascade_lacks(self, typed: Home) -> list[bool]:
        """The cascade alone, where something of it is missing; then the tables are the command line's, and nothing is stale."""
        began = time.monotonic()
        is_right = []
        if (self.looked_at()["state"] == MISSING).any():  # else the dialog has nothing to launch
            is_right.append(self.tell("the cascade alone, missing only", self.launch(THE_CASCADE, eligible_days), began))
        ours, theirs = (published(home)["content_hash"] for home in (self.home, typed))
        ours = ours[
            ours.index.get_level_values("table").isin([table.name for table in TABLES])
        ]  # the model is in the graph too
        same = ours.reindex(theirs.index).equals(theirs)
        more = sorted({str(day.date()) for _, day in ours.index.difference(theirs.index)})
        words = f"{len(theirs)} content hashes {'the same' if same else 'NOT THE SAME'}, more: {', '.join(more) or 'none'}"
        self.grid.add_row(self.home.folder.name, "beside the command line's", *[""] * 5, words, "")
        return [*is_right, same, not (self.looked_at()["state"] == STALE).any()]


def made_by_the_command_line(home: Home, start: date, end: date, grid: Grid) -> None:
    """The same days, typed."""
    command = [sys.executable, "-m", "nba_precompute", "backfill", "--start", str(start), "--end", str(end)]
    raw = ["--raw", str(home.raw)] if home.raw else []
    environment = {**os.environ, "NBA_PRECOMPUTE_HOME": str(home.folder)}
    began = time.monotonic()
    subprocess.run([*command, *raw], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.monotonic() - began
    with instance_of(home) as instance:
        found = survey(home, instance, look_at_source(home.source(), start, end), TABLES)
        runs = str(len(instance.get_runs()))
    grid.add_row(home.folder.name, "command line", "", runs, "", "", f"{seconds:.0f}", *in_words(found))


def main() -> None:
    """Type, click, wait, compare; print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", type=Path)
    parser.add_argument("--start", type=date.fromisoformat, default=date(2021, 10, 19))
    parser.add_argument("--end", type=date.fromisoformat, default=date(2026, 1, 2))
    asked = parser.parse_args()
    executable = chromium()
    assert executable, "no Chromium: apt-get install chromium"
    grid = Grid("home", "action", "end state", "runs", "failed", "one at a time", "seconds", "then missing", "stale")
    grid.title = f"{asked.raw or 'simulated league'}, {asked.start} to {asked.end}"
    is_right = []
    with tempfile.TemporaryDirectory(prefix="ui_backfill-") as folder:
        typed = Home(Path(folder) / "typed", asked.raw)
        made_by_the_command_line(typed, asked.start, asked.end, grid)
        for name, actions in ("at once", Story.all_at_once), ("cancelled", Story.cancelled_and_continued):
            home = Home(Path(folder) / name, asked.raw)
            with running_ui(home) as url, instance_of(home) as instance, browser_page(executable) as page:
                story = Story(home, instance, page, url, asked.start, asked.end, grid)
                is_right += [*actions(story), *story.what_the_cascade_lacks(typed)]
    Console(width=WIDTH).print(grid)
    sys.exit(not all(is_right))


if __name__ == "__main__":
    main()
