"""The NBA's statistics API over HTTP: one question at a time, politely, and every answer kept as it came.

Parameters, headers and HTTP are the package nba_api's. What the answers mean is `stats_answers`' business.
"""

import gzip
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from nba_precompute.sources import RawDataError

PAUSE_SECONDS = 1.0
"""From one request to the next. The API names no limit; nba_api's maintainers (its issues 69 and 176) advise 0.6 s or more."""

TIMEOUT_SECONDS = 30.0
"""How long one answer may take: nba_api's own default. A caller that the API does not like gets no refusal, but no answer."""

ATTEMPTS = 6
"""How often a question is asked before it is given up."""

BACK_OFF_SECONDS = 2.0
"""The wait after the first failed attempt; it doubles with each, so that six attempts span a minute."""

REFUSED = 400
"""The status of a question that the API does not take: a parameter that it does not know."""

LONGEST_WAIT_SECONDS = 300.0
"""What an answer's Retry-After may ask for; who asks for more is told to the person, who can come back later."""

TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that say "not now"; any other refusal would be the same the next time."""

RESPONSES = "responses"
"""The folder of kept answers within the folder of raw games."""

NOT_THERE = (
    "The package nba_api is not installed, which asks the NBA's statistics API. Install it with `uv sync --extra ingest` "
    "(or pip install 'nba-precompute[ingest]'; it needs Python below 3.15)."
)


class StatsApiError(RawDataError):
    """The API did not answer, or not in the shape that is known; the message names the question and what to do."""


class NoSuchAnswer(StatsApiError):
    """The API refuses the question itself, or none is kept of it and nobody may ask."""


@dataclass(frozen=True)
class Question:
    """An endpoint's parameters, and the name under which its answer is kept below the endpoint's folder.

    `endpoint` is the module and class of nba_api, `about` what a message calls the question.
    """

    endpoint: tuple[str, str]
    parameters: Mapping[str, object]
    name: str
    about: str

    @property
    def path(self) -> Path:
        """Where its answer is kept, below the folder of responses."""
        return Path(self.endpoint[0]) / f"{self.name}.json.gz"


@dataclass(frozen=True)
class Answer:
    """The body as it came, and when."""

    question: Question
    body: str
    received: datetime

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class StatsApi:
    """Asks one question at a time. `say` is told why it waits; a person who waits a minute wants to know.

    `base_url` has `{endpoint}` in it; None is the NBA's own. `now` is when an answer is received.
    """

    base_url: str | None = None
    pause_seconds: float = PAUSE_SECONDS
    timeout_seconds: float = TIMEOUT_SECONDS
    back_off_seconds: float = BACK_OFF_SECONDS
    say: Callable[[str], None] = lambda words: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    requests_sent: int = field(default=0, init=False)
    _last_sent: float = field(default=float("-inf"), init=False)
    _http: Any = field(default=None, init=False, repr=False)

    def ask(self, question: Question) -> Answer:
        """The answer, asked for up to ATTEMPTS times. Raises StatsApiError where none came that is whole."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                body = self._send(question)
                json.loads(body)
            except (requests.RequestException, json.JSONDecodeError) as error:
                wait = self._wait_after(error, attempt, question)
            else:
                return Answer(question, body, self.now())
            self.say(f"{question.about}: {wait.why}; asked again in {wait.seconds:.0f} s (attempt {attempt} of {ATTEMPTS})")
            time.sleep(wait.seconds)
        raise AssertionError("the last attempt returns or raises")

    def _send(self, question: Question) -> str:
        time.sleep(max(0.0, self._last_sent + self.pause_seconds - time.monotonic()))
        self._last_sent = time.monotonic()
        self.requests_sent += 1
        endpoint = _endpoint(question)
        # the package's own HTTP and headers, whose session raises where the status is no success (the package itself looks at none)
        response = self._client().send_api_request(
            endpoint=endpoint.endpoint, parameters=endpoint.parameters, timeout=self.timeout_seconds
        )
        return str(response.get_response())

    def _client(self) -> Any:
        if self._http is None:
            from nba_api.stats.library.http import NBAStatsHTTP

            session = requests.Session()
            session.hooks["response"].append(lambda response, **_: response.raise_for_status())
            ours = {"_session": session, **({"base_url": self.base_url} if self.base_url else {})}
            self._http = type("StatsHTTP", (NBAStatsHTTP,), ours)()
        return self._http

    def _wait_after(self, error: Exception, attempt: int, question: Question) -> "_Wait":
        response = getattr(error, "response", None)
        status = response.status_code if response is not None else None
        why = _in_words(error, status)
        seconds = self.back_off_seconds * 2 ** (attempt - 1)
        if response is not None:
            seconds = max(seconds, _retry_after(response))
        if status is not None and status not in TRY_AGAIN:
            advice = "It will say so again: see whether nba_api has a later version (`uv lock --upgrade-package nba-api`)"
        elif attempt == ATTEMPTS:
            advice = (
                "It turns away callers that ask too much, and machines of cloud providers: try later, or from another network "
                "(NBA_API_PROXY names a proxy)"
            )
        elif seconds > LONGEST_WAIT_SECONDS:
            advice = f"It wants to be left alone for {seconds:.0f} s: try later"
        else:
            return _Wait(seconds, why)
        kind = NoSuchAnswer if status == REFUSED else StatsApiError
        raise kind(
            f"The NBA's statistics API did not answer {question.about}, attempt {attempt} of {ATTEMPTS}: {why}. {advice}, then run the "
            "same command again: it goes on where it stopped."
        ) from error


@dataclass(frozen=True)
class _Wait:
    seconds: float
    why: str


def _endpoint(question: Question) -> Any:
    import importlib

    try:
        module = importlib.import_module(f"nba_api.stats.endpoints.{question.endpoint[0]}")
    except ModuleNotFoundError as error:
        raise StatsApiError(NOT_THERE) from error
    return getattr(module, question.endpoint[1])(**question.parameters, get_request=False)


def _in_words(error: Exception, status: int | None) -> str:
    if status is not None:
        return f"status {status}"
    if isinstance(error, requests.exceptions.JSONDecodeError | json.JSONDecodeError):
        return "an answer that is cut off or no JSON"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "an answer that was cut off"
    return f"no connection ({type(error).__name__})"


def _retry_after(response: requests.Response) -> float:
    """The seconds that the header asks for; 0 where it is absent or a date (the API has sent none)."""
    asked = response.headers.get("Retry-After", "")
    return float(asked) if asked.isdigit() else 0.0


def keep(folder: Path, answer: Answer) -> None:
    """Keep an answer in the folder of raw games, compressed, with the time it was received in the gzip header."""
    file = folder / RESPONSES / answer.question.path
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f"{file.name}.of-{os.getpid()}")
    beside.write_bytes(gzip.compress(answer.body.encode(), mtime=int(answer.received.timestamp())))
    beside.replace(file)


def kept(folder: Path, question: Question) -> Answer | None:
    """The answer that was kept, if there is one. Raises StatsApiError where it cannot be read."""
    file = folder / RESPONSES / question.path
    if not file.exists():
        return None
    try:
        with gzip.open(file) as compressed:
            body = compressed.read().decode()
            received = datetime.fromtimestamp(compressed.mtime or 0, UTC)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise StatsApiError(f"{file} cannot be read ({error}). Remove it: the question is then asked again.") from error
    return Answer(question, body, received)
