"""The bytes that queries scan, computed by BigQuery's rules of what a value takes and a statement reads: an emulator answers 0.

Sizes of types, and ten megabytes at least of each table that is read: https://cloud.google.com/bigquery/pricing. Of INSERT and DELETE:
https://cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax. Partitions are taken for pruned, clustered blocks are not.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from nba_precompute.storage.bigquery import VERSION_COLUMNS, BigQueryWarehouse
from nba_precompute.tables.columns import Table
from nba_precompute_tests.local_bigquery import Request

MEGABYTE = 2**20
LEAST_BILLED = 10 * MEGABYTE

READ = re.compile(r"SELECT (.*) FROM `(.*?)`(?: FOR SYSTEM_TIME AS OF @moment)? WHERE `\w+` BETWEEN @start AND @end")
DELETED = re.compile(r"DELETE FROM `(.*?)` WHERE `(\w+)` BETWEEN @first_\d+ AND @last_\d+ AND `\w+` IN UNNEST\(@(days_\d+)\)")
INSERTED = re.compile(r"INSERT INTO `(.*?)` \((.*?)\) SELECT \2 FROM `.*`")
VERSIONS = "nba_reference.partition_versions"
READ_VERSIONS = {
    "SELECT table_name, day": list(VERSION_COLUMNS),
    "SELECT name, CAST": ["table_name", "day", "published_at"],
}
"""Queries of all versions by how they begin, with the columns that they read."""

NO_ROWS = re.compile(
    r"(BEGIN|COMMIT) TRANSACTION|CREATE |SELECT CURRENT_TIMESTAMP\(\)|SELECT IF\(\(SELECT (COUNT\(\*\)|MIN\(name\))|SELECT name FROM "
    r"|INSERT INTO `\S+nba_reference.source`|DELETE FROM `\S+` WHERE FALSE"
)
"""What reads no rows, or the one row that names the source."""


@dataclass(frozen=True)
class Scanned:
    """Bytes that statements scan, and that are billed for them: whole megabytes, ten of each table that is read at least."""

    scanned: int = 0
    billed: int = 0

    @classmethod
    def all_of(cls, several: Iterable["Scanned"]) -> "Scanned":
        """Their sum."""
        known = list(several)
        return cls(sum(one.scanned for one in known), sum(one.billed for one in known))


def bytes_of(values: pd.Series) -> pd.Series:
    """Of each value: text two and its letters in UTF-8, a truth one, what is missing none, all others eight."""
    if values.dtype == object:
        return values.map(lambda text: 2 + len(text.encode()), na_action="ignore").fillna(0).astype("int64")
    return values.notna() * (1 if str(values.dtype).startswith("bool") else 8)


def sizes_by_day(frame: pd.DataFrame, day: str) -> pd.DataFrame:
    """Bytes of each column, a row a day, or a row a value of another column."""
    by = frame[day].dt.date if frame[day].dtype != object else frame[day]
    return pd.DataFrame({name: bytes_of(frame[name]) for name in frame}).groupby(by).sum()


def scanned_by(requests: Iterable[Request], warehouse: BigQueryWarehouse, tables: Sequence[Table]) -> list[Scanned]:
    """Of each request in their order, over tables as they are now: a query sees the days that were published before it.

    Raises ValueError for a statement whose reading is not known, so that none is counted as nothing.
    """
    prefix = f"{warehouse.client.project}.{warehouse.prefix}"
    sizes = {f"{prefix}{table.qualified_name}": sizes_by_day(warehouse.read(table), table.day) for table in tables}
    versions = sizes_by_day(warehouse.partition_versions(), "table_name")  # one name after the other
    there: dict[str, set[date]] = {name: set() for name in sizes}
    replaced: dict[str, set[date]] = {}

    def of_days(name: str, days: Iterable[date], columns: Sequence[str]) -> int:
        return int(sizes[name].loc[sorted(days), list(columns)].to_numpy().sum())

    def of_versions(days_of: Mapping[str, set[date]], columns: Sequence[str]) -> int:
        """Of so many of the versions that each table has in the end."""
        return round(
            sum(
                len(days) / len(sizes[name]) * versions.loc[name.removeprefix(prefix), list(columns)].sum()
                for name, days in days_of.items()
                if days
            )
        )

    def of_statement(sql: str, parameters: Mapping[str, Any]) -> int:
        read, deleted, inserted = READ.fullmatch(sql), DELETED.fullmatch(sql), INSERTED.fullmatch(sql)
        if read:
            days = {day for day in there[read[2]] if parameters["start"] <= day <= parameters["end"]}
            return of_days(read[2], days, re.findall(r"(?:^|, )`(\w+)`", read[1]))
        if deleted:
            name, day, days = deleted[1], deleted[2], set(parameters[deleted[3]])
            replaced[name] = days
            return of_days(
                name, days & there[name], [day, *sizes[name].columns]
            )  # the filter's column, and all that is changed
        if inserted and inserted[1] in sizes:
            return of_days(inserted[1], replaced[inserted[1]], sizes[inserted[1]].columns)
        if inserted and inserted[1] == f"{prefix}{VERSIONS}":
            found = of_versions(replaced, list(VERSION_COLUMNS))
            for name, days in replaced.items():
                there[name] |= days
            replaced.clear()
            return found
        if sql.startswith(f"DELETE FROM `{prefix}{VERSIONS}` WHERE table_name"):
            return of_versions(there, ["table_name", "day", *VERSION_COLUMNS])
        for begins, columns in READ_VERSIONS.items():
            if sql.startswith(begins):
                return of_versions(there, columns)
        if sql.startswith(f"UPDATE `{prefix}nba_reference.publications`"):
            return 2 * 8  # the number of its one row, read and written
        if NO_ROWS.match(sql):
            return 0
        raise ValueError(f"what this reads is not known: {sql}")

    def of_request(request: Request) -> Scanned:
        planned = request.job.get("configuration", {}).get("dryRun")
        parameters = _days_asked_for(request)
        found = [of_statement(sql, parameters) for sql in request.sql.rstrip(";").split(";\n") if sql and not planned]
        return Scanned(sum(found), sum(max(LEAST_BILLED, math.ceil(one / MEGABYTE) * MEGABYTE) for one in found if one))

    return [of_request(request) for request in requests]


def _days_asked_for(request: Request) -> dict[str, Any]:
    """The days in the query's parameters, by their names."""
    found: dict[str, Any] = {}
    for one in request.job.get("configuration", {}).get("query", {}).get("queryParameters", []):
        kind, value = one["parameterType"], one["parameterValue"]
        if kind["type"] == "DATE":
            found[one["name"]] = date.fromisoformat(value["value"])
        elif kind.get("arrayType", {}).get("type") == "DATE":
            found[one["name"]] = [date.fromisoformat(each["value"]) for each in value["arrayValues"]]
    return found
