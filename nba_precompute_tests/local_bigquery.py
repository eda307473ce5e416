"""BigQuery on loopback: the emulator local-bigquery, unchanged, in an environment of its own, and a proxy in front that makes faults.

The emulator wants Python 3.13; the project's own is older. `python -m nba_precompute_tests.local_bigquery` makes its environment,
or says why it cannot.
"""

import hashlib
import io
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import google.auth
import grpc
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, bigquery_storage
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

from nba_precompute.storage.bigquery import BigQueryWarehouse
from nba_precompute_tests.ui import free_port

PROJECT = "nba-test"

REQUIREMENTS = [
    "local-bigquery==0.3.2",
    "duckdb==1.5.5",
    # DuckDB's extensions, which it would otherwise download
    "duckdb-extension-ducklake==1.5.5",
    "duckdb-extension-icu==1.5.5",
    "duckdb-extension-spatial==1.5.5",
]
EXTENSIONS = "v1.5.5/linux_amd64"

UNREACHED = ("Failed to fetch", "error sending request", "network was disabled")
"""What uv says where it does not reach the registry. All else that it says is wrong with what was asked for."""

START_SECONDS = 60.0


class NoEmulator(Exception):
    """What the tests of BigQuery need cannot be had on this machine."""


def python313() -> str:
    """A Python 3.13 that starts: on the path, pyenv's or uv's."""
    of_path = [str(Path(folder) / "python3.13") for folder in os.environ.get("PATH", "").split(os.pathsep)]
    of_pyenv = [str(found) for found in Path.home().glob(".pyenv/versions/3.13*/bin/python3.13")]
    of_uv = [str(found) for found in Path.home().glob(".local/share/uv/python/cpython-3.13*/bin/python3.13")]
    for candidate in [*of_path, *of_pyenv, *of_uv]:
        if Path(candidate).exists() and subprocess.run([candidate, "-c", ""], capture_output=True).returncode == 0:
            return candidate
    raise NoEmulator("the BigQuery emulator needs Python 3.13: `uv python install 3.13`, or see .ci/run")


