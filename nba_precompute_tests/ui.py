"""A running UI over a home, and a browser to look at it with. For tests, benchmarks and screenshots."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from nba_precompute.home import Home

STARTS_WITHIN_SECONDS = 180
"""The webserver, the daemon and the code server import Dagster at the same time: seconds alone, a minute beside a test suite."""

HEADLESS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
"""Chromium as root (CI), without a screen, and without asking anybody about itself."""

LOADED = """
{
    workspaceOrError {
        ... on Workspace { locationEntries { loadStatus locationOrLoadError { ... on PythonError { message } } } }
    }
}
"""


@contextlib.contextmanager
def running_ui(home: Home, *options: str) -> Iterator[str]:
    """The address of `nba-precompute ui` over the home, while this lasts; what it says goes to the home's file `ui.log`."""
    home.folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    raw = ["--raw", str(home.raw)] if home.raw else []
    command = [sys.executable, "-m", "nba_precompute", "ui", "--port", str(port), *raw, *options]
    with (home.folder / "ui.log").open("w") as said:
        process = subprocess.Popen(
            command,
            env={**os.environ, "NBA_PRECOMPUTE_HOME": str(home.folder)},
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        give_up_at = time.monotonic() + STARTS_WITHIN_SECONDS
        while not is_up(url):
            assert process.poll() is None, (home.folder / "ui.log").read_text()
            assert time.monotonic() < give_up_at, (home.folder / "ui.log").read_text()
            time.sleep(0.3)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C on a terminal: to the workers of runs too, which end their runs
        try:
            process.wait(60)
        finally:
            with contextlib.suppress(ProcessLookupError):  # as it should be: they have ended with it
                os.killpg(process.pid, signal.SIGKILL)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def ask(url: str, query: str, **variables: Any) -> Any:
    """What the UI's GraphQL answers."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["data"]


def is_up(url: str) -> bool:
    """Whether the UI answers and has loaded the definitions."""
    try:
        [location] = ask(url, LOADED)["workspaceOrError"]["locationEntries"]
    except OSError:
        return False
    error = (location["locationOrLoadError"] or {}).get("message")
    assert error is None, error
    return bool(location["loadStatus"] == "LOADED")


def chromium() -> str | None:
    """The machine's Chromium, else the one that `playwright install chromium` left; None where there is neither."""
    of_machine = shutil.which("chromium") or shutil.which("chromium-browser")
    if of_machine:
        return of_machine
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def chromium_or_skip() -> str:
    """A Chromium; the test is skipped where there is none, and fails in CI, where a skip would hide that nobody looked."""
    found = chromium()
    if found is None:
        why = "there is no Chromium: `apt-get install chromium`, or `uv run playwright install chromium`"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)
    return found


@contextlib.contextmanager
def browser_page(executable: str, width: int = 1600, height: int = 1100) -> Iterator[Page]:
    """A page of a headless browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=HEADLESS)
        try:
            yield browser.new_page(viewport={"width": width, "height": height})
        finally:
            browser.close()
