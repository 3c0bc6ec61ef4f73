"""A forged miniature of ModelNet10 goes the whole way: served on localhost, cut, resumed, checked, unpacked."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import zipfile

import pytest

from pointkit.datasets import DATASETS, FetchResult, find
from pointkit.datasets.download import NetworkError, Patience
from pointkit.datasets.modelnet import MODELNET10, ModelNet
from pointkit.errors import FormatError, PointkitError
from tests.server import cut, serving, stalling, status, whole

QUICK = Patience(timeout=0.5, attempts=2, backoff=0.01)
TRIANGLE = "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 {}\n3 0 1 2\n"
MESHES = {
    f"{name}/{split}/{name}_{i:04d}.off": TRIANGLE.format(i)
    for name in ("chair", "night_stand")
    for split, numbers in (("train", (1, 2, 3)), ("test", (4,)))
    for i in numbers
}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


def packed(path: pathlib.Path, meshes: dict[str, str], top: str = "ModelNet10/", comment: str = "") -> pathlib.Path:
    """An archive as the publisher packs it, with a README and a Mac's leavings."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.comment = comment.encode()
        for name, text in {"README.txt": "about", ".DS_Store": "mac", **meshes}.items():
            file.writestr(top + name, text)
            file.writestr(f"__MACOSX/{top}{pathlib.Path(name).parent}/._{pathlib.Path(name).name}", "mac")
    return path


def unpacked(folder: pathlib.Path, meshes: dict[str, str]) -> pathlib.Path:
    for name, text in meshes.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    return packed(tmp_path / "elsewhere" / "mini.zip", MESHES)


@pytest.fixture
def mini(archive) -> ModelNet:
    """The facts of the miniature."""
    data = archive.read_bytes()
    return dataclasses.replace(
        MODELNET10,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        classes=("chair", "night_stand"),
        counts={"train": 6, "test": 2},
        max_bytes=10_000,
        max_members=50,
    )


