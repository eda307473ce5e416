"""Between the assets of the predictions phase and the rooms that do the work: training, scoring, and what was served afterwards.

What is imported of `training` is imported where it is used: its proof goes through the graph, which names these functions.
"""

import base64
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import dagster as dg
import pandas as pd
from pydantic import Field
from upath import UPath

from nba_precompute.game_days import NEW_YORK, now_in_new_york
from nba_precompute.home import SIMULATED_LEAGUE, Home
from nba_precompute.materialization import add_metadata_of_days, metadata_by_day, record_days, run_days
from nba_precompute.storage import Publication
from nba_precompute.tables.ml_feature_store_v2 import ML_FEATURE_STORE_V2
from nba_precompute.tables.points_predictions import POINTS_PREDICTIONS, points_predictions
from nba_precompute.training import IN_USE, TrainingError
from nba_precompute.turns import require_turn

if TYPE_CHECKING:
    from nba_precompute.training.model import PointsModel, Say
    from nba_precompute.training.train import Trained

POINTS_MODEL, BEATS_BEST_BASELINE = "points_model", "beats_best_baseline"
"""The asset, and its check."""

POINTS_MODEL_CODE_VERSION = "1"
"""Raised when parameters or the split change, so that the UI says of the model that there is newer code."""

# --------------------------------------------------------------------------------------------------------------- the model


def model_check_spec() -> dg.AssetCheckSpec:
    """The check of the asset."""
    return dg.AssetCheckSpec(
        BEATS_BEST_BASELINE,
        asset=POINTS_MODEL,
        description="On the rows of the last season, which nothing was chosen by, the model errs less than the best baseline.",
    )


def train_points_model(home: Home, say: "Say") -> dg.MaterializeResult:
    """Train on all days that the home has, and write model and report where predictions take them from."""
    from nba_precompute.training import export, report, train

    source = home.source()
    days = source.days_with_box_scores()
    if not days:
        raise TrainingError(f"{source.name} has no box scores, so there is nothing to train on.")
    trained = train.train(export.export(home, days[0], days[-1]), say)
    report.write(trained, home.models)
    report.put_in_use(trained.report, home.models)
    return dg.MaterializeResult(
        asset_key=POINTS_MODEL, metadata=metadata_of(trained), check_results=[beats_best_baseline(trained.report)]
    )


def record_model(instance: dg.DagsterInstance, trained: "Trained") -> None:
    """Tell Dagster of a model that a command trained, as a run of the asset does."""
    instance.report_runless_asset_event(dg.AssetMaterialization(POINTS_MODEL, metadata=metadata_of(trained)))
    found = beats_best_baseline(trained.report)
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(POINTS_MODEL),
            check_name=BEATS_BEST_BASELINE,
            passed=found.passed,
            severity=found.severity,
            description=found.description,
            metadata=found.metadata,
        )
    )


def metadata_of(trained: "Trained") -> dict[str, Any]:
    """What Dagster shows of a model: numbers that it plots, and the report with its picture."""
    from nba_precompute.training.report import as_markdown, plots
    from nba_precompute.training.train import headline

    picture = base64.b64encode(plots(trained.report)).decode()
    return {
        **dataclasses.asdict(headline(trained.report)),
        "model": trained.report["model"],
        **trained.report["made_from"],
        "report": dg.MetadataValue.md(as_markdown(trained.report, f"data:image/png;base64,{picture}")),
    }


def beats_best_baseline(report: Mapping[str, Any]) -> dg.AssetCheckResult:
    """Whether the model is better than the best of what anybody could say without one."""
    from nba_precompute.training.report import in_words
    from nba_precompute.training.train import beats_best_baseline, headline

    passed = beats_best_baseline(report)
    advice = (
        ""
        if passed
        else " It is not put in use. Train on more days, or look at the report for the group or month that spoils it."
    )
    return dg.AssetCheckResult(
        asset_key=POINTS_MODEL,
        check_name=BEATS_BEST_BASELINE,
        passed=passed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{in_words(report)}.{advice}",
        metadata=dataclasses.asdict(headline(report)),
    )


def has_model(home: Home) -> bool:
    """Whether there is a model for predictions."""
    return (home.models / IN_USE).exists()


