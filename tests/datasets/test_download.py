"""Downloads against a real server on localhost that misbehaves on purpose."""

from __future__ import annotations

import hashlib
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointkit.datasets.download import NetworkError, Patience, download
from pointkit.errors import MachineError, PointkitError
from tests.limits import files_of_at_most
from tests.server import Answer, Handler, cut, serving, stalling, status, whole

BODY = b"PK\x03\x04" + bytes(range(256)) * 800
SHA = hashlib.sha256(BODY).hexdigest()
QUICK = Patience(timeout=0.3, window=0.3, attempts=3, backoff=0.01)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


def fetch(url: str, path: pathlib.Path, **changes: object) -> str:
    options = {"size": len(BODY), "sha256": SHA, "magic": b"PK\x03\x04", "patience": QUICK}
    return download(url, path, **{**options, **changes})


def refused(url: str, path: pathlib.Path, **changes: object) -> str:
    """The one line of a download that must fail for the network's sake, with nothing under the final name."""
    with pytest.raises(NetworkError) as caught:
        fetch(url, path, **changes)
    line = str(caught.value)
    assert line.startswith(url)
    assert "\n" not in line
    assert not path.exists()
    return line


def names(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---- a good server


def test_a_file_arrives_whole_and_alone(tmp_path):
    steps: list[tuple[int, int]] = []
    with serving(whole(BODY)) as server:
        assert fetch(server.url, tmp_path / "a.zip", progress=lambda *step: steps.append(step)) == SHA
    assert (tmp_path / "a.zip").read_bytes() == BODY
    assert names(tmp_path) == ["a.zip"]
    assert steps == sorted(steps)
    assert steps[-1] == (len(BODY), len(BODY))
    assert server.asked[0]["Accept-Encoding"] == "identity"
    assert "Range" not in server.asked[0]


def test_redirects_are_followed(tmp_path):
    with serving(status(302, Location="/b"), status(307, Location="c"), whole(BODY)) as server:
        fetch(server.url, tmp_path / "a.zip")
    assert len(server.asked) == 3


# ---- cut and resumed


def test_a_cut_download_goes_on_where_it_stopped(tmp_path):
    with serving(cut(BODY, len(BODY) // 2), whole(BODY)) as server:
        assert fetch(server.url, tmp_path / "a.zip") == SHA
    assert server.asked[1]["Range"] == f"bytes={len(BODY) // 2}-"
    assert server.asked[1]["If-Range"] == '"v1"'
    assert names(tmp_path) == ["a.zip"]


def test_a_later_call_resumes_too(tmp_path):
    with serving(cut(BODY, 1000), whole(BODY)) as server:
        line = refused(server.url, tmp_path / "a.zip", patience=Patience(attempts=1))
        assert "cut after 1,000 of 204,804 bytes" in line
        assert names(tmp_path) == [".a.zip.partial", ".a.zip.partial.json"]
        fetch(server.url, tmp_path / "a.zip")
    assert server.asked[1]["Range"] == "bytes=1000-"
    assert names(tmp_path) == ["a.zip"]


def test_a_killed_process_is_resumed(tmp_path):
    part = tmp_path / ".a.zip.partial"
    with serving(stalling(BODY, 100_000), whole(BODY)) as server:
        code = f"import pathlib; from pointkit.datasets.download import download; download({server.url!r}, "
        code += f"pathlib.Path({str(tmp_path / 'a.zip')!r}), size={len(BODY)})"
        with subprocess.Popen([sys.executable, "-c", code]) as process:
            deadline = time.monotonic() + 20
            while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
        have = part.stat().st_size
        assert have > 0
        assert fetch(server.url, tmp_path / "a.zip") == SHA
    assert server.asked[1]["Range"] == f"bytes={have}-"


def test_killed_between_the_last_byte_and_the_name(tmp_path):
    (tmp_path / ".a.zip.partial").write_bytes(BODY)
    with serving(status(500)) as server:
        assert fetch(server.url, tmp_path / "a.zip") == SHA
    assert server.asked == []
    assert names(tmp_path) == ["a.zip"]


def test_a_part_longer_than_the_file_is_dropped(tmp_path):
    (tmp_path / ".a.zip.partial").write_bytes(BODY + b"!")
    with serving(whole(BODY)) as server:
        fetch(server.url, tmp_path / "a.zip")
    assert "Range" not in server.asked[0]


def test_without_ranges_it_starts_over(tmp_path):
    with serving(cut(BODY, 100_000), whole(BODY, ranges=False)) as server:
        fetch(server.url, tmp_path / "a.zip")
    assert server.asked[1]["Range"] == "bytes=100000-"
    assert (tmp_path / "a.zip").read_bytes() == BODY


def test_a_file_that_changed_between_is_not_mixed(tmp_path):
    new = BODY[:4] + bytes(reversed(BODY[4:]))
    with serving(cut(BODY, 100_000), whole(new, etag='"v2"')) as server:
        fetch(server.url, tmp_path / "a.zip", sha256=hashlib.sha256(new).hexdigest())
    assert (tmp_path / "a.zip").read_bytes() == new


@pytest.mark.parametrize(
    ("headers", "vouches"),
    [
        ({}, None),
        ({"ETag": 'W/"weak"'}, None),
        ({"ETag": 'W/"weak"', "Last-Modified": "Thu, 01 Jan 2015 00:00:00 GMT"}, "Thu, 01 Jan 2015 00:00:00 GMT"),
        ({"ETag": '"strong"', "Last-Modified": "Thu, 01 Jan 2015 00:00:00 GMT"}, '"strong"'),
    ],
)
def test_what_may_vouch_for_a_range(tmp_path, headers, vouches):
    def half(handler: Handler) -> None:
        handler.begin(200, Content_Length=len(BODY), **headers)
        handler.wfile.write(BODY[:500])

    with serving(half, whole(BODY)) as server:
        fetch(server.url, tmp_path / "a.zip")
    assert server.asked[1].get("If-Range") == vouches
    assert ("Range" in server.asked[1]) == (vouches is not None)


def test_another_address_does_not_continue_it(tmp_path):
    with serving(cut(BODY, 1000)) as first:
        refused(first.url, tmp_path / "a.zip", patience=Patience(attempts=1))
    with serving(whole(BODY)) as second:
        fetch(second.url, tmp_path / "a.zip")
    assert "Range" not in second.asked[0]


def test_416_starts_over(tmp_path):
    with serving(cut(BODY, 1000), status(416), whole(BODY)) as server:
        fetch(server.url, tmp_path / "a.zip")
    assert "Range" not in server.asked[2]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, len(BODY)), max_size=6))
