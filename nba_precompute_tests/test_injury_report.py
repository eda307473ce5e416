"""The league's injury report as CSV: what becomes news, who is who, and which days are captured."""

import shutil
from datetime import date

import pandas as pd
import pytest

from nba_precompute import ingestion
from nba_precompute.production import uncaptured
from nba_precompute.sources import RawDataError, layout, raw_folder
from nba_precompute.sources.injury_report import plain_name
from nba_precompute.sources.parquet_folder import ParquetFolder
from nba_precompute_tests.conftest import box_row
from nba_precompute_tests.processes import command_line

HEADER = "Report Date,Game Date,Team,Player Name,Current Status,Reason,covered_from,covered_to"
JANUARY = ("2026-01-01", "2026-01-03")


TODAY = date(2026, 1, 6)


def ingest_injuries(folder, file):
    return ingestion.ingest_injuries(folder, file, TODAY)


def report(folder, *lines, covered=JANUARY, header=HEADER):
    """A file of lines "1 LAL Doncic, Luka|Out|Injury - Knee", the first number being the day of January."""
    rows = [header]
    for line in lines:
        day, team, rest = line.split(" ", 2)
        name, status, reason = rest.split("|")
        rows.append(f'2026-01-{int(day):02d},01/09/2026,{team},"{name}",{status},{reason},{",".join(covered)}')
    file = folder / "report.csv"
    file.write_text("\n".join(rows) + "\n")
    return file


@pytest.fixture
def folder(tmp_path):
    played = [
        box_row(1629029, "LAL", player_name="Luka Dončić"),
        box_row(203999, "DEN", player_name="Nikola Jokić"),
        box_row(1, "BOS", player_name="Jaylin Williams"),
        box_row(2, "OKC", player_name="Jaylin Williams"),
    ]
    folder = tmp_path / "raw"
    raw_folder.write(folder, layout.BOX_SCORES, pd.DataFrame(played))
    return folder


def news(folder):
    rows = ParquetFolder(folder, "raw").injuries()
    return [
        (row.date.day, None if pd.isna(row.player_id) else int(row.player_id), row.status, row.note)
        for row in rows.itertuples(index=False)
    ]


def test_a_report_becomes_news_and_says_which_days_are_captured(folder, tmp_path):
    found = ingest_injuries(
        folder,
        report(
            tmp_path,
            "1 LAL Doncic, Luka|Out|Injury - Knee",
            "1 DEN Jokic, Nikola|Doubtful|Injury - Ankle",
            "2 LAL Doncic, Luka|Questionable|Injury - Knee",
        ),
    )
    assert news(folder) == [
        (1, 1629029, "out", "Out: Injury - Knee"),
        (1, 203999, "out", "Doubtful: Injury - Ankle (DTD)"),  # doubtful on the next day, and not held out after it
        (2, 1629029, "returned", "Questionable: Injury - Knee"),
    ]
    assert (found.items, found.unknown) == (3, [])
    assert ParquetFolder(folder, "raw").injuries_cover() == (date(2026, 1, 1), date(2026, 1, 3))


def test_production_mode_accepts_the_days_after_those_that_are_covered_and_no_others(folder, tmp_path):
    days = [date(2026, 1, day) for day in (1, 2, 4, 5)]
    source = ParquetFolder(folder, "raw")
    assert list(uncaptured(days, source)) == days
    assert (
        "production mode needs the injury news of 2025-12-31, and raw has no injury news" in uncaptured(days, source)[days[0]]
    )
    ingest_injuries(folder, report(tmp_path, "1 LAL Doncic, Luka|Out|Knee"))  # covers the 1st to the 3rd
    assert list(uncaptured(days, ParquetFolder(folder, "raw"))) == [date(2026, 1, 1), date(2026, 1, 5)]


def test_who_is_no_longer_in_the_report_of_his_team_has_returned(folder, tmp_path):
    ingest_injuries(
        folder,
        report(
            tmp_path,
            "1 LAL Doncic, Luka|Out|Injury - Knee",
            "2 DEN Jokic, Nikola|Out|Injury - Ankle",  # a report without his team says nothing of him
            "3 LAL James, LeBron|Out|Injury - Foot",
        ),
    )
    assert news(folder) == [
        (1, 1629029, "out", "Out: Injury - Knee"),
        (2, 203999, "out", "Out: Injury - Ankle"),
        (3, 1629029, "returned", "no longer in his team's report"),
        (3, None, "out", "Out: Injury - Foot"),
    ]


def test_of_several_reports_of_a_day_the_last_holds(folder, tmp_path):
    ingest_injuries(
        folder,
        report(
            tmp_path, "1 LAL Doncic, Luka|Questionable|Knee", "1 LAL Doncic, Luka|Available|Knee", "1 LAL Doncic, Luka|Out|Knee"
        ),
    )
    assert news(folder) == [(1, 1629029, "out", "Out: Knee")]


