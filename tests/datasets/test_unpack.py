"""Zip archives forged for each hazard: what is unpacked, and what is refused and leaves nothing."""

from __future__ import annotations

import os
import pathlib
import stat
import warnings
import zipfile

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pointkit.datasets.unpack import extract
from pointkit.errors import FormatError, MachineError, PointkitError
from tests.limits import files_of_at_most


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


def test_names_that_begin_with_the_folder_they_are_in(place):
    members = (("./", b"", stat.S_IFDIR | 0o755), *((f"./{name}", data) for name, data in GOOD + NOISE))
    found = unpack(zipped(place / "a.zip", *members))
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


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_a_zip_holds_files_and_folders_only(place, kind):
    archive = zipped(place / "a.zip", ("way", b"..", kind | 0o777), ("way/neighbour", b"yours"))
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


def test_modes_are_not_taken(place):
    unpack(zipped(place / "a.zip", ("tool", b"#!", stat.S_IFREG | 0o6777)))
    assert stat.S_IMODE((place / "out" / "tool").stat().st_mode) & 0o7111 == 0


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


def test_a_member_that_claims_four_gigabytes(place):
    archive = zipped(place / "a.zip", ("zeros", bytes(5000)))
    data = bytearray(archive.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = data[22:26] = (0xFFFFFFFE).to_bytes(4, "little")
    archive.write_bytes(data)
    assert "unpacks to 4,294,967,294 bytes" in unpack_refused(archive)


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


# ---- damage


def test_a_zip_cut_anywhere(place):
    data = zipped(place / "whole.zip", *GOOD).read_bytes()
    for end in {0, 3, 4, 10, 50, len(data) // 2, len(data) - 30, len(data) - 22, len(data) - 1}:
        (place / "a.zip").write_bytes(data[:end])
        unpack_refused(place / "a.zip")


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
    with files_of_at_most(70_000), pytest.raises(MachineError):
        unpack(archive)
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
    assert sorted(os.listdir(base)) == ["deep"]
    assert set(os.listdir(folder)) <= {"a.zip", "out"}
