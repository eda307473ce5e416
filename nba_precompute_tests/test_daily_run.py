"""The daily run: what is decided, by hand; then two weeks of a simulated season replayed with a set clock on a real instance."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from datetime import date, datetime, timedelta

import dagster as dg
import duckdb
import pandas as pd
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from nba_precompute import daily_run, next_phase
from nba_precompute.assets import CASCADE_TABLES, TABLES
from nba_precompute.coverage import GAP, MISSING, STALE, THERE
from nba_precompute.daily_run import (
    CASCADE,
    MOST_RUNS,
    SCHEDULE,
    SUMMARIES,
    TIMES,
    Day,
    Decision,
    Facts,
    decide,
    key_of,
    off_the_calendar,
    skipped,
    together,
    verdict,
)
from nba_precompute.definitions import build_definitions
from nba_precompute.game_days import NEW_YORK, days_of, eligible_days, game_days
from nba_precompute.home import Home
from nba_precompute.instance import instance_of
from nba_precompute.lineage import partitions_of
from nba_precompute.production import INVENTED, mode_of
from nba_precompute.sources import layout
from nba_precompute.storage.content_hash import hash_days
from nba_precompute.webhook import WebhookFailed
from nba_precompute_tests.cascade import everything
from nba_precompute_tests.replay import Replay, at, receiver, without_games

# ------------------------------------------------------------------------------------------------------ the decision

TODAY, YESTERDAY, BEFORE = date(2024, 1, 15), date(2024, 1, 14), date(2024, 1, 13)
TIP_OFF = at(TODAY, 13)
NOTHING = Decision([], [])


def facts(now=None, summaries=(), cascade=(), **others):
    """A morning on which everything is there but what is said otherwise, as {day: Day} or {day: state}."""
    now = now or at(TODAY, 6, 15)
    week = [now.date() - timedelta(days=number) for number in range(8)]
    known = Facts(
        now,
        {day: Day(THERE) for day in days_of(game_days) if day in week[1:]},
        {day: Day(THERE) for day in days_of(eligible_days) if day in week},
        TIP_OFF,
    )
    days = {
        name: {day: found if isinstance(found, Day) else Day(found) for day, found in dict(given).items()}
        for name, given in (("summaries", summaries), ("cascade", cascade))
    }
    return replace(
        known, summaries={**known.summaries, **days["summaries"]}, cascade={**known.cascade, **days["cascade"]}, **others
    )


def asked(known):
    return [(ask.group, ask.days[0], ask.days[-1]) for ask in decide(known).asks]


def test_yesterdays_summaries_are_asked_for_first_and_today_waits_for_them():
    morning = facts(summaries={YESTERDAY: MISSING}, cascade={TODAY: MISSING})
    assert asked(morning) == [(SUMMARIES, YESTERDAY, YESTERDAY)]
    assert decide(morning).missing == ["the game summaries of 2024-01-14 are made first"]


def test_today_is_asked_for_once_yesterdays_summaries_are_there():
    assert asked(facts(cascade={TODAY: MISSING})) == [(CASCADE, TODAY, TODAY)]


def test_a_day_that_is_there_is_not_asked_for():
    assert decide(facts()).asks == []
    assert decide(facts()).missing == []
    assert skipped(facts(), []) == "2024-01-15 is ready."


def test_today_is_asked_for_again_where_what_it_reads_has_changed():
    assert asked(facts(at(TODAY, 12), cascade={TODAY: STALE})) == [(CASCADE, TODAY, TODAY)]


def test_nothing_is_asked_for_while_a_run_makes_some_of_the_days():
    running = facts(summaries={YESTERDAY: MISSING}, cascade={TODAY: MISSING}, running=["run 1 makes them"])
    assert decide(running).asks == []
    assert decide(running).missing == ["run 1 makes them"]


def test_without_yesterdays_box_scores_today_waits_and_says_for_which():
    gap = Day(GAP, "player_box_scores.parquet: 2024-01-14, game 0022300541 has no rows")
    late = facts(summaries={YESTERDAY: gap}, cascade={TODAY: MISSING})
    assert decide(late).asks == []
    assert decide(late).missing == ["player_box_scores.parquet: 2024-01-14, game 0022300541 has no rows"]


def test_an_older_day_without_box_scores_does_not_keep_today_from_being_made():
    assert asked(facts(summaries={BEFORE: Day(GAP, "no rows")}, cascade={TODAY: MISSING})) == [(CASCADE, TODAY, TODAY)]


def test_what_production_mode_would_refuse_is_not_asked_for():
    for refused in (
        facts(cascade={TODAY: Day(GAP, "2024-01-15 is not captured")}),
        facts(cascade={TODAY: MISSING}, refused=["2024-01-15 is not captured"]),
    ):
        assert decide(refused).asks == []
        assert decide(refused).missing == ["2024-01-15 is not captured"]


def test_days_that_nobody_asked_for_are_made_too_today_first():
    """The daemon was down from the 13th on; of the 12th a box score never came, so production mode refuses the 13th."""
    down = facts(
        summaries={date(2024, 1, 12): Day(GAP, "no rows"), BEFORE: MISSING, YESTERDAY: MISSING},
        cascade={BEFORE: MISSING, YESTERDAY: MISSING, TODAY: MISSING},
    )
    assert asked(down) == [(SUMMARIES, BEFORE, YESTERDAY)]
    then = replace(down, summaries={**down.summaries, BEFORE: Day(THERE), YESTERDAY: Day(THERE)})
    assert asked(then) == [(CASCADE, TODAY, TODAY), (CASCADE, YESTERDAY, YESTERDAY)]


def test_older_days_that_are_stale_are_left_to_others():
    assert decide(facts(summaries={BEFORE: STALE}, cascade={YESTERDAY: STALE})).asks == []
    assert asked(facts(summaries={YESTERDAY: STALE})) == [(SUMMARIES, YESTERDAY, YESTERDAY)]


def test_after_three_runs_from_the_same_inputs_a_day_is_not_asked_for_until_they_change():
    day = Day(MISSING, inputs="reads this")
    key = key_of(CASCADE, {TODAY: day})
    assert asked(facts(cascade={TODAY: day}, runs={key: MOST_RUNS - 1})) == [(CASCADE, TODAY, TODAY)]
    failed = facts(cascade={TODAY: day}, runs={key: MOST_RUNS})
    assert decide(failed).asks == []
    assert decide(failed).missing == [
        "3 runs of daily_run did not make the cascade of 2024-01-15; their pages in the UI say why"
    ]
    assert asked(replace(failed, cascade={TODAY: Day(MISSING, inputs="reads that")})) == [(CASCADE, TODAY, TODAY)]


def test_a_correction_that_is_taken_back_is_asked_for_each_time_and_one_whose_runs_fail_three_times():
    def day(reads, run_id, state=STALE):
        row = {"table": CASCADE_TABLES[0].name, "day": TODAY, "state": state, "reason": None, "reads": reads, "run_id": run_id}
        row["published_at"] = pd.Timestamp("2024-01-15 12:00")
        return together(pd.DataFrame([{**row, "is_fit": True}]), CASCADE_TABLES, [TODAY])[TODAY]

    runs = Counter()
    for number, reads in enumerate("BABABABA"):
        [ask] = decide(facts(cascade={TODAY: day(reads, f"run {number}")}, runs=runs)).asks
        runs[ask.key] += 1
    assert set(runs.values()) == {1}
    for _ in range(MOST_RUNS):
        [ask] = decide(facts(cascade={TODAY: day("B", "run 8")}, runs=runs)).asks
        runs[ask.key] += 1
    assert decide(facts(cascade={TODAY: day("B", "run 8")}, runs=runs)).asks == []
    # rows that Dagster has not recorded are another run's after each failure
    assert day("B", "run 8", MISSING) == day("B", "run 9", MISSING)


def test_after_games_without_a_cascade_nothing_has_a_deadline():
    """A bootstrap morning, and an off day after games: summaries alone; an off day after an off day, and July: nothing."""
    bootstrap = date(2023, 10, 30)
    assert asked(facts(at(bootstrap, 6, 15), {bootstrap - timedelta(days=1): MISSING})) == [
        (SUMMARIES, date(2023, 10, 29), date(2023, 10, 29))
    ]
    assert verdict(facts(at(bootstrap, 23)), NOTHING, None).passed is None
    off = facts(at(date(2024, 2, 16), 23))  # the all-star break, whose last games were on the 15th
    assert asked(replace(off, summaries={**off.summaries, date(2024, 2, 15): Day(MISSING)})) != []
    for nothing in (off, Facts(at(date(2024, 7, 15), 12))):
        assert decide(nothing).asks == []
        assert verdict(nothing, NOTHING, None).passed is None
        assert "has no game to be predicted" in skipped(nothing, [])


def test_a_source_that_cannot_be_read_is_waited_for():
    broken = facts(cascade={TODAY: MISSING}, problem="shots.parquet cannot be read")
    assert decide(broken).asks == []
    assert decide(broken).missing == ["shots.parquet cannot be read"]


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ({"2024-02-15": "2", "2024-02-22": "2"}, None),
        ({"2024-02-15": "2", "2024-02-17": "3", "2024-02-22": "2"}, None),  # an all-star game counts nowhere
        ({"2024-02-15": "2"}, "the calendar has games on 2024-02-22, the schedule none"),
        (
            {"2024-02-15": "2", "2024-02-20": "2", "2024-02-21": "2", "2024-02-22": "2"},
            "the schedule has games on 2024-02-20, 2024-02-21, the calendar none",
        ),
    ],
)
def test_a_schedule_and_a_calendar_that_differ_name_the_days_and_what_to_run(schedule, words):
    games = pd.DataFrame({"game_id": [f"00{kind}" for kind in schedule.values()], "game_date": pd.to_datetime(list(schedule))})
    remedy = "run `nba-precompute calendar SCHEDULE.parquet` with the new schedule and reload the definitions"
    found = off_the_calendar(games, date(2024, 2, 15), date(2024, 2, 22))
    assert found == (words and f"{words}; {remedy}")


def test_the_deadline_is_an_hour_before_the_first_tip_off_and_known_without_one():
    assert facts().deadline == at(TODAY, 12)
    assert facts(tip_off=None).deadline == at(TODAY, 11)


def test_a_source_that_cannot_be_read_at_eleven_is_no_missed_deadline_before_the_evening():
    unread = facts(at(TODAY, 17, 55), cascade={TODAY: MISSING}, tip_off=None, problem="schedule.parquet cannot be read")
    assert verdict(unread, decide(unread), None).passed is None
    assert verdict(replace(unread, now=at(TODAY, 18)), decide(unread), None).passed is False
    known = replace(unread, now=at(TODAY, 12), tip_off=TIP_OFF)
    assert verdict(known, decide(known), None).passed is False


def test_of_the_simulated_league_no_day_is_due():
    said = verdict(facts(at(TODAY, 23), cascade={TODAY: MISSING}, tip_off=None, problem=INVENTED), NOTHING, None)
    assert said.passed is None
    assert said.words == f"Nobody waits for 2024-01-15: {INVENTED}."


@pytest.mark.parametrize(
    ("state", "now", "last", "passed"),
    [
        (THERE, at(TODAY, 6, 30), None, True),
        (MISSING, at(TODAY, 11, 55), None, None),
        (MISSING, at(TODAY, 12), None, False),
        (THERE, at(TODAY, 12, 55), False, True),  # after the deadline, and before tip-off all the same
        (THERE, at(TODAY, 13), False, False),
        (STALE, at(TODAY, 12, 30), True, None),  # it was ready in time, and is asked for again
        (Day(STALE, "shots.parquet: no shots"), at(TODAY, 12, 30), True, False),  # and cannot be made again
        (Day(STALE, "shots.parquet: no shots"), at(TODAY, 13), True, None),  # its games have begun
        (Day(STALE, "shots.parquet: no shots"), at(TODAY, 11, 55), True, None),
        (Day(THERE, published_at=at(TODAY, 12, 59)), at(TODAY, 20), None, True),
        (Day(THERE, published_at=at(TODAY, 19, 30)), at(TODAY, 20), None, False),  # nobody looked at the deadline
        (Day(THERE, published_at=at(TODAY, 19, 30)), at(TODAY, 20), True, True),  # it was there before, and made again
    ],
)
def test_ready_before_tip_off_passes_only_what_was_there_in_time(state, now, last, passed):
    known = facts(now, cascade={TODAY: state})
    assert verdict(known, decide(known), last).passed is passed


def test_a_day_that_was_ready_and_was_asked_for_again_in_vain_is_not_ready_any_more():
    changed = facts(at(TODAY, 12, 30), cascade={TODAY: Day(STALE, inputs="a late news item")})
    [ask] = decide(changed).asks
    spent = replace(changed, runs={ask.key: MOST_RUNS})
    said = verdict(spent, decide(spent), True)
    assert not said.passed
    assert said.words.startswith(
        "2024-01-15 was ready and is not any more (first tip-off 13:00 in New York): 3 runs of daily_run"
    )
    assert verdict(replace(spent, running=["run 1 makes them"]), decide(spent), True).passed is None


def test_one_day_that_cannot_be_made_keeps_no_other_of_its_range_from_being_made():
    """Asked for together once, then a day a run; the older one fails three times."""
    week = {BEFORE: Day(MISSING, inputs="bad"), YESTERDAY: Day(MISSING, inputs="good")}
    morning = facts(summaries=week, cascade={TODAY: MISSING})
    [together_once] = decide(morning).asks
    assert together_once.days == [BEFORE, YESTERDAY]
    apart = decide(replace(morning, runs={together_once.key: 1})).asks
    assert [ask.days for ask in apart] == [[BEFORE], [YESTERDAY]]
    left = facts(
        summaries={BEFORE: week[BEFORE]}, cascade={TODAY: MISSING}, runs={together_once.key: 1, apart[0].key: MOST_RUNS}
    )
    assert asked(left) == [(CASCADE, TODAY, TODAY)]


def test_the_verdict_on_a_missed_deadline_says_what_is_missing():
    said = verdict(facts(at(TODAY, 12), cascade={TODAY: MISSING}), Decision([], ["no box scores of 2024-01-14"]), None)
    assert said.words == ("2024-01-15 was not ready by 12:00 in New York (first tip-off 13:00): no box scores of 2024-01-14.")


@pytest.mark.parametrize(("day", "utc"), [("2024-11-02", 10), ("2024-11-03", 11), ("2025-03-08", 11), ("2025-03-09", 10)])
def test_the_first_tick_of_a_day_is_at_a_quarter_past_six_in_new_york_on_both_sides_of_a_clock_change(day, utc):
    ticks = schedule_execution_time_iterator(at(date.fromisoformat(day), 0).timestamp(), TIMES, NEW_YORK.key)
    first, second = next(ticks), next(ticks)
    assert (first.astimezone(NEW_YORK).hour, first.minute) == (6, 15)
    assert first.timestamp() == datetime.fromisoformat(f"{day}T{utc}:15:00+00:00").timestamp()
    assert second - first == timedelta(minutes=5)


# ------------------------------------------------------------------------------------------------- days, played


DAY, LATE, BACK = date(2023, 11, 8), date(2023, 11, 9), date(2023, 11, 13)
"""The first day of the cascade, an ordinary one but for its schedule; a day whose games of the day before come late; and the day on
which the daemon is back that was down for three."""


class Played:
    """What happened on each day, in the order in which it did."""

    def __init__(self, folder, simulated_season, hook):
        self.hook = hook
        self.replay = replay = Replay(folder, simulated_season.path, ["2023-24"], hook.url)
        replay.morning_of(date(2023, 11, 6))  # no game on the 7th
        replay.backfill(date(2023, 10, 24), date(2023, 11, 5))
        self.ordinary_day()
        self.late_box_scores()
        self.daemon_down()

    def tell(self):
        """More looks of the sensor than it has to say something."""
        for _ in range(3):
            self.replay.look_of_next_phase()

    def ordinary_day(self):
        replay = self.replay
        replay.morning_of(DAY)
        self.ordinary = replay.ticks_from(at(DAY, 6, 15))
        self.ordinary_verdict = replay.verdict()
        self.tell()
        self.ordinary_told = list(self.hook.told)
        self.noon = replay.tick(at(DAY, 12))
        self.ordinary_evaluations = replay.evaluations()
        replay.morning_of(DAY, hosts_swapped(DAY))
        self.changed = replay.ticks_from(at(DAY, 12, 5))
        self.tell()
        self.changed_told = self.hook.told[len(self.ordinary_told) :]

    def late_box_scores(self):
        replay = self.replay
        [*_, lost] = sorted(games_of(replay, LATE - timedelta(days=1)))
        self.lost = lost
        replay.morning_of(LATE, without_games(LATE - timedelta(days=1), [lost]))
        self.morning = replay.tick(at(LATE, 6, 15))
        self.morning_verdict = replay.verdict()
        replay.tick(at(LATE, 23))  # after any tip-off
        self.missed_verdict = replay.verdict()
        self.hook.told.clear()
        self.hook.answers[:] = [500]
        with pytest.raises(WebhookFailed, match="answered 500"):
            replay.look_of_next_phase()
        self.tell()
        replay.morning_of(LATE)
        self.came = replay.ticks_from(at(LATE, 23, 5))
        self.came_verdict = replay.verdict()
        self.tell()
        self.missed_told = list(self.hook.told)

    def daemon_down(self):
        replay = self.replay
        replay.morning_of(BACK)
        self.back = replay.ticks_from(at(BACK, 9))
        self.hook.told.clear()
        self.tell()
        self.back_told = list(self.hook.told)


def games_of(replay, day):
    schedule = pd.read_parquet(replay.raw / layout.SCHEDULE.name)
    return list(schedule.loc[pd.to_datetime(schedule["game_date"]) == pd.Timestamp(day), "game_id"])


def hosts_swapped(day):
    def swap(schedule):
        first = schedule.index[schedule["game_date"] == pd.Timestamp(day)][0]
        schedule.loc[first, ["home_team", "away_team"]] = schedule.loc[first, ["away_team", "home_team"]].to_list()
        return schedule

    return {layout.SCHEDULE.name: swap}


@pytest.fixture(scope="module")
def played(simulated_season, tmp_path_factory):
    with receiver() as hook:
        yield Played(tmp_path_factory.mktemp("played"), simulated_season, hook)


def runs_of(ticks):
    return [(run.key.rsplit(" ", 1)[0], run.status) for tick in ticks for run in tick.runs]


def test_a_day_is_made_in_two_runs_in_order_in_production_mode_and_once(played):
    assert runs_of(played.ordinary) == [
        ("game summaries 2023-11-06 to 2023-11-06", "SUCCESS"),
        ("cascade 2023-11-08 to 2023-11-08", "SUCCESS"),
    ]
    assert [tick.at.strftime("%H:%M") for tick in played.ordinary] == ["06:15", "06:20", "06:25"]
    assert played.ordinary[-1].skipped == "2023-11-08 is ready."
    for tick in played.ordinary[:2]:
        run = played.replay.instance.get_run_by_id(tick.runs[0].run_id)
        assert mode_of(run) == run.tags["nba_precompute/mode"] == "production"


def test_a_day_that_is_ready_passes_once_and_is_told_once(played):
    assert played.ordinary_verdict == (True, "2023-11-08 is ready (first tip-off 18:00 in New York).")
    assert played.ordinary_evaluations == 1
    assert played.noon.runs == []
    [(key, message)] = played.ordinary_told
    rows = played.replay.home.warehouse.read(CASCADE_TABLES[-1], DAY, DAY)
    assert message["event"] == "ready"
    assert message["date"] == "2023-11-08"
    assert message["rows"] == len(rows) > 100
    assert key == f"ml_feature_store_v2 2023-11-08 {message['data_version']}"


def test_a_schedule_that_changes_at_noon_is_made_and_told_again(played):
    assert runs_of(played.changed) == [("cascade 2023-11-08 to 2023-11-08", "SUCCESS")]
    [(key, message)] = played.changed_told
    assert message["event"] == "ready"
    assert key != played.ordinary_told[0][0]


def test_a_late_box_score_is_waited_for_by_name_and_made_late(played):
    assert played.morning.runs == []
    assert f"game {played.lost}" in played.morning.skipped
    assert played.morning_verdict is None
    assert runs_of(played.came) == [
        ("game summaries 2023-11-08 to 2023-11-08", "SUCCESS"),
        ("cascade 2023-11-09 to 2023-11-09", "SUCCESS"),
    ]


def test_a_missed_deadline_fails_the_check_names_what_is_missing_and_is_told_until_it_arrives(played):
    passed, words = played.missed_verdict
    assert not passed
    assert words.startswith("2023-11-09 was not ready by ")
    assert f"game {played.lost}" in words
    [(key, message), (_, ready)] = played.missed_told
    assert key == "ready_before_tip_off 2023-11-09"
    assert message == {"event": "not ready", "date": "2023-11-09", "missing": words}
    assert ready["event"] == "ready"
    assert played.came_verdict == played.missed_verdict  # it came after tip-off


def test_after_days_without_a_daemon_all_days_are_made_and_only_today_is_told_of(played):
    assert runs_of(played.back) == [
        ("game summaries 2023-11-09 to 2023-11-12", "SUCCESS"),
        ("cascade 2023-11-13 to 2023-11-13", "SUCCESS"),
        ("cascade 2023-11-10 to 2023-11-12", "SUCCESS"),
    ]
    assert [message["date"] for _, message in played.back_told] == ["2023-11-13"]


def test_the_played_days_are_what_the_formulas_make_of_the_whole_season_without_duplicates(played, simulated_season):
    replay, right = played.replay, everything(simulated_season, date(2023, 10, 24), BACK)
    for table in TABLES:
        rows = replay.home.warehouse.read(table)
        assert not rows.duplicated(list(table.key)).any()
        days = [day for day in days_of(partitions_of(table)) if LATE <= day <= BACK]
        wanted = days if table in CASCADE_TABLES else days[:-1]
        hashes = hash_days(table.conform(right[table.name]), table.day, table.columns)
        found = replay.versions()["content_hash"].loc[table.name].reindex(wanted)
        assert found.tolist() == hashes.reindex(pd.DatetimeIndex(wanted)).tolist()
    keys = [run.tags["dagster/run_key"] for run in replay.instance.get_runs() if "dagster/run_key" in run.tags]
    assert len(keys) == len(set(keys)) == 8


@pytest.fixture
def rescheduled(played, tmp_path):
    """What a morning's look finds where the schedule has all games of a day on another one, and what the check says at 23:00."""

    def look_at(today, moved_from, moved_to):
        raw = tmp_path / f"{today} {moved_to}"
        shutil.copytree(played.replay.raw, raw)
        schedule = pd.read_parquet(raw / layout.SCHEDULE.name)
        later = schedule["game_date"] == moved_from
        schedule.loc[later, "start_utc"] += pd.Timestamp(moved_to) - pd.Timestamp(moved_from)
        schedule["game_date"] = schedule["game_date"].mask(later, moved_to)
        schedule.to_parquet(raw / layout.SCHEDULE.name)
        home = Home(tmp_path / raw.name / "home", raw)
        with instance_of(home) as instance:
            found = daily_run.look(home, instance, at(today, 23))
        return found, verdict(found, decide(found), None)

    return look_at