def model_in_use(home: Home, place: str = "") -> "PointsModel":
    """The model of a file, which may be on gs://; where none is named, the latest that was trained in the home."""
    from nba_precompute.training import model

    if not place and not has_model(home):
        raise TrainingError(
            f"There is no points model in {home.models}. `nba-precompute train` makes one; --model FILE names another."
        )
    found = model.read(UPath(place) if place else home.models / json.loads((home.models / IN_USE).read_text())["model"])
    if SIMULATED_LEAGUE == found.made_from["source"] != home.source_name:
        raise TrainingError(
            f"The points model {found.version} was trained on invented games, and the games of this home are real. Train another: "
            "`nba-precompute train`."
        )
    return found


# -------------------------------------------------------------------------------------------------------- the predictions


class PredictionsConfig(dg.Config):
    """What a run can be told in the launchpad."""

    model: str = Field(
        default="", description="The model's file, may be on gs://. Empty: the latest that was trained in the home."
    )


@dataclass(frozen=True)
class Slates:
    """The days to be predicted with their feature rows, those that keep what was served, and why others cannot be."""

    rows: pd.DataFrame
    facts_of_days: pd.DataFrame
    served: Sequence[date]
    missing: Mapping[date, str]

    @property
    def days(self) -> list[date]:
        """The days to be predicted."""
        return [day.date() for day in self.facts_of_days.index]


def slates_of(home: Home, days: Sequence[date], model: "PointsModel", now: datetime) -> Slates:
    """What the model is to score. Reads the features, and of the source when games begin: no box score.

    A day that was published before its first tip-off is served when that has passed: what was said then is not said again.
    """
    versions, before = home.warehouse.partition_versions(), tip_offs(home, days)
    of_features = versions[versions["table_name"] == ML_FEATURE_STORE_V2.qualified_name].set_index("day")["content_hash"]
    known = home.warehouse.read(POINTS_PREDICTIONS, min(days), max(days), ["game_date", "is_before_tip_off"])
    said_in_time = set(known.loc[known["is_before_tip_off"], "game_date"].dt.date)
    served = [day for day in days if day in said_in_time and now >= before[day]]
    missing = {
        day: f"{ML_FEATURE_STORE_V2.name} has no rows of {day}; make it first: nba-precompute backfill --start {day} --end {day}"
        for day in days
        if day not in served and pd.Timestamp(day) not in of_features.index
    }
    wanted = [day for day in days if day not in served and day not in missing]
    facts = pd.DataFrame(
        {
            "model_version": model.version,
            "is_unseen_day": [str(day) > model.made_from["last_day"] for day in wanted],
            "is_before_tip_off": [now < before[day] for day in wanted],
            "features_data_version": [of_features[pd.Timestamp(day)] for day in wanted],
            "code_version": version("nba-precompute"),
        },
        index=pd.DatetimeIndex(wanted, name="day"),
    )
    rows = home.warehouse.read(ML_FEATURE_STORE_V2, min(days), max(days)) if wanted else ML_FEATURE_STORE_V2.no_rows()
    return Slates(rows[rows["game_date"].isin(facts.index)].reset_index(drop=True), facts, served, missing)


def tip_offs(home: Home, days: Sequence[date]) -> dict[date, datetime]:
    """When the first game of each day begins; where the schedule does not say, the earliest hour at which one ever does."""
    from nba_precompute.daily_run import EARLIEST_TIP_OFF, first_tip_off

    source = home.source()
    return {day: first_tip_off(source, day) or datetime.combine(day, EARLIEST_TIP_OFF, NEW_YORK) for day in days}


def predicted(slates: Slates, model: "PointsModel") -> pd.DataFrame:
    """The rows of the table."""
    features = slates.rows[list(model.features)]
    return points_predictions(slates.rows, model.score(features), as_json(features), slates.facts_of_days)


def as_json(features: pd.DataFrame) -> pd.Series:
    """Each row as a JSON object that gives back the same numbers; missing is null."""
    values = features.astype("object").where(features.notna(), None)
    return pd.Series([json.dumps(row) for row in values.to_dict("records")], features.index, dtype="object")


def publish(home: Home, slates: Slates, frame: pd.DataFrame, run_id: str) -> pd.DataFrame:
    """Replace the days in the warehouse; returns their versions."""
    read = {
        day.date(): hashlib.sha256(f"{row.model_version} {row.features_data_version}".encode()).hexdigest()[:16]
        for day, row in zip(slates.facts_of_days.index, slates.facts_of_days.itertuples(), strict=True)
    }
    publication = Publication(POINTS_PREDICTIONS, frame, slates.days, read)
    return home.warehouse.publish(
        [publication], run_id=run_id, source=home.source().name, before_commit=partial(require_turn, home)
    )


