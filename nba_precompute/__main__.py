"""The command `nba-precompute`: how it starts, and how it ends when it is interrupted.

The work is done in a second thread; the first does nothing but wait for it. So Ctrl-C is neither postponed (the imports take
seconds, a query or a wait may) nor lost in a library: Dagster replaces the handlers of the thread it runs in, DuckDB makes an
error of its own of an interruption. The process ends as if it was killed, which is safe at any moment; that its run is canceled
and how to go on is said first.
"""

import gc
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable

INTERRUPTED = 2
"""The exit code of what could not run."""

PATIENCE_SECONDS = 1.5
"""How long the last records may take, of the two seconds in which the command ends: another process may hold a database."""

OBJECTS_BETWEEN_COLLECTIONS = 20_000
"""Python looks for garbage after 700 new objects. A command makes millions that are freed without it, and searching for the rest
so often took 4 % of a backfill."""

STDOUT, STDERR = 1, 2

AFTER_THE_BAR = "\x1b[?25h\n"
"""Show the cursor, which the progress bar hides, on a line of its own."""


def main() -> None:
    """Run the command line; SIGTERM is taken as Ctrl-C is."""
    # kept, because within a run Dagster has files in their place, and the progress bar in that of Python's streams
    said_to, on_terminal = os.dup(STDERR), os.isatty(STDOUT)
    exit_codes: list[int] = []
    at_interruption: list[Callable[[], None]] = []

    def work() -> None:
        # inherited by the processes that Dagster starts, which on a terminal get Ctrl-C too and answer with a traceback
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        from nba_precompute.cli import main  # what takes seconds is within the reach of Ctrl-C

        gc.freeze()  # what was imported stays
        gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
        exit_codes.append(main(at_interruption))

    worker = threading.Thread(target=work, daemon=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        worker.start()
        worker.join()
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        record(at_interruption)
        os.write(said_to, ((AFTER_THE_BAR if on_terminal else "") + how_to_go_on()).encode())
        os._exit(INTERRUPTED)
    sys.exit(exit_codes[0] if exit_codes else INTERRUPTED)


def record(at_interruption: list[Callable[[], None]]) -> None:
    """Make the last records, as far as there is time."""
    recording = threading.Thread(target=lambda: [make() for make in at_interruption], daemon=True)
    recording.start()
    recording.join(PATIENCE_SECONDS)


def how_to_go_on() -> str:
    """The sentence that an interrupted command ends with. With --reset the same command would begin from nothing."""
    command = shlex.join(["nba-precompute", *(argument for argument in sys.argv[1:] if argument != "--reset")])
    return f"Interrupted. What was published stays. To go on with the rest: uv run {command}\n"


if __name__ == "__main__":
    main()
