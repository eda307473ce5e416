"""Requests to BigQuery, of the warehouse and of raw games: what their jobs carry, which errors time mends.

Errors are told apart here alone, by Google's table of error messages: https://cloud.google.com/bigquery/docs/error-messages
"""

from collections.abc import Mapping

import requests
from google.api_core import exceptions as answers
from google.auth import exceptions as credentials
from google.cloud import bigquery

LABEL = {"made_by": "nba_precompute"}
"""On every job, and on every dataset and table that is made. One without it is somebody else's, and is never written or deleted."""

MAXIMUM_BYTES_BILLED = 20 * 2**30
"""A query that would be billed for more is refused by BigQuery: far above five seasons of tables (0.3 GB) or of raw games."""

LOG_IN = "Log in (gcloud auth application-default login), or name a key file in GOOGLE_APPLICATION_CREDENTIALS."

TRANSIENT_REASONS = {
    "backendError",
    "internalError",
    "jobBackendError",
    "jobInternalError",
    "rateLimitExceeded",
    "jobRateLimitExceeded",
    "tableUnavailable",
}
"""BigQuery's own words, where the status does not say it: a rate limit is a 403 like a missing permission."""

PERMANENT_REASONS = {
    "accessDenied",
    "attributeError",
    "badRequest",
    "billingNotEnabled",
    "billingTierLimitExceeded",
    "blocked",
    "duplicate",
    "invalid",
    "invalidQuery",
    "invalidUser",
    "notFound",
    "notImplemented",
    "policyViolation",
    "proxyAuthenticationRequired",
    "quotaExceeded",
    "resourceInUse",
    "resourcesExceeded",
    "responseTooLarge",
    "stopped",
    "timeout",
}
"""Others of its words. Google's client makes a 500 of a job that ended for a reason which it does not know, such as invalidUser."""

TRANSIENT_WORDS = "due to concurrent update"
"""Of a transaction that BigQuery aborted because another one changed the same table first; its reason is invalidQuery."""

NETWORK_ERRORS = (
    ConnectionError,
    TimeoutError,
    requests.exceptions.ConnectionError,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.Timeout,
    credentials.TransportError,  # the endpoint of tokens was not reached
)

TRANSIENT_ANSWERS = (
    answers.TooManyRequests,
    answers.ServerError,
    answers.PreconditionFailed,  # somebody else changed the table's schema meanwhile
)

PERMANENT_ERRORS = (answers.MethodNotImplemented, requests.exceptions.SSLError)
"""Among the above: 501, and a certificate that is not trusted."""


def query_config(*parameters: bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter) -> bigquery.QueryJobConfig:
    """What every query job carries, with the parameters of its SQL."""
    return bigquery.QueryJobConfig(query_parameters=parameters, maximum_bytes_billed=MAXIMUM_BYTES_BILLED, labels=LABEL)


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    if TRANSIENT_WORDS in str(error):
        return True
    reasons = {one.get("reason") for one in getattr(error, "errors", None) or [] if isinstance(one, Mapping)}
    if reasons & (TRANSIENT_REASONS | PERMANENT_REASONS):
        return bool(reasons & TRANSIENT_REASONS)
    if isinstance(error, PERMANENT_ERRORS):
        return False
    if isinstance(error, credentials.GoogleAuthError) and error.retryable:
        return True
    return isinstance(error, (*NETWORK_ERRORS, *TRANSIENT_ANSWERS))