def test_games_on_a_day_that_the_calendar_does_not_have_are_a_missed_deadline_that_says_so(rescheduled):
    thanksgiving, july = date(2023, 11, 23), date(2024, 7, 15)
    for day in (thanksgiving, july):
        found, said = rescheduled(day, date(2023, 11, 24), day)
        assert found.tip_off.date() == day
        assert said.passed is False
        assert f"the schedule has games on {day}, the calendar none; run `nba-precompute calendar" in said.words
    for silent in (date(2023, 11, 23), july):
        found, said = rescheduled(silent, date(2023, 11, 24), date(2023, 11, 25))
        assert said.passed is None


def test_a_day_whose_games_were_all_postponed_is_named_on_that_day_and_on_the_next(rescheduled):
    postponed, next_day = date(2023, 11, 14), date(2023, 11, 15)
    for day in (postponed, next_day):
        found, said = rescheduled(day, postponed, date(2023, 11, 23))
        assert said.passed is False
        assert f"the calendar has games on {postponed}, the schedule none; run `nba-precompute calendar" in said.words
        assert not any(day in ask.days for ask in decide(found).asks)


def test_a_person_can_ask_whether_today_is_ready_and_decides_nothing(played):
    replay = played.replay
    check = dg.AssetCheckKey(dg.AssetKey("coverage"), "ready_before_tip_off")
    job = replay.definitions.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=set(), asset_check_selection={check}
    )
    decided = replay.verdict()
    for day, words in ((BACK, decided[1]), (BACK + timedelta(days=1), "2023-11-14 is not ready now: ")):
        replay.now = at(day, 9)
        [evaluation] = job.execute_in_process(instance=replay.instance).get_asset_check_evaluations()
        assert evaluation.passed
        assert evaluation.description.startswith(words)
    assert replay.verdict() is None
    replay.now = at(BACK, 10)
    assert replay.verdict() == decided


