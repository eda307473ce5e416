"""A day's hash depends on its rows alone, and on all of them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nba_precompute.storage.content_hash import day_tokens, hash_days, to_hex

COLUMNS = ["number", "flag", "word", "when"]


def frame(**changes):
    return pd.DataFrame(
        {
            "day": pd.to_datetime(["2024-01-01", "2024-01-01", "2024-01-02"]),
            "number": [1.5, None, 3.0],
            "flag": pd.array([True, None, False], dtype="boolean"),
            "word": ["BOS", None, ""],
            "when": pd.to_datetime(["2024-01-01", None, "2024-01-03"]),
            **changes,
        }
    )


def hashes(rows):
    return hash_days(rows, "day", COLUMNS)


def test_published_hashes_stay_what_they_are():
    assert hashes(frame()).tolist() == ["89a6776c6fb99352", "47ed44b325a47d34"]


def test_the_order_of_rows_does_not_matter():
    pd.testing.assert_series_equal(hashes(frame().iloc[[2, 0, 1]]), hashes(frame()))


def test_other_days_do_not_matter():
    assert hashes(frame().iloc[2:])["2024-01-02"] == hashes(frame())["2024-01-02"]


@pytest.mark.parametrize(
    "same",
    [
        {"number": pd.array([1.5, None, 3], dtype="Float64")},
        {"flag": [True, None, False]},
        {"flag": [1.0, np.nan, 0.0]},
        {"word": pd.array(["BOS", None, ""], dtype="string")},
        {"word": pd.Categorical(["BOS", None, ""])},
        {"word": ["BOS", np.nan, ""]},
        {"when": pd.to_datetime(["2024-01-01", None, "2024-01-03"]).astype("datetime64[us]")},
    ],
    ids=["Float64", "flags as objects", "flags as doubles", "string", "categorical", "NaN for a missing word", "microseconds"],
)
def test_how_a_value_is_represented_does_not_matter(same):
    pd.testing.assert_series_equal(hashes(frame(**same)), hashes(frame()))


def test_whole_numbers_hash_alike_in_every_type():
    rows = pd.DataFrame({"day": pd.to_datetime(["2024-01-01"] * 2), "n": [7, 8]})
    expected = hash_days(rows, "day", ["n"])
    for kind in ("int16", "int32", "Int32", "Int64", "float64", "Float64"):
        pd.testing.assert_series_equal(hash_days(rows.astype({"n": kind}), "day", ["n"]), expected)


def test_numbers_as_categories_hash_as_numbers():
    rows = pd.DataFrame({"day": pd.to_datetime(["2024-01-01"] * 3), "n": [7.0, 8.0, None]})
    as_categories = rows.assign(n=pd.Categorical([7, 8, None]))
    pd.testing.assert_series_equal(hash_days(as_categories, "day", ["n"]), hash_days(rows, "day", ["n"]))


@pytest.mark.filterwarnings("error")
def test_a_moment_hashes_alike_in_every_zone_and_unit():
    utc = pd.DataFrame({"day": pd.to_datetime(["2024-01-01"] * 2), "t": pd.to_datetime(["2024-01-01 17:00", None], utc=True)})
    expected = hash_days(utc, "day", ["t"])
    for same in (
        utc["t"].dt.tz_convert("America/New_York"),
        utc["t"].astype("datetime64[us, UTC]"),
        utc["t"].dt.tz_localize(None),
    ):
        pd.testing.assert_series_equal(hash_days(utc.assign(t=same), "day", ["t"]), expected)


def test_minus_zero_is_zero():
    zero, minus_zero = (pd.DataFrame({"day": pd.to_datetime(["2024-01-01"]), "n": [value]}) for value in (0.0, -0.0))
    pd.testing.assert_series_equal(hash_days(zero, "day", ["n"]), hash_days(minus_zero, "day", ["n"]))


@pytest.mark.parametrize(
    "other",
    [
        {"number": [1.5, 0.0, 3.0]},
        {"number": [1.5 + 1e-15, None, 3.0]},
        {"flag": pd.array([False, None, False], dtype="boolean")},
        {"flag": pd.array([True, False, False], dtype="boolean")},
        {"word": ["BOS", "", ""]},
        {"word": ["NYK", None, ""]},
        {"when": pd.to_datetime(["2024-01-02", None, "2024-01-03"])},
        {"number": [None, 1.5, 3.0]},
    ],
    ids=["zero for NULL", "last bit", "flag", "false for NULL", "empty for NULL", "word", "time", "values of two rows swapped"],
)
def test_any_other_value_changes_the_day_and_no_other_day(other):
    found = hashes(frame(**other))
    assert found["2024-01-01"] != hashes(frame())["2024-01-01"]
    assert found["2024-01-02"] == hashes(frame())["2024-01-02"]


def test_a_repeated_row_changes_the_day():
    rows = frame()
    assert hashes(pd.concat([rows, rows.iloc[[0]]]))["2024-01-01"] != hashes(rows)["2024-01-01"]


def test_values_in_another_column_change_the_day():
    rows = pd.DataFrame({"day": pd.to_datetime(["2024-01-01"]), "a": [1.0], "b": [2.0]})
    swapped = rows.rename(columns={"a": "b", "b": "a"})
    assert hash_days(rows, "day", ["a", "b"]).iloc[0] != hash_days(swapped, "day", ["a", "b"]).iloc[0]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 5), st.sampled_from(["a", "b", None])), min_size=1))
def test_equal_rows_and_only_they_have_equal_hashes(rows):
    table = pd.DataFrame(rows, columns=["day", "n", "word"])
    table["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(table["day"], unit="D")
    found = hash_days(table, "day", ["n", "word"])
    by_day = {day: sorted(zip(part["n"], part["word"].fillna("-"), strict=True)) for day, part in table.groupby("day")}
    for one in by_day:
        for other in by_day:
            assert (found[one] == found[other]) == (by_day[one] == by_day[other])


def test_tokens_of_a_window_are_a_difference_of_running_sums():
    days = pd.Series(["aa", "bb", "cc"], index=pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"]))
    tokens = day_tokens(days, "games").to_numpy()
    running = np.cumsum(tokens, dtype="uint64")
    with np.errstate(over="ignore"):
        assert running[2] - running[0] == tokens[1] + tokens[2]
    assert len(set(to_hex(tokens))) == 3


def test_tokens_stay_what_they_are():
    hashes = pd.Series(["89a6776c6fb99352"], index=pd.to_datetime(["2024-01-01"]))
    assert to_hex(day_tokens(hashes, "games").to_numpy()) == ["0a7f2f186b83d6c6"]


def test_a_token_depends_on_stream_day_and_hash():
    day = pd.to_datetime(["2024-01-01"])
    one = day_tokens(pd.Series(["aa"], index=day), "games").iloc[0]
    assert one != day_tokens(pd.Series(["aa"], index=day), "shots").iloc[0]
    assert one != day_tokens(pd.Series(["ab"], index=day), "games").iloc[0]
    assert one != day_tokens(pd.Series(["aa"], index=pd.to_datetime(["2024-01-02"])), "games").iloc[0]
