"""What `nba-precompute worker` is to Celery: the application of the launcher that the instance of DAGSTER_HOME has."""

import dagster as dg
from dagster_celery.tasks import create_execute_job_task, create_resume_job_task

from nba_precompute import definitions  # noqa: F401  what every run needs is imported once, before its process is forked
from nba_precompute.cluster.launcher import WatchedCeleryRunLauncher

with dg.DagsterInstance.get() as instance:
    launcher = instance.run_launcher
    assert isinstance(launcher, WatchedCeleryRunLauncher), "the settings in DAGSTER_HOME are not those of several machines"
    app = launcher.celery

create_execute_job_task(app)
create_resume_job_task(app)
