"""The graph and the rooms as literals: keys, dependencies, groups; who may import whom; contracts against the design."""

import ast
import re
from pathlib import Path

import dagster as dg
import pytest

import nba_precompute
from nba_precompute.assets import CASCADE_TABLES, RAW_FILES, SUMMARY_TABLES, TABLES
from nba_precompute.definitions import build_definitions
from nba_precompute.game_days import days_of, eligible_days, game_days
from nba_precompute.home import BigQueryDatasets, Home
from nba_precompute.lineage import READS
from nba_precompute.quality import checks_of
from nba_precompute_tests.conftest import REAL_DATA, needs_real_data

PACKAGE = Path(nba_precompute.__file__).parent

DEPENDENCIES = {
    "player_game_summary": {"raw_box_scores", "raw_shots", "raw_schedule"},
    "team_offense_game_summary": {"player_game_summary"},
    "team_defense_game_summary": {"team_offense_game_summary"},
    "upcoming_team_game_context": {"raw_schedule", "raw_lines", "raw_injuries", "team_offense_game_summary"},
    "upcoming_player_game_context": {
        *("raw_box_scores", "raw_schedule", "raw_injuries", "raw_props", "raw_players"),
        *("player_game_summary", "upcoming_team_game_context"),
    },
    "team_defense_zone_analysis": {"raw_schedule", "team_defense_game_summary"},
    "player_shot_zone_analysis": {"raw_schedule", "player_game_summary"},
    "player_composite_factors": {
        *("upcoming_player_game_context", "upcoming_team_game_context"),
        *("team_defense_zone_analysis", "player_shot_zone_analysis", "team_offense_game_summary"),
    },
    "ml_feature_store_v2": {
        *("upcoming_player_game_context", "upcoming_team_game_context", "team_defense_zone_analysis"),
        *("player_shot_zone_analysis", "player_composite_factors", "player_game_summary", "raw_schedule", "raw_props"),
    },
}
DEPENDENCIES["coverage"] = set(DEPENDENCIES)
DEPENDENCIES |= {
    "points_model": {"ml_feature_store_v2", "player_game_summary"},
    "points_predictions": {"ml_feature_store_v2", "points_model"},
    "served_predictions": {"points_predictions", "ml_feature_store_v2", "player_game_summary"},
}
GROUPS = {
    "raw": set(RAW_FILES),
    "analytics": {
        *("player_game_summary", "team_offense_game_summary", "team_defense_game_summary"),
        *("upcoming_team_game_context", "upcoming_player_game_context"),
    },
    "precompute": {"team_defense_zone_analysis", "player_shot_zone_analysis", "player_composite_factors"},
    "predictions": {"ml_feature_store_v2", "points_model", "points_predictions", "served_predictions"},
    "quality": {"coverage"},
}


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    definitions = build_definitions(Home(tmp_path_factory.mktemp("home")))
    dg.Definitions.validate_loadable(definitions)
    return definitions.resolve_asset_graph()


def name(key):
    return key.to_user_string()


def test_dependencies_encode_the_cascade(graph):
    found = {name(key): {name(parent) for parent in graph.get(key).parent_keys} for key in graph.materializable_asset_keys}
    assert found == DEPENDENCIES


def test_assets_stand_in_their_groups(graph):
    groups = {}
    for key in graph.get_all_asset_keys():
        groups.setdefault(graph.get(key).group_name, set()).add(name(key))
    assert groups == GROUPS


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_checks_of_a_table_can_be_executed_alone_and_none_blocks(graph, table):
    keys = graph.get(dg.AssetKey(table.name)).check_keys
    assert {key.name for key in keys} == set(checks_of(table))
    for key in keys:
        assert graph.get_execution_set_identifier(key) is None  # no other check or asset has to run with it
        assert not graph.get(key).blocking


def test_a_backfill_from_the_ui_makes_the_summaries_of_all_days_in_one_run(graph):
    for table in SUMMARY_TABLES:
        assert graph.get(dg.AssetKey(table.name)).backfill_policy.max_partitions_per_run > len(days_of(game_days))


def test_raw_inputs_are_external(graph):
    assert {name(key) for key in graph.external_asset_keys} == set(RAW_FILES)


