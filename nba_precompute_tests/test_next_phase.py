"""The next phase: what is to be told to whom, and the webhook's message over real HTTP."""

import json
import socket
import threading
from datetime import date, timedelta

import dagster as dg
import pytest

from nba_precompute import daily_run
from nba_precompute.definitions import build_definitions
from nba_precompute.home import Home
from nba_precompute.instance import instance_of
from nba_precompute.next_phase import PREDICT, SENSOR, WEBHOOK, next_step, not_ready_news, ready_news, tick
from nba_precompute.storage import WarehouseError
from nba_precompute.training import IN_USE
from nba_precompute.webhook import TIMEOUT_SECONDS, WebhookFailed, post
from nba_precompute_tests.replay import at, receiver

DAY = date(2024, 1, 15)
READY, NOT_READY = ready_news(DAY, 300, 0.93456, "abc"), not_ready_news(DAY, "no box scores of 2024-01-14")
BOTH = [PREDICT, WEBHOOK]
KEY = "ml_feature_store_v2 2024-01-15 abc"


def test_the_message_says_which_day_how_many_rows_how_many_ready_and_which_version():
    assert READY.message == {"event": "ready", "date": "2024-01-15", "rows": 300, "share_ready": 0.9346, "data_version": "abc"}


def test_of_a_day_without_rows_no_share_is_ready_and_the_message_is_json():
    message = ready_news(DAY, 0, None, "abc").message
    assert json.loads(json.dumps(message, allow_nan=False))["share_ready"] is None


def test_of_a_ready_day_the_job_is_started_first_and_then_the_webhook_told_each_once():
    first = next_step([READY], BOTH, [])
    second = next_step([READY], BOTH, [first.done])
    assert [first.to, second.to] == [PREDICT, WEBHOOK]
    assert first.key == second.key == "ml_feature_store_v2 2024-01-15 abc"
    assert next_step([READY], BOTH, [first.done, second.done]) is None


def test_another_content_of_the_same_day_is_told_too_and_the_first_again_when_it_comes_back_with_a_key_of_its_own():
    other, done, keys = ready_news(DAY, 300, 0.9, "def"), [], []
    for news in (READY, READY, other, READY, READY, other):
        while step := next_step([news], BOTH, done):
            done.append(step.done)
            keys.append(f"{step.to}: {step.key.removeprefix('ml_feature_store_v2 2024-01-15 ')}")
    told = ["abc", "def", "abc (2)", "def (2)"]
    assert keys == [f"{receiver}: {version}" for version in told for receiver in BOTH]


def test_a_missed_deadline_is_told_to_the_webhook_once_and_starts_no_job():
    tomorrow = not_ready_news(DAY + timedelta(days=1), "no box scores of 2024-01-15")
    first = next_step([NOT_READY, tomorrow], BOTH, [])
    second = next_step([NOT_READY, tomorrow], BOTH, [first.done])
    assert [first.to, first.key, second.key] == [
        WEBHOOK,
        "ready_before_tip_off 2024-01-15",
        "ready_before_tip_off 2024-01-16",
    ]
    assert next_step([NOT_READY, tomorrow], BOTH, [first.done, second.done]) is None
    assert next_step([NOT_READY], [PREDICT], []) is None


# --------------------------------------------------------------------------------------------------------- over HTTP


def test_a_message_arrives_as_json_with_its_key():
    with receiver() as hook:
        post(hook.url, READY.message, KEY)
        assert hook.told == [(KEY, READY.message)]


@pytest.mark.parametrize("answer", [302, 404, 500])
def test_any_other_answer_than_success_is_a_failed_delivery_that_names_the_host_and_no_secret(answer):
    with receiver() as hook:
        hook.answers[:] = [answer]
        with pytest.raises(WebhookFailed, match=rf"127\.0\.0\.1 answered {answer}") as failed:
            post(f"{hook.url}?secret=1", READY.message, KEY)
        assert hook.told == []
        assert "secret" not in str(failed.value)


