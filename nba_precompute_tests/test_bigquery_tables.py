"""Raw games in tables of BigQuery that another platform fills, read through Google's client from an emulator on loopback.

The tables hold 2023-10-24 to 2023-10-28 of the simulated league, under the names that some platform might have given.
"""

import io
import itertools
from datetime import date

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from dagster_gcp import BigQueryResource
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY

from nba_precompute.assets import SUMMARY_TABLES
from nba_precompute.bigquery_requests import LABEL
from nba_precompute.coverage import GAP, THERE
from nba_precompute.home import COPIES_FOLDER, Home
from nba_precompute.sources import RawDataError, layout
from nba_precompute.sources.parquet_folder import ParquetFolder
from nba_precompute_tests import googlesql
from nba_precompute_tests.bigquery_jobs import statements_of, tables_of, wrong_with
from nba_precompute_tests.local_bigquery import PROJECT, had_or_skip, local_bigquery_or_skip, refused
from nba_precompute_tests.test_runs import Platform

START, END, BAD_DAY = date(2023, 10, 24), date(2023, 10, 28), date(2023, 10, 26)

DATASET = "platform"

FILTERED = "require_partition_filter=TRUE"

NAMED = {
    "player_box_scores": {
        "table": f"{DATASET}.boxscores",
        "columns": {"game_id": "GAME", "minutes": "SECONDS / 60", "plus_minus": "CAST(PM AS INT64)"},
    },
    "shots": {"table": f"{DATASET}.shots", "columns": {"made": "RESULT = 'made'"}},
    "schedule": {"table": f"{PROJECT}.{DATASET}.schedule"},
    "injury_transactions": {"table": f"{DATASET}.news"},
}


def of_box_scores(**changed):
    return {**NAMED, "player_box_scores": {**NAMED["player_box_scores"], **changed}}


def of_first_days(folder, name, day="game_date"):
    rows = pq.read_table(folder / name)
    return rows.filter((pc.field(day) >= START) & (pc.field(day) <= END)).replace_schema_metadata(None)


def box_scores_of_platform(folder):
    rows = of_first_days(folder, layout.BOX_SCORES.name)
    seconds = pc.cast(pc.round(pc.multiply(rows["minutes"], 60)), pa.int64())
    rows = rows.append_column("SECONDS", seconds).append_column("PM", pc.cast(rows["plus_minus"], pa.string()))
    rows = rows.drop_columns(["minutes", "plus_minus"])
    return rows.rename_columns(["GAME" if name == "game_id" else name for name in rows.column_names])


def shots_of_platform(folder):
    rows = of_first_days(folder, layout.SHOTS.name)
    words = pc.if_else(rows["made"], "made", "missed")
    return rows.append_column("RESULT", words).drop_columns(["made"])


class PlatformTables:
    """The tables of the other platform, behind Google's client, and the emulator's proxy."""

    def __init__(self, client, proxy):
        self.client, self.proxy, self.changes = client, proxy, itertools.count()

    def make(self, statement):
        self.client.query(statement).result()

    def put(self, name, rows):
        file = io.BytesIO()
        pq.write_table(rows, file)
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET, write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE
        )
        self.client.load_table_from_file(
            file, f"{PROJECT}.{DATASET}.{name}", rewind=True, size=file.getbuffer().nbytes, job_config=config
        ).result()
        self.touch(name)

    def make_by_day(self, name):
        self.client.query(
            f"CREATE OR REPLACE TABLE {DATASET}.by_day PARTITION BY game_date OPTIONS(require_partition_filter=TRUE) AS "
            f"SELECT * FROM {DATASET}.{name}"
        ).result()
        self.touch("by_day")
        return of_box_scores(table=f"{DATASET}.by_day")

    def touch(self, name):
        """The emulator knows when a description changed, and not when rows did; BigQuery has one time for both."""
        table = self.client.get_table(f"{PROJECT}.{DATASET}.{name}")
        table.description = f"changed {next(self.changes)} times"
        self.client.update_table(table, ["description"])


@pytest.fixture(scope="module")
def platform(simulated_season, tmp_path_factory):
    """All tables filled; tests change tables of their own."""
    with local_bigquery_or_skip(tmp_path_factory.mktemp("emulator")) as local, pytest.MonkeyPatch.context() as patched:
        for name, value in local.environment("unused_").items():
            if not name.startswith("NBA_PRECOMPUTE"):
                patched.setenv(name, value)
        with BigQueryResource(project=PROJECT, location="US").get_client() as client:
            client.create_dataset(DATASET)
            tables = PlatformTables(client, local.proxy)
            tables.put("boxscores", box_scores_of_platform(simulated_season.path))
            tables.put("shots", shots_of_platform(simulated_season.path))
            tables.put("schedule", of_first_days(simulated_season.path, layout.SCHEDULE.name))
            tables.put("news", of_first_days(simulated_season.path, layout.INJURIES.name, "date"))
            client.query(f"CREATE VIEW {DATASET}.seen AS SELECT * FROM {DATASET}.boxscores").result()
            yield tables