def installed(name: str = "local-bigquery", requirements: Sequence[str] = REQUIREMENTS, python: str = "3.13") -> Path:
    """The folder with packages for a Python of their own, beside the project's; made once a machine.

    Raises NoEmulator without uv or network, RuntimeError where the packages are at fault.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "nba_precompute"
    folder = cache / f"{name}-{hashlib.sha256(' '.join([*requirements, python]).encode()).hexdigest()[:12]}"
    if not folder.exists():
        making = folder.with_name(f"{folder.name}.of-{os.getpid()}")
        uv = shutil.which("uv")
        if uv is None:
            raise NoEmulator(f"{name} is installed with uv, which is not on the path")
        wanted = ["--target", str(making), "--python-version", python, "--only-binary", ":all:", "--python", sys.executable]
        done = subprocess.run([uv, "pip", "install", "-q", *wanted, *requirements], capture_output=True, text=True)
        if done.returncode:
            shutil.rmtree(making, ignore_errors=True)
            unreached = any(words in done.stderr for words in UNREACHED)
            raise (NoEmulator if unreached else RuntimeError)(f"{name} could not be installed: {done.stderr.strip()}")
        try:
            making.rename(folder)
        except OSError:  # another process was faster
            shutil.rmtree(making)
    return folder


@contextmanager
def emulator(folder: Path) -> Iterator[tuple[int, int]]:
    """A running emulator with its data in the folder: its ports for JSON and for the Storage API."""
    python, site = python313(), installed()
    extensions = folder / "home" / ".duckdb" / "extensions" / EXTENSIONS
    extensions.mkdir(parents=True)
    for file in site.glob("duckdb_extension_*/extensions/*/*.duckdb_extension"):
        (extensions / file.name).symlink_to(file)
    port, storage_port = free_port(), free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "DATA_DIR": str(folder / "data"),
        "PYTHONPATH": str(site),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    arguments = ["serve", "--host", "127.0.0.1", "--port", str(port), "--grpc-port", str(storage_port)]
    started = "import sys; from local_bigquery.cli import main; sys.exit(main())"
    with (folder / "emulator.log").open("wb") as log:
        process = subprocess.Popen([python, "-c", started, *arguments], env=environment, stdout=log, stderr=log)
    try:
        _wait_for(port, process, folder / "emulator.log")
        yield port, storage_port
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen, log: Path) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < give_up_at:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise NoEmulator(f"the BigQuery emulator does not start: {log.read_text()[-2000:]}")


# ------------------------------------------------------------------------------------------------------------ faults


@dataclass
class Request:
    """What a client asked."""

    method: str
    path: str
    body: bytes
    content_range: str = ""

    @property
    def rows(self) -> pq.ParquetFile:
        """What a load job loads, where it comes with the job."""
        return pq.ParquetFile(io.BytesIO(self.body[self.body.index(b"PAR1") :].rpartition(b"PAR1")[0] + b"PAR1"))

    @property
    def bytes_of_upload(self) -> tuple[int, int, int] | None:
        """First, last and number of the bytes of a resumable upload, where the request brings a chunk of it; the number is 0 in all but
        the last."""
        found = re.match(r"bytes (\d+)-(\d+)/(\d+|\*)", self.content_range)
        return (int(found[1]), int(found[2]), int(found[3].replace("*", "0"))) if found else None

    @property
    def job(self) -> dict:
        """The job that it inserts, as JSON; empty where it inserts none. A load sends it before its rows."""
        if self.method != "POST" or "/jobs" not in self.path:
            return {}
        start = self.body.index(b"{")
        return json.JSONDecoder().raw_decode(self.body[start:].decode("utf-8", "replace"))[0]

    @property
    def loads(self) -> bool:
        """Whether it begins a load job."""
        return "load" in self.job.get("configuration", {})

    @property
    def begins_upload(self) -> bool:
        """Whether it begins a load job whose rows come later, by chunks."""
        return self.loads and "uploadType=resumable" in self.path

    @property
    def sql(self) -> str:
        """What a query job asks; empty for other jobs."""
        return self.job.get("configuration", {}).get("query", {}).get("query", "")

    @property
    def asks_the_moment(self) -> bool:
        """Whether it asks what time it is, to read several tables as of then."""
        return self.sql == "SELECT CURRENT_TIMESTAMP()"

    @property
    def publishes(self) -> bool:
        """Whether it begins the script that publishes."""
        return "BEGIN TRANSACTION" in self.sql


def later_chunk(request: Request) -> bool:
    """One that brings what does not stand at the beginning of a file."""
    return request.bytes_of_upload is not None and request.bytes_of_upload[0] > 0


def last_chunk(request: Request) -> bool:
    """One that brings the end of a file, upon which its load begins."""
    return request.bytes_of_upload is not None and request.bytes_of_upload[2] > 0


Fault = Callable[["Proxy", "Handler", Request], None]


def refused(status: int, reason: str) -> Fault:
    """An answer with an error; the emulator never sees the request."""

    def answer(proxy: "Proxy", handler: "Handler", request: Request) -> None:
        error = {"reason": reason, "message": f"made by the test: {reason}"}
        words = {"error": {"code": status, "message": error["message"], "errors": [error]}}
        handler.answer(status, json.dumps(words).encode())

    return answer


def reset(proxy: "Proxy", handler: "Handler", request: Request) -> None:
    """The connection is reset; the emulator never sees the request."""
    handler.reset()


def answer_lost(proxy: "Proxy", handler: "Handler", request: Request) -> None:
    """The emulator does what was asked, and the connection is reset in place of its answer."""
    proxy.forward(request, dict(handler.headers))
    handler.reset()


def job_fails(reason: str) -> Fault:
    """The job is taken, and is done with an error; the emulator never sees it."""

    def answer(proxy: "Proxy", handler: "Handler", request: Request) -> None:
        job = request.job
        error = {"reason": reason, "message": f"made by the test: {reason}"}
        job["status"] = {"state": "DONE", "errorResult": error, "errors": [error]}
        job["id"] = job["jobReference"]["jobId"]
        handler.answer(200, json.dumps(job).encode())

    return answer


def in_bigquerys_words(answer: bytes) -> bytes:
    """The emulator's answer with BigQuery's words where it hands on those of its own storage: two transactions met.

    So it does, too, where two make the same table at once: it looks for it and then notes it, which is not one step.
    """
    return re.sub(
        rb"(?:Failed to commit|Transaction conflict|Duplicate key)(?:[^\"\\]|\\.)*",  # to the end of the JSON string
        b"Transaction is aborted due to concurrent update against table. Transaction ID: any",
        answer,
    )


class Handler(BaseHTTPRequestHandler):
    """One connection to the proxy."""

    protocol_version = "HTTP/1.1"
    server: "Proxy"

    def do_any(self) -> None:
        """Answer as the emulator does, unless a fault is planned for the request."""
        length = int(self.headers.get("Content-Length", 0))
        brings_rows = "uploadType=multipart" in self.path or "Content-Range" in self.headers
        if self.server.cut_loads and brings_rows:
            self.rfile.read(length // 2)
            self.server.cut_loads -= 1
            self.reset()
            return
        request = Request(self.command, self.path, self.rfile.read(length), self.headers.get("Content-Range", ""))
        self.server.requests.append(request)
        self.server.paths.add(self.path.split("?")[0])
        fault = self.server.next_fault(request)
        if fault is not None:
            fault(self.server, self, request)
        elif self.path == "/token":
            self.answer(200, json.dumps({"access_token": "any", "expires_in": 3600, "token_type": "Bearer"}).encode())
        else:
            self.answer(*self.server.forward(request, dict(self.headers)))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_any

    def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def reset(self) -> None:
        """End the connection as a broken network does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True
        self.wfile = open(os.devnull, "wb")  # noqa: SIM115, PTH123

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@dataclass
class _Planned:
    wanted: Callable[[Request], bool]
    fault: Fault
    times: int