def test_summaries_are_partitioned_by_game_days_and_the_cascade_by_eligible_days(graph):
    for table in SUMMARY_TABLES:
        assert graph.get(dg.AssetKey(table.name)).partitions_def is game_days
    for table in CASCADE_TABLES:
        assert graph.get(dg.AssetKey(table.name)).partitions_def is eligible_days


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_an_asset_shows_its_tables_columns_code_version_and_ranged_runs(graph, table):
    node = graph.get(dg.AssetKey(table.name))
    shown = node.metadata["dagster/column_schema"].columns
    assert [column.name for column in shown] == table.columns
    assert all(column.description for column in shown)
    assert node.metadata["dagster/table_name"] == table.qualified_name
    assert node.code_version == table.code_version
    assert node.backfill_policy.max_partitions_per_run >= 213
    assert node.description.startswith(f"{table.description}\n")
    assert f"/assets/{table.name}?view=partitions" in node.description
    assert node.owners == ["team:data-engineering"]
    assert node.kinds == {"pandas", "duckdb"}
    assert node.tags["day"] == ("played" if table in SUMMARY_TABLES else "to-be-predicted")
    assert node.tags["row"] == ("team" if table.name.startswith(("team", "upcoming_team")) else "player")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_what_a_day_reads_is_what_the_graph_depends_on(graph, table):
    streams_of = {"raw_tip_offs": "raw_schedule", "raw_teams": "raw_schedule", "raw_injury_coverage": "raw_injuries"}
    reads = {streams_of.get(read.stream, read.stream) for read in READS[table.name]}
    if table in SUMMARY_TABLES:  # published together, from the same raw games
        assert reads == DEPENDENCIES["player_game_summary"]
    else:
        assert reads == DEPENDENCIES[table.name]


@pytest.mark.parametrize(
    ("warehouse", "kind", "where"),
    [
        (None, "duckdb", "in a file of "),
        (BigQueryDatasets("nba-project", "EU", "dev_"), "bigquery", "in BigQuery nba-project.dev_*, "),
    ],
)
def test_tables_say_what_kind_of_warehouse_they_are_in_and_the_resource_which(warehouse, kind, where, tmp_path):
    definitions = build_definitions(Home(tmp_path, bigquery=warehouse))
    specs = {spec.key.to_user_string(): spec.kinds for spec in definitions.resolve_all_asset_specs()}
    assert {name for name, kinds in specs.items() if kinds == {"pandas", kind}} == {
        *(table.name for table in TABLES),
        "points_predictions",
    }
    assert not {kind for kinds in specs.values() for kind in kinds} & ({"duckdb", "bigquery"} - {kind})
    assert where in definitions.resources["home"].description


# ------------------------------------------------------------------------------------------------------- rooms

ROOMS = {
    "quality": {"quality", "past_games", "storage.content_hash", "tables"},
    "tables": {"tables.columns", "tables.windows"},
    "storage": {"storage", "tables.columns", "bigquery_requests", "errors"},
    "sources": {"sources", "game_days", "files", "bigquery_requests", "errors"},
    "files": {"errors"},
    "bigquery_requests": set(),
    "errors": set(),
    "game_days": set(),
}
"""What a room may import of the package; `tables` may be imported by all that stand above."""


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def files_of(room):
    return sorted((PACKAGE / room).glob("*.py")) if (PACKAGE / room).is_dir() else [PACKAGE / f"{room}.py"]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_stands_below_it(room):
    for path in files_of(room):
        for imported in imports_of(path):
            if imported.startswith("nba_precompute."):
                inner = imported.removeprefix("nba_precompute.")
                assert any(inner == allowed or inner.startswith(f"{allowed}.") for allowed in ROOMS[room]), (path, imported)


def test_tables_know_no_dagster_no_storage_and_no_clock():
    for path in files_of("tables"):
        outside = {imported.split(".")[0] for imported in imports_of(path)} - {"nba_precompute"}
        assert outside <= {"collections", "dataclasses", "datetime", "numpy", "pandas", "pandera"}, path
        assert not re.search(r"\b(now|today)\(", path.read_text()), path


def test_only_windows_compares_with_the_day():
    for path in files_of("tables"):
        if path.name != "windows.py":
            assert "merge_asof" not in path.read_text(), path
            assert not re.search(r'\["game_date"\] *(<|>)', path.read_text()), path


def test_assets_contain_no_arithmetic():
    operators = [node for node in ast.walk(ast.parse((PACKAGE / "assets.py").read_text())) if isinstance(node, ast.BinOp)]
    assert all(isinstance(node.op, ast.BitOr) for node in operators)  # only in types, `str | AssetDep`


def test_the_environment_is_read_in_one_place():
    readers = {path.name for path in PACKAGE.rglob("*.py") if "environ.get" in path.read_text() or "getenv" in path.read_text()}
    assert readers == {"definitions.py"}


# ----------------------------------------------------------------------------------------------- the design's schema


@needs_real_data
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_columns_types_and_nullability_are_the_designs(table):
    sql = (REAL_DATA.parent / "design" / "schema.sql").read_text()
    body = re.search(rf"CREATE TABLE {table.qualified_name} \((.*?)\n\);", sql, re.S).group(1)
    columns = re.findall(r"^    (\w+)\s+(VARCHAR|INTEGER|DOUBLE|BOOLEAN|DATE)\s*(NOT NULL)?,", body, re.M)
    kinds = {"object": "VARCHAR", "Int32": "INTEGER", "float64": "DOUBLE", "boolean": "BOOLEAN", "datetime64[ns]": "DATE"}
    ours = [
        (name, kinds[str(column.dtype)], "" if column.nullable else "NOT NULL") for name, column in table.schema.columns.items()
    ]
    assert ours == columns
    [key] = re.findall(r"PRIMARY KEY \((.*)\)", body)
    assert list(table.key) == key.split(", ")