def materialize_predictions(context: dg.AssetExecutionContext, home: Home, place: str) -> Iterator[dg.MaterializeResult]:
    """Publish the predictions of the run's days; days that were served keep theirs. Fails naming the days without features."""
    from nba_precompute.training.model import write

    model = model_in_use(home, place)
    if place:
        write(model, home.models)  # what it says is compared with the games later
    slates = slates_of(home, run_days(context), model, now_in_new_york())
    made = predicted(slates, model) if slates.days else POINTS_PREDICTIONS.no_rows()
    if slates.days:
        publish(home, slates, made, context.run.run_id)
    served = home.warehouse.read(POINTS_PREDICTIONS, min(slates.served), max(slates.served)) if slates.served else made.head(0)
    rows = pd.concat([made, served[served["game_date"].dt.date.isin(slates.served)]])
    metadata = metadata_by_day(POINTS_PREDICTIONS, rows, home.warehouse.partition_versions())
    if slates.missing:
        record_days(context, POINTS_PREDICTIONS, metadata)
        raise dg.Failure("\n".join(slates.missing.values()), allow_retries=False)
    add_metadata_of_days(context, POINTS_PREDICTIONS, metadata)
    yield dg.MaterializeResult(asset_key=POINTS_PREDICTIONS.name)


def predict_day(
    definitions: dg.Definitions, home: Home, instance: dg.DagsterInstance, day: date, place: str, tags: Mapping[str, str]
) -> list[str]:
    """A run of the asset over one day, in this process, on the instance that the UI shows; returns why it failed, if it did."""
    from nba_precompute.backfill import QUIET, RANGE_END_TAG, RANGE_START_TAG, reason_of_failure

    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(POINTS_PREDICTIONS.name)],
        run_config={**QUIET, "ops": {POINTS_PREDICTIONS.name: {"config": {"model": place}}}},
        raise_on_error=False,
        tags={RANGE_START_TAG: str(day), RANGE_END_TAG: str(day), **tags},
    )
    return [reason_of_failure(home, event.step_failure_data) for event in result.all_events if event.is_step_failure]


# -------------------------------------------------------------------------------------------------------- after the games

SERVED_PREDICTIONS, FEATURES_AS_SERVED, BETTER_THAN_BASELINE = "served_predictions", "features_as_served", "beats_best_baseline"
"""The asset, and its checks."""

DAYS_SHOWN = 30
"""Latest days that the asset's table shows."""


def served_check_specs() -> list[dg.AssetCheckSpec]:
    """The checks of what was served."""
    said = {
        FEATURES_AS_SERVED: f"What was served on the last {DAYS_SHOWN} days is what the model says of the features as they are now.",
        BETTER_THAN_BASELINE: "On all days that the model had not seen, what was served errs less than the best baseline.",
    }
    return [dg.AssetCheckSpec(name, asset=SERVED_PREDICTIONS, description=words) for name, words in said.items()]


def compare_served(home: Home) -> dg.MaterializeResult:
    """Set what was said of days that are over beside what the model says of today's features, and beside what was scored."""
    from nba_precompute.training import model, served

    found = served.compare(home, lambda version: model.read(home.models / f"{version}{model.SUFFIX}"))
    by_day = served.by_day(found)
    in_time = found[found["is_before_tip_off"].astype(bool)]
    latest = in_time["game_date"].drop_duplicates().nlargest(DAYS_SHOWN)
    moved, errors = served.moved(in_time[in_time["game_date"].isin(latest)]), served.errors(in_time)
    return dg.MaterializeResult(
        asset_key=SERVED_PREDICTIONS,
        metadata={
            "days": len(by_day),
            "rows": len(found),
            "latest_days": dg.MetadataValue.md(served.as_markdown(by_day.tail(DAYS_SHOWN))),
        },
        check_results=[
            dg.AssetCheckResult(
                asset_key=SERVED_PREDICTIONS,
                check_name=name,
                passed=judged.passed,
                severity=dg.AssetCheckSeverity.WARN,
                description=judged.words,
                metadata=judged.numbers,
            )
            for name, judged in ((FEATURES_AS_SERVED, moved), (BETTER_THAN_BASELINE, errors))
        ],
    )