def test_any_pattern_of_cuts_gives_the_same_file(tmp_path_factory, pieces):
    folder = tmp_path_factory.mktemp("cuts")

    def piece(length: int) -> Answer:
        def answer(handler: Handler) -> None:
            start = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
            span = {"Content_Range": f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"} if start else {}
            handler.begin(206 if start else 200, Content_Length=len(BODY) - start, ETag='"v1"', **span)
            handler.wfile.write(BODY[start : start + length])

        return answer

    with serving(*map(piece, pieces), whole(BODY)) as server:
        fetch(server.url, folder / "a.zip", patience=Patience(attempts=9, backoff=0.0))
    assert (folder / "a.zip").read_bytes() == BODY


def test_endless_cuts_without_progress_end(tmp_path):
    with serving(cut(BODY, 10)) as server:
        line = refused(server.url, tmp_path / "a.zip")
    assert "gave up after 3 attempts in a row" in line
    assert len(server.asked) == 3


# ---- stalls


@pytest.mark.parametrize("after", [0, 4, 1000])
def test_a_stall_ends_and_is_retried(tmp_path, after):
    with serving(stalling(BODY, after), whole(BODY)) as server:
        assert fetch(server.url, tmp_path / "a.zip") == SHA


def test_a_server_that_never_answers(tmp_path):
    with serving(lambda handler: handler.server.released.wait(30)) as server:
        line = refused(server.url, tmp_path / "a.zip")
    assert "attempts" in line


def test_a_stall_for_good_is_one_line(tmp_path):
    with serving(stalling(BODY, 2000)) as server:
        assert "stalled (no byte for 0.3 seconds)" in refused(server.url, tmp_path / "a.zip")


def test_a_trickle_is_a_stall(tmp_path):
    def drip(handler: Handler) -> None:
        handler.begin(200, Content_Length=len(BODY), ETag='"v1"')
        for i in range(len(BODY)):
            handler.wfile.write(BODY[i : i + 1])
            if handler.server.released.wait(0.02):
                return

    with serving(drip) as server:
        line = refused(server.url, tmp_path / "a.zip", patience=Patience(window=0.2, attempts=1))
    assert "stalled (" in line
    assert "bytes in 0.2 seconds" in line


# ---- lies and wrong files


@pytest.mark.parametrize("length", [len(BODY) - 1, len(BODY) + 1, 0, 10**15])
def test_another_length_is_refused_at_once(tmp_path, length):
    def lie(handler: Handler) -> None:
        handler.begin(200, Content_Length=length)
        handler.wfile.write(BODY[:length])

    with serving(lie) as server:
        line = refused(server.url, tmp_path / "a.zip")
    assert f"announces {length} bytes, the file has {len(BODY)}" in line
    assert names(tmp_path) == []
    assert len(server.asked) == 1


def test_a_page_instead_of_the_file(tmp_path):
    page = b"<!doctype html><title>Log in</title>".ljust(len(BODY))
    with serving(whole(page, Content_Type="text/html")) as server:
        line = refused(server.url, tmp_path / "a.zip")
    assert "not the file it should be (begins with b'<!do', text/html)" in line
    assert names(tmp_path) == []


def test_a_page_does_not_cost_what_had_arrived(tmp_path):
    page = b"<!doctype html><title>Log in</title>"
    with serving(cut(BODY, 150_000), whole(page), whole(BODY)) as server:
        refused(server.url, tmp_path / "a.zip")
        assert (tmp_path / ".a.zip.partial").read_bytes() == BODY[:150_000]
        fetch(server.url, tmp_path / "a.zip")
    assert server.asked[2]["Range"] == "bytes=150000-"


def test_a_wrong_checksum_is_removed(tmp_path):
    wrong = BODY[:-1] + b"?"
    with serving(whole(wrong)) as server:
        line = refused(server.url, tmp_path / "a.zip")
    assert f"SHA-256 is {hashlib.sha256(wrong).hexdigest()}, expected {SHA}" in line
    assert names(tmp_path) == []


@pytest.mark.parametrize("chunked", [False, True])
def test_an_endless_body_stops_at_the_size(tmp_path, chunked):
    sent = 0

    def endless(handler: Handler) -> None:
        nonlocal sent
        handler.begin(200, **({"Transfer_Encoding": "chunked"} if chunked else {}))
        while sent < 50 * len(BODY):
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(BODY), BODY) if chunked else BODY)
            sent += len(BODY)

    with serving(endless) as server:
        line = refused(server.url, tmp_path / "a.zip")
    assert "sends more than the 204,804 bytes" in line
    assert names(tmp_path) == []
    assert sent < 50 * len(BODY)


