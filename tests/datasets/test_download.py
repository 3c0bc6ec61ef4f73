"""Downloads against a real server on localhost that misbehaves on purpose; archives forged for each hazard."""

from __future__ import annotations

import hashlib
import io
import os
import pathlib
import resource
import signal
import stat
import subprocess
import sys
import tarfile
import time
import warnings
import zipfile

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pointkit.datasets.download import NetworkError, Patience, alone, download, extract
from pointkit.errors import FormatError, MachineError, PointkitError
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
        assert names(tmp_path) == ["a.zip.part", "a.zip.part.json"]
        fetch(server.url, tmp_path / "a.zip")
    assert server.asked[1]["Range"] == "bytes=1000-"
    assert names(tmp_path) == ["a.zip"]


def test_a_killed_process_is_resumed(tmp_path):
    part = tmp_path / "a.zip.part"
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
    (tmp_path / "a.zip.part").write_bytes(BODY)
    with serving(status(500)) as server:
        assert fetch(server.url, tmp_path / "a.zip") == SHA
    assert server.asked == []
    assert names(tmp_path) == ["a.zip"]


def test_a_part_longer_than_the_file_is_dropped(tmp_path):
    (tmp_path / "a.zip.part").write_bytes(BODY + b"!")
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
        assert (tmp_path / "a.zip.part").read_bytes() == BODY[:150_000]
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
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with serving(whole(BODY)) as server:
        resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, limits[1]))
        try:
            with pytest.raises(MachineError) as caught:
                fetch(server.url, tmp_path / "a.zip")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
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


def test_one_at_a_time_in_a_folder(tmp_path):
    with alone(tmp_path), pytest.raises(PointkitError, match="another fetch is at work"), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass


# ---- archives


def zipped(path: pathlib.Path, *members: tuple[str, bytes] | tuple[str, bytes, int]) -> pathlib.Path:
    """A zip of (name, content[, mode])."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of duplicate names
        for name, content, *mode in members:
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, zipfile.ZIP_DEFLATED
            info.external_attr = (mode[0] if mode else stat.S_IFREG | 0o644) << 16
            file.writestr(info, content)
    return path


def tarred(path: pathlib.Path, *members: tarfile.TarInfo | tuple[str, bytes], how: str = "") -> pathlib.Path:
    """A tar of (name, content) or of ready headers; ``how``: gz, bz2, xz or nothing."""
    with tarfile.open(path, f"w:{how}") as file:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                file.addfile(member, io.BytesIO(bytes(member.size)))
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                file.addfile(info, io.BytesIO(member[1]))
    return path


def header(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def tree(folder: pathlib.Path) -> dict[str, bytes | None]:
    """Everything below ``folder``: path -> content, None for a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def unpack(archive: pathlib.Path, max_bytes: int = 1 << 20, max_members: int = 100) -> dict[str, bytes | None]:
    extract(archive, archive.parent / "out", max_bytes=max_bytes, max_members=max_members)
    return tree(archive.parent / "out")


def unpack_refused(archive: pathlib.Path, **bounds: int) -> str:
    """The one line of an archive that must be refused and leave the whole tree around as it was."""
    around = archive.parent.parent
    before = tree(around)
    with pytest.raises(FormatError) as caught:
        unpack(archive, **bounds)
    assert tree(around) == before
    line = str(caught.value)
    assert line.startswith(str(archive))
    assert "\n" not in line
    return line


@pytest.fixture
def place(tmp_path):
    """A folder with a neighbour that an archive might reach for."""
    (tmp_path / "neighbour").write_text("mine")
    folder = tmp_path / "deep"
    folder.mkdir()
    return folder


GOOD = (("set/a/1.off", b"one"), ("set/README.txt", b"read me"), ("set/b/2.off", bytes(100_000)))
NOISE = (("__MACOSX/set/._1.off", b"x"), ("set/.DS_Store", b"x"), ("set/a/._1.off", b"x"))


def test_a_good_zip(place):
    found = unpack(zipped(place / "a.zip", *GOOD, ("set/empty/", b"", stat.S_IFDIR | 0o755), *NOISE))
    assert {name: content for name, content in found.items() if content is not None} == dict(GOOD)
    assert {name for name, content in found.items() if content is None} == {"set", "set/a", "set/b", "set/empty"}


