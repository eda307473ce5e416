"""The command line over BigQuery, on an emulator: the same tables as in DuckDB, and every statement judged by GoogleSQL's analyzer."""

import os
import uuid
from collections import Counter

import pytest

from nba_precompute.assets import TABLES
from nba_precompute.home import Home
from nba_precompute.instance import instance_of
from nba_precompute.storage.bigquery import SQL_TYPES, VERSION_COLUMNS, bigquery_warehouse
from nba_precompute.tables import columns
from nba_precompute_tests import googlesql
from nba_precompute_tests.benchmarks.warehouses import comparison
from nba_precompute_tests.local_bigquery import PROJECT, live_project, local_bigquery_or_skip
from nba_precompute_tests.processes import command_line
from nba_precompute_tests.team_days import MONDAY, TABLE, TUESDAY, publish, rows, team_table

DAYS = ["--end", "2021-11-02"]  # the first day after a bootstrap
PREFIX = ""  # the datasets' own names, so that SQL of other people's runs as it stands
PREFIXES = [PREFIX, "migrated_", "compared_"]


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """The same days made in DuckDB and in BigQuery, of the same simulated games: both homes, and the emulator."""
    folder = tmp_path_factory.mktemp("homes")
    with local_bigquery_or_skip(folder) as local:
        in_file, in_bigquery = folder / "file", folder / "bigquery"
        assert command_line(in_file, "backfill", *DAYS).exit_code == 0
        in_bigquery.mkdir()
        (in_bigquery / "simulated").symlink_to(in_file / "simulated")
        met = command_line(in_bigquery, "backfill", *DAYS, environment=local.environment(PREFIX))
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


def test_the_originals_validation_queries_run_as_they_stand(homes):
    client = homes[2].warehouse(PREFIX).client
    [factors] = client.query(
        "SELECT COUNT(DISTINCT analysis_date) AS pcf_dates, COUNT(*) AS total_records FROM "
        "nba_precompute.player_composite_factors WHERE analysis_date BETWEEN '2021-10-19' AND '2026-01-02'"
    ).result()
    [features] = client.query(
        "SELECT COUNT(DISTINCT game_date) AS dates, COUNT(*) AS records, COUNT(DISTINCT player_lookup) AS players FROM "
        "nba_predictions.ml_feature_store_v2 WHERE game_date BETWEEN '2021-10-01' AND '2024-06-01'"
    ).result()
    assert (factors["pcf_dates"], features["dates"]) == (1, 1)
    assert factors["total_records"] == features["records"] >= features["players"] > 100


def test_googlesqls_analyzer_accepts_every_statement_that_was_sent_and_refuses_wrong_ones(homes):
    local = homes[2]
    migrated = local.warehouse("migrated_")
    publish(migrated, rows(MONDAY).assign(rank=1), table=team_table(rank=columns.integer("place", nullable=False)))
    publish(migrated, rows(MONDAY), table=team_table(description="Another.", won=columns.flag("victory", nullable=True)))
    migrated.read(team_table(assists=columns.integer("not there yet")))

    known = {f"{prefix}nba_test.team_days": kinds_of(team_table(rank=columns.integer("place"))) for prefix in PREFIXES}
    for prefix in PREFIXES:
        known |= {f"{prefix}{table.qualified_name}": kinds_of(table) for table in TABLES}
        datasets = {"nba_test", *(table.dataset for table in TABLES)}
        known |= {f"{prefix}{dataset}.INFORMATION_SCHEMA.TABLES": {"table_name": "STRING"} for dataset in datasets}
        known |= {f"{prefix}nba_reference.partition_versions": VERSION_COLUMNS}
        known |= {f"{prefix}nba_reference.source": {"name": "STRING", "first_published_at": "TIMESTAMP"}}
    statements = {}
    for request in local.proxy.requests:
        if request.loads:  # a staging table is what its load job says
            load = request.job["configuration"]["load"]
            target = load["destinationTable"]
            known[f"{target['datasetId']}.{target['tableId']}"] = {
                field["name"]: field["type"] for field in load["schema"]["fields"]
            }
        if request.job and not request.sql.startswith(("SELECT COUNT(DISTINCT", "DROP")):
            asked = request.job["configuration"].get("query", {}).get("queryParameters", [])
            parameters = {one["name"]: parameter_type(one["parameterType"]) for one in asked}
            statements |= {sql: parameters for sql in request.sql.rstrip(";").split(";\n") if sql}
    begun = {sql.split()[0] for sql in statements}
    assert begun == {"SELECT", "CREATE", "DELETE", "INSERT", "BEGIN", "COMMIT", "ASSERT"}
    for table in TABLES:
        assert sum(f".{table.qualified_name}`" in sql for sql in statements) >= 3  # made, emptied, filled

    catalog = {f"{PROJECT}.{name}": kinds for name, kinds in known.items()}
    assert googlesql.errors(catalog, list(statements.items())) == []
    first = TABLES[0]
    wrong = [
        (f"SELECT nothing FROM `{PROJECT}.{first.qualified_name}`", {}),
        (f"INSERT INTO `{PROJECT}.{first.qualified_name}` (points) SELECT game_id FROM `{PROJECT}.{first.qualified_name}`", {}),
        (f"DELETE FROM `{PROJECT}.{first.qualified_name}` WHERE game_date = @day", {"day": "INT64"}),
        ("MERGE", {}),
    ]
    assert [sql for sql, _ in googlesql.errors(catalog, wrong)] == [sql for sql, _ in wrong]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"NBA_PRECOMPUTE_WAREHOUSE": "bigquer"}, "NBA_PRECOMPUTE_WAREHOUSE is 'bigquer': it may be duckdb"),
        (
            {"NBA_PRECOMPUTE_WAREHOUSE": "bigquery"},
            "NBA_PRECOMPUTE_WAREHOUSE is bigquery: name the project in NBA_PRECOMPUTE_BIGQUERY_PROJECT",
        ),
    ],
    ids=["another name", "no project"],
)
def test_a_warehouse_that_cannot_be_is_said_in_a_sentence(tmp_path, named, said):
    met = command_line(tmp_path / "home", "status", environment=named)
    assert met.exit_code == 2
    assert f"Could not run: {said}" in " ".join(met.err.split())


@pytest.mark.bigquery_live
def test_a_week_backfilled_in_a_real_project_has_the_rows_of_duckdb(tmp_path):
    project, prefix = live_project(), f"test_{uuid.uuid4().hex[:8]}_"
    week = ["--raw", str(tmp_path / "raw"), "--end", "2021-11-08"]
    assert command_line(tmp_path / "any", "simulate", "--out", str(tmp_path / "raw")).exit_code == 0
    of_project = {
        "NBA_PRECOMPUTE_WAREHOUSE": "bigquery",
        "NBA_PRECOMPUTE_BIGQUERY_PROJECT": project,
        "NBA_PRECOMPUTE_BIGQUERY_PREFIX": prefix,
    }
    in_project = bigquery_warehouse(project, None, prefix, emulated="BIGQUERY_EMULATOR_HOST" in os.environ)
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


def kinds_of(table):
    return {name: SQL_TYPES[kind] for name, kind in table.kinds.items()}


def parameter_type(said):
    return f"ARRAY<{said['arrayType']['type']}>" if said["type"] == "ARRAY" else said["type"]
