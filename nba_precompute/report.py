"""What a validation found, as people and scripts read it: rows of JSON, Markdown, and one HTML page with the heatmap.

Pure: results in, text out. What is judged stands in `quality`, how it looks on the terminal in `cli`.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import date

import pandas as pd
from jinja2 import Environment

from nba_precompute import lineage
from nba_precompute.game_days import SEASONS, days_between, game_days
from nba_precompute.quality import ERROR, Result
from nba_precompute.tables.columns import Table

DAYS_NAMED = 20
"""Failing days that a report names for people; JSON has all of them."""


def as_document(results: Sequence[Result]) -> dict[str, list[dict[str, object]]]:
    """The results as JSON holds them, every failing day included."""
    return {
        "results": [
            {
                "table": result.table,
                "check": result.check,
                "column": result.column,
                "severity": result.severity,
                "passed": result.passed,
                "value": result.value,
                "threshold": result.threshold,
                "denominator": result.denominator,
                "days": [str(day) for day in result.days],
            }
            for result in results
        ]
    }


def coverage_by_season(versions: pd.DataFrame, tables: Sequence[Table], first: date, last: date) -> pd.DataFrame:
    """A row a table and season: eligible and present days, their share, the missing days, and the original's figure.

    The original divided by all game dates, bootstrap included; its figure stands beside ours.
    """
    rows = []
    for table in tables:
        published = set(versions.loc[versions["table_name"] == table.qualified_name, "day"].dt.date)
        for season in SEASONS:
            start, end = max(first, season.first_game), min(last, season.last_game)
            days = days_between(lineage.partitions_of(table), start, end)
            if days:
                present = [day for day in days if day in published]
                rows.append(
                    {
                        "table": table.name,
                        "season": season.name,
                        "eligible": len(days),
                        "present": len(present),
                        "share": 100 * len(present) / len(days),
                        "of_all_game_dates": 100 * len(present) / len(days_between(game_days, start, end)),
                        "missing": [day for day in days if day not in published],
                    }
                )
    return pd.DataFrame(rows, columns=["table", "season", "eligible", "present", "share", "of_all_game_dates", "missing"])


def failures(results: Sequence[Result]) -> list[Result]:
    """The results that did not pass, errors first."""
    return sorted((result for result in results if not result.passed), key=lambda result: result.severity != ERROR)


def named(days: Sequence[date]) -> str:
    """Days in words, capped, with the number of those not named."""
    words = ", ".join(str(day) for day in days[:DAYS_NAMED])
    return f"{words} and {len(days) - DAYS_NAMED} more" if len(days) > DAYS_NAMED else words


MARKDOWN = """# Validation of {{ home }}, {{ first }} to {{ last }}

{{ results | length }} results: {{ errors }} errors, {{ remarks }} remarks.
{% if failed %}
| severity | table | check | column | good % | at least % | counted | days |
|---|---|---|---|---|---|---|---|
{% for result in failed -%}
| {{ result.severity }} | {{ result.table }} | {{ result.check }} | {{ result.column or "" }} | {{ "%.2f" | format(result.value) }} \
| {{ "%g" | format(result.threshold) }} | {{ result.denominator }} | {{ named(result.days) }} |
{% endfor %}
{% for result in failed if result.severity == "ERROR" -%}
- {{ result.table }}, {{ result.check }}: {{ result.remedy }}
{% endfor %}{% endif %}
| table | season | days | there | share % | of all game dates % | missing |
|---|---|---|---|---|---|---|
{% for row in coverage -%}
| {{ row.table }} | {{ row.season }} | {{ row.eligible }} | {{ row.present }} | {{ "%.1f" | format(row.share) }} \
| {{ "%.1f" | format(row.of_all_game_dates) }} | {{ named(row.missing) }} |
{% endfor %}"""

HTML = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Validation of {{ home }}</title>
<style>
body { font-family: sans-serif; margin: 2em; } table { border-collapse: collapse; margin: 1em 0; }
td, th { border: 1px solid #ccc; padding: .25em .6em; text-align: left; font-size: 90%; }
.ERROR { background: #ffd7d7; } .WARN { background: #fff1cc; } img { max-width: 100%; }
</style></head><body>
<h1>Validation of {{ home }}, {{ first }} to {{ last }}</h1>
<p>{{ results | length }} results: {{ errors }} errors, {{ remarks }} remarks.</p>
<img alt="A square a table and day: green, amber, red, grey for bootstrap" src="data:image/png;base64,{{ picture }}">
{% if failed %}<table><tr><th>severity<th>table<th>check<th>column<th>good %<th>at least %<th>counted<th>days<th>what to do</tr>
{% for result in failed %}<tr class="{{ result.severity }}"><td>{{ result.severity }}<td>{{ result.table }}<td>{{ result.check }}
<td>{{ result.column or "" }}<td>{{ "%.2f" | format(result.value) }}<td>{{ "%g" | format(result.threshold) }}
<td>{{ result.denominator }}<td>{{ named(result.days) }}<td>{{ result.remedy }}</tr>
{% endfor %}</table>{% endif %}
<table><tr><th>table<th>season<th>days<th>there<th>share %<th>of all game dates %<th>missing</tr>
{% for row in coverage %}<tr><td>{{ row.table }}<td>{{ row.season }}<td>{{ row.eligible }}<td>{{ row.present }}
<td>{{ "%.1f" | format(row.share) }}<td>{{ "%.1f" | format(row.of_all_game_dates) }}<td>{{ named(row.missing) }}</tr>
{% endfor %}</table></body></html>
"""


def as_markdown(home: str, first: date, last: date, results: Sequence[Result], coverage: pd.DataFrame) -> str:
    """The report as Markdown."""
    return Environment(autoescape=False).from_string(MARKDOWN).render(_facts(home, first, last, results, coverage))


def as_html(home: str, first: date, last: date, results: Sequence[Result], coverage: pd.DataFrame, picture: bytes) -> str:
    """The report as one HTML page that holds the picture."""
    facts = {**_facts(home, first, last, results, coverage), "picture": base64.b64encode(picture).decode()}
    return Environment(autoescape=True).from_string(HTML).render(facts)


def _facts(home: str, first: date, last: date, results: Sequence[Result], coverage: pd.DataFrame) -> Mapping[str, object]:
    failed = failures(results)
    errors = sum(result.severity == ERROR for result in failed)
    return {
        "home": home,
        "first": first,
        "last": last,
        "results": results,
        "failed": failed,
        "errors": errors,
        "remarks": len(failed) - errors,
        "coverage": list(coverage.itertuples(index=False)),
        "named": named,
    }