@pytest.fixture
def home(platform, tmp_path):
    home = Home(tmp_path / "home", tmp_path / "games.yaml")
    name_tables(home)
    return home


def name_tables(home, tables=NAMED):
    home.raw.write_text(yaml.safe_dump({"project": PROJECT, "location": "US", "storage_api": False, "tables": tables}))


def test_games_under_other_names_are_those_of_the_files(home, simulated_season):
    found, wanted = home.source(), ParquetFolder(simulated_season.path, "files")
    keys = ["game_id", "player_id"]
    for read in ("box_scores", "shots"):
        theirs, ours = (
            getattr(source, read)(START, END).sort_values([*keys, *(["zone", "made"] if read == "shots" else [])])
            for source in (found, wanted)
        )
        # BigQuery's whole numbers have 64 bits
        pd.testing.assert_frame_equal(theirs.reset_index(drop=True), ours.reset_index(drop=True), check_dtype=False)
    scheduled = wanted.schedule()
    scheduled = scheduled[scheduled["game_date"].between(str(START), str(END))]
    pd.testing.assert_frame_equal(
        found.schedule().sort_values("game_id", ignore_index=True), scheduled.sort_values("game_id", ignore_index=True)
    )
    assert found.days_with_box_scores() == [date(2023, 10, day) for day in range(24, 29)]
    assert found.lines(START, END).empty  # an optional file that no table holds


def test_a_table_is_copied_when_it_changed_and_only_then(home, platform, simulated_season):
    """The rows of one player are taken away."""
    rows = box_scores_of_platform(simulated_season.path)
    platform.put("growing", rows)
    name_tables(home, of_box_scores(table=f"{DATASET}.growing"))
    before = home.source()
    files = {file.name: file.stat().st_ino for file in (home.folder / COPIES_FOLDER).iterdir()}
    assert home.source() is before  # the same folder, with what it has read
    player = rows["player_id"][0].as_py()
    platform.put("growing", rows.filter(pc.field("player_id") != player))
    now = home.source().box_scores(START, END)
    assert len(now) < rows.num_rows
    assert player not in set(now["player_id"])
    after = {file.name: file.stat().st_ino for file in (home.folder / COPIES_FOLDER).iterdir()}
    assert {name for name in after if after[name] != files[name]} == {layout.BOX_SCORES.name}


def test_a_file_that_is_not_named_any_more_is_forgotten(home, platform):
    assert len(home.source().injuries())
    name_tables(home, {name: table for name, table in NAMED.items() if name != "injury_transactions"})
    assert home.source().injuries().empty


def test_a_day_that_breaks_the_rules_of_a_box_score_stays_missing_as_of_a_file(home, platform, simulated_season):
    rows = box_scores_of_platform(simulated_season.path)
    bad = pc.and_(pc.equal(rows["game_date"], BAD_DAY), pc.greater(rows["pts"], 20))
    place = rows.column_names.index("pts")
    platform.put("wrong", rows.set_column(place, "pts", pc.if_else(bad, pc.add(rows["pts"], 1), rows["pts"])))
    name_tables(home, of_box_scores(table=f"{DATASET}.wrong"))
    of_home = Platform(home.folder, home.raw)
    of_home.backfill(START, END, SUMMARY_TABLES)
    states = of_home.states(START, END)["player_game_summary"]
    assert states[BAD_DAY] == GAP
    assert set(states.drop(BAD_DAY)) == {THERE}


def test_a_table_that_demands_a_filter_on_its_partitions_is_read_whole(home, platform):
    before = len(home.source().box_scores(START, END))
    name_tables(home, platform.make_by_day("boxscores"))
    assert len(home.source().box_scores(START, END)) == before > 0


def test_an_empty_day_of_a_row_is_refused_and_not_left_out(home, platform, simulated_season):
    rows = box_scores_of_platform(simulated_season.path)
    place = rows.column_names.index("game_date")
    first = pa.array([number == 0 for number in range(rows.num_rows)])
    platform.put("undated", rows.set_column(place, "game_date", pc.if_else(first, None, rows["game_date"])))
    name_tables(home, platform.make_by_day("undated"))
    with pytest.raises(RawDataError, match="game_date is empty in 1 rows"):
        home.source().box_scores(START, END)


def test_a_table_that_demands_a_filter_on_another_column_than_the_day_is_read_whole(home, platform):
    """So the players', which have no day."""
    platform.make(f"CREATE TABLE {DATASET}.people (person INT64, born DATE, seen DATE) PARTITION BY seen OPTIONS({FILTERED})")
    platform.make(f"INSERT {DATASET}.people VALUES (1, '1990-01-01', '2023-01-01'), (2, '1991-01-01', NULL)")
    columns = {"player_id": "person", "birth_date": "born"}
    name_tables(home, {**NAMED, "players": {"table": f"{DATASET}.people", "columns": columns, "order_by": "seen DESC"}})
    assert home.source().players()["player_id"].tolist() == [1, 2]


