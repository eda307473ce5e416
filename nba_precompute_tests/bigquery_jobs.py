"""Jobs as they were sent to BigQuery, for judgement: by Google's own description of its API, a load by the rows that come with it."""

import importlib.resources
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from google.cloud import bigquery

from nba_precompute_tests.local_bigquery import Request

DESCRIBED = json.loads(
    (importlib.resources.files("googleapiclient.discovery_cache.documents") / "bigquery.v2.json").read_text()
)["schemas"]
"""What a resource of the API may have: Google's discovery document, as google-api-python-client carries it."""

IDS = re.compile(r"[A-Za-z0-9_-]{1,1024}")
LABELS = re.compile(r"[a-z][a-z0-9_-]{0,62}")

PARQUET_TYPES = {
    ("BYTE_ARRAY", "STRING"): "STRING",
    ("INT64", "NONE"): "INT64",
    ("DOUBLE", "NONE"): "FLOAT64",
    ("BOOLEAN", "NONE"): "BOOL",
    ("INT32", "DATE"): "DATE",
    ("INT64", "TIMESTAMP"): "TIMESTAMP",
}
"""What BigQuery makes of Parquet's types: https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet"""

STANDARD = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}


def wrong_with(request: Request) -> list[str]:
    """What BigQuery would refuse in a job or in the change of a table, or do otherwise than is meant; nothing where all is well."""
    if request.method == "PATCH":
        return list(_unlike(json.loads(request.body), {"$ref": "Table"}, "table"))
    job = request.job
    found = list(_unlike(job, {"$ref": "Job"}, "job"))
    if not IDS.fullmatch(job["jobReference"]["jobId"]):
        found.append(f"no id of a job: {job['jobReference']['jobId']}")
    for label in [text for pair in job["configuration"].get("labels", {}).items() for text in pair]:
        if not LABELS.fullmatch(label):
            found.append(f"no label: {label}")
    return found + (_wrong_with_load(request) if request.loads else [])


def _wrong_with_load(request: Request) -> list[str]:
    load = request.job["configuration"]["load"]
    found = [
        f"{name} is {load.get(name)}"
        for name, wanted in (("sourceFormat", "PARQUET"), ("writeDisposition", "WRITE_TRUNCATE"))
        if load.get(name) != wanted
    ]
    stored = request.rows.schema
    in_file = [
        (of.name, PARQUET_TYPES.get((of.physical_type, of.logical_type.type))) for of in map(stored.column, range(len(stored)))
    ]
    said = [(field["name"], _standard(field["type"])) for field in load["schema"]["fields"]]
    if in_file != said:
        found.append(f"the file has {in_file}, the job says {said}")
    return found


def _unlike(value: Any, described: Mapping[str, Any], place: str) -> Iterator[str]:
    """What a value has that its description does not allow."""
    described = DESCRIBED.get(described.get("$ref"), described)
    kind = described["type"]
    if kind == "object" and isinstance(value, dict):
        for name, inner in value.items():
            of_inner = described.get("properties", {}).get(name) or described.get("additionalProperties")
            if of_inner is None:
                yield f"{place}.{name} is not known"
            else:
                yield from _unlike(inner, of_inner, f"{place}.{name}")
    elif kind == "array" and isinstance(value, list):
        for inner in value:
            yield from _unlike(inner, described["items"], f"{place}[]")
    elif not isinstance(value, {"string": str, "boolean": bool, "integer": int, "number": float}.get(kind, ())):
        yield f"{place} is {value!r}, no {kind}"
    elif described.get("format") == "int64" and not re.fullmatch(r"-?\d+", value):
        yield f"{place} is {value!r}, no number"
    elif value not in (named := _values(described)) and named:
        yield f"{place} is {value!r}, none of {', '.join(named)}"


def _values(described: Mapping[str, Any]) -> list[str]:
    """The values that a description allows; empty where it names none."""
    in_words = (
        re.findall(r"(?:\* `?|\(or )([A-Z][A-Z0-9_]{2,})", described.get("description", ""))
        if described["type"] == "string"
        else []
    )
    return described.get("enum", in_words)


def statements_of(requests: Iterable[Request]) -> dict[str, dict[str, str]]:
    """Every statement that was sent, scripts by their statements, with the types of its parameters."""
    found = {}
    for request in requests:
        asked = request.job.get("configuration", {}).get("query", {}).get("queryParameters", [])
        parameters = {one["name"]: _parameter_type(one["parameterType"]) for one in asked}
        found |= {sql: parameters for sql in request.sql.rstrip(";").split(";\n") if sql}
    return found


def _parameter_type(said: Mapping[str, Any]) -> str:
    return f"ARRAY<{said['arrayType']['type']}>" if said["type"] == "ARRAY" else said["type"]


def staged_by(requests: Iterable[Request]) -> dict[str, dict[str, str]]:
    """The columns' types of the tables that load jobs make, as they say, by project.dataset.table."""
    found = {}
    for request in requests:
        if request.loads:
            load = request.job["configuration"]["load"]
            to = load["destinationTable"]
            fields = {field["name"]: _standard(field["type"]) for field in load["schema"]["fields"]}
            found[f"{to['projectId']}.{to['datasetId']}.{to['tableId']}"] = fields
    return found


def tables_of(client: bigquery.Client) -> dict[str, dict[str, str]]:
    """The columns' types of all tables and views that are there, by project.dataset.table."""
    found = {}
    for dataset in client.list_datasets():
        name = f"{dataset.project}.{dataset.dataset_id}"
        found[f"{name}.INFORMATION_SCHEMA.TABLES"] = {"table_name": "STRING"}
        for table in client.list_tables(dataset.reference):
            stored = client.get_table(table.reference)
            fields = {field.name: _standard(field.field_type) for field in stored.schema}
            by_arrival = stored.time_partitioning is not None and stored.time_partitioning.field is None
            found[f"{name}.{table.table_id}"] = fields | ({"_PARTITIONTIME": "TIMESTAMP"} if by_arrival else {})
    return found


def _standard(kind: str) -> str:
    return STANDARD.get(kind, kind)
