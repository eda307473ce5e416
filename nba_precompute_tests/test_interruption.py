"""Ctrl-C and SIGTERM at several moments of the real command, on a terminal of its own.

It ends within two seconds (measured: `benchmarks.interruptions`); here only a wait that forgets to end fails.
"""

import os
import pty
import select
import signal
import sys
import time
from datetime import date

import dagster as dg
import psutil
import pytest

from nba_precompute.coverage import THERE
from nba_precompute.history import run_history
from nba_precompute.home import Home
from nba_precompute.instance import instance_of, is_alive, this_process
from nba_precompute.turns import turn
from nba_precompute_tests.test_command_line import SHORT
from nba_precompute_tests.test_runs import START, Platform, folder_of

FAR_TOO_LONG = 60

CTRL_C = b"\x03"


class Terminal:
    """The command on a terminal: what it printed so far, and its keyboard."""

    def __init__(self, home, *arguments):
        self.printed = b""
        self.process, self.keyboard = pty.fork()
        if self.process == 0:
            os.environ["NBA_PRECOMPUTE_HOME"] = str(home)
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored where a shell has put the tests into the background
            os.execv(sys.executable, [sys.executable, "-m", "nba_precompute", *map(str, arguments)])

    def read(self, seconds=0.05):
        """Take in what is printed within the time; whether the command is still there to print more."""
        if select.select([self.keyboard], [], [], seconds)[0]:
            try:
                self.printed += os.read(self.keyboard, 65536)
            except OSError:  # how Linux says that the other side of a terminal is closed
                return False
        return True

    def until(self, is_so):
        give_up_at = time.monotonic() + FAR_TOO_LONG
        while not is_so():
            assert self.read(), self.printed.decode()
            assert time.monotonic() < give_up_at, self.printed.decode()

    def type(self, key):
        os.write(self.keyboard, key)

    def end(self):
        """Its exit code and its last line, when it has ended by itself."""
        give_up_at = time.monotonic() + FAR_TOO_LONG
        while self.read():
            assert time.monotonic() < give_up_at, self.printed.decode()
        _, status = os.waitpid(self.process, 0)
        os.close(self.keyboard)
        return os.waitstatus_to_exitcode(status), self.printed.decode().rstrip().splitlines()[-1]


@pytest.fixture(scope="module")
def raw(simulated_season, tmp_path_factory):
    return folder_of(simulated_season, tmp_path_factory)


@pytest.fixture
def terminal(raw, tmp_path):
    return Terminal(tmp_path / "home", "backfill", "--raw", raw, *SHORT)


@pytest.fixture
def sentence(raw):
    command = f"uv run nba-precompute backfill --raw {raw} {' '.join(SHORT)}"
    return f"Interrupted. What was published stays. To go on with the rest: {command}"


@pytest.fixture
def long_run(raw, tmp_path):
    """A season's backfill: its first run takes long enough to be met."""
    return Terminal(tmp_path / "home", "backfill", "--raw", raw)


@pytest.fixture
def sentence_of_long_run(raw):
    return f"Interrupted. What was published stays. To go on with the rest: uv run nba-precompute backfill --raw {raw}"


def has_imported(process, library):
    found = psutil.Process(process)
    is_the_command = "nba_precompute" in found.cmdline()  # before, it is a copy of this one
    return is_the_command and any(library in mapped.path for mapped in found.memory_maps())


def test_while_it_imports(terminal, sentence):
    terminal.until(lambda: has_imported(terminal.process, "pandas"))
    terminal.type(CTRL_C)
    assert terminal.end() == (2, sentence)
    assert b"Traceback" not in terminal.printed


def test_while_it_reads_the_source(terminal, sentence):
    terminal.until(lambda: b"Source" in terminal.printed)
    terminal.type(CTRL_C)
    assert terminal.end() == (2, sentence)
    assert b"Traceback" not in terminal.printed


def test_while_it_waits_for_its_turn(tmp_path, terminal, sentence):
    with turn(Home(tmp_path / "home"), say=print):
        terminal.until(lambda: b"Waiting for process" in terminal.printed)
        terminal.type(CTRL_C)
        assert terminal.end() == (2, sentence)
    assert b"Traceback" not in terminal.printed


def helpers_of_dagster(process):
    """The processes that read a step's output; they hear Ctrl-C too."""
    return [child for child in psutil.Process(process).children() if "watch_orphans" in " ".join(child.cmdline())]


def interrupted_in_a_run(terminal, instance, interrupt):
    terminal.until(lambda: instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])))
    terminal.until(lambda: helpers_of_dagster(terminal.process))
    interrupt()
    ended = terminal.end()
    assert b"Traceback" not in terminal.printed
    assert [run.status for run in instance.get_runs(limit=1)] == [dg.DagsterRunStatus.CANCELED]
    return ended


def test_in_a_run_which_is_canceled_and_the_same_command_goes_on(long_run, sentence_of_long_run, raw, tmp_path):
    goes_on = Platform(tmp_path / "home", raw)
    assert interrupted_in_a_run(long_run, goes_on.instance, lambda: long_run.type(CTRL_C)) == (2, sentence_of_long_run)
    interrupted, _ = run_history(goes_on.home, None, 1)
    assert {(row.status, row.error) for row in interrupted} == {
        ("CANCELED", "Interrupted. Its missing days can be made again.")
    }
    assert long_run.printed.rindex(b"\x1b[?25h") > long_run.printed.rindex(b"\x1b[?25l")  # the cursor is shown again
    assert goes_on.backfill(START, date(2023, 11, 9))[1] == []
    assert set(goes_on.states(START, date(2023, 11, 9))) == {THERE}


def test_a_request_to_terminate_is_taken_as_ctrl_c_is(long_run, sentence_of_long_run, tmp_path):
    with instance_of(Home(tmp_path / "home")) as instance:
        ended = interrupted_in_a_run(long_run, instance, lambda: os.kill(long_run.process, signal.SIGTERM))
    assert ended == (2, sentence_of_long_run)


def test_a_command_that_resets_is_not_told_to_do_so_again(raw, tmp_path):
    terminal = Terminal(tmp_path / "home", "backfill", "--reset", "--raw", raw)
    terminal.until(lambda: has_imported(terminal.process, "pandas"))
    terminal.type(CTRL_C)
    _, last_line = terminal.end()
    assert last_line.endswith(f"uv run nba-precompute backfill --raw {raw}")


def test_a_dead_process_that_nobody_has_waited_for_is_gone():
    """In a container without an init process it stays a zombie for good."""
    child = os.fork()
    if child == 0:
        time.sleep(FAR_TOO_LONG)
        os._exit(0)
    name = f"{child}@{psutil.Process(child).create_time():.2f}"
    assert is_alive(name)
    os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert not is_alive(name)
    os.waitpid(child, 0)
    assert not is_alive(name)
    assert is_alive(this_process())