@pytest.fixture
def copied(played, tmp_path):
    """A copy of the played home, to be changed, and what changes its warehouse."""
    shutil.copytree(played.replay.home.folder, tmp_path / "home")
    home = Home(tmp_path / "home", played.replay.raw)

    def change_rows(statement, *values):
        with duckdb.connect(home.folder / "warehouse.duckdb") as warehouse:
            warehouse.execute(statement, values)

    with instance_of(home) as instance:
        yield home, instance, change_rows


def look_for_predict(home, instance, cursor=None):
    return next_phase.tick(home, instance, lambda: at(BACK, 22), None, [next_phase.PREDICT], cursor)


def test_the_job_predict_is_started_once_for_a_version_of_today(played):
    home, instance = played.replay.home, played.replay.instance
    first = look_for_predict(home, instance)
    [request] = first.run_requests
    assert request.run_key == played.back_told[-1][0]
    assert request.tags["dagster/asset_partition_range_start"] == "2023-11-13"
    assert "was told of" in look_for_predict(home, instance, first.cursor).skip_message


def test_of_a_day_that_was_told_of_what_is_made_after_its_games_began_starts_nothing(copied):
    """The rows are of today, and the day is years ago; then as if they were of its morning."""
    home, instance, change_rows = copied
    other = json.dumps([[next_phase.PREDICT, "ml_feature_store_v2 2023-11-13", "other features"]])
    assert "made again after its games began" in look_for_predict(home, instance, other).skip_message
    change_rows("UPDATE nba_reference.partition_versions SET published_at = '2023-11-13 12:00' WHERE day = '2023-11-13'")
    assert len(look_for_predict(home, instance, other).run_requests) == 1