def test_a_name_of_several_players_is_the_one_of_the_team_and_an_unknown_name_is_told(folder, tmp_path):
    found = ingest_injuries(
        folder,
        report(
            tmp_path,
            "1 OKC Williams, Jaylin|Out|Rest",
            "1 MIA Williams, Jaylin|Out|Rest",
            "1 MIA Rookie, Unseen|Out|Rest",
        ),
    )
    assert [item[1] for item in news(folder)] == [2, None, None]
    assert found.unknown == ["Rookie, Unseen", "Williams, Jaylin"]


def test_the_next_report_is_added_and_one_of_the_same_days_takes_the_place_of_the_old(folder, tmp_path):
    ingest_injuries(folder, report(tmp_path, "1 LAL Doncic, Luka|Out|Knee", "3 DEN Jokic, Nikola|Out|Ankle"))
    ingest_injuries(folder, report(tmp_path, "4 LAL James, LeBron|Out|Foot", covered=("2026-01-04", "2026-01-05")))
    assert news(folder)[2:] == [
        (4, 1629029, "returned", "no longer in his team's report"),  # out by the file before
        (4, None, "out", "Out: Foot"),
    ]
    ingest_injuries(folder, report(tmp_path, "1 LAL Doncic, Luka|Available|Knee"))
    assert [item[:3] for item in news(folder)] == [
        (1, 1629029, "returned"),
        (4, None, "out"),  # and nobody returns who was not out
    ]
    assert ParquetFolder(folder, "raw").injuries_cover() == (date(2026, 1, 1), date(2026, 1, 5))


def test_reports_that_come_in_another_order_make_the_same_news(folder, tmp_path):
    files = [
        (("1 LAL Doncic, Luka|Out|Knee", "2 DEN Jokic, Nikola|Out|Ankle"), ("2026-01-01", "2026-01-02")),
        (("3 LAL James, LeBron|Out|Foot",), ("2026-01-03", "2026-01-03")),
        (("4 DEN Murray, Jamal|Questionable|Hip", "5 LAL Doncic, Luka|Out|Knee"), ("2026-01-04", "2026-01-05")),
    ]
    expected = [
        (1, 1629029, "out", "Out: Knee"),
        (2, 203999, "out", "Out: Ankle"),
        (3, 1629029, "returned", "no longer in his team's report"),
        (3, None, "out", "Out: Foot"),
        (4, 203999, "returned", "no longer in his team's report"),
        (4, None, "returned", "Questionable: Hip"),
        (5, 1629029, "out", "Out: Knee"),
    ]
    for number, order in enumerate([(0, 1, 2), (2, 1, 0), (1, 2, 0)]):
        again = tmp_path / str(number)
        shutil.copytree(folder, again)
        for lines, covered in (files[each] for each in order):
            found = ingest_injuries(again, report(tmp_path, *lines, covered=covered))
        assert news(again) == expected
        assert (found.covered_from, found.covered_to) == (date(2026, 1, 1), date(2026, 1, 5))


def test_news_of_another_feed_counts_and_stays(folder, tmp_path):
    feed = pd.DataFrame({"date": [date(2025, 12, 31)] * 2, "player_id": [1629029, 5], "status": "out", "note": "by the feed"})
    raw_folder.write(folder, layout.INJURIES, feed)
    ingest_injuries(folder, report(tmp_path, "2 LAL James, LeBron|Out|Foot"))
    assert news(folder) == [
        (31, 1629029, "out", "by the feed"),
        (31, 5, "out", "by the feed"),  # he has no team, so no team's report can leave him out
        (2, 1629029, "returned", "no longer in his team's report"),
        (2, None, "out", "Out: Foot"),
    ]


def test_who_is_traded_later_stays_who_he_was(folder, tmp_path):
    raw_folder.write(
        folder,
        layout.INJURIES,
        pd.DataFrame({"date": [date(2025, 12, 31)], "player_id": [1629029], "status": "out", "note": "by the feed"}),
    )
    ingest_injuries(folder, report(tmp_path, "1 OKC Williams, Jaylin|Out|Rest", "2 LAL ||"))
    before = news(folder)
    assert before[1:] == [(1, 2, "out", "Out: Rest"), (2, 1629029, "returned", "no longer in his team's report")]
    names = {2: "Jaylin Williams", 1629029: "Luka Dončić"}
    traded = [box_row(id_, "MIA", player_name=name, game_date=pd.Timestamp("2026-01-04")) for id_, name in names.items()]
    box_scores = raw_folder.read_all(folder, layout.BOX_SCORES)
    raw_folder.write(folder, layout.BOX_SCORES, pd.concat([box_scores, pd.DataFrame(traded)]))
    ingest_injuries(folder, report(tmp_path, "4 DEN ||", covered=("2026-01-04", "2026-01-05")))
    assert news(folder) == before


