"""The command line over BigQuery, on an emulator: the same tables as in DuckDB, and every statement and job judged as it was sent."""

import os
import re
import uuid
from collections import Counter

import pytest

from nba_precompute.assets import TABLES
from nba_precompute.home import Home
from nba_precompute.instance import instance_of
from nba_precompute.storage.bigquery import bigquery_warehouse
from nba_precompute.tables import columns
from nba_precompute_tests import googlesql
from nba_precompute_tests.benchmarks.warehouses import comparison
from nba_precompute_tests.bigquery_jobs import staged_by, statements_of, tables_of, wrong_with
from nba_precompute_tests.local_bigquery import PROJECT, had_or_skip, live_project, local_bigquery_or_skip
from nba_precompute_tests.processes import command_line
from nba_precompute_tests.team_days import MONDAY, TABLE, TUESDAY, publish, rows, team_table

DAYS = ["--start", "2023-10-24", "--end", "2023-11-08"]  # to the first day after a bootstrap
PREFIX = ""  # the datasets' own names, so that SQL of other people's runs as it stands


@pytest.fixture(scope="module")
def homes(simulated_season, tmp_path_factory):
    """The same days made in DuckDB and in BigQuery, of the same simulated games: both homes, and the emulator."""
    folder = tmp_path_factory.mktemp("homes")
    with local_bigquery_or_skip(folder) as local:
        in_file, in_bigquery = folder / "file", folder / "bigquery"
        command = ["backfill", "--raw", str(simulated_season.path), *DAYS]
        assert command_line(in_file, *command).exit_code == 0
        met = command_line(in_bigquery, *command, environment=local.environment(PREFIX))
        assert met.exit_code == 0, met
        assert f"Tables  BigQuery {PROJECT}.* (emulated)" in met.out
        yield in_file, in_bigquery, local


def test_both_warehouses_have_the_same_rows(homes):
    in_file, _, local = homes
    one, other = Home(in_file).warehouse, local.warehouse(PREFIX)
    compared = {table.name: comparison(table, one, other) for table in TABLES}
    assert all(rows > 0 for rows, _, _ in compared.values())
    assert {name: found[1:] for name, found in compared.items() if found[1:] != (0, 0)} == {}
    hashes = [warehouse.partition_versions()[["table_name", "day", "content_hash", "read_hash"]] for warehouse in (one, other)]
    assert hashes[0].equals(hashes[1])


def test_the_comparison_finds_a_key_of_one_alone_and_a_value_that_differs(homes):
    warehouse = homes[2].warehouse("compared_")
    publish(warehouse, rows(MONDAY), rows(TUESDAY))
    file = Home(homes[0].parent / "compared").warehouse
    publish(file, rows(MONDAY, points=99).assign(pace=None))
    assert comparison(TABLE, file, warehouse) == (4, 2, 3)


def test_a_run_says_what_it_asked_of_bigquery(homes):
    with instance_of(Home(homes[1])) as instance:
        spent = Counter()
        for run in instance.get_runs():
            spent.update({name: int(value) for name, value in run.tags.items() if name.startswith("warehouse/")})
    assert set(spent) == {
        "warehouse/jobs",
        "warehouse/bytes_loaded",
        "warehouse/bytes_processed",
        "warehouse/bytes_billed",
        "warehouse/slot_milliseconds",
    }
    assert spent["warehouse/jobs"] > len(TABLES)
    assert spent["warehouse/bytes_loaded"] > 100_000


def test_what_is_there_is_not_made_again(homes):
    met = command_line(homes[1], "backfill", *DAYS, environment=homes[2].environment(PREFIX))
    assert (met.exit_code, "Nothing to make." in met.out) == (0, True)


OF_FACTORS = (
    "SELECT COUNT(DISTINCT analysis_date) AS pcf_dates, COUNT(*) AS total_records FROM "
    "nba_precompute.player_composite_factors WHERE analysis_date BETWEEN '2021-10-19' AND '2026-01-02'"
)
OF_FEATURES = (
    "SELECT COUNT(DISTINCT game_date) AS dates, COUNT(*) AS records, COUNT(DISTINCT player_lookup) AS players FROM "
    "nba_predictions.ml_feature_store_v2 WHERE game_date BETWEEN '2021-10-01' AND '2024-06-01'"
)


def test_the_originals_validation_queries_run_as_they_stand(homes):
    client = homes[2].warehouse(PREFIX).client
    [factors], [features] = client.query(OF_FACTORS).result(), client.query(OF_FEATURES).result()
    assert (factors["pcf_dates"], features["dates"]) == (1, 1)
    assert factors["total_records"] == features["records"] >= features["players"] > 100


@pytest.fixture(scope="module")
def sent(homes):
    """All jobs and changes of tables that were sent: those of the command line, and of a table whose contract changes."""
    local = homes[2]
    migrated = local.warehouse("migrated_")
    publish(migrated, rows(MONDAY).assign(rank=1), table=team_table(rank=columns.integer("place", nullable=False)))
    publish(migrated, rows(MONDAY), table=team_table(description="Another.", won=columns.flag("victory", nullable=True)))
    migrated.read(team_table(assists=columns.integer("not there yet")))
    assert migrated.unwritable() is None
    return [request for request in local.proxy.requests if request.job or request.method == "PATCH"]


