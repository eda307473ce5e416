"""Processes of their own that start within milliseconds: forks of one that has only imported, which takes the others two seconds."""

import multiprocessing
import os
import resource
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from nba_precompute import __main__ as command

imported = multiprocessing.get_context("forkserver")
# there is one list of a process and all its contexts, so nobody else sets it; among the imports are the libraries that Dagster
# imports when it first opens its databases
imported.set_forkserver_preload(
    ["nba_precompute.cli", "alembic.command", "nba_precompute_tests.benchmarks.kills", "nba_precompute_tests.local_bigquery"]
)

TABLES_WIDTH = "120"
"""As the command line has it where it does not print on a terminal; the process it is forked from may have been on one."""


@dataclass(frozen=True)
class Met:
    """How a command ended: its exit code, what it printed, what it said of errors."""

    exit_code: int
    out: str
    err: str


def command_line(
    home: Path, *arguments: str, largest_file: int = resource.RLIM_INFINITY, environment: Mapping[str, str] | None = None
) -> Met:
    """What `nba-precompute` does over the home, in a process of its own beside it, with more in its environment.

    No file may grow beyond `largest_file` bytes, as on a full disk.
    """
    ends = [imported.Pipe(duplex=False) for _ in ("out", "err")]
    process = imported.Process(
        target=_command_line,
        args=(home, arguments, _of_others(os.environ) | dict(environment or {}), largest_file, *(end for _, end in ends)),
    )
    process.start()
    for _, written in ends:
        written.close()
    with ThreadPoolExecutor() as at_once:
        out, err = at_once.map(_read_all, [read for read, _ in ends])
    process.join()
    return Met(int(process.exitcode or 0), out, err)


def _of_others(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("NBA_PRECOMPUTE")}


def _read_all(pipe: Connection) -> str:
    with os.fdopen(os.dup(pipe.fileno())) as file:
        return file.read()


def _command_line(
    home: Path,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    largest_file: int,
    out: Connection,
    err: Connection,
) -> None:
    for number, pipe in ((1, out), (2, err)):
        os.dup2(pipe.fileno(), number)
        pipe.close()
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    os.environ.clear()
    os.environ.update(environment)
    os.environ.update(NBA_PRECOMPUTE_HOME=str(home), COLUMNS=TABLES_WIDTH)
    os.chdir(home.parent)
    sys.argv = ["nba-precompute", *arguments]
    command.main()
