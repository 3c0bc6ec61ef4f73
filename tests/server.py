"""A real HTTP server on localhost that answers as a test tells it, one scripted answer a request."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator


class Handler(http.server.BaseHTTPRequestHandler):
    """Takes the next answer of the server's script (the last one repeats) and notes what was asked."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(dict(self.headers))
        self.close_connection = True
        answer = self.server.script[min(len(self.server.asked), len(self.server.script)) - 1]
        with contextlib.suppress(ConnectionError):  # the client may have seen enough
            answer(self)

    def begin(self, status: int, **headers: object) -> None:
        """The status line and headers; an underscore stands for a hyphen."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


Answer = Callable[[Handler], None]


class Server(http.server.ThreadingHTTPServer):
    """``script`` is what it answers, ``asked`` the headers of each request so far."""

    daemon_threads = True
    block_on_close = False
    script: list[Answer]
    asked: list[dict[str, str]]
    released: threading.Event  # set when the test is over: ends the answers that wait

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/set.zip"

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextlib.contextmanager
def serving(*script: Answer) -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.script, server.asked, server.released = list(script), [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


# ---- answers


def whole(body: bytes, etag: str = '"v1"', ranges: bool = True, **headers: object) -> Answer:
    """A good server: honours Range where If-Range names the file it has."""

    def answer(handler: Handler) -> None:
        wanted = handler.headers.get("Range")
        if ranges and wanted and handler.headers.get("If-Range") == etag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            span = f"bytes {start}-{len(body) - 1}/{len(body)}"
            handler.begin(206, Content_Length=len(body) - start, Content_Range=span, ETag=etag, **headers)
            handler.wfile.write(body[start:])
        else:
            handler.begin(200, Content_Length=len(body), ETag=etag, **headers)
            handler.wfile.write(body)

    return answer


def cut(body: bytes, after: int, etag: str = '"v1"') -> Answer:
    """Promises the whole body, sends ``after`` bytes of it from the start, hangs up."""

    def answer(handler: Handler) -> None:
        handler.begin(200, Content_Length=len(body), ETag=etag)
        handler.wfile.write(body[:after])

    return answer


def stalling(body: bytes, after: int, etag: str = '"v1"') -> Answer:
    """Sends ``after`` bytes and then nothing, without hanging up."""

    def answer(handler: Handler) -> None:
        cut(body, after, etag)(handler)
        handler.wfile.flush()
        handler.server.released.wait(30)

    return answer


def status(code: int, **headers: object) -> Answer:
    """A bare status."""
    return lambda handler: handler.begin(code, Content_Length=0, **headers)
