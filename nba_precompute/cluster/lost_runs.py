"""The sensor of runs whose worker died before they began, which Dagster's monitoring does not ask about."""

import dagster as dg
from dagster._core.launcher import WorkerStatus


@dg.sensor(
    minimum_interval_seconds=30,
    # Dagster's monitoring, which it is a part of, has no switch either
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends runs whose worker died between taking and beginning them, so that they are made once more.",
)
def lost_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """End the first run that its launcher says is lost; a tick must end within a minute, and asking for one takes half."""
    instance = context.instance
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING])):
        health = instance.run_launcher.check_run_worker_health(run)
        now = instance.get_run_by_id(run.run_id)
        if health.status is WorkerStatus.FAILED and now is not None and now.status is dg.DagsterRunStatus.STARTING:
            instance.report_run_failed(run, f"Its worker was lost before it began. {health.msg}")
            return dg.SkipReason(f"Run {run.run_id} was lost.")
    return dg.SkipReason("No run is lost.")
