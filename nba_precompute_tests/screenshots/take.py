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


def drawn(page: Page, address: str, width: int, height: int, *words: str) -> None:
    """Open a page of the UI in a window of that size, and wait until it shows the words and is drawn."""
    page.set_viewport_size({"width": width, "height": height})
    page.goto(address)
    for shown in words:
        page.get_by_text(shown).first.wait_for()
    page.wait_for_timeout(DRAWN_MS)


def right_of_menu(page: Page, y: float, width: int, height: int) -> bytes:
    """A picture of a part of the page, without the menu on the left."""
    return page.screenshot(clip={"x": 240, "y": y, "width": width, "height": height})


def graph(page: Page, url: str) -> bytes:
    """Everything that the feature row is made from."""
    address = f"{url}/assets/ml_feature_store_v2?view=lineage&lineageScope=upstream&lineageDepth=5"
    drawn(page, address, 2200, 1900, "raw_box_scores")
    return page.screenshot(clip={"x": 480, "y": 165, "width": 1480, "height": 1700})


def asset(page: Page, url: str) -> bytes:
    """What a person sees first of the feature table."""
    drawn(page, f"{url}/assets/ml_feature_store_v2", 1400, 800, "Which days are missing?", "Latest check results")
    return right_of_menu(page, 0, 1160, 640)


def partitions(page: Page, url: str) -> bytes:
    """The days of the feature table, and what is recorded of one."""
    address = f"{url}/assets/ml_feature_store_v2?view=partitions&partition=2026-01-02"
    drawn(page, address, 1400, 800, "Partitions Selected")
    return right_of_menu(page, 0, 1160, 800)


def plots(page: Page, url: str) -> bytes:
    """The numbers of each day of the factors."""
    drawn(page, f"{url}/assets/player_composite_factors", 1400, 5200, "Plots")
    page.get_by_text("Plots", exact=True).last.click()
    page.get_by_text("worst_null_rate", exact=True).wait_for()
    page.wait_for_timeout(DRAWN_MS)
    first = page.get_by_text("dagster/partition_row_count", exact=True).first.bounding_box()
    assert first is not None
    return right_of_menu(page, first["y"] - 70, 860, 900)


def checks(page: Page, url: str) -> bytes:
    """Every rule over the whole warehouse."""
    drawn(page, f"{url}/assets/coverage?view=checks&checkDetail=coverage", 1400, 1000, "Evaluation result")
    return right_of_menu(page, 0, 1160, 800)


def heatmap(page: Page, url: str) -> bytes:
    """The calendar on the check of coverage."""
    drawn(page, f"{url}/assets/coverage?view=checks&checkDetail=coverage", 1500, 1200, "[Show Markdown]")
    page.get_by_text("[Show Markdown]").first.click()
    page.get_by_role("dialog").locator("img").wait_for()
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
