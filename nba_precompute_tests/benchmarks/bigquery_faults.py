"""What becomes of a publication to BigQuery that meets a fault, on the emulator behind a proxy that makes it.

`uv run python -m nba_precompute_tests.benchmarks.bigquery_faults` prints a row a fault: what happened, how often loads and publication
were submitted and as how many jobs, and whose rows are left; it ends with exit code 1 where rows and hashes disagree.
"""

import dataclasses
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table as Grid

from nba_precompute.storage import WarehouseError
from nba_precompute.storage.bigquery import BigQueryWarehouse
from nba_precompute.storage.content_hash import hash_days
from nba_precompute_tests.local_bigquery import (
    LocalBigQuery,
    Request,
    answer_lost,
    job_fails,
    last_chunk,
    later_chunk,
    local_bigquery,
    refused,
    reset,
    resumable_uploads,
)
from nba_precompute_tests.team_days import MONDAY, TABLE, TUESDAY, many_rows, publish, rows

FOR_EVER = 1000


def any_request(request: Request) -> bool:
    """Every one."""
    return True


def load(request: Request) -> bool:
    """One that begins a load."""
    return request.loads


def publication(request: Request) -> bool:
    """One that begins the script that publishes."""
    return request.publishes


FAULTS = [
    ("none", None, any_request, 0),
    ("503, three times", refused(503, "backendError"), any_request, 3),
    ("429, three times", refused(429, "rateLimitExceeded"), any_request, 3),
    ("403 rateLimitExceeded, twice", refused(403, "rateLimitExceeded"), publication, 2),
    ("connection reset, three times", reset, any_request, 3),
    ("connection reset in the middle of a load, twice", "cut", load, 2),
    ("the answer to a load is lost", answer_lost, load, 1),
    ("the answer to the publication is lost, after the commit", answer_lost, publication, 1),
    ("the load's job ends in backendError", job_fails("backendError"), load, 1),
    ("the publication's job ends in rateLimitExceeded, twice", job_fails("rateLimitExceeded"), publication, 2),
    ("503 for ever (5 s of patience)", refused(503, "backendError"), load, FOR_EVER),
    ("400", refused(400, "invalid"), load, FOR_EVER),
    ("403 accessDenied", refused(403, "accessDenied"), publication, FOR_EVER),
    ("404", refused(404, "notFound"), load, FOR_EVER),
    ("403 quotaExceeded", refused(403, "quotaExceeded"), publication, FOR_EVER),
    ("the publication's job ends in invalidQuery", job_fails("invalidQuery"), publication, FOR_EVER),
]

LARGE_FAULTS = [
    ("none", None, any_request, 0),
    ("503 where it begins, twice", refused(503, "backendError"), load, 2),
    ("503 at a later chunk, twice", refused(503, "backendError"), later_chunk, 2),
    ("connection reset at a later chunk", reset, later_chunk, 1),
    ("connection reset in the middle of a chunk, twice", "cut", load, 2),
    ("the answer to the last chunk is lost, the load begun", answer_lost, last_chunk, 1),
    ("503 at every later chunk for ever (5 s of patience)", refused(503, "backendError"), later_chunk, FOR_EVER),
    ("403 accessDenied at the last chunk", refused(403, "accessDenied"), last_chunk, FOR_EVER),
]
"""Met by a resumable upload, which is how a file of 5 MiB and more goes; here one of 0.4 MB, in two chunks."""


def meet(local: LocalBigQuery, warehouse: BigQueryWarehouse, planned: Sequence[Any], frame: pd.DataFrame, grid: Grid) -> bool:
    """Publish the frame while the fault happens and add a row that says what became of it; whether rows and hashes disagree then."""
    name, fault, wanted, times = planned
    local.proxy.forget()
    if fault == "cut":
        local.proxy.cut_loads = times
    elif fault is not None:
        local.proxy.plan(fault, wanted, times)
    started = time.perf_counter()
    try:
        publish(warehouse, frame, run_id=name)
        happened = "published"
    except WarehouseError as error:
        happened = f"{type(error).__name__}: {str(error).split('. ', 1)[1].split(';')[0].split(':')[0]}"
    seconds = time.perf_counter() - started
    begun = [one.job["jobReference"]["jobId"] for one in local.proxy.requests if one.loads or one.publishes]
    local.proxy.forget()
    stored, versions = warehouse.read(TABLE), warehouse.partition_versions()
    agree = versions["content_hash"].tolist() == hash_days(stored, TABLE.day, TABLE.columns).tolist()
    left = "new" if set(stored["points"]) == set(frame["points"]) else "old"
    counts = f"{len(begun)}", f"{len(set(begun))}", f"{seconds:.1f}"
    grid.add_row(name, happened, *counts, left, "agree" if agree else "DISAGREE")
    return not agree


def main() -> None:
    """Meet each fault, print what became of it."""
    logging.getLogger("nba_precompute").setLevel(logging.ERROR)
    grid = Grid("fault", "what happened", "submitted", "jobs", "seconds", "rows left", "hashes")
    disagreed = 0
    with tempfile.TemporaryDirectory() as folder, local_bigquery(Path(folder)) as local:
        warehouse = dataclasses.replace(local.warehouse("faults_"), wait_limit_seconds=5.0)
        publish(warehouse, rows(MONDAY))
        for number, fault in enumerate(FAULTS, start=1):
            disagreed += meet(local, warehouse, fault, rows(MONDAY, points=number), grid)
        with resumable_uploads():
            grid.add_section()
            warehouse = dataclasses.replace(local.warehouse("large_"), wait_limit_seconds=5.0)
            publish(warehouse, rows(MONDAY), rows(TUESDAY))
            for number, (name, *fault) in enumerate(LARGE_FAULTS, start=1):
                disagreed += meet(local, warehouse, (f"a large load: {name}", *fault), many_rows(points=number), grid)
    Console(width=170).print(grid)
    sys.exit(1 if disagreed else 0)


if __name__ == "__main__":
    main()
