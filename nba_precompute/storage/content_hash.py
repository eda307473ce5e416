"""Content hashes of the days of a table, and sums of them over windows of days.

A day's hash depends on its rows alone: not on their order, on other days, on how a number or a missing value is represented, nor
on the version of a library. All arithmetic is on unsigned 64-bit integers modulo 2**64. Not a defence against an adversary.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

NULL = np.uint64(0x9E3779B97F4A7C15)
"""What a missing value mixes to before its column's seed: the golden ratio's bits, no value of any kind."""

TEXT_KEY = "nba_precompute.0"
"""Key (16 characters) of pandas' SipHash of text, fixed so that published hashes stay what they are."""


def hash_days(frame: pd.DataFrame, day: str, columns: Sequence[str]) -> pd.Series:
    """For each day in `frame` the hash of its rows' `columns`, 16 hexadecimal digits, by day (datetime64) in order."""
    rows = np.zeros(len(frame), dtype="uint64")
    for column in columns:
        rows += mix(column_bits(frame[column]) ^ text_bits(pd.Series([column]))[0])
    mixed = pd.Series(mix(rows), index=pd.DatetimeIndex(frame[day]).astype("datetime64[ns]"))
    by_day = mixed.groupby(level=0)
    totals = by_day.sum().to_numpy(dtype="uint64") ^ mix(by_day.size().to_numpy(dtype="uint64"))
    days = by_day.size().index
    return pd.Series(to_hex(totals), index=days, name="content_hash", dtype="object")


def day_tokens(hashes: pd.Series, salt: str) -> pd.Series:
    """A 64-bit token for each day and its hash, salted, so that tokens of several streams can be added without cancelling."""
    days = pd.DatetimeIndex(hashes.index).astype("datetime64[ns]")
    bits = mix(text_bits(hashes) ^ mix(days.to_numpy().astype("int64").view("uint64")))
    return pd.Series(mix(bits ^ text_bits(pd.Series([salt]))[0]), index=days)


def to_hex(bits: np.ndarray) -> list[str]:
    """16 hexadecimal digits each."""
    return [f"{value:016x}" for value in bits.tolist()]


def mix(bits: np.ndarray) -> np.ndarray:
    """Spread every bit of each value over all of it (the finaliser of SplitMix64, Steele, Lea and Flood 2014)."""
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def column_bits(values: pd.Series) -> np.ndarray:
    """The bits of each value: of numbers and flags as doubles, of times as nanoseconds, of text as its SipHash."""
    missing = values.isna().to_numpy()
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype("object")
    if values.dtype == "object" and pd.api.types.infer_dtype(values, skipna=True) != "string":
        values = values.convert_dtypes()  # flags or numbers that a missing value turned to objects
    if pd.api.types.is_datetime64_any_dtype(values):
        bits = pd.DatetimeIndex(values).as_unit("ns").asi8.view("uint64")  # of a zoned time, in UTC
    elif pd.api.types.is_bool_dtype(values) or pd.api.types.is_numeric_dtype(values):
        doubles = values.to_numpy(dtype="float64", na_value=np.nan)
        bits = (doubles + 0.0).view("uint64")  # + 0.0 turns -0.0 into 0.0
    else:
        bits = text_bits(values)
    return np.where(missing, NULL, mix(bits))


def text_bits(values: pd.Series) -> np.ndarray:
    """The SipHash of each text; a missing one's is of no consequence."""
    codes, distinct = pd.factorize(values.to_numpy(dtype="object"))
    hashed = pd.util.hash_array(np.asarray(distinct, dtype="object"), hash_key=TEXT_KEY, categorize=False)
    return np.append(hashed, NULL)[codes].astype("uint64")  # a missing value has the code -1