class Proxy(ThreadingHTTPServer):
    """In front of the emulator: forwards, except where a fault is planned. It gives tokens to whoever asks."""

    daemon_threads = True

    def __init__(self, emulator_port: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.emulator_port = emulator_port
        self.requests: list[Request] = []
        self.paths: set[str] = set()  # of all requests ever
        self.cut_loads = 0
        self._planned: list[_Planned] = []
        self._lock = threading.Lock()
        self._transactions = 0
        self._between_transactions = threading.Condition()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def plan(self, fault: Fault, wanted: Callable[[Request], bool], times: int = 1) -> None:
        """The next `times` requests that are wanted meet the fault."""
        with self._lock:
            self._planned.append(_Planned(wanted, fault, times))

    def next_fault(self, request: Request) -> Fault | None:
        """The fault planned for the request, once fewer."""
        with self._lock:
            for planned in self._planned:
                if planned.times and planned.wanted(request):
                    planned.times -= 1
                    return planned.fault
        return None

    @property
    def faults_left(self) -> int:
        """How many faults were planned and not met."""
        return sum(planned.times for planned in self._planned)

    def forget(self) -> None:
        """No faults, and no requests."""
        self._planned.clear()
        self.requests.clear()
        self.cut_loads = 0

    def forward(self, request: Request, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        """The emulator's answer: status, body, and the headers of a resumable upload.

        The host stays the proxy's, so that the emulator names the proxy as the place where an upload goes on.
        """
        if request.asks_the_moment:
            with self._between_transactions:
                self._between_transactions.wait_for(lambda: not self._transactions, START_SECONDS)
        if request.publishes:
            with self._between_transactions:
                self._transactions += 1
            try:
                return self._forward(request, headers)
            finally:
                threading.Thread(target=self._wait_for_transaction, args=(request,), daemon=True).start()
        return self._forward(request, headers)

    def _wait_for_transaction(self, request: Request) -> None:
        """BigQuery dates what a transaction wrote by its commit, the emulator by its beginning: a table read as of a moment between
        the two has the old rows and then the new. So no moment is given out between the two."""
        path = f"{request.path.partition('?')[0]}/{request.job['jobReference']['jobId']}"
        with suppress(OSError):
            while b'"DONE"' not in (found := self._forward(Request("GET", path, b""), {}))[1] and found[0] == 200:
                time.sleep(0.01)
        with self._between_transactions:
            self._transactions -= 1
            self._between_transactions.notify_all()

    def _forward(self, request: Request, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        connection = HTTPConnection("127.0.0.1", self.emulator_port)
        kept = {name: value for name, value in headers.items() if name.lower() not in ("accept-encoding", "connection")}
        try:
            connection.request(request.method, request.path, request.body or None, kept)
            answer = connection.getresponse()
            of_upload = {name: answer.headers[name] for name in ("Location", "Range") if name in answer.headers}
            return answer.status, in_bigquerys_words(answer.read()), of_upload
        finally:
            connection.close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was reset or killed is no error."""


# ---------------------------------------------------------------------------------------------------------- in tests


def bigquery_warehouse_at(url: str, storage_port: int, prefix: str, location: str | None = "US") -> BigQueryWarehouse:
    """A warehouse over Google's own clients of the emulator: JSON at the URL, the Storage API at the port."""
    client = bigquery.Client(PROJECT, AnonymousCredentials(), location=location, client_options={"api_endpoint": url})
    unlimited = [("grpc.max_receive_message_length", -1)]  # as Google's own channel
    storage_api = bigquery_storage.BigQueryReadClient(
        transport=BigQueryReadGrpcTransport(channel=grpc.insecure_channel(f"127.0.0.1:{storage_port}", unlimited))
    )
    return BigQueryWarehouse(client, prefix, storage_api)


@contextmanager
def resumable_uploads() -> Iterator[None]:
    """Files of 100 kB go as those of 5 MiB do, and in chunks of 256 KiB, the least that the client has, in place of 100 MiB."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("google.cloud.bigquery.client._MAX_MULTIPART_SIZE", 100_000)
        patched.setattr("google.cloud.bigquery.client._DEFAULT_CHUNKSIZE", 256 * 1024)
        yield


@dataclass
class LocalBigQuery:
    """The emulator behind its proxy."""

    proxy: Proxy
    storage_port: int
    key_file: Path

    def warehouse(self, prefix: str) -> BigQueryWarehouse:
        """The warehouse of the datasets with the prefix."""
        return bigquery_warehouse_at(self.proxy.url, self.storage_port, prefix)

    def environment(self, prefix: str) -> dict[str, str]:
        """What the command line needs to have its tables here, in datasets with the prefix."""
        return {
            "NBA_PRECOMPUTE_WAREHOUSE": "bigquery",
            "NBA_PRECOMPUTE_BIGQUERY_PROJECT": PROJECT,
            "NBA_PRECOMPUTE_BIGQUERY_LOCATION": "US",
            "NBA_PRECOMPUTE_BIGQUERY_PREFIX": prefix,
            "BIGQUERY_EMULATOR_HOST": self.proxy.url,
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.key_file),
        }


@contextmanager
def local_bigquery(folder: Path) -> Iterator[LocalBigQuery]:
    """The emulator and its proxy, with their files in the folder."""
    with emulator(folder) as (port, storage_port):
        proxy = Proxy(port)
        try:
            yield LocalBigQuery(proxy, storage_port, _key_file(folder, proxy))
        finally:
            proxy.shutdown()
            proxy.server_close()


def _key_file(folder: Path, proxy: Proxy) -> Path:
    """The key of a service account whose tokens the proxy gives."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    account = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key": pem.decode(),
        "client_email": f"test@{PROJECT}.iam.gserviceaccount.com",
        "token_uri": f"{proxy.url}/token",
    }
    file = folder / "key.json"
    file.write_text(json.dumps(account))
    return file


@contextmanager
def local_bigquery_or_skip(folder: Path) -> Iterator[LocalBigQuery]:
    """As `local_bigquery`; without an emulator the test is skipped, and with CI=true it fails."""
    had_or_skip(python313)
    had_or_skip(installed)
    with local_bigquery(folder) as found:
        yield found


def had_or_skip(get: Callable[[], object]) -> None:
    """Skip the test where this machine cannot have what it needs, and fail it with CI=true; other errors are errors."""
    try:
        get()
    except NoEmulator as wanting:
        if os.environ.get("CI") == "true":
            pytest.fail(str(wanting))
        pytest.skip(str(wanting))


def live_project() -> tuple[str, str | None]:
    """Project and location of the tests that only a real one can pass; without project or credentials they are skipped."""
    project = os.environ.get("NBA_PRECOMPUTE_BIGQUERY_PROJECT")
    if not project:
        pytest.skip("no project is named in NBA_PRECOMPUTE_BIGQUERY_PROJECT")
    try:
        google.auth.default()
    except google.auth.exceptions.DefaultCredentialsError as wanting:
        pytest.skip(str(wanting))
    return project, os.environ.get("NBA_PRECOMPUTE_BIGQUERY_LOCATION")


if __name__ == "__main__":
    try:
        print(python313(), installed())
    except NoEmulator as wanting:
        sys.exit(str(wanting))