def test_a_receiver_that_hangs_is_given_up():
    assert TIMEOUT_SECONDS == 10
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(WebhookFailed, match=r"did not answer within 0\.2 s"):
        post(f"http://127.0.0.1:{silent.getsockname()[1]}/hook", READY.message, KEY, timeout_seconds=0.2)


def test_a_receiver_that_is_not_there_or_breaks_off_is_a_failed_delivery():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(WebhookFailed, match="cannot be reached"):
        post(f"http://127.0.0.1:{port}/hook", READY.message, KEY)
    with socket.create_server(("127.0.0.1", 0)) as rude:
        threading.Thread(target=lambda: rude.accept()[0].close()).start()
        with pytest.raises(WebhookFailed, match=r"127\.0\.0\.1"):
            post(f"http://127.0.0.1:{rude.getsockname()[1]}/hook", READY.message, KEY)


@pytest.mark.parametrize("address", ["file:///etc/passwd", "receiver.example/hook", ""])
def test_an_address_that_is_none_of_the_web_is_refused(address):
    with pytest.raises(WebhookFailed, match="no http or https address"):
        post(address, READY.message, KEY)


# --------------------------------------------------------------------------------------------------------- the sensor


def look(definitions, home):
    repository = definitions.get_repository_def()
    with instance_of(home) as instance, dg.build_sensor_context(instance, repository_def=repository) as context:
        return repository.get_sensor_def(SENSOR).evaluate_tick(context)


def test_without_model_and_webhook_nobody_is_told_and_with_a_model_the_job_is(tmp_path):
    home = Home(tmp_path)
    definitions = build_definitions(home, clock=lambda: at(DAY, 12))
    assert look(definitions, home).skip_message == (
        "Nobody to tell: no points model (`nba-precompute train`), and NBA_PRECOMPUTE_WEBHOOK is not set."
    )
    home.models.mkdir()
    (home.models / IN_USE).write_text("{}")
    assert look(definitions, home).skip_message == "2024-01-15 is not ready yet."


@pytest.mark.parametrize(("day", "words"), [(DAY, "2024-01-15 is not ready yet."), (date(2024, 7, 1), "has no game")])
def test_a_day_without_features_and_a_day_without_games_are_silent(day, words, tmp_path):
    home = Home(tmp_path)
    answered = look(build_definitions(home, "http://127.0.0.1:9/hook", clock=lambda: at(day, 12)), home)
    assert words in answered.skip_message
    assert answered.run_requests == []
    assert answered.cursor is None


def test_a_missed_deadline_is_told_with_an_unreadable_warehouse_and_after_midnight_until_it_arrives_once(tmp_path):
    home = Home(tmp_path)
    missed = daily_run.Facts(at(DAY, 12))
    said = daily_run.as_evaluation(missed, daily_run.Verdict(False, "no box scores of 2024-01-14"))
    (tmp_path / "warehouse.duckdb").write_text("no warehouse")
    tomorrow = DAY + timedelta(days=1)
    with instance_of(home) as instance, receiver() as hook:
        instance.report_runless_asset_event(said)

        def look_at(moment, cursor):
            return tick(home, instance, lambda: moment, hook.url, [WEBHOOK], cursor)

        hook.answers[:] = [500]
        with pytest.raises(WebhookFailed, match="answered 500"):
            look_at(at(DAY, 23, 59), None)
        told = look_at(at(tomorrow, 0, 5), None)
        assert hook.told == [("ready_before_tip_off 2024-01-15", NOT_READY.message)]
        with pytest.raises(WarehouseError):
            look_at(at(tomorrow, 0, 6), told.cursor)
        assert "has no game" in look_at(at(date(2024, 7, 1), 12), told.cursor).skip_message
        assert len(hook.told) == 1


def test_the_job_predict_is_what_the_sensor_starts(tmp_path):
    repository = build_definitions(Home(tmp_path)).get_repository_def()
    assert [target.job_name for target in repository.get_sensor_def(SENSOR).targets] == [PREDICT]
    made = {key.to_user_string() for key in repository.get_job(PREDICT).asset_layer.executable_asset_keys}
    assert made == {"points_predictions", "served_predictions"}
