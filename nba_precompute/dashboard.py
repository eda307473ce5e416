"""The `coverage` asset: every rule over the whole warehouse, with the calendar heatmap. The dashboard of all checks.

One check a rule, over all tables, so that a green Tuesday does not hide a red January.
"""

import base64
from collections.abc import Iterator, Sequence

import dagster as dg

from nba_precompute import checks, quality, validation
from nba_precompute.home import Home
from nba_precompute.quality import Result

NAME = "coverage"

HEATMAP = "calendar"
"""The metadata entry that holds the picture."""


def whole_check_specs() -> list[dg.AssetCheckSpec]:
    """One check a rule, whatever tables it is for."""
    return [dg.AssetCheckSpec(name, asset=NAME, description=rule.__doc__) for name, rule in quality.RULES.items()]


def evaluate_whole_warehouse(home: Home) -> Iterator[dg.MaterializeResult]:
    """Judge everything that the home should have, from the source's first day to its last."""
    days = home.source().days_with_box_scores()
    results = validation.judge_home(home, days[0], days[-1])
    errors = [result for result in results if not result.passed and result.severity == quality.ERROR]
    remarks = [result for result in results if not result.passed and result.severity == quality.WARN]
    from nba_precompute.heatmap import calendar_heatmap  # matplotlib takes half a second, and no other asset draws

    picture = base64.b64encode(calendar_heatmap(results, days[0], days[-1])).decode()
    image = dg.MetadataValue.md(f"![green, amber, red, grey for bootstrap](data:image/png;base64,{picture})")
    evaluations = [over_all_tables(name, results) for name in quality.RULES]
    yield dg.MaterializeResult(
        asset_key=NAME,
        metadata={"rules": len(results), "errors": len(errors), "remarks": len(remarks)},
        check_results=[
            evaluation._replace(metadata={**evaluation.metadata, HEATMAP: image})
            if evaluation.check_name == NAME
            else evaluation
            for evaluation in evaluations
        ],
    )


def over_all_tables(check: str, results: Sequence[Result]) -> dg.AssetCheckResult:
    """The evaluation of one rule over every table that has it."""
    found = [result for result in results if result.check == check]
    return checks.check_result(NAME, check, found) if found else checks.nothing_to_judge(NAME, check)
