"""What queries scan, worked out by hand: two teams on Monday, two on Tuesday."""

import pandas as pd
import pytest

from nba_precompute_tests.bigquery_bytes import MEGABYTE, Scanned, bytes_of, scanned_by
from nba_precompute_tests.local_bigquery import local_bigquery_or_skip
from nba_precompute_tests.team_days import MONDAY, TABLE, TUESDAY, publish, rows

MONDAYS = 2 * (8 + 5 + 8 + 1) + 8
"""Two rows of a day, three letters, points and a truth; one of them has a pace."""

A_VERSION = (2 + 18) + 8 + (2 + 16) + (2 + 12) + (2 + 1) + 8 + (2 + 3) + 8
"""Table, day, hash of the content, of what was read, code version, rows, run, time."""


@pytest.mark.parametrize(
    ("values", "sizes"),
    [
        (pd.Series(["BOS", "Jokić", "", None]), [5, 8, 2, 0]),
        (pd.Series([1, None], dtype="Int32"), [8, 0]),
        (pd.Series([0.5, None]), [8, 0]),
        (pd.Series([True, None], dtype="boolean"), [1, 0]),
        (pd.to_datetime(pd.Series(["2024-01-01", None])), [8, 0]),
    ],
    ids=["text", "whole number", "number", "truth", "day"],
)
def test_a_value_takes_what_bigquery_says(values, sizes):
    assert bytes_of(values).tolist() == sizes


def test_queries_scan_the_days_that_were_there_and_the_columns_that_they_name(tmp_path):
    with local_bigquery_or_skip(tmp_path) as local:
        warehouse = local.warehouse("b_")

        def asked(work):
            begun = len(local.proxy.requests)
            work()
            return begun, len(local.proxy.requests)

        spans = [
            asked(lambda: publish(warehouse, rows(MONDAY))),
            asked(lambda: publish(warehouse, rows(TUESDAY))),
            asked(lambda: publish(warehouse, rows(MONDAY))),
            asked(lambda: warehouse.read(TABLE, TUESDAY, TUESDAY, ["points"])),
            asked(warehouse.partition_versions),
            asked(warehouse.unwritable),
        ]
        found = scanned_by(local.proxy.requests, warehouse, [TABLE])
        first, second, again, read, versions, planned = (Scanned.all_of(found[begin:end]) for begin, end in spans)
        inserted = MONDAYS + A_VERSION
        assert first == Scanned(inserted, 20 * MEGABYTE)
        named = (2 + 18) + 8  # of a version: its table and its day
        assert second == Scanned(inserted + (named + 8) + (named + A_VERSION), 40 * MEGABYTE)
        replaced = MONDAYS + 2 * 8  # all columns of the day, and the day once more to find it
        assert again == Scanned(inserted + 2 * (named + 8) + 2 * (named + A_VERSION) + replaced, 50 * MEGABYTE)
        assert read == Scanned(2 * (8 + 8 + 5), 10 * MEGABYTE)  # the key too, for the order
        assert versions == Scanned(2 * A_VERSION, 10 * MEGABYTE)
        assert planned == Scanned(0, 0)

        warehouse.client.query("SELECT 1 AS something_else").result()
        with pytest.raises(ValueError, match="what this reads is not known: SELECT 1 AS something_else"):
            scanned_by(local.proxy.requests, warehouse, [TABLE])
