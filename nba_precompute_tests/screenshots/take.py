"""Take the README's pictures from a running UI: `uv run --with playwright python -m nba_precompute_tests.screenshots.take URL`.

Needs `dagster dev` (or `nba-precompute ui`) at URL, by default http://127.0.0.1:3000, and a Chromium at /usr/bin/chromium.
"""

import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright  # type: ignore[import-not-found]

HERE = Path(__file__).parent

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


def graph(page: Page, url: str) -> None:
    """Everything that the feature row is made from."""
    page.goto(f"{url}/assets/ml_feature_store_v2?view=lineage&lineageScope=upstream&lineageDepth=5")
    page.get_by_text("raw_box_scores").first.wait_for()
    page.wait_for_timeout(4000)
    page.screenshot(path=HERE / "graph.png", clip={"x": 730, "y": 165, "width": 1010, "height": 1230})


def partitions(page: Page, url: str) -> None:
    """The days of the feature table."""
    page.goto(f"{url}/assets/ml_feature_store_v2?view=partitions")
    page.get_by_text("Partitions Selected").wait_for()
    page.wait_for_timeout(3000)
    page.screenshot(path=HERE / "partitions.png", clip={"x": 255, "y": 0, "width": 1945, "height": 620})


def main() -> None:
    """Take both."""
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:3000"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 2200, "height": 1400})
        graph(page, url)
        partitions(page, url)
        browser.close()


if __name__ == "__main__":
    main()
