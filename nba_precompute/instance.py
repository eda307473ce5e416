"""Dagster's instance over a home: the settings of `dagster.yaml`, with the home's folder or its Postgres for storage."""

import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import dagster as dg
import psutil
import yaml
from dagster._core.instance.ref import InstanceRef
from filelock import FileLock
from sqlalchemy import NullPool, create_engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from nba_precompute.errors import first_line
from nba_precompute.home import DAGSTER_FOLDER, Home

PROCESS_TAG = "nba_precompute/process"
"""Tag of the runs that a command makes in its own process."""

UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""A command's run is made, says what it plans, and starts; a kill can come at any moment."""

CLOCK_DRIFT_SECONDS = 2.0
"""By how much two looks at the same process's time of creation may differ: it is counted from boot, by a clock that is set."""

INSTANCE_LOCK = "dagster.lock"
"""Held while an instance is opened. Beside Dagster's folder, which `--reset` removes."""

REPOSITORY = Path(__file__).parents[1]

WORKER = "nba_precompute.cluster.worker"

SETTINGS_OF_SEVERAL_MACHINES = Path(__file__).parent / "cluster" / "dagster.yaml"

ADDRESS = "postgresql+psycopg2://USER:PASSWORD@HOST/DATABASE"

QUEUE_ANSWERS_WITHIN_SECONDS = 5.0
"""A Redis that is there answers at once."""

FOLDER_IN_SETTINGS = f".nba/{DAGSTER_FOLDER}"
"""The storage folder that `dagster.yaml` names, for the default home."""


class HistoryUnreachable(Exception):
    """The database of several machines cannot be used; the message says why and what is needed."""


class QueueUnreachable(Exception):
    """The queue of several machines, from which workers take runs, cannot be used; the message says why and what is needed."""


def instance_of(home: Home) -> dg.DagsterInstance:
    """The instance that `dagster dev` shows for the home; raises HistoryUnreachable where its database cannot be used."""
    if home.postgres:
        _try_database(home.postgres)
    home.folder.mkdir(parents=True, exist_ok=True)
    # two processes that make Dagster's databases at once mark one of them with two schema versions, and no later process opens it
    with FileLock(home.folder / INSTANCE_LOCK):
        settings = _settings_folder(home)
        return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(settings), config_dir=str(settings)))


def this_process() -> str:
    """What identifies this process while it lives, among machines: process ids are used again, with another time of creation."""
    return f"{os.getpid()}@{psutil.Process().create_time():.2f}@{socket.gethostname()}"


def is_of_this_machine(process: str) -> bool:
    """Whether a process that named itself by `this_process` can be looked for here. Before there were several, none was named."""
    return process.split("@")[2:] in ([], [socket.gethostname()])


def in_words(process: str) -> str:
    """The id of a process that named itself by `this_process`, with its machine where that is another."""
    number, *_, machine = process.split("@")
    return number if is_of_this_machine(process) else f"{number} on {machine}"


def is_alive(process: str) -> bool:
    """Whether a process that named itself by `this_process` is still there and not a zombie, dead but not yet waited for.

    One of another machine is taken to be: nobody here can tell, and its run must not be ended.
    """
    if not is_of_this_machine(process):
        return True
    number, created, *_ = process.split("@")
    try:
        found = psutil.Process(int(number))
        return abs(found.create_time() - float(created)) < CLOCK_DRIFT_SECONDS and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_runs_of_dead_processes(instance: dg.DagsterInstance) -> None:
    """Record as failed what a killed command left unfinished: it would hold the warehouse's pool and queue the UI's runs."""
    for run, process in unfinished_runs(instance):
        if not is_alive(process):
            instance.report_run_failed(
                run, f"The process that made this run ({process}) is gone. Its missing days can be made again."
            )


def cancel_runs_of_this_process(instance: dg.DagsterInstance) -> None:
    """Record as canceled what this process leaves unfinished, being interrupted."""
    for run, process in unfinished_runs(instance):
        if process == this_process():
            instance.report_run_canceled(run, "Interrupted. Its missing days can be made again.")


