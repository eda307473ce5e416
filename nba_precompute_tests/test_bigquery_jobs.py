"""The judges of what is sent to BigQuery find what is wrong, and are left out where they cannot be had, never where they fail."""

import io
import json
import re
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nba_precompute_tests import googlesql
from nba_precompute_tests.bigquery_jobs import wrong_with
from nba_precompute_tests.local_bigquery import NoEmulator, Request, had_or_skip


def load(rows, job_id="load_1", schema=(("day", "DATE"), ("points", "INT64")), labels=None, **changed):
    fields = [{"name": name, "type": kind, "mode": "NULLABLE"} for name, kind in schema]
    of_load = {
        "destinationTable": {"projectId": "p", "datasetId": "d", "tableId": "t"},
        "schema": {"fields": fields},
        "sourceFormat": "PARQUET",
        "writeDisposition": "WRITE_TRUNCATE",
        **changed,
    }
    job = {"jobReference": {"jobId": job_id, "projectId": "p"}, "configuration": {"load": of_load, "labels": labels or {}}}
    file = io.BytesIO()
    pq.write_table(rows, file)
    return Request(
        "POST", "/upload/jobs", json.dumps(job).encode() + b"\r\n--boundary\r\n" + file.getvalue() + b"\r\n--boundary--"
    )


ROWS = pa.table({"day": pa.array([0], pa.date32()), "points": pa.array([1], pa.int64())})


def test_a_load_that_says_what_it_brings_is_right():
    assert wrong_with(load(ROWS)) == []


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (load(ROWS, writeDisposition="WRITE_APPEND"), "writeDisposition is WRITE_APPEND"),
        (load(ROWS, writeDisposition="WRITE_OVER"), "'WRITE_OVER', none of WRITE_TRUNCATE, "),
        (load(ROWS, sourceFormat="CSV"), "sourceFormat is CSV"),
        (load(ROWS, createDispositon="CREATE_NEVER"), "job.configuration.load.createDispositon is not known"),
        (load(ROWS, maxBadRecords="3"), "maxBadRecords is '3', no integer"),
        (load(ROWS, job_id="load 1"), "no id of a job: load 1"),
        (load(ROWS, labels={"Made by": "us"}), "no label: Made by"),
        (load(ROWS, schema=(("day", "DATE"), ("points", "NUMBER"))), "'NUMBER', none of STRING, "),
        (load(ROWS, schema=(("day", "DATE"), ("points", "FLOAT64"))), "the file has .*'INT64'.*, the job says .*'FLOAT64'"),
        (load(ROWS, schema=(("points", "INT64"), ("day", "DATE"))), "the file has"),
        (load(ROWS.drop_columns(["day"])), "the file has"),
        (load(ROWS.set_column(1, "points", pa.array([1], pa.int8()))), r"the file has .*\('points', None\)"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_a_load_that_is_wrong_is_found_to_be(request_, words):
    assert any(re.search(words, said) for said in wrong_with(request_)), wrong_with(request_)


def test_a_change_of_a_table_is_held_against_its_description_too():
    def change(mode):
        return Request(
            "PATCH", "/tables/t", json.dumps({"schema": {"fields": [{"name": "a", "type": "DATE", **mode}]}}).encode()
        )

    assert wrong_with(change({"mode": "NULLABLE"})) == []
    assert wrong_with(change({"mood": "NULLABLE"})) == ["table.schema.fields[].mood is not known"]


@pytest.fixture
def nothing_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))


def test_without_network_the_analyzer_is_left_out_and_fails_only_in_ci(nothing_installed, monkeypatch):
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(NoEmulator, match="Failed to fetch"):
        googlesql.installed()
    monkeypatch.setenv("CI", "false")
    with pytest.raises(pytest.skip.Exception, match="Failed to fetch"):
        had_or_skip(googlesql.installed)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="Failed to fetch"):
        had_or_skip(googlesql.installed)


def test_an_analyzer_that_nobody_can_install_is_an_error_and_not_left_out(nothing_installed, monkeypatch):
    monkeypatch.setattr(googlesql, "REQUIREMENTS", ["zetasql=0.1.5"])
    monkeypatch.setenv("CI", "false")
    with pytest.raises(RuntimeError, match="googlesql could not be installed"):
        had_or_skip(googlesql.installed)


def test_an_analyzer_that_fails_is_an_error_and_not_left_out():
    had_or_skip(googlesql.installed)
    with pytest.raises(subprocess.CalledProcessError):
        googlesql.errors({"p.d.t": {"day": "no type"}}, [("SELECT 1", {})])