def test_a_table_that_demands_a_filter_on_the_time_of_arrival_is_read_whole(home, platform):
    platform.make(
        f"CREATE TABLE {DATASET}.arrived (player_id INT64, birth_date DATE) PARTITION BY _PARTITIONDATE OPTIONS({FILTERED})"
    )
    platform.make(f"INSERT {DATASET}.arrived (player_id, birth_date) VALUES (1, '1990-01-01')")
    name_tables(home, {**NAMED, "players": {"table": f"{DATASET}.arrived"}})
    assert home.source().players()["player_id"].tolist() == [1]


def test_googlesqls_analyzer_accepts_every_statement_that_reads_the_tables(home, platform):
    had_or_skip(googlesql.installed)
    platform.make(
        f"CREATE TABLE {DATASET}.numbered (player_id INT64, birth_date DATE) "
        f"PARTITION BY RANGE_BUCKET(player_id, GENERATE_ARRAY(0, 9, 1)) OPTIONS({FILTERED})"
    )
    platform.proxy.forget()
    name_tables(home, {**NAMED, "injury_transactions": {"table": f"{DATASET}.news", "order_by": "status"}})
    home.source()
    name_tables(home, {**platform.make_by_day("boxscores"), "players": {"table": f"{DATASET}.numbered"}})
    home.source()
    name_tables(home, of_box_scores(columns={"minutes": "HOURS * 60"}))
    with pytest.raises(RawDataError):
        home.source()
    sent = [request for request in platform.proxy.requests if request.sql.startswith("SELECT")]
    assert [said for request in sent for said in wrong_with(request)] == []
    assert [request.job["configuration"]["labels"] for request in sent] == [LABEL] * len(sent)
    statements = statements_of(sent)
    assert sum("UNION ALL" in sql for sql in statements) == 2
    assert sum("ORDER BY status" in sql for sql in statements) == 1
    refused = [sql for sql, _ in googlesql.errors(tables_of(platform.client), list(statements.items()))]
    assert refused == [sql for sql in statements if "HOURS" in sql] != []


def test_google_that_gives_no_token_for_a_while_is_no_matter_of_who_asks(home, platform):
    platform.proxy.plan(refused(503, "unavailable"), lambda request: request.path == "/token", 1000)
    with pytest.raises(RawDataError, match=r"does not answer.*Run the same command again"):
        home.source()
    platform.proxy.forget()


def test_google_that_is_not_reached_is_asked_for_minutes_and_then_said_to_pass(home, platform, monkeypatch):
    monkeypatch.setattr("nba_precompute.sources.bigquery_tables.PATIENCE", DEFAULT_RETRY.with_timeout(0.5))
    platform.proxy.plan(refused(503, "backendError"), lambda request: "/tables/boxscores" in request.path, 1000)
    with pytest.raises(
        RawDataError, match=r"boxscores, which holds player_box_scores.parquet.*Run the same command again later\.$"
    ):
        home.source()
    platform.proxy.forget()


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        (of_box_scores(table=f"{DATASET}.nowhere"), "nowhere, which holds player_box_scores.parquet"),
        (of_box_scores(columns={"minutes": "HOURS * 60"}), "boxscores, which holds player_box_scores.parquet: .*"),
        (of_box_scores(columns={"minuets": "1"}), "tables.player_box_scores.columns.minuets is not known"),
        ({**NAMED, "odds": {"table": "a.b"}}, "tables.odds is not known. Known are player_box_scores, "),
        ({"shots": NAMED["shots"]}, "tables has no player_box_scores, schedule; these are needed"),
        (of_box_scores(table=None), "tables.player_box_scores must have `table`"),
        (of_box_scores(table=f"{DATASET}.seen"), "is a VIEW: BigQuery does not say when its rows changed"),
    ],
    ids=["no table", "no column", "another column", "another file", "not enough", "no name", "a view"],
)
def test_what_the_file_names_wrongly_is_said_with_its_place(tables, words, home, platform):
    name_tables(home, tables)
    with pytest.raises(RawDataError, match=words):
        home.source()
    assert not (home.folder / COPIES_FOLDER / layout.BOX_SCORES.name).exists()


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("project: [", "cannot be read"),
        ("- games", "must have `project`"),
        ("project: p\ntables: {}\nmore: 1", "more is not known"),
    ],
)
def test_a_file_that_is_something_else_is_said_to_be(written, words, tmp_path):
    file = tmp_path / "games.yaml"
    file.write_text(written)
    with pytest.raises(RawDataError, match=words):
        Home(tmp_path / "home", file).source()
