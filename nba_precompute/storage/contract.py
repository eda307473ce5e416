"""What every warehouse asks of a publication before it writes, and the versions of days that it keeps.

No database is known here.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import pandas as pd
from pandera.errors import SchemaErrors

from nba_precompute.storage import ContractError, Publication
from nba_precompute.storage.content_hash import hash_days
from nba_precompute.tables import columns
from nba_precompute.tables.columns import Table

EXAMPLES_SHOWN = 10
"""Keys that a contract error names for each broken rule."""

VERSION_TYPES = {
    "table_name": "object",
    "day": "datetime64[ns]",
    "content_hash": "object",
    "read_hash": "object",
    "code_version": "object",
    "row_count": "int32",
    "run_id": "object",
    "published_at": "datetime64[us]",
}
"""Columns of nba_reference.partition_versions as pandas has them."""


def validated(publications: Sequence[Publication]) -> list[pd.DataFrame]:
    """The frames in their contracts' columns and types; every failure of every frame at once."""
    frames, broken = [], []
    for publication in publications:
        table = publication.table
        absent = [name for name in table.columns if name not in publication.frame.columns]
        if absent:
            broken.append(f"{table.qualified_name}: column {', '.join(absent)} is not in the rows")
            continue
        try:
            frame = table.conform(publication.frame)
        except (TypeError, ValueError) as error:
            broken.append(f"{table.qualified_name}: a column does not have its type: {error}")
            continue
        broken += _broken_rules(table, frame) + _wrong_days(publication, frame)
        frames.append(frame)
    broken += _days_published_twice(publications)
    if broken:
        raise ContractError(
            "Nothing was published, the rows break their contract:\n"
            + "\n".join(broken)
            + "\nCorrect the raw games that these rows come from, or the table's formula."
        )
    return frames


def _broken_rules(table: Table, frame: pd.DataFrame) -> list[str]:
    try:
        table.schema.validate(frame, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
        found = []
        for (column, rule), failed in cases.groupby([cases["column"].fillna("(row)"), "check"], sort=False):
            places = failed["index"].dropna().astype("int64").unique()
            keys = frame.loc[places[:EXAMPLES_SHOWN], list(table.key)].astype(str)
            examples = "; ".join(", ".join(f"{name} {value}" for name, value in row.items()) for row in keys.to_dict("records"))
            found.append(f"{table.qualified_name}.{column} breaks {rule} in {max(len(places), 1)} rows: {examples}")
        return found
    return []


def _wrong_days(publication: Publication, frame: pd.DataFrame) -> list[str]:
    name = publication.table.qualified_name
    there = set(frame[publication.table.day].dropna().dt.date)  # a missing day breaks the contract already
    wanted = set(publication.days)
    found = []
    for column in [column for column, kind in publication.table.schema.dtypes.items() if str(kind) == columns.DAY]:
        with_time = frame[column].dropna()
        with_time = with_time[with_time != with_time.dt.normalize()]
        if len(with_time):
            found.append(f"{name}.{column} has a time of day in {len(with_time)} rows: {with_time.iloc[0]}; a day is midnight")
    if wanted - set(publication.read):
        unread = ", ".join(map(str, sorted(wanted - set(publication.read))))
        found.append(f"{name}: the hash of what was read is not given for {unread}")
    if there - wanted:
        found.append(f"{name} has rows of {', '.join(map(str, sorted(there - wanted)))}, which the run does not publish")
    if wanted - there:
        found.append(
            f"{name} has no rows of {', '.join(map(str, sorted(wanted - there)))}; a day without rows is not published"
        )
    return found


def _days_published_twice(publications: Sequence[Publication]) -> list[str]:
    counted = Counter((publication.table.qualified_name, day) for publication in publications for day in publication.days)
    return [f"{name}: {day} is published {times} times in one run" for (name, day), times in counted.items() if times > 1]


def no_rows(table: Table, wanted: Sequence[str]) -> pd.DataFrame:
    """An empty frame of the wanted columns."""
    return pd.DataFrame(columns=list(wanted)).astype(kinds_of(table, wanted))


def kinds_of(table: Table, wanted: Sequence[str]) -> dict[str, str]:
    """pandas' dtype of each wanted column."""
    return {name: str(table.schema.columns[name].dtype) for name in wanted}


def no_versions() -> pd.DataFrame:
    """An empty frame of versions."""
    return pd.DataFrame(columns=list(VERSION_TYPES)).astype(VERSION_TYPES)


def versions_of(publication: Publication, frame: pd.DataFrame, run_id: str) -> pd.DataFrame:
    """A row a day that `frame`, the publication's rows in the contract's types, has."""
    table = publication.table
    hashes = hash_days(frame, table.day, table.columns)
    return pd.DataFrame(
        {
            "table_name": table.qualified_name,
            "day": hashes.index,
            "content_hash": hashes.to_numpy(),
            "read_hash": [publication.read[day.date()] for day in hashes.index],
            "code_version": table.code_version,
            "row_count": frame.groupby(table.day).size().reindex(hashes.index).to_numpy(),
            "run_id": run_id,
            "published_at": datetime.now(UTC).replace(tzinfo=None),
        }
    ).astype(VERSION_TYPES)
