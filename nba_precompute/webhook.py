"""One message to the outside: a POST of a small JSON document, or a sentence on why it did not arrive."""

import json
from collections.abc import Mapping
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

TIMEOUT_SECONDS = 10.0
"""How long a receiver may be silent. Dagster gives a sensor 60 s for all that it does."""


class WebhookFailed(Exception):
    """The message did not arrive. The sentence names the receiver's host alone: addresses of webhooks hold secrets."""


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        """Follow none: urllib would repeat the POST as a GET without its message, and take the answer for a delivery."""


_opener = build_opener(_NoRedirect)


def post(url: str, message: Mapping[str, object], idempotency_key: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    """Deliver the message. By the key, always the same of the same message, a receiver knows one that it has had already."""
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise WebhookFailed("NBA_PRECOMPUTE_WEBHOOK is no http or https address. Correct it where Dagster is started.")
    headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
    try:
        with _opener.open(Request(url, json.dumps(message).encode(), headers), timeout=timeout_seconds):
            return
    except HTTPError as refused:
        why = f"answered {refused.code} {refused.reason}"
    except TimeoutError:
        why = f"did not answer within {timeout_seconds:g} s"
    except (OSError, HTTPException) as wrong:
        why = f"cannot be reached ({getattr(wrong, 'reason', None) or wrong})"
    raise WebhookFailed(f"{address.hostname} {why}. {idempotency_key} is sent again by the next tick.")
