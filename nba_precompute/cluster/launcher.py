"""Dagster's Celery launcher, that sees a lost worker and cancels: the launcher that `cluster/dagster.yaml` names."""

from typing import Any

import dagster as dg
from celery.states import FAILURE, STARTED
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

PATIENCE_SECONDS = 5.0, 30.0
"""How long to wait for workers' answers, the first time and the second. One answers beside the run that it makes, within milliseconds;
one that lost its connection to Redis tries again every two seconds, then ever more rarely, up to every half minute."""


class WatchedCeleryRunLauncher(CeleryRunLauncher):
    """The stock launcher, whose health check asks the workers who has the run, and whose terminated runs are canceled ones.

    The stock check reads what Celery last wrote of the run: of one whose worker was killed with its machine, that it has begun, so
    that it would last until `max_runtime_seconds`; of a living one, after Redis lost its data, nothing, so that it would be ended.
    A run that the stock launcher terminates is seen as lost, and made once more.
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
        """Whether a worker has the run; one that a command makes in its own process has none, and is taken to go on.

        A run that has not begun may wait for a worker in Redis: then its health is unknown.
        """
        task = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        if task is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        record = self.celery.AsyncResult(task)
        state, begun = record.state, record.info
        if state == FAILURE:
            return CheckRunHealthResult(WorkerStatus.FAILED, "Its process has died.")
        if state != STARTED and run.status is dg.DagsterRunStatus.STARTING:
            return CheckRunHealthResult(WorkerStatus.UNKNOWN, "No worker has begun it.")
        # one is asked where it is known which: of all, there is no knowing which answer is the last
        who = {"destination": [begun["hostname"]], "limit": 1} if state == STARTED else {}
        first, second = PATIENCE_SECONDS
        if self._is_with_a_worker(task, first, **who):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        now = self._instance.get_run_by_id(run.run_id)
        if now is None or now.is_finished:
            return CheckRunHealthResult(WorkerStatus.SUCCESS)
        if self._is_with_a_worker(task, second):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "No worker has it any more.")

    def _is_with_a_worker(self, task: str, seconds: float, **who: Any) -> bool:
        answers = self.celery.control.inspect(timeout=seconds, **who).query_task(task) or {}
        return any(answers.values())
