"""Files that the command line writes, on this machine's disk and on gs://: gcsfs against a server that speaks its protocol."""

import pytest
from gcp_storage_emulator.server import create_server
from upath import UPath

from nba_precompute.files import FileNotWritten, place, upload_folder, written_whole
from nba_precompute.game_days import SEASONS
from nba_precompute.sources import layout
from nba_precompute.sources.simulated import write_simulated_league


@pytest.fixture(scope="module")
def bucket():
    """A bucket of an object store on loopback."""
    server = create_server("127.0.0.1", 0, in_memory=True, default_bucket="reports")
    server.start()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server._api._httpd.server_port}")
        environment.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # it would ask a second server, which is not here
        UPath("gs://reports").fs.clear_instance_cache()
        yield UPath("gs://reports")
    server.stop()


@pytest.fixture(params=["of this machine", "of an object store"])
def folder(request, tmp_path):
    """A folder to write to."""
    return UPath(tmp_path) if request.param == "of this machine" else request.getfixturevalue("bucket") / tmp_path.name


def test_a_file_is_there_when_its_writing_has_ended_and_not_before(folder):
    target = folder / "2024" / "report.md"
    with written_whole(target) as file:
        file.write_text("all of it")
        assert not target.exists()
    assert target.read_text() == "all of it"
    assert [path.name for path in target.parent.iterdir()] == ["report.md"]


def test_a_file_that_could_not_be_finished_leaves_what_was_there(folder):
    target = folder / "report.md"
    with written_whole(target) as file:
        file.write_text("the first one")

    def write_half():
        with written_whole(target) as file:
            file.write_text("half of the sec")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert target.read_text() == "the first one"
    assert [path.name for path in folder.iterdir()] == ["report.md"]


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path):
    with pytest.raises(FileNotWritten, match=r"is a folder, and a file is to be written"), written_whole(UPath(tmp_path)):
        pass


def test_a_bucket_that_is_not_there_is_named_with_what_to_do(bucket):
    with (
        pytest.raises(FileNotWritten, match=r"gs://nobodys/report.md could not be written .*Make sure that it exists"),
        written_whole(UPath("gs://nobodys/report.md")) as file,
    ):
        file.write_text("all of it")


def test_a_place_that_nothing_can_be_written_to_is_refused_before_anything_is_done_for_it():
    with pytest.raises(FileNotWritten, match=r"nowhere://a/b cannot be written .*gs://BUCKET/NAME"):
        place("nowhere://a/b")


def test_a_league_in_a_bucket_is_the_one_on_disk(bucket, tmp_path):
    """`simulate --out` writes it so."""
    league = tmp_path / "league"
    write_simulated_league(league, SEASONS[:1])
    upload_folder(league, bucket / "league")
    assert {path.name for path in (bucket / "league").iterdir()} == {file.name for file in layout.FILES}
    for file in layout.FILES:
        assert (bucket / "league" / file.name).read_bytes() == (league / file.name).read_bytes()
