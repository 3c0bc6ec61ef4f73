"""Fetch an archive over HTTP without trusting the server.

``download`` goes on where an earlier download was cut. It never writes more than the known size, and gives the file its
final name only after its length and SHA-256 were compared. Only the standard library is used. Proxies are those of the
environment (``http_proxy`` and the like). There are no parallel ranges and no lists of mirrors: one patient connection
is enough for one archive.
"""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import json
import pathlib
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from pointkit.disk import beside, disk_errors, file_digest, put, sync
from pointkit.errors import MachineError, PointkitError

Progress = Callable[[int, int], None]  # bytes done, bytes in all

CHUNK = 1 << 16
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "pointkit"}


@dataclass(frozen=True)
class Patience:
    """How long a download waits for its server."""

    timeout: float = 30.0  # seconds without a single byte, or without a connection
    window: float = 60.0  # seconds within which at least ``trickle`` bytes must arrive
    trickle: int = CHUNK  # a thousand bytes a second would take five days for ModelNet10
    attempts: int = 5  # failures in a row; a hundredth of the file received starts the count anew
    backoff: float = 1.0  # seconds before the second attempt; doubled for each one after
    longest_wait: float = 120.0  # seconds; a server that asks for more (Retry-After) ends the download


class NetworkError(MachineError):
    """The network or the server failed us, or the server sent another file. The message begins with the address."""


class _Passing(Exception):
    """A failure that may pass. It is worth another attempt, after ``wait`` seconds where the server named a time."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def download(
    url: str,
    path: pathlib.Path,
    *,
    size: int | None,
    max_bytes: int = 1 << 40,
    sha256: str | None = None,
    magic: bytes = b"",
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> str:
    """Fetch ``url`` to ``path`` and return the file's SHA-256 (hex). ``path`` appears only when the file is whole.

    The body is written to ``.NAME.partial`` beside it. After a cut the same call goes on from there, if the server can
    say that its file is still the same (ETag or Last-Modified). Otherwise it starts over. The file must have ``size``
    bytes, and no more are written. With None the server's announced length takes its place, up to ``max_bytes``. The
    file must begin with ``magic``. ``progress`` is called with (bytes done, bytes in all).

    Raises NetworkError where the network or the server fails, or sends another file (which is then removed);
    MachineError where the disk does; PointkitError where ``url`` is no http(s) address or ``path`` cannot be written.
    """
    patience = patience or Patience()
    if not _is_http(url):
        raise PointkitError(f"{url}: an address must begin with http:// or https:// and name a host")
    part = _Part(path, url)
    with disk_errors(path):
        if size is None:
            size = _announced(url, part, max_bytes, patience)
        if part.length() > size:
            part.remove()
        free = shutil.disk_usage(path.parent).free
        if free < size - part.length():
            raise MachineError(f"{path}: no space left (needs {size - part.length():,} bytes, {free:,} are free)")
        _attempts(url, part, size, magic, progress or (lambda done, total: None), patience)
        digest = file_digest(part.body)
        if sha256 is not None and digest != sha256:
            part.remove()
            raise NetworkError(f"{url}: SHA-256 is {digest}, expected {sha256}: not the file it should be; removed")
        sync(part.body)
        put(part.body, path)
        part.remove()
    return digest


class _Part:
    """The bytes that have arrived, and a file beside them with their source: the address, ETag or Last-Modified."""

    def __init__(self, path: pathlib.Path, url: str) -> None:
        self.body, self.origin = beside(path, "partial"), beside(path, "partial.json")
        self.url = url

    def length(self) -> int:
        return self.body.stat().st_size if self.body.exists() else 0

    def validator(self) -> str:
        """The value of If-Range; empty where these bytes cannot be continued."""
        try:
            origin = json.loads(self.origin.read_text(encoding="utf-8"))
            return str(origin["validator"]) if origin["url"] == self.url and self.length() else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def begin(self, headers: http.client.HTTPMessage) -> None:
        """Drop earlier bytes and note the source of the new ones. A weak ETag says nothing about byte ranges."""
        self.remove()
        etag = headers.get("ETag", "")
        validator = headers.get("Last-Modified", "") if not etag or etag.startswith("W/") else etag
        self.origin.write_text(json.dumps({"url": self.url, "validator": validator}), encoding="utf-8")

    def remove(self) -> None:
        self.origin.unlink(missing_ok=True)
        self.body.unlink(missing_ok=True)


def _attempts(url: str, part: _Part, size: int, magic: bytes, progress: Progress, patience: Patience) -> None:
    """Try until the part is ``size`` bytes long."""
    failures = 0
    while (before := part.length()) < size:
        try:
            _attempt(url, part, size, magic, progress, patience)
        except _Passing as trouble:
            failures = 1 if part.length() - before >= size / 100 else failures + 1
            _bear(url, trouble, failures, patience)


def _announced(url: str, part: _Part, max_bytes: int, patience: Patience) -> int:
    """The length in bytes of the file at ``url`` by its server: a plain request, of which only the headers are read."""
    failures = 0
    while True:
        try:
            with _open(url, dict(HEADERS), part, patience) as response:
                length = response.length
            break
        except _Passing as trouble:
            failures += 1
            _bear(url, trouble, failures, patience)
    if not length or length > max_bytes:
        found = f"{length:,} bytes" if length is not None else "no length"
        raise NetworkError(f"{url}: must announce a length of 1 to {max_bytes:,} bytes, announces {found}")
    return int(length)


def _bear(url: str, trouble: _Passing, failures: int, patience: Patience) -> None:
    """Wait before the next attempt. Raises NetworkError after the last one, or where the server asks for too long."""
    if failures >= patience.attempts:
        raise NetworkError(f"{url}: {trouble}; gave up after {failures} attempts in a row") from None
    wait = patience.backoff * 2 ** (failures - 1) if trouble.wait is None else trouble.wait
    if wait > patience.longest_wait:
        raise NetworkError(f"{url}: {trouble}; the server asks to come back in {wait:,.0f} seconds") from None
    time.sleep(wait)


def _is_http(url: str) -> bool:
    """Whether an address is one of http or https and names a host."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """At most five steps, to http and https only."""

    max_redirections = 5
    max_repeats = 2

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not _is_http(newurl):
            raise NetworkError(f"{req.full_url}: redirects to {newurl!r}, only http and https are followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """An opener like ``urllib.request.build_opener``'s, without handlers for file, ftp and data addresses."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        _Redirects(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _attempt(url: str, part: _Part, size: int, magic: bytes, progress: Progress, patience: Patience) -> None:
    """Make one request and append its body to the part. Raises _Passing where it ends early."""
    headers = dict(HEADERS)
    asked = 0
    if validator := part.validator():
        asked = part.length()
        headers.update({"Range": f"bytes={asked}-", "If-Range": validator})
    with _open(url, headers, part, patience) as response:
        start = _first_byte(url, response, asked, size)
        head = b""
        if start == 0:
            with _reading(patience):
                head = response.read(len(magic))
            if not magic.startswith(head):
                kind = response.headers.get("Content-Type", "no type")
                raise NetworkError(f"{url}: not the file it should be (begins with {head!r}, {kind}), refused")
            part.begin(response.headers)
        done, mark, mark_time = start, start, time.monotonic()
        with part.body.open("ab") as file:
            chunk = head
            while True:
                done += len(chunk)
                if done > size:
                    part.remove()
                    raise NetworkError(f"{url}: sends more than the {size:,} bytes that the file has; removed")
                file.write(chunk)
                progress(done, size)
                if time.monotonic() - mark_time > patience.window:
                    if done - mark < patience.trickle:
                        raise _Passing(f"stalled ({done - mark:,} bytes in {patience.window:g} seconds)")
                    mark, mark_time = done, time.monotonic()
                with _reading(patience):
                    chunk = response.read1(CHUNK)
                if not chunk:
                    break
        if done < size:
            raise _Passing(f"cut after {done:,} of {size:,} bytes")


