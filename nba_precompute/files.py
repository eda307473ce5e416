"""Files that are written for people and other programs: a path is local or of an object store (gs://bucket/name).

A file is there whole or not at all. Where tables live is `storage`'s business, not this.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from upath import UPath

from nba_precompute.errors import first_line


class FileNotWritten(Exception):
    """A file cannot be written where it was asked for; the message names the place and what to do."""


def place(typed: str) -> UPath:
    """The path that was typed; raises FileNotWritten where nothing could be written there, before any work is done for it."""
    try:
        path = UPath(typed)
        path.fs  # noqa: B018 - looks for the library of the path's protocol
    except (ImportError, ValueError) as error:
        raise FileNotWritten(
            f"{typed} cannot be written ({first_line(error)}). Give a local path, or gs://BUCKET/NAME with the extra "
            "`gcs` installed: uv sync --extra gcs."
        ) from error
    return path


def is_local(path: UPath) -> bool:
    """Whether the path is of this machine's disk."""
    return isinstance(path, Path)


@contextmanager
def written_whole(target: UPath) -> Iterator[Path]:
    """A local file to write into, in folders that are made where needed; when this ends it is at `target`.

    Where it ends with an error, what was at `target` before stays as it was.
    """
    if is_local(target):
        if target.is_dir():
            raise FileNotWritten(f"{target} is a folder, and a file is to be written there. Give another name.")
        folder = Path(target.path).parent
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / f"{target.name}.of-{os.getpid()}"
        try:
            yield beside
            beside.replace(target.path)
        finally:
            beside.unlink(missing_ok=True)
        return
    with TemporaryDirectory() as of_this_machine:
        complete = Path(of_this_machine) / target.name
        yield complete
        _upload(complete, target)


def upload_folder(folder: Path, target: UPath) -> None:
    """The files of a local folder into one of an object store, where folders cannot be renamed: each file whole, one by one."""
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        _upload(file, target / file.relative_to(folder).as_posix())


def _upload(file: Path, target: UPath) -> None:
    # one request, or one that is completed at its end: an object store shows an object when it is there, and the old one until then
    try:
        target.fs.put_file(str(file), target.path)
    except Exception as error:  # each protocol's library has its own
        why = str(error) or type(error).__name__
        raise FileNotWritten(
            f"{target} could not be written ({why}). Make sure that it exists up to its last part, and that this account may write "
            "there, then run the same command again."
        ) from error
