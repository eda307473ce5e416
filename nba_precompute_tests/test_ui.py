"""Seen in a browser: `dagster dev` over a few weeks of the simulated league, as a person uses it."""

import re
import tomllib
from pathlib import Path

import duckdb
import pytest
from playwright.sync_api import expect

from nba_precompute.assets import CASCADE_TABLES, SUMMARY_TABLES
from nba_precompute.tables.ml_feature_store_v2 import ML_FEATURE_STORE_V2
from nba_precompute_tests.test_runs import ELIGIBLE, END, GAMES, Platform, change_box_scores, folder_of
from nba_precompute_tests.ui import ask, browser_page, chromium_or_skip, running_ui

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"

FEATURES = "assets/ml_feature_store_v2"

MADE_WITHIN_MS = 120_000
"""Launch, queue, worker and the page each look every few seconds."""


@pytest.fixture(scope="module")
def seen(simulated_season, tmp_path_factory):
    """A home that lacks the last three days of the feature table alone, its UI's address, and a page of a browser."""
    executable = chromium_or_skip()
    raw = folder_of(simulated_season, tmp_path_factory)
    change_box_scores(raw, lambda rows: rows[rows["game_date"].dt.date <= END])
    platform = Platform(tmp_path_factory.mktemp("seen") / "home", raw)
    for tables, days in (SUMMARY_TABLES, GAMES), (CASCADE_TABLES[:5], ELIGIBLE), ([ML_FEATURE_STORE_V2], ELIGIBLE[:-3]):
        assert platform.run(tables, days).success
    with running_ui(platform.home) as url, browser_page(executable) as page:
        yield platform, url, page


def test_what_is_turned_on_in_one_ui_is_on_in_the_other(seen):
    _, url, _ = seen
    [location] = ask(url, "{workspaceOrError {... on Workspace {locationEntries {name}}}}")["workspaceOrError"][
        "locationEntries"
    ]
    with PYPROJECT.open("rb") as file:
        of_plain_dagster_dev = tomllib.load(file)["tool"]["dagster"]["code_location_name"]
    assert location["name"] == of_plain_dagster_dev  # Dagster keeps by this name what is turned on


def test_missing_days_are_selected_in_the_dialog_and_made_until_the_bar_is_green(seen):
    platform, url, page = seen
    page.goto(f"{url}/{FEATURES}?view=partitions")
    expect(page.get_by_text("Materialized (7)")).to_be_visible()
    page.get_by_role("button", name="Materialize").first.click()
    dialog = page.get_by_role("dialog")
    days = dialog.get_by_placeholder(re.compile("^ex:"))
    days.fill(f"[{ELIGIBLE[0]}...{ELIGIBLE[-1]}]")
    days.press("Enter")
    dialog.get_by_text("Backfill only failed and missing partitions within selection").click()
    expect(dialog.get_by_text("Only 3 failed and missing partitions")).to_be_visible()
    assert dialog.get_by_text("Upstream data missing").count() == 0
    dialog.get_by_role("button", name="Launch backfill").click()
    page.goto(f"{url}/{FEATURES}?view=partitions")
    expect(page.get_by_text("Materialized (10)")).to_be_visible(timeout=MADE_WITHIN_MS)
    expect(page.get_by_text("Failed (0)")).to_be_visible()
    assert platform.recorded(ML_FEATURE_STORE_V2) == {str(day) for day in ELIGIBLE}


def test_checks_executed_on_damaged_rows_fail_and_say_which_day_and_what_to_do(seen):
    platform, url, page = seen
    page.goto(f"{url}/{FEATURES}?view=checks")
    expect(page.get_by_text("Checks (12)")).to_be_visible()
    expect(page.get_by_text("Failed", exact=True)).to_have_count(0)
    with duckdb.connect(platform.home.folder / "warehouse.duckdb") as warehouse:
        warehouse.execute(
            f"UPDATE {ML_FEATURE_STORE_V2.qualified_name} SET points_avg_last_10 = points_avg_last_10 + 1 WHERE game_date = ?",
            [ELIGIBLE[3]],
        )
    page.get_by_role("button", name="Execute all").click()
    expect(page.get_by_text("Failed", exact=True)).to_have_count(3, timeout=MADE_WITHIN_MS)
    listed = page.locator("body").inner_text()
    assert re.findall(r"(\w+)\nFailed$", listed, re.MULTILINE) == ["content_hash", "identity", "reproduced"]
    assert len(re.findall(r"(\w+)\nSucceeded$", listed, re.MULTILINE)) == 12 - 3
    page.get_by_text("content_hash").first.click()
    expect(page.get_by_text(str(ELIGIBLE[3]), exact=True).first).to_be_visible()
    page.get_by_text("[Show Markdown]").click()
    expect(
        page.get_by_role("dialog").get_by_text(f"backfill --tables ml_feature_store_v2 --start {ELIGIBLE[3]}")
    ).to_be_visible()