def test_features_that_fail_an_error_check_start_nothing(copied):
    home, instance, change_rows = copied
    change_rows("UPDATE nba_predictions.ml_feature_store_v2 SET pace_score = 99 WHERE game_date = '2023-11-13'")
    assert "ml_feature_store_v2 fails the check content_hash" in look_for_predict(home, instance).skip_message


def test_a_day_that_a_backfill_made_starts_nothing_and_the_daily_run_makes_it_again(copied):
    home, instance, change_rows = copied
    by_hand = instance.get_runs()[-1]
    assert mode_of(by_hand) == "backfill"
    change_rows("UPDATE nba_reference.partition_versions SET run_id = ? WHERE day = '2023-11-13'", by_hand.run_id)
    assert "made in backfill mode" in look_for_predict(home, instance).skip_message
    [request] = daily_run.tick(home, instance, at(BACK, 22))
    assert request.run_key.startswith("cascade 2023-11-13 to 2023-11-13")


def test_nothing_runs_before_a_person_has_turned_it_on(tmp_path):
    repository = build_definitions(Home(tmp_path)).get_repository_def()
    assert repository.get_schedule_def(SCHEDULE).default_status == dg.DefaultScheduleStatus.STOPPED
    assert {sensor.default_status for sensor in repository.sensor_defs} == {dg.DefaultSensorStatus.STOPPED}


def test_the_simulated_league_is_not_made_in_production_mode(simulated_season, tmp_path):
    home = Home(tmp_path / "home")
    shutil.copytree(simulated_season.path, home.league_folder)
    repository = build_definitions(home, clock=lambda: at(DAY, 6, 15)).get_repository_def()
    with instance_of(home) as instance, dg.build_schedule_context(instance, repository_def=repository) as context:
        answered = repository.get_schedule_def(SCHEDULE).evaluate_tick(context)
    assert answered.run_requests == []
    assert "the simulated league is refused in production mode" in answered.skip_message
