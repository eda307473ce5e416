"""Take the README's pictures of a home's UI: `uv run python -m nba_precompute_tests.screenshots.take`.

Of the home that NBA_PRECOMPUTE_HOME names (default .nba), which a backfill has filled. Evaluates every check over all its days.
"""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import dagster as dg
from PIL import Image
from playwright.sync_api import Page

from nba_precompute import dashboard
from nba_precompute.definitions import build_definitions, home_of_environment
from nba_precompute.home import Home
from nba_precompute.instance import instance_of
from nba_precompute_tests.ui import browser_page, chromium, running_ui

HERE = Path(__file__).parent

DRAWN_MS = 4000
"""The UI has no sign that a graph, a bar or plots are complete."""

COLORS = 256
"""The UI has few; with a palette a picture is half as large."""


def graph(page: Page, url: str) -> bytes:
    """Everything that the feature row is made from."""
    page.set_viewport_size({"width": 2200, "height": 1900})
    page.goto(f"{url}/assets/ml_feature_store_v2?view=lineage&lineageScope=upstream&lineageDepth=5")
    page.get_by_text("raw_box_scores").first.wait_for()
    page.wait_for_timeout(DRAWN_MS)
    return page.screenshot(clip={"x": 480, "y": 165, "width": 1480, "height": 1700})


def asset(page: Page, url: str) -> bytes:
    """What a person sees first of the feature table."""
    page.set_viewport_size({"width": 1400, "height": 800})
    page.goto(f"{url}/assets/ml_feature_store_v2")
    page.get_by_text("Which days are missing?").wait_for()
    page.get_by_text("Latest check results").wait_for()
    page.wait_for_timeout(DRAWN_MS)
    return page.screenshot(clip={"x": 240, "y": 0, "width": 1160, "height": 640})


def partitions(page: Page, url: str) -> bytes:
    """The days of the feature table, and what is recorded of one."""
    page.set_viewport_size({"width": 1400, "height": 800})
    page.goto(f"{url}/assets/ml_feature_store_v2?view=partitions&partition=2026-01-02")
    page.get_by_text("Partitions Selected").wait_for()
    page.wait_for_timeout(DRAWN_MS)
    return page.screenshot(clip={"x": 240, "y": 0, "width": 1160, "height": 800})


def plots(page: Page, url: str) -> bytes:
    """The numbers of each day of the factors."""
    page.set_viewport_size({"width": 1400, "height": 5200})
    page.goto(f"{url}/assets/player_composite_factors")
    page.get_by_text("Plots", exact=True).last.click()
    last = page.get_by_text("worst_null_rate", exact=True)
    last.wait_for()
    page.wait_for_timeout(DRAWN_MS)
    first = page.get_by_text("dagster/partition_row_count", exact=True).first.bounding_box()
    assert first is not None
    return page.screenshot(clip={"x": 240, "y": first["y"] - 70, "width": 860, "height": 900})


def checks(page: Page, url: str) -> bytes:
    """Every rule over the whole warehouse."""
    page.set_viewport_size({"width": 1400, "height": 1000})
    page.goto(f"{url}/assets/coverage?view=checks&checkDetail=coverage")
    page.get_by_text("Evaluation result").wait_for()
    page.wait_for_timeout(DRAWN_MS)
    return page.screenshot(clip={"x": 240, "y": 0, "width": 1160, "height": 800})


def heatmap(page: Page, url: str) -> bytes:
    """The calendar on the check of coverage."""
    page.set_viewport_size({"width": 1500, "height": 1200})
    page.goto(f"{url}/assets/coverage?view=checks&checkDetail=coverage")
    page.get_by_text("[Show Markdown]").first.click()
    picture = page.get_by_role("dialog").locator("img")
    picture.wait_for()
    page.wait_for_timeout(DRAWN_MS)
    return page.get_by_role("dialog").screenshot()


def evaluate(home: Home) -> None:
    """Every check over all days, as the asset `coverage` does it."""
    with instance_of(home) as instance:
        job = build_definitions(home).resolve_implicit_global_asset_job_def()
        job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey(dashboard.NAME)])


def save(name: str, picture: bytes) -> None:
    """Keep a picture small."""
    Image.open(BytesIO(picture)).convert("RGB").quantize(COLORS, Image.Quantize.MAXCOVERAGE).save(
        HERE / f"{name}.png", optimize=True
    )


def main() -> None:
    """Take them all."""
    executable = chromium()
    assert executable, "no Chromium: apt-get install chromium"
    home = home_of_environment()
    evaluate(home)
    pictures: list[Callable[[Page, str], bytes]] = [checks, heatmap, graph, asset, partitions, plots]
    with running_ui(home) as url, browser_page(executable) as page:
        page.set_default_timeout(60_000)
        for take in pictures:
            save(take.__name__, take(page, url))


if __name__ == "__main__":
    main()
