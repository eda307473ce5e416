"""Several processes on one home at once: they wait for each other, and leave what one after the other would have left."""

import multiprocessing
import threading
import time

from alembic.runtime.migration import HeadMaintainer

from nba_precompute.home import DAGSTER_FOLDER, Home
from nba_precompute.instance import instance_of
from nba_precompute_tests.test_event_log import BatchedSqliteEventLogStorage

forked = multiprocessing.get_context("fork")  # a spawned process would import Dagster again, 3 s each


# ------------------------------------------------------------------------------------------------ one home, opened first


def open_and_pause(folder, paused):
    """Open a home's instance, pausing where Dagster has made its first tables and not yet said the version of their schema."""
    insert = HeadMaintainer._insert_version

    def insert_late(maintainer, version):
        if not paused.is_set():
            paused.set()
            time.sleep(2)
        insert(maintainer, version)

    HeadMaintainer._insert_version = insert_late
    instance_of(Home(folder)).dispose()


def test_a_home_that_two_processes_open_first_at_once_can_be_opened_afterwards(tmp_path):
    """Dagster's own opening leaves two schema versions in a database, and every later opening fails."""
    paused = forked.Event()
    process = forked.Process(target=open_and_pause, args=(tmp_path / "home", paused))
    process.start()
    assert paused.wait(60)
    instance_of(Home(tmp_path / "home")).dispose()
    process.join()
    assert process.exitcode == 0
    with instance_of(Home(tmp_path / "home")) as instance:
        assert instance.get_runs() == []
        assert type(instance.event_log_storage) is BatchedSqliteEventLogStorage


def test_the_settings_of_a_home_are_never_half_there(tmp_path):
    """An empty dagster.yaml means Dagster's defaults: another storage, an empty history."""
    home = Home(tmp_path)
    instance_of(home).dispose()
    settings = tmp_path / DAGSTER_FOLDER / "dagster.yaml"
    whole, found, done = settings.read_text(), set(), threading.Event()

    def read():
        while not done.is_set():
            found.add(settings.read_text())

    reading = threading.Thread(target=read)
    reading.start()
    for _ in range(20):
        instance_of(home).dispose()
    done.set()
    reading.join()
    assert found == {whole}