def test_a_body_without_length_is_taken_when_right(tmp_path):
    def unsized(handler: Handler) -> None:
        handler.begin(200)
        handler.wfile.write(BODY)

    with serving(unsized) as server:
        assert fetch(server.url, tmp_path / "a.zip") == SHA


def test_a_packed_transfer_is_refused(tmp_path):
    with serving(whole(BODY, Content_Encoding="gzip")) as server:
        assert "Content-Encoding 'gzip'" in refused(server.url, tmp_path / "a.zip")


@pytest.mark.parametrize("span", ["bytes 7-204803/204804", "bytes x", "", "items 0-1/2"])
def test_a_range_nobody_asked_for(tmp_path, span):
    def answer(handler: Handler) -> None:
        handler.begin(206, Content_Range=span)
        handler.wfile.write(BODY)

    with serving(answer) as server:
        assert "Content-Range" in refused(server.url, tmp_path / "a.zip")


# ---- statuses and redirects


@pytest.mark.parametrize("code", [204, 304, 400, 401, 403, 404, 410])
def test_what_will_not_pass_is_not_retried(tmp_path, code):
    with serving(status(code)) as server:
        assert f"HTTP {code}" in refused(server.url, tmp_path / "a.zip")
    assert len(server.asked) == 1


@pytest.mark.parametrize("code", [429, 500, 502, 503])
def test_what_may_pass_is_retried(tmp_path, code):
    with serving(status(code), whole(BODY)) as server:
        assert fetch(server.url, tmp_path / "a.zip") == SHA
    with serving(status(code)) as server:
        assert f"HTTP {code}" in refused(server.url, tmp_path / "b.zip")
    assert len(server.asked) == QUICK.attempts


