"""Asset checks: the rules of `quality` as Dagster has them, one check a table and rule, evaluated in every run of the table.

They are part of their table's asset, so that they are evaluated also where a day of the run was bad, and the asset is
subsettable, so that they can be executed alone, over everything. No rule stands here.
"""

from collections.abc import Iterable, Iterator, Sequence

import dagster as dg

from nba_precompute import quality
from nba_precompute.quality import Result
from nba_precompute.tables.columns import Table

DAYS_NAMED = 20
"""Failing days and columns that a check names; the rest is counted."""

SEVERITIES = {quality.ERROR: dg.AssetCheckSeverity.ERROR, quality.WARN: dg.AssetCheckSeverity.WARN}


def check_specs(tables: Sequence[Table]) -> list[dg.AssetCheckSpec]:
    """The checks of the tables. None blocks: that would stop later steps of one run only; the gate of production is in the asset."""
    return [
        dg.AssetCheckSpec(name, asset=table.name, description=quality.RULES[name].__doc__)
        for table in tables
        for name in quality.checks_of(table)
    ]


def check_results(results: Sequence[Result], wanted: Iterable[dg.AssetCheckKey]) -> Iterator[dg.AssetCheckResult]:
    """One evaluation of each wanted check, of its results by column; without a result there was nothing to judge."""
    for key in sorted(wanted, key=str):
        table = key.asset_key.to_user_string()
        found = [result for result in results if (result.table, result.check) == (table, key.name)]
        yield check_result(table, key.name, found) if found else nothing_to_judge(table, key.name)


def nothing_to_judge(table: str, check: str) -> dg.AssetCheckResult:
    """The evaluation of a check that needs more days than there are."""
    return dg.AssetCheckResult(
        asset_key=table,
        check_name=check,
        passed=True,
        description=f"Nothing to judge: windows have {quality.WINDOW_DATES} game dates of one season, and fewer are there.",
        metadata={"denominator": 0},
    )


def check_result(table: str, check: str, results: Sequence[Result]) -> dg.AssetCheckResult:
    """The evaluation of one check: the number, threshold and denominator of its worst column, failing days, what to do.

    `percent_good`, `failing_days` and `denominator` are numbers, so that the UI plots them over time.
    """
    worst = min(results, key=lambda result: (result.passed, result.value - result.threshold))
    several = len(results) > 1 or worst.column is not None
    days = sorted({day for result in results for day in result.days})
    named = ", ".join(str(day) for day in days[:DAYS_NAMED])
    more = f" and {len(days) - DAYS_NAMED} more" if len(days) > DAYS_NAMED else ""
    about = f" of {what_of(worst, table)}" if several else ""
    return dg.AssetCheckResult(
        asset_key=table,
        check_name=check,
        passed=not days,
        severity=SEVERITIES[worst.severity],
        description=f"{worst.in_words}{about}." + (f" {fail(len(days), worst.per)}. {worst.remedy}" if days else ""),
        metadata={
            "percent_good": worst.value,
            "threshold": worst.threshold,
            "denominator": worst.denominator,
            "failing_days": len(days),
            "days": named + more or "none",
            "what_to_do": dg.MetadataValue.md(how_to_recover(worst) if days else "Nothing."),
            "by_column": by_column(results, table),
            **({"where_to_look": as_table(worst)} if days and len(worst.worst) else {}),
        },
    )


def fail(number: int, what: str) -> str:
    """How many days or windows fail."""
    return f"1 {what} fails" if number == 1 else f"{number:,} {what}s fail"


def how_to_recover(worst: Result) -> str:
    """What to do about the failing days of the worst column, then the commands: why it is so, and how to make the days again."""
    days = worst.days
    again = [
        "Made again, with the same inputs and code as they are now, they are made by",
        f"```\nuv run nba-precompute backfill --tables {worst.table} --start {days[0]} --end {days[-1]} --force\n```",
        f"or here: the asset {worst.table}, Materialize, the partitions `[{days[0]}...{days[-1]}]`.",
    ]
    why = ["Why it is so, from the top of the cascade down:", f"```\nuv run nba-precompute status --why {days[-1]}\n```"]
    return "\n\n".join([worst.remedy, *why, *(again if worst.severity == quality.ERROR else [])])


def what_of(result: Result, table: str) -> str:
    """What a result is about: its column, with its table where that is not the check's own."""
    return ".".join(part for part in (result.table if result.table != table else None, result.column) if part)


def by_column(results: Sequence[Result], table: str) -> dg.TableMetadataValue:
    """The numbers of the worst columns."""
    worst_first = sorted(results, key=lambda result: (result.passed, result.value - result.threshold))
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "column": what_of(result, table) or "whole rows",
                    "percent_good": round(result.value, 3),
                    "threshold": result.threshold,
                    "denominator": result.denominator,
                    "failing_days": len(result.days),
                }
            )
            for result in worst_first[:DAYS_NAMED]
        ]
    )


def as_table(result: Result) -> dg.TableMetadataValue:
    """Where to look: the worst days, or rows by key."""
    worst = result.worst.copy()
    for column in worst.select_dtypes("datetime"):
        worst[column] = worst[column].dt.strftime("%Y-%m-%d")  # days: a midnight would say nothing
    words = worst.astype("object").where(worst.notna(), "NULL").astype(str)
    return dg.MetadataValue.table([dg.TableRecord(dict(record)) for record in words.to_dict("records")])
