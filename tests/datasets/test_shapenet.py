"""Forged miniatures of the sixteen categories go the whole way: served on localhost, checked, unpacked, prepared."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import shutil
import zipfile

import pytest

from pointkit import store
from pointkit.cli import run
from pointkit.datasets import DATASETS
from pointkit.datasets.download import NetworkError, Patience
from pointkit.datasets.shapenet import SHAPENET_PART
from pointkit.datasets.shapenet_part import BENCHMARK
from pointkit.errors import FormatError, PointkitError
from tests.server import cut, serving, status, whole

QUICK = Patience(timeout=0.5, attempts=2, backoff=0.01)
POINTS = "0 0 0\n1 0 0\n0 1 {}\n"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


def annotation(root: pathlib.Path, shapes: int = 3) -> pathlib.Path:
    """Sixteen categories; the first shape of each has no label, and each has a picture that nobody reads."""
    facts = {}
    for directory in BENCHMARK:
        facts[f"thing {directory}"] = {"directory": directory, "lables": ["a", "b"], "colors": ["red", "blue"]}
        for number in range(shapes):
            write(root / directory / "points" / f"{number}.pts", POINTS.format(number))
            write(root / directory / "seg_img" / f"{number}.png", "picture")
            for part in ("a", "b") if number else ():
                write(
                    root / directory / "points_label" / part / f"{number}.seg",
                    "1\n0\n1\n" if part == "a" else "0\n1\n0\n",
                )
    write(root / "metadata.json", json.dumps(facts))
    return root


def normal(root: pathlib.Path) -> pathlib.Path:
    write(root / "synsetoffset2category.txt", "".join(f"thing{name}\t{name}\n" for name in BENCHMARK))
    first = 0
    for directory, parts in BENCHMARK.items():
        for number in range(2):
            write(root / directory / f"{number}.txt", f"0 0 {number} 0 0 1 {first}\n1 0 0 0 0 1 {first + parts - 1}\n")
        first += parts
    return root


def write(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def packed(folder: pathlib.Path, path: pathlib.Path) -> bytes:
    with zipfile.ZipFile(path, "w") as file:
        for each in sorted(folder.rglob("*")):
            file.write(each, each.relative_to(folder.parent))
    return path.read_bytes()


def texts(folder: pathlib.Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def fetch(folder, url="http://127.0.0.1:9/set.zip", source=None):
    return dataclasses.replace(SHAPENET_PART, url=url).fetch(folder, source, patience=QUICK)


def test_the_published_facts():
    assert DATASETS["shapenet-part"] is SHAPENET_PART
    assert SHAPENET_PART.url == "https://git.io/JiY4i"
    assert len(SHAPENET_PART.classes) == 16


def test_the_length_is_the_servers_and_the_checksum_that_of_the_first_download(tmp_path):
    data = packed(annotation(tmp_path / "PartAnnotation"), tmp_path / "set.zip")
    digest = hashlib.sha256(data).hexdigest()
    steps: list[tuple[int, int]] = []
    with serving(whole(data), cut(data, len(data) // 2), whole(data)) as server:
        facts = dataclasses.replace(SHAPENET_PART, url=server.url)
        result = facts.fetch(tmp_path / "data", progress=lambda *step: steps.append(step), patience=QUICK)
        assert len(server.asked) == 3  # the length, the cut, the rest
        again = facts.fetch(tmp_path / "data", patience=QUICK)
        assert len(server.asked) == 3
    assert steps[-1] == (len(data), len(data))
    assert result.folder == tmp_path / "data" / "ShapeNetPart"
    assert result.counts == {"labelled": 32, "unlabelled": 16}
    assert f"SHA-256 {digest} is recorded" in result.notes[-1]
    assert "nothing was done" in again.notes[0]
    assert json.loads((tmp_path / "data" / "ShapeNetPart.json").read_text())["sha256"] == digest
    other = packed(annotation(tmp_path / "other" / "PartAnnotation", 4), tmp_path / "other.zip")
    shutil.rmtree(result.folder)
    (tmp_path / "data" / "ShapeNetPart.zip").unlink()
    with serving(whole(other)) as server, pytest.raises(NetworkError, match=f"expected {digest}"):
        fetch(tmp_path / "data", server.url)


def test_what_was_fetched_can_be_prepared(tmp_path, capsys):
    packed(annotation(tmp_path / "PartAnnotation"), tmp_path / "set.zip")
    assert run(["fetch", "shapenet-part", str(tmp_path / "data"), "--source", str(tmp_path / "set.zip")]) == 0
    assert f"next: pointkit prepare {tmp_path / 'data' / 'ShapeNetPart'}" in capsys.readouterr().err
    assert run(["prepare", str(tmp_path / "data" / "ShapeNetPart"), "-o", str(tmp_path / "store")]) == 0
    assert store.open(tmp_path / "store").manifest["licence"] == SHAPENET_PART.licence


@pytest.mark.parametrize("layout", [annotation, normal])
def test_a_folder_is_copied_without_what_nobody_reads(tmp_path, layout):
    source = layout(tmp_path / "deep" / "set")
    result = fetch(tmp_path / "data", source=source)
    wanted = {name: text for name, text in texts(source).items() if not name.endswith(".png")}
    assert texts(result.folder) == wanted
    assert fetch(tmp_path / "other", source=tmp_path / "deep").counts == result.counts


def test_a_dead_address_says_where_people_get_it(tmp_path):
    with serving(status(404)) as server, pytest.raises(NetworkError) as caught:
        fetch(tmp_path / "data", server.url)
    line = str(caught.value)
    assert line.startswith(f"{server.url}: HTTP 404")
    assert "https://shapenet.org" in line
    assert "pointkit fetch shapenet-part DIR --source FILE_OR_FOLDER" in line
    assert not list((tmp_path / "data").iterdir())


def test_a_server_that_fails_is_asked_again_for_the_length(tmp_path):
    data = packed(annotation(tmp_path / "PartAnnotation"), tmp_path / "set.zip")
    with serving(status(503), whole(data)) as server:
        assert fetch(tmp_path / "data", server.url).counts["labelled"] == 32
    with serving(status(503)) as server, pytest.raises(NetworkError, match="gave up after 2 attempts"):
        fetch(tmp_path / "other", server.url)


def test_a_length_beyond_the_bound_is_refused(tmp_path):
    facts = dataclasses.replace(SHAPENET_PART, max_bytes=10)
    with serving(whole(b"PK\x03\x04" + bytes(100))) as server, pytest.raises(NetworkError, match="announces 104 bytes"):
        dataclasses.replace(facts, url=server.url).fetch(tmp_path / "data", patience=QUICK)


def test_another_set_is_refused(tmp_path):
    write(tmp_path / "set" / "chair" / "a.off", "OFF")
    with pytest.raises(FormatError, match=r"not ShapeNetPart: it has no metadata\.json or synsetoffset2category\.txt"):
        fetch(tmp_path / "data", source=tmp_path / "set")
    part = annotation(tmp_path / "part")
    shutil.rmtree(part / "02691156")
    with pytest.raises(FormatError, match="not the whole of ShapeNetPart: no labelled shape in 02691156"):
        fetch(tmp_path / "data", source=part)
    (part / "metadata.json").write_text("[]")
    with pytest.raises(FormatError, match=r"not ShapeNetPart: .*metadata\.json: must hold a dict"):
        fetch(tmp_path / "data", source=part)
    assert not list((tmp_path / "data").iterdir())


def test_a_set_that_lost_a_file_is_not_taken_for_whole(tmp_path):
    fetch(tmp_path / "data", source=annotation(tmp_path / "set"))
    (tmp_path / "data" / "ShapeNetPart" / "02691156" / "points_label" / "a" / "1.seg").unlink()
    with pytest.raises(PointkitError, match="were unpacked; remove the folder and fetch again"):
        fetch(tmp_path / "data", source=tmp_path / "set")