@pytest.mark.parametrize("after", ["0", "Thu, 01 Jan 2015 00:00:00 GMT"])
def test_retry_after_goes_before_the_back_off(tmp_path, after):
    with serving(status(503, Retry_After=after), whole(BODY)) as server:  # the back-off alone would end it
        assert fetch(server.url, tmp_path / "a.zip", patience=Patience(backoff=1e6)) == SHA


@pytest.mark.parametrize("after", ["3600", "Fri, 01 Jan 2106 00:00:00 GMT"])
def test_retry_after_is_bounded(tmp_path, after):
    with serving(status(503, Retry_After=after)) as server:
        assert "the server asks to come back in" in refused(server.url, tmp_path / "a.zip")
    assert len(server.asked) == 1


def test_retry_after_that_says_nothing(tmp_path):
    with serving(status(503, Retry_After="soon"), whole(BODY)) as server:
        assert fetch(server.url, tmp_path / "a.zip") == SHA


def test_a_redirect_loop_ends(tmp_path):
    with serving(status(302, Location="/set.zip")) as server:
        assert "redirect that loops" in refused(server.url, tmp_path / "a.zip")
    assert len(server.asked) <= 6


def test_a_long_chain_of_redirects_ends(tmp_path):
    def onwards(handler: Handler) -> None:
        handler.begin(302, Content_Length=0, Location=f"/{len(handler.server.asked)}")

    with serving(onwards) as server:
        assert "redirect" in refused(server.url, tmp_path / "a.zip")
    assert len(server.asked) == 6


@pytest.mark.parametrize("scheme", ["file://", "ftp://127.0.0.1", "data:text/plain,", "gopher://x"])
def test_redirects_stay_on_http(tmp_path, scheme):
    secret = tmp_path / "secret"
    secret.write_bytes(BODY)
    with serving(status(302, Location=f"{scheme}{secret}")) as server:
        assert "redirect" in refused(server.url, tmp_path / "a.zip")
    assert names(tmp_path) == ["secret"]


def test_nobody_listens(tmp_path):
    with serving(status(200)) as server:
        url = server.url
    assert "cannot be reached" in refused(url, tmp_path / "a.zip")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/a", "a.zip", "http://", "http://a b/c", "http://[", "http://h:port/"]
)
def test_what_is_no_address(tmp_path, url):
    with pytest.raises(PointkitError, match="address"):
        fetch(url, tmp_path / "a.zip")


# ---- the disk


def test_no_space_is_known_before_the_first_byte(tmp_path):
    with serving(whole(BODY)) as server, pytest.raises(MachineError, match=r"no space left \(needs 1,152,9"):
        fetch(server.url, tmp_path / "a.zip", size=1 << 60)
    assert server.asked == []


def test_a_disk_that_fills_on_the_way(tmp_path):
    with serving(whole(BODY)) as server:
        with files_of_at_most(70_000), pytest.raises(MachineError) as caught:
            fetch(server.url, tmp_path / "a.zip")
        assert str(caught.value).startswith(str(tmp_path / "a.zip"))
        assert not isinstance(caught.value, NetworkError)
        assert fetch(server.url, tmp_path / "a.zip") == SHA
    assert "Range" in server.asked[-1]


def test_a_place_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with serving(whole(BODY)) as server:
        for place in (tmp_path / "file" / "a.zip", tmp_path / "missing" / "a.zip"):
            with pytest.raises(PointkitError, match="cannot be read or written"):
                fetch(server.url, place)
