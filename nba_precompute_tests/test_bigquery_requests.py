"""Which errors of BigQuery are tried again: Google's table of error messages, and what its clients make of it."""

import pytest
import requests
from google.api_core import exceptions as answers
from google.auth import exceptions as credentials
from google.cloud.bigquery.job.base import _error_result_to_exception

from nba_precompute.bigquery_requests import is_transient


def answered(status, reason):
    return answers.from_http_status(status, f"made by the test: {reason}", errors=[{"reason": reason}])


def job_ended(reason, message="made by the test"):
    """As Google's client tells of a job that is done with an error."""
    return _error_result_to_exception({"reason": reason, "message": message})


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (500, "internalError"),
        (500, "backendError"),
        (503, "backendError"),
        (504, "backendError"),
        (400, "jobBackendError"),
        (400, "jobInternalError"),
        (400, "jobRateLimitExceeded"),
        (403, "rateLimitExceeded"),
        (400, "tableUnavailable"),
        (502, "not in the table"),
        (412, "conditionNotMet"),
        (429, "not in the table"),
    ],
)
def test_what_google_says_to_try_again_is_transient(status, reason):
    assert is_transient(answered(status, reason))


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (403, "accessDenied"),
        (400, "attributeError"),
        (400, "badRequest"),
        (403, "billingNotEnabled"),
        (400, "billingTierLimitExceeded"),
        (403, "blocked"),
        (409, "duplicate"),
        (400, "invalid"),
        (400, "invalidQuery"),
        (400, "invalidUser"),
        (404, "notFound"),
        (501, "notImplemented"),
        (407, "proxyAuthenticationRequired"),
        (403, "quotaExceeded"),
        (400, "resourceInUse"),
        (400, "resourcesExceeded"),
        (403, "responseTooLarge"),
        (200, "stopped"),
        (400, "timeout"),
        (501, "not in the table"),
        (401, "not in the table"),
    ],
)
def test_what_google_says_to_correct_is_permanent(status, reason):
    assert not is_transient(answered(status, reason))


@pytest.mark.parametrize(
    ("reason", "transient"),
    [
        ("backendError", True),
        ("jobInternalError", True),
        ("tableUnavailable", True),
        ("invalidUser", False),
        ("timeout", False),
    ],
)
def test_of_a_job_that_failed_the_reason_decides_whatever_status_the_client_gives_it(reason, transient):
    assert is_transient(job_ended(reason)) is transient


def test_a_transaction_that_met_another_is_transient_though_its_reason_is_an_invalid_query():
    words = "Transaction is aborted due to concurrent update against table nba:nba_reference.partition_versions"
    assert is_transient(job_ended("invalidQuery", words))


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (ConnectionResetError("reset"), True),
        (requests.exceptions.ConnectionError("no route"), True),
        (requests.exceptions.ReadTimeout("120 s"), True),
        (requests.exceptions.SSLError("certificate verify failed"), False),
        (credentials.TransportError("the endpoint of tokens was not reached"), True),
        (credentials.RefreshError("the endpoint of tokens answered 503", retryable=True), True),
        (credentials.RefreshError("invalid_grant"), False),
        (credentials.DefaultCredentialsError("none were found"), False),
    ],
    ids=lambda value: type(value).__name__ + (" again" if getattr(value, "retryable", False) else ""),
)
def test_of_network_and_credentials_what_may_pass_is_transient(error, transient):
    assert is_transient(error) is transient