def unfinished_runs(instance: dg.DagsterInstance) -> list[tuple[dg.DagsterRun, str]]:
    """Runs of the command line, each with its process, that were begun and have no end, be they planned only."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    return [(run, run.tags[PROCESS_TAG]) for run in runs if PROCESS_TAG in run.tags]


def become_ui(home: Home, port: int) -> NoReturn:
    """Go on as `dagster dev` over the home, in this process, so that it is the one that an interruption reaches."""
    with instance_of(home) as instance:
        end_runs_of_dead_processes(instance)
        _try_queue(instance)
    # Dagster keeps by the code location's name what is turned on: it is the one that plain `dagster dev` has
    _become(home, ["dagster", "dev", "-w", str(REPOSITORY / "workspace.yaml"), "--port", str(port)])


def become_worker(home: Home, places: int) -> NoReturn:
    """Go on as a Celery worker that makes the runs of the home's queue, at most `places` at once."""
    with instance_of(home) as instance:
        _try_queue(instance)
    name = f"{uuid4().hex[:6]}@%h"  # several may be on one machine
    _become(home, ["celery", "-A", WORKER, "worker", "--concurrency", str(places), "--hostname", name, "--loglevel", "INFO"])


def _become(home: Home, module: Sequence[str]) -> NoReturn:
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(_settings_folder(home)),
        "NBA_PRECOMPUTE_HOME": str(home.folder.absolute()),
        **({"NBA_PRECOMPUTE_RAW": str(home.raw.absolute())} if home.raw else {}),
    }
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.execve(sys.executable, [sys.executable, "-m", *module], environment)


def _try_database(address: str) -> None:
    try:
        url = make_url(address)
        if "@" in (url.host or ""):  # the end of a password, which the driver would print
            raise ValueError
        create_engine(url, poolclass=NullPool).connect().close()
    except (ModuleNotFoundError, SQLAlchemyError, ValueError) as wrong:
        if isinstance(wrong, ValueError | ArgumentError):
            why = "it is no address (in a password write @ as %40, : as %3A, / as %2F, # as %23)"
        else:
            why = first_line(getattr(wrong, "orig", None) or wrong)
        raise HistoryUnreachable(
            f"The history in NBA_PRECOMPUTE_POSTGRES cannot be used: {why}. Its address is {ADDRESS}, "
            "with a database that is there, and `uv sync --extra cluster` has its driver."
        ) from None


def _try_queue(instance: dg.DagsterInstance) -> None:
    try:
        celery = getattr(instance.run_launcher, "celery", None)  # other launchers have no queue of their own
        if celery is not None:
            celery.connection_for_write().ensure_connection(
                max_retries=1, interval_start=0, timeout=QUEUE_ANSWERS_WITHIN_SECONDS
            )
    except Exception as wrong:
        why = "it is not set" if isinstance(wrong, dg.DagsterInvalidConfigError) else first_line(wrong)
        raise QueueUnreachable(
            f"The queue in NBA_PRECOMPUTE_REDIS cannot be used: {why}. Its address is redis://HOST:6379/0, where a Redis runs."
        ) from None


def _settings_folder(home: Home) -> Path:
    """A folder with the repository's `dagster.yaml` over the home's storage, written into the home's folder."""
    folder = home.folder.absolute() / DAGSTER_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    settings = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text())
    if home.postgres:
        settings |= yaml.safe_load(SETTINGS_OF_SEVERAL_MACHINES.read_text())
    for section in settings.values():
        config = section.get("config", {})
        if "base_dir" in config:
            config["base_dir"] = config["base_dir"].replace(FOLDER_IN_SETTINGS, str(folder))
    file, words = folder / "dagster.yaml", yaml.safe_dump(settings)
    if not file.exists() or file.read_text() != words:  # so that the status of a home on a full disk can be seen
        # another process may be reading the settings, and half of them mean Dagster's defaults
        complete = folder / f"dagster.yaml.of-{os.getpid()}"
        try:
            complete.write_text(words)
            complete.replace(file)
        finally:
            complete.unlink(missing_ok=True)
    return folder
