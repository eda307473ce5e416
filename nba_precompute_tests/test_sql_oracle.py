"""Every column of every table agrees with an independent implementation in SQL, written from the contract alone."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from nba_precompute.assets import TABLES
from nba_precompute.sources.parquet_folder import ParquetFolder
from nba_precompute.tables.columns import FLAG, INTEGER, NUMBER, Table
from nba_precompute_tests import sql_oracle
from nba_precompute_tests.cascade import everything
from nba_precompute_tests.conftest import REAL_DATA, needs_real_data

REAL_DAYS = ["2021-11-02", "2022-04-16", "2022-12-27", "2023-01-15", "2024-02-29", "2024-12-19", "2025-03-01", "2025-12-17"]
"""Spread over the seasons: a first eligible day, the day after the play-in without box scores, days after Cup finals, days with
and without lines, and one that is not captured."""

SIMULATED_DAYS = ["2023-11-08", "2023-12-16", "2024-01-15", "2024-04-16", "2024-05-20"]
"""In the one season of the fixture, play-in and play-offs among them."""


@pytest.fixture(scope="module")
def real_tables():
    return everything(ParquetFolder(REAL_DATA, name="real"), date(2021, 10, 19), date(2026, 1, 2))


@pytest.fixture(scope="module")
def real_oracle():
    return sql_oracle.connect(REAL_DATA)


@pytest.fixture(scope="module")
def simulated_tables(simulated_season):
    return everything(simulated_season, date(2023, 10, 24), date(2024, 6, 17))


@pytest.fixture(scope="module")
def simulated_oracle(simulated_season):
    return sql_oracle.connect(simulated_season.path)


def assert_agrees(table: Table, ours: pd.DataFrame, oracle, days: list[str]):
    expected = sql_oracle.expected(oracle, table.name, [date.fromisoformat(day) for day in days])
    assert list(expected.columns) == table.columns
    expected = table.conform(expected.assign(**{table.day: pd.to_datetime(expected[table.day])}))
    found = ours[ours[table.day].isin(pd.to_datetime(days))].reset_index(drop=True)
    assert len(found) == len(expected) > 0
    for name, column in table.schema.columns.items():
        if str(column.dtype) in (FLAG, INTEGER, NUMBER):
            one, other = (frame[name].to_numpy(dtype="float64", na_value=np.nan) for frame in (found, expected))
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9, err_msg=f"{table.name}.{name}")
        else:
            pd.testing.assert_series_equal(found[name], expected[name], check_dtype=False)


@needs_real_data
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_on_real_games(table, real_tables, real_oracle):
    days = [day for day in REAL_DAYS if table.name != "player_game_summary" or day != "2022-04-13"]
    assert_agrees(table, real_tables[table.name], real_oracle, days)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_on_simulated_games(table, simulated_tables, simulated_oracle):
    assert_agrees(table, simulated_tables[table.name], simulated_oracle, SIMULATED_DAYS)