@pytest.mark.parametrize("how", ["", "gz", "bz2", "xz"])
def test_a_good_tar(place, how):
    root = header("./", tarfile.DIRTYPE)
    found = unpack(tarred(place / "a.tar", root, *((f"./{name}", data) for name, data in GOOD + NOISE), how=how))
    assert {name: content for name, content in found.items() if content is not None} == dict(GOOD)


BAD_NAMES = [
    "../x",
    "a/../../x",
    "/tmp/x",
    "//x",
    "a//b",
    "..",
    "a/..",
    "C:/x",
    "..\\x",
    "a\nb",
    "n" * 300,
    "\x1b[2J",
    "",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_lead_elsewhere(place, name):
    assert "member" in unpack_refused(zipped(place / "a.zip", ("set/ok", b"ok"), (name, b"out")))
    if name:  # a tar header without a name is no header
        assert "member" in unpack_refused(tarred(place / "a.tar", ("set/ok", b"ok"), (name, b"out")))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_a_zip_holds_files_and_folders_only(place, kind):
    archive = zipped(place / "a.zip", ("way", b"..", kind | 0o777), ("way/neighbour", b"yours"))
    assert "'way' is a link, device or pipe" in unpack_refused(archive)


@pytest.mark.parametrize(
    "member",
    [
        header("way", tarfile.SYMTYPE, ".."),
        header("way", tarfile.LNKTYPE, "../neighbour"),
        header("way", tarfile.CHRTYPE),
        header("way", tarfile.BLKTYPE),
        header("way", tarfile.FIFOTYPE),
    ],
    ids=["symlink", "hard link", "character device", "block device", "pipe"],
)
def test_a_tar_holds_files_and_folders_only(place, member):
    archive = tarred(place / "a.tar", member, ("way/neighbour", b"yours"))
    assert "'way' is a link, device or pipe" in unpack_refused(archive)


@pytest.mark.parametrize(
    ("first", "second", "rule"),
    [
        ("set/a", "set/a", "is there twice"),
        ("set/a", "./set/a", "is there twice"),
        ("set/a.off", "set/A.off", "in case alone"),
        ("set/x/1", "SET/x/2", "in case alone"),
        ("caf\u00e9", "cafe\u0301", "in case alone"),
        ("set/a", "set/a/b", "lies in a file"),
        ("set/a/b", "set/a", "a file and a folder"),
    ],
)
def test_names_that_collide(place, first, second, rule):
    assert rule in unpack_refused(zipped(place / "a.zip", (first, b"1"), (second, b"2")))
    assert rule in unpack_refused(tarred(place / "a.tar", (first, b"1"), (second, b"2")))


def test_modes_are_not_taken(place):
    unpack(zipped(place / "a.zip", ("tool", b"#!", stat.S_IFREG | 0o6777)))
    info = header("tool", tarfile.REGTYPE)
    info.mode, info.size = 0o6777, 3
    extract(tarred(place / "a.tar", info), place / "out2", max_bytes=100, max_members=1)
    for path in (place / "out" / "tool", place / "out2" / "tool"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o7111 == 0


def test_an_encrypted_member(place):
    archive = zipped(place / "a.zip", ("a", b"secret"))
    data = bytearray(archive.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    assert "encrypted" in unpack_refused(archive)


# ---- bombs


def test_a_bomb_is_refused_by_what_it_claims(place):
    archive = zipped(place / "a.zip", ("zeros", bytes(30_000_000)))
    assert archive.stat().st_size < 42_000
    assert "unpacks to 30,000,000 bytes" in unpack_refused(archive)


@pytest.mark.parametrize("how", ["gz", "bz2", "xz"])
def test_a_tar_bomb(place, how):
    archive = tarred(place / "a.tar", ("ok", b"1"), ("zeros", bytes(5_000_000)), how=how)
    assert "its bounds" in unpack_refused(archive)


def test_a_zip_that_understates_a_size(place):
    archive = zipped(place / "a.zip", ("zeros", bytes(5_000_000)))
    data = bytearray(archive.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = data[22:26] = (1000).to_bytes(4, "little")
    archive.write_bytes(data)
    assert "damaged" in unpack_refused(archive)


@pytest.mark.parametrize("count", [101, 1500])
def test_too_many_members(place, count):
    members = [(f"{i}", b"") for i in range(count)]
    assert "100 members" in unpack_refused(zipped(place / "a.zip", *members))
    assert "100 members" in unpack_refused(tarred(place / "a.tar", *members))


def test_a_tar_header_that_claims_a_terabyte(place):
    info = header("h", tarfile.XHDTYPE)
    info.size = 1 << 40
    (place / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(5000))
    assert "a header of 1,099,511,627,776 bytes" in unpack_refused(place / "a.tar")


def test_a_tar_member_of_negative_size(place):
    info = header("h", tarfile.REGTYPE)
    info.size = -1024
    (place / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(5000))
    unpack_refused(place / "a.tar")


# ---- damage


def test_a_zip_cut_anywhere(place):
    data = zipped(place / "whole.zip", *GOOD).read_bytes()
    for end in {0, 3, 4, 10, 50, len(data) // 2, len(data) - 30, len(data) - 22, len(data) - 1}:
        (place / "a.zip").write_bytes(data[:end])
        unpack_refused(place / "a.zip")


@pytest.mark.parametrize("how", ["", "gz", "bz2", "xz"])
def test_a_tar_cut_anywhere(place, how):
    data = tarred(place / "whole.tar", *GOOD, how=how).read_bytes()
    ends = (
        {0, 3, 100, 512, 1024, 2048, 2560, 3000}
        if not how
        else {3, 7, 20, len(data) // 2, len(data) - 20, len(data) - 4}
    )
    for end in ends:
        (place / "a.tar").write_bytes(data[:end])
        unpack_refused(place / "a.tar")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255))
@example(1582, 2)  # a member that begins before the file does
def test_a_changed_byte_never_changes_a_file_unnoticed(tmp_path_factory, place, flip):
    folder = tmp_path_factory.mktemp("flip")
    data = bytearray(zipped(folder / "a.zip", *GOOD[:2], ("set/c", bytes(range(200)))).read_bytes())
    data[place % len(data)] ^= flip
    (folder / "a.zip").write_bytes(data)
    try:
        found = unpack(folder / "a.zip")
    except PointkitError:
        assert not (folder / "out").exists()
    else:  # only a name or a date may have changed
        contents = {content for content in found.values() if content is not None}
        assert contents <= {b"one", b"read me", bytes(range(200))}
    assert set(os.listdir(folder)) <= {"a.zip", "out"}


def test_what_is_no_archive(place):
    for data in (b"", b"<!doctype html>" * 100, bytes(2000), b"PK\x03\x04 and no more", b"\x1f\x8b not gzip"):
        (place / "a.zip").write_bytes(data)
        unpack_refused(place / "a.zip")


def test_the_folder_must_be_new(place):
    (place / "out").mkdir()
    (place / "out" / "keep").write_text("mine")
    archive = zipped(place / "a.zip", *GOOD)
    with pytest.raises(PointkitError, match="out: cannot be read or written"):
        unpack(archive)
    assert tree(place / "out") == {"keep": b"mine"}


def test_a_disk_that_fills_while_unpacking(place):
    archive = zipped(place / "a.zip", *GOOD)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, limits[1]))
    try:
        with pytest.raises(MachineError):
            unpack(archive)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (place / "out").exists()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(st.sampled_from("aAé./\\: \n"), max_size=8), min_size=1, max_size=4))
def test_no_name_leaves_the_folder(tmp_path_factory, members):
    base = tmp_path_factory.mktemp("names")
    folder = base / "deep"
    folder.mkdir()
    archive = zipped(folder / "a.zip", *((name, b"x") for name in members if not name.endswith("/")))
    try:
        unpack(archive)
    except FormatError:
        assert not (folder / "out").exists()
    assert names(base) == ["deep"]
    assert set(names(folder)) <= {"a.zip", "out"}
