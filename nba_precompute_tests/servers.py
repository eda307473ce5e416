"""Postgres and Redis on loopback, in folders of their own, while a test or a benchmark lasts."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from nba_precompute_tests.ui import free_port

DEBIANS_FOLDERS = "usr/lib/postgresql/*/bin/postgres"
"""Where Debian has the server: not on the path."""

USER = "postgres"
"""Whom Debian runs the server as. It refuses to run as root, which CI is."""

STARTS_WITHIN_SECONDS = 60

AS_EVERYWHERE = ["--no-locale", "-E", "UTF8", "--no-sync"]

FAST = ["-c", "fsync=off", "-c", "full_page_writes=off"]
"""What is written need not outlive the machine."""


def server_or_skip(name: str) -> Path:
    """The program of a server; the test is skipped where there is none, and fails in CI, where a skip would hide that."""
    found = program(name)
    if found is None:
        why = f"there is no {name}: `apt-get install postgresql redis-server`"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)
    return found


def program(name: str) -> Path | None:
    """A program on the path, or the newest where Debian has those of Postgres."""
    on_path = shutil.which(name)
    if on_path:
        return Path(on_path)
    of_debian = sorted(Path("/").glob(DEBIANS_FOLDERS))
    return of_debian[-1] if of_debian and name == "postgres" else None


@contextlib.contextmanager
def running_postgres(program: Path, *options: str) -> Iterator[tuple[str, psutil.Process]]:
    """The address of an empty database, and the server's process."""
    with _folder_of(USER) as folder:
        data, port = folder / "data", free_port()
        user = USER if os.geteuid() == 0 else None
        initialise = [program.resolve().with_name("initdb"), "-D", data, "-U", USER, "-A", "trust", *AS_EVERYWHERE]
        subprocess.run(initialise, check=True, stdout=subprocess.DEVNULL, cwd=folder, user=user)
        at = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder)]
        with _running([program, "-D", data, *at, *FAST, *options], folder, port, user) as process:
            yield f"postgresql+psycopg2://{USER}@127.0.0.1:{port}/{USER}", process


@contextlib.contextmanager
def running_redis(program: Path, port: int | None = None) -> Iterator[tuple[str, psutil.Process]]:
    """The address of an empty Redis that keeps nothing on disk, and its process; at the port where one is named."""
    with _folder_of() as folder:
        port = port or free_port()
        in_memory = ["--save", "", "--appendonly", "no", "--dir", folder]
        with _running([program, "--bind", "127.0.0.1", "--port", str(port), *in_memory], folder, port) as process:
            yield f"redis://127.0.0.1:{port}/0", process


@contextlib.contextmanager
def _folder_of(user: str | None = None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="nba-server-") as name:
        if user and os.geteuid() == 0:
            os.chown(name, pwd.getpwnam(user).pw_uid, -1)
        yield Path(name)


@contextlib.contextmanager
def _running(command: Sequence[str | Path], folder: Path, port: int, user: str | None = None) -> Iterator[psutil.Process]:
    with (folder / "said").open("w") as said:
        started = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said, start_new_session=True, user=user)
    try:
        give_up_at = time.monotonic() + STARTS_WITHIN_SECONDS
        while not _listens(port):
            assert started.poll() is None, (folder / "said").read_text()
            assert time.monotonic() < give_up_at, (folder / "said").read_text()
            time.sleep(0.05)
        yield psutil.Process(started.pid)
    finally:
        started.send_signal(signal.SIGINT)  # to Postgres: do not wait for its clients
        started.wait(STARTS_WITHIN_SECONDS)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