def test_googlesqls_analyzer_accepts_every_statement_that_was_sent_and_refuses_wrong_ones(homes, sent):
    had_or_skip(googlesql.installed)
    statements = statements_of(sent) | {OF_FACTORS: {}, OF_FEATURES: {}}
    assert {sql.split()[0] for sql in statements} == {"SELECT", "CREATE", "DELETE", "INSERT", "BEGIN", "UPDATE", "COMMIT"}
    for table in TABLES:
        assert sum(f".{table.qualified_name}`" in sql for sql in statements) >= 3  # made, emptied, filled
    for part in (
        "FOR SYSTEM_TIME AS OF",
        "INFORMATION_SCHEMA",
        "CREATE OR REPLACE VIEW",
        "CAST(NULL AS",
        "WHERE FALSE",
        "ERROR(",
    ):
        assert any(part in sql for sql in statements), part

    catalog = tables_of(homes[2].warehouse(PREFIX).client) | staged_by(sent)
    assert googlesql.errors(catalog, list(statements.items())) == []
    first = f"{PROJECT}.{TABLES[0].qualified_name}"
    wrong = [
        (f"SELECT nothing FROM `{first}`", {}),
        (f"INSERT INTO `{first}` (points) SELECT game_id FROM `{first}`", {}),
        (f"DELETE FROM `{first}` WHERE game_date = @day", {"day": "INT64"}),
        (OF_FACTORS.replace("analysis_date BETWEEN", "game_day BETWEEN"), {}),
        (OF_FEATURES.replace("'2024-06-01'", "20240601"), {}),
        ("MERGE", {}),
    ]
    assert [sql for sql, _ in googlesql.errors(catalog, wrong)] == [sql for sql, _ in wrong]


def test_every_job_is_one_that_google_describes_and_every_file_is_what_its_load_says(sent):
    configured = {name for request in sent for name in request.job.get("configuration", [request.method])}
    assert configured == {"load", "query", "labels", "dryRun", "PATCH"}
    assert [said for request in sent for said in wrong_with(request)] == []


def test_what_is_staged_has_the_types_of_the_table_that_it_goes_into(homes, sent):
    """BigQuery would turn whole numbers into others by itself in an INSERT."""
    known, staged = tables_of(homes[2].warehouse(PREFIX).client), staged_by(sent)
    moved = [
        found for sql in statements_of(sent) if (found := re.match(r"INSERT INTO `(.*?)` \((.*?)\) SELECT \2 FROM `(.*)`", sql))
    ]
    assert len(moved) >= 2 * len(TABLES)  # rows, and their versions
    for into, named, source in (found.groups() for found in moved):
        assert {name: known[into][name] for name in named.replace("`", "").split(", ")} == staged[source], into


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"NBA_PRECOMPUTE_WAREHOUSE": "bigquer"}, "NBA_PRECOMPUTE_WAREHOUSE is 'bigquer': it may be duckdb"),
        (
            {"NBA_PRECOMPUTE_WAREHOUSE": "bigquery"},
            "NBA_PRECOMPUTE_WAREHOUSE is bigquery: name the project in NBA_PRECOMPUTE_BIGQUERY_PROJECT",
        ),
        (
            {
                "NBA_PRECOMPUTE_WAREHOUSE": "bigquery",
                "NBA_PRECOMPUTE_BIGQUERY_PROJECT": PROJECT,
                "NBA_PRECOMPUTE_BIGQUERY_PREFIX": "dev-",
            },
            "NBA_PRECOMPUTE_BIGQUERY_PREFIX is 'dev-': names of datasets have letters, digits and underscores",
        ),
    ],
    ids=["another name", "no project", "no prefix of a dataset"],
)
def test_a_warehouse_that_cannot_be_is_said_in_a_sentence(tmp_path, named, said):
    met = command_line(tmp_path / "home", "status", environment=named)
    assert met.exit_code == 2
    assert f"Could not run: {said}" in " ".join(met.err.split())


@pytest.mark.bigquery_live
def test_a_week_backfilled_in_a_real_project_has_the_rows_of_duckdb(tmp_path):
    (project, location), prefix = live_project(), f"test_{uuid.uuid4().hex[:8]}_"
    week = ["--raw", str(tmp_path / "raw"), "--end", "2021-11-08"]
    assert command_line(tmp_path / "any", "simulate", "--out", str(tmp_path / "raw")).exit_code == 0
    of_project = {
        "NBA_PRECOMPUTE_WAREHOUSE": "bigquery",
        "NBA_PRECOMPUTE_BIGQUERY_PROJECT": project,
        "NBA_PRECOMPUTE_BIGQUERY_LOCATION": location or "",
        "NBA_PRECOMPUTE_BIGQUERY_PREFIX": prefix,
    }
    in_project = bigquery_warehouse(project, location, prefix, emulated="BIGQUERY_EMULATOR_HOST" in os.environ)
    try:
        assert command_line(tmp_path / "file", "backfill", *week).exit_code == 0
        met = command_line(tmp_path / "bigquery", "backfill", *week, environment=of_project)
        assert met.exit_code == 0, met
        in_file = Home(tmp_path / "file").warehouse
        for table in TABLES:
            rows_of_both, alone, different = comparison(table, in_file, in_project)
            assert rows_of_both > 0
            assert (alone, different) == (0, 0), table.name
    finally:
        in_project.delete()
