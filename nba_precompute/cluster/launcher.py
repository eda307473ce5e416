"""Dagster's Celery launcher, that sees a lost worker and cancels: the launcher that `cluster/dagster.yaml` names."""

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

ANSWERS_WITHIN_SECONDS = 5.0
"""A worker answers beside the run that it makes, within milliseconds."""


class WatchedCeleryRunLauncher(CeleryRunLauncher):
    """The stock launcher, whose health check asks the worker that has the run, and whose terminated runs are canceled ones.

    The stock check reads what Celery last wrote of the run: of one whose worker was killed with its machine, that it has begun. It
    would last until `max_runtime_seconds`. A run that the stock launcher terminates is seen as lost, and made once more.
    """

    def terminate(self, run_id: str) -> bool:
        """End the run's process and record it as canceled; a run that a command makes is its command's to end."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or DAGSTER_CELERY_TASK_ID_TAG not in run.tags:
            return False
        self._instance.report_run_canceling(run)
        super().terminate(run_id)
        self._instance.report_run_canceled(run)
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the worker has the run still; a run that a command makes in its own process has none, and is taken to go on."""
        if DAGSTER_CELERY_TASK_ID_TAG not in run.tags:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        known = super().check_run_worker_health(run)
        if known.status is not WorkerStatus.RUNNING:
            return known
        begun = self.celery.AsyncResult(run.tags[DAGSTER_CELERY_TASK_ID_TAG]).info
        worker = begun["hostname"] if isinstance(begun, dict) else None  # it has ended in between
        if worker is None or self.celery.control.ping([worker], timeout=ANSWERS_WITHIN_SECONDS):
            return known
        return CheckRunHealthResult(WorkerStatus.FAILED, f"The worker {worker} does not answer any more.")