def test_a_team_that_reports_nobody_has_its_players_back_and_one_that_has_not_reported_does_not(folder, tmp_path):
    ingest_injuries(
        folder,
        report(
            tmp_path,
            "1 LAL Doncic, Luka|Out|Knee",
            "1 DEN Jokic, Nikola|Out|Ankle",
            "2 LAL ||",
            "2 DEN ||NOT YET SUBMITTED",
        ),
    )
    assert news(folder)[2:] == [(2, 1629029, "returned", "no longer in his team's report")]


def test_days_on_which_nobody_is_reported_are_captured_too(folder, tmp_path):
    file = tmp_path / "report.csv"
    file.write_text(f"{HEADER}\n,,,,,,2026-01-01,2026-01-02\n")
    assert ingest_injuries(folder, file).items == 0
    assert ParquetFolder(folder, "raw").injuries_cover() == (date(2026, 1, 1), date(2026, 1, 2))


def test_a_gap_between_what_is_covered_is_refused_and_changes_nothing(folder, tmp_path):
    ingest_injuries(folder, report(tmp_path, "1 LAL Doncic, Luka|Out|Knee"))
    before = (folder / layout.INJURIES.name).read_bytes()
    with pytest.raises(RawDataError, match=r"covers 2026-01-05 to 2026-01-06, and .* covers 2026-01-01 to 2026-01-03"):
        ingest_injuries(folder, report(tmp_path, "5 LAL Doncic, Luka|Out|Knee", covered=("2026-01-05", "2026-01-06")))
    assert (folder / layout.INJURIES.name).read_bytes() == before


def test_a_report_cannot_cover_days_to_come(folder, tmp_path):
    file = report(tmp_path, "1 LAL Doncic, Luka|Out|Knee", covered=("2026-01-01", "2026-01-07"))
    with pytest.raises(RawDataError, match="covered_to is 2026-01-07, and today is 2026-01-06"):
        ingest_injuries(folder, file)
    assert not (folder / layout.INJURIES.name).exists()


@pytest.mark.parametrize(
    ("lines", "changes", "words"),
    [
        (["1 LAL Doncic, Luka|Maybe|Knee"], {}, "line 2: current_status is 'Maybe', none of out, doubtful, questionable"),
        (["1 XYZ ||"], {}, "line 2: team is 'XYZ', none of the league's"),
        (["1 XYZ Doncic, Luka|Out|Knee"], {}, "line 2: team is 'XYZ', none of the league's"),
        (["1 LAL Doncic, Luka|Out|Knee", "9 LAL Doncic, Luka|Out|Knee"], {}, "line 3: report_date 2026-01-09 lies outside 2026"),
        (["1 LAL Doncic, Luka|Out|Knee"], {"covered": ("2026-01-03", "2026-01-01")}, "covers 2026-01-03 to 2026-01-01"),
        (["1 LAL Doncic, Luka|Out|Knee"], {"covered": ("", "2026-01-01")}, "covered_from is '', which is no date"),
        (["1 LAL Doncic, Luka|Out|Knee"], {"header": HEADER.replace("covered_to", "until")}, "column covered_to is missing"),
        ([], {}, "column covered_from holds 0 different values"),
    ],
    ids=["status", "team of nobody", "team", "day", "order", "no cover", "no column", "empty"],
)  # fmt: skip
def test_a_report_that_cannot_be_used_is_refused_with_its_line_and_nothing_is_written(lines, changes, words, folder, tmp_path):
    with pytest.raises(RawDataError, match=words):
        ingest_injuries(folder, report(tmp_path, *lines, **changes))
    assert not (folder / layout.INJURIES.name).exists()


def test_a_team_may_be_written_out(folder, tmp_path):
    file = report(tmp_path, "1 LAL Doncic, Luka|Out|Knee")
    file.write_text(file.read_text().replace(",LAL,", ",Los Angeles Lakers,"))
    ingest_injuries(folder, file)
    assert [item[1] for item in news(folder)] == [1629029]


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("Dončić, Luka", "luka doncic"),
        ("Luka Doncic", "luka doncic"),
        ("Porter Jr., Michael", "michael porter jr"),
        ("Michael Porter Jr.", "michael porter jr"),
        ("O'Neale, Royce", "royce oneale"),
        ("Gilgeous-Alexander, Shai", "shai gilgeous alexander"),
    ],
)
def test_both_spellings_of_a_name_are_one(written, plain):
    assert plain_name(written) == plain


def test_the_command_says_what_it_brought(folder, tmp_path):
    done = command_line(
        tmp_path / "home", "ingest", "--raw", str(folder), "--injuries", str(report(tmp_path, "1 MIA Rookie, Unseen|Out|Rest"))
    )
    assert done.exit_code == 0, done.err
    assert "1 items of news; all news from 2026-01-01 to 2026-01-03 are there now." in done.out
    assert "Not known by name, so nobody is held out for them: Rookie, Unseen" in done.out