def texts(folder: pathlib.Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def names(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fetch(facts: ModelNet, folder: pathlib.Path, source=None, **options) -> FetchResult:
    return facts.fetch(folder, source, patience=QUICK, **options)


# ---- the facts


def test_the_registry_loads_a_set_when_asked():
    code = "import sys, pointkit.datasets as d; assert 'modelnet10' in d.DATASETS; assert list(d.DATASETS); "
    code += "assert 'pointkit.datasets.modelnet' not in sys.modules; d.DATASETS['modelnet10']; "
    code += "assert 'pointkit.datasets.modelnet' in sys.modules and 'keras' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert DATASETS["modelnet10"] is MODELNET10
    with pytest.raises(KeyError):
        DATASETS["modelnet11"]


def test_an_unknown_set_is_one_line():
    assert find("modelnet10") is MODELNET10
    with pytest.raises(PointkitError, match=r"got 'modlenet10' \(did you mean 'modelnet10'\?\)"):
        find("modlenet10")


def test_the_published_facts():
    assert MODELNET10.url == "http://3dvision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip"
    assert MODELNET10.size == 473_402_300
    assert MODELNET10.counts == {"train": 3991, "test": 908}
    assert list(MODELNET10.classes) == sorted(MODELNET10.classes)
    assert len(MODELNET10.classes) == 10
    assert MODELNET10.sha256 is not None
    assert len(bytes.fromhex(MODELNET10.sha256)) == 32
    assert MODELNET10.sha256_source


# ---- from the network


def test_the_whole_way(tmp_path, mini, archive):
    steps: list[tuple[int, int]] = []
    data = archive.read_bytes()
    with serving(cut(data, len(data) // 2), whole(data)) as server:
        facts = dataclasses.replace(mini, url=server.url)
        result = fetch(facts, tmp_path / "data", progress=lambda *step: steps.append(step))
        again = fetch(facts, tmp_path / "data")
    assert server.asked[1]["Range"] == f"bytes={len(data) // 2}-"
    assert len(server.asked) == 2
    assert result.folder == tmp_path / "data" / "ModelNet10"
    assert (result.sha256, result.counts) == (mini.sha256, {"train": 6, "test": 2})
    assert any(note.startswith(f"SHA-256 {mini.sha256}, as TensorFlow") for note in result.notes)
    assert texts(result.folder) == {"README.txt": "about", **MESHES}
    assert names(tmp_path / "data") == ["ModelNet10", "ModelNet10.json", "ModelNet10.zip"]
    assert steps[-1] == (mini.size, mini.size)
    record = json.loads((tmp_path / "data" / "ModelNet10.json").read_text())
    assert record["sha256"] == mini.sha256
    assert record["source"] == server.url
    assert "already and complete (6 train, 2 test); nothing was done" in again.notes[0]
    assert (again.folder, again.sha256, again.counts) == (result.folder, result.sha256, result.counts)


def test_without_a_pinned_checksum_the_first_one_is_recorded(tmp_path, mini, archive):
    data = archive.read_bytes()
    other = packed(tmp_path / "other.zip", {name: text.replace("1 0 0", "2 0 0") for name, text in MESHES.items()})
    assert len(other.read_bytes()) == len(data)
    with serving(whole(data), whole(data), whole(other.read_bytes())) as server:
        facts = dataclasses.replace(mini, url=server.url, sha256=None)
        first = fetch(facts, tmp_path / "data")
        assert f"no checksum is published for ModelNet10: SHA-256 {first.sha256} is recorded" in first.notes[1]
        (tmp_path / "data" / "ModelNet10.zip").unlink()
        second = fetch(facts, tmp_path / "data", force=True)
        assert second.notes[1] == f"SHA-256 {first.sha256}, as at the first download"
        (tmp_path / "data" / "ModelNet10.zip").unlink()
        with pytest.raises(NetworkError, match="expected " + str(first.sha256)):
            fetch(facts, tmp_path / "data", force=True)
    assert texts(first.folder) == {"README.txt": "about", **MESHES}


def test_a_kept_archive_is_not_downloaded_again(tmp_path, mini, archive):
    (tmp_path / "data").mkdir()
    archive.rename(tmp_path / "data" / "ModelNet10.zip")
    with serving(status(500)) as server:
        result = fetch(dataclasses.replace(mini, url=server.url), tmp_path / "data")
    assert "nothing was downloaded" in result.notes[0]
    assert server.asked == []


def test_an_archive_of_that_name_that_is_another_is_replaced(tmp_path, mini, archive):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ModelNet10.zip").write_bytes(archive.read_bytes()[:-1])
    with serving(whole(archive.read_bytes())) as server:
        fetch(mini, tmp_path / "data", server.url)
    assert (tmp_path / "data" / "ModelNet10.zip").read_bytes() == archive.read_bytes()


def test_a_dead_address_says_what_else_to_do(tmp_path, mini):
    with serving(status(404)) as server, pytest.raises(NetworkError) as caught:
        fetch(dataclasses.replace(mini, url=server.url), tmp_path / "data")
    line = str(caught.value)
    assert "HTTP 404 Not Found" in line
    assert "modelnet.cs.princeton.edu" in line
    assert "pointkit fetch modelnet10 DIR --source FILE_OR_FOLDER" in line
    assert "\n" not in line
    assert names(tmp_path / "data") == []


@pytest.mark.parametrize(
    ("meshes", "found"),
    [
        (dict(list(MESHES.items())[:-1]), "6 train, 1 test"),
        ({**MESHES, "airplane/train/airplane_0001.off": "OFF"}, "with airplane"),
        ({name: text for name, text in MESHES.items() if "chair" in name}, "without night_stand"),
    ],
)
def test_a_download_that_is_not_the_set_is_removed(tmp_path, mini, meshes, found):
    data = packed(tmp_path / "wrong.zip", meshes).read_bytes()
    with serving(whole(data)) as server:
        facts = dataclasses.replace(mini, url=server.url, size=len(data), sha256=None)
        with pytest.raises(NetworkError, match=found):
            fetch(facts, tmp_path / "data")
    assert names(tmp_path / "data") == []


def test_a_download_that_climbs_is_removed(tmp_path, mini):
    data = packed(tmp_path / "wrong.zip", {**MESHES, "../../out.off": "OFF"}).read_bytes()
    with serving(whole(data)) as server, pytest.raises(NetworkError, match="leads out of the folder"):
        fetch(dataclasses.replace(mini, url=server.url, size=len(data), sha256=None), tmp_path / "data")
    assert names(tmp_path / "data") == []
    assert not (tmp_path / "out.off").exists()


# ---- from the disk


def test_the_published_archive_as_a_file(tmp_path, mini, archive):
    result = fetch(mini, tmp_path / "data", archive)
    assert texts(result.folder) == {"README.txt": "about", **MESHES}
    assert result.notes == (f"SHA-256 {mini.sha256}, {mini.sha256_source}",)
    assert names(tmp_path / "data") == ["ModelNet10", "ModelNet10.json"]
    assert archive.exists()


@pytest.mark.parametrize("top", ["ModelNet10/", ""])
def test_an_archive_that_somebody_packed_anew(tmp_path, mini, top):
    result = fetch(mini, tmp_path / "data", str(packed(tmp_path / "anew.zip", MESHES, top, "anew")))
    assert texts(result.folder) == {"README.txt": "about", **MESHES}
    assert "their content was not compared" in result.notes[0]
    assert result.sha256 in result.notes[0]


@pytest.mark.parametrize("inner", ["", "ModelNet10"])
def test_an_unpacked_folder_is_copied(tmp_path, mini, inner):
    unpacked(tmp_path / "mine" / inner, {**MESHES, "chair/train/notes.txt": "mine", "README.txt": "about"})
    result = fetch(mini, tmp_path / "data", tmp_path / "mine")
    assert texts(result.folder) == {"README.txt": "about", **MESHES}
    assert result.sha256 is None
    assert len(texts(tmp_path / "mine")) == len(MESHES) + 2


@pytest.mark.parametrize("inner", ["", "ModelNet10"])
def test_where_it_stands_already_nothing_is_done(tmp_path, mini, inner):
    folder = unpacked(tmp_path / "data" / inner, MESHES)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")}
    result = fetch(mini, tmp_path / "data")
    assert result.folder == folder
    assert "nothing was done; pointkit did not fetch it" in result.notes[0]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")} == before


def test_sources_that_are_none(tmp_path, mini):
    part = unpacked(tmp_path / "part", {"chair/train/chair_0001.off": "OFF"})
    (tmp_path / "text.zip").write_text("not a zip")
    os.mkfifo(tmp_path / "pipe")
    for source, line in (
        (tmp_path / "missing.zip", "missing.zip: no such file or folder"),
        (
            part,
            r"part: not the whole of ModelNet10 \(1 train, 0 test; without night_stand\), which has 6 train, 2 test",
        ),
        (tmp_path / "text.zip", "text.zip: must be a zip archive"),
        (tmp_path / "pipe", "pipe: neither a plain file nor a folder"),
        ("file:///etc/passwd", "only http:// and https://"),
    ):
        with pytest.raises(PointkitError, match=line):
            fetch(mini, tmp_path / "data", source)
        assert not (tmp_path / "data").exists() or names(tmp_path / "data") == []


def test_the_bounds_hold_for_local_archives(tmp_path, mini, archive):
    with pytest.raises(FormatError, match="the bound is 100"):
        fetch(dataclasses.replace(mini, max_bytes=100), tmp_path / "data", archive)
    assert names(tmp_path / "data") == []


# ---- what goes wrong in the folder


@pytest.mark.parametrize("damage", ["lost", "cut"])
def test_a_damaged_set_is_named_and_force_replaces_it(tmp_path, mini, archive, damage):
    folder = fetch(mini, tmp_path / "data", archive).folder
    victim = folder / "chair" / "train" / "chair_0002.off"
    victim.unlink() if damage == "lost" else victim.write_text("OFF")
    with pytest.raises(PointkitError, match="remove the folder and fetch again"):
        fetch(mini, tmp_path / "data", archive)
    assert fetch(mini, tmp_path / "data", archive, force=True).folder == folder
    assert texts(folder) == {"README.txt": "about", **MESHES}
    assert names(tmp_path / "data") == ["ModelNet10", "ModelNet10.json"]


def test_a_failed_replacement_leaves_what_stood(tmp_path, mini, archive):
    folder = fetch(mini, tmp_path / "data", archive).folder
    (tmp_path / "bad.zip").write_bytes(archive.read_bytes()[:-10])
    with pytest.raises(FormatError):
        fetch(mini, tmp_path / "data", tmp_path / "bad.zip", force=True)
    assert texts(folder) == {"README.txt": "about", **MESHES}


def test_a_killed_extraction_starts_clean(tmp_path, mini, archive):
    unpacked(tmp_path / "data" / ".ModelNet10.writing" / "ModelNet10", {"airplane/train/x.off": "left", "chair": ""})
    assert texts(fetch(mini, tmp_path / "data", archive).folder) == {"README.txt": "about", **MESHES}
    assert names(tmp_path / "data") == ["ModelNet10", "ModelNet10.json"]


def test_a_killed_fetch_is_finished_by_the_same_call(tmp_path, mini, archive):
    data = archive.read_bytes()
    with serving(stalling(data, len(data) // 2), whole(data)) as server:
        code = "import dataclasses; from pointkit.datasets.modelnet import MODELNET10; "
        code += (
            f"dataclasses.replace(MODELNET10, url={server.url!r}, size={len(data)}).fetch({str(tmp_path / 'data')!r})"
        )
        part = tmp_path / "data" / ".ModelNet10.zip.partial"
        with subprocess.Popen([sys.executable, "-c", code]) as process:
            deadline = time.monotonic() + 20
            while not part.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            with pytest.raises(PointkitError) as caught:
                fetch(mini, tmp_path / "data", archive)
            place = tmp_path / "data" / "ModelNet10"
            assert str(caught.value) == f"{place}: in use by the process {process.pid}, which fetches it"
            process.send_signal(signal.SIGKILL)
        result = fetch(dataclasses.replace(mini, url=server.url), tmp_path / "data")
    assert texts(result.folder) == {"README.txt": "about", **MESHES}
    assert names(tmp_path / "data") == ["ModelNet10", "ModelNet10.json", "ModelNet10.zip"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"set": "modelnet10"}'])
def test_a_damaged_record_is_none(tmp_path, mini, archive, text):
    fetch(mini, tmp_path / "data", archive)
    (tmp_path / "data" / "ModelNet10.json").write_text(text)
    assert "nothing was done" in fetch(mini, tmp_path / "data").notes[0]


def test_a_record_of_something_else(tmp_path, mini, archive):
    fetch(mini, tmp_path / "data", archive)
    (tmp_path / "data" / "ModelNet10.json").write_text('{"sha256": 7, "unpacked_bytes": "many"}')
    with pytest.raises(PointkitError, match="many were unpacked"):
        fetch(mini, tmp_path / "data")


def test_a_kill_between_the_two_renames_is_mended(tmp_path, mini, archive):
    folder = fetch(mini, tmp_path / "data", archive).folder
    folder.rename(tmp_path / "data" / ".ModelNet10.replaced")
    (tmp_path / "text.zip").write_text("not a zip")
    with pytest.raises(FormatError):
        fetch(mini, tmp_path / "data", tmp_path / "text.zip")
    assert texts(folder) == {"README.txt": "about", **MESHES}


def test_a_set_that_stands_may_be_on_a_disk_that_cannot_be_written_to(tmp_path, mini, monkeypatch):
    unpacked(tmp_path / "data", MESHES)

    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PointkitError, match="cannot be written to"):
        fetch(mini, tmp_path / "data", force=True)
    assert "nothing was done" in fetch(mini, tmp_path / "data").notes[0]


def test_a_file_in_place_of_the_folder(tmp_path, mini, archive):
    (tmp_path / "data").write_text("")
    with pytest.raises(PointkitError, match="data: cannot be read or written"):
        fetch(mini, tmp_path / "data", archive)


# ---- real data


def test_the_real_layout_is_recognised():
    home = os.environ.get("POINTKIT_DATA")
    if not home or not (pathlib.Path(home) / "mn10_meshes" / "ModelNet10").is_dir():
        pytest.skip("needs the coarse ModelNet10 meshes: set POINTKIT_DATA to the folder that holds mn10_meshes")
    result = MODELNET10.fetch(pathlib.Path(home) / "mn10_meshes")
    assert result.counts == {"train": 3991, "test": 908}
    assert "nothing was done" in result.notes[0]
    sample = pathlib.Path(home) / "off_sample"
    if sample.is_dir():
        with pytest.raises(PointkitError, match="5 train, 149 test"):
            MODELNET10.fetch(sample)