@contextlib.contextmanager
def _reading(patience: Patience) -> Iterator[None]:
    """Turn the errors of a connection into _Passing."""
    try:
        yield
    except TimeoutError:
        raise _Passing(f"stalled (no byte for {patience.timeout:g} seconds)") from None
    except (OSError, http.client.HTTPException) as error:
        raise _Passing(f"connection lost ({type(error).__name__})") from None


def _open(url: str, headers: dict[str, str], part: _Part, patience: Patience) -> http.client.HTTPResponse:
    """The server's answer, 200 or 206. Raises _Passing, NetworkError or PointkitError for everything else."""
    try:
        request = urllib.request.Request(url, headers=headers)
        response: http.client.HTTPResponse = _opener().open(request, timeout=patience.timeout)
    except urllib.error.HTTPError as error:
        with error:
            status = f"HTTP {error.code} {http.client.responses.get(error.code, '')}".strip()
            if error.code == 416:  # the range asked for lies beyond the server's file
                part.remove()
                raise _Passing(status) from None
            if error.code >= 500 or error.code in (408, 425, 429):
                raise _Passing(status, _retry_after(error.headers.get("Retry-After"))) from None
            if 300 <= error.code < 400:
                status += " (a redirect that loops, goes too far or leaves http)"
            raise NetworkError(f"{url}: {status}") from None
    except (http.client.InvalidURL, ValueError) as error:
        raise PointkitError(f"{url}: not an address ({error})") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            reason = error.reason.verify_message
            raise NetworkError(f"{url}: the server's certificate is not valid ({reason})") from None
        raise _Passing(f"cannot be reached ({error.reason})") from None
    except TimeoutError:
        raise _Passing(f"no answer within {patience.timeout:g} seconds") from None
    except (OSError, http.client.HTTPException) as error:
        raise _Passing(f"no answer ({type(error).__name__})") from None
    if response.status not in (200, 206):
        response.close()
        raise NetworkError(f"{url}: HTTP {response.status}, expected 200 or 206")
    return response


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait as a Retry-After header says: a number, or a date."""
    if value is None:
        return None
    try:
        return max(0.0, float(int(value)))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _first_byte(url: str, response: http.client.HTTPResponse, asked: int, size: int) -> int:
    """The offset in the file at which the body begins: 0, or ``asked``. Raises NetworkError for another file.

    Nothing has been written by then. So a hotel's log-in page does not destroy the bytes of an earlier attempt.
    """
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise NetworkError(f"{url}: sent with Content-Encoding {encoding!r}, asked for none")
    start, total = 0, response.headers.get("Content-Length")
    if response.status == 206:
        try:
            unit, _, span = response.headers.get("Content-Range", "").partition(" ")
            first, _, total = span.partition("/")
            start = int(first.partition("-")[0])
        except ValueError:
            unit = ""
        if unit != "bytes" or start != asked or not asked:
            given = response.headers.get("Content-Range")
            raise NetworkError(f"{url}: answers with Content-Range {given!r}, asked for byte {asked:,} on")
    if total is not None and total.strip() not in (str(size), "*"):
        raise NetworkError(f"{url}: announces {total} bytes, the file has {size}: not the file it should be, refused")
    return start
