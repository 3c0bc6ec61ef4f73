"""The page "your data": what is on it, from every command that writes it, and what it refuses."""

import json

import pytest

import pointkit
from pointkit.cli import run
from pointkit.errors import PointkitError
from pointkit.report import data
from tests import shapes


@pytest.fixture
def folder(tmp_path):
    """Ten boxes, ten sticks, and a file that cannot be read."""
    return shapes.write_files(tmp_path / "mine", "<b>broken.xyz")


def test_a_page_has_pictures_counts_findings_and_unread_files(tiny_store):
    finding = {"kind": "copies", "files": [f"{i}.xyz" for i in range(7)], "text": "seven <i>copies</i>"}
    text = data.render(tiny_store, findings=[finding], unread=[("bad.xyz", "no points")], expected="about 3 minutes")
    assert text.count('<img class="picture" src="data:image/png;base64,') == 3 * data.SHAPES
    for words in ("seven &lt;i&gt;copies", "4.xyz and 2 more", "bad.xyz", "no points", "about 3 minutes"):
        assert words in text
    assert "<td>9</td><td>2</td><td>3</td><td>14</td>" in text, "boxes: train, val, test, all"


def test_parts_have_their_colours_and_a_legend(tiny_parts):
    text = data.render(tiny_parts)
    for parts in shapes.PARTS.values():
        for part in parts:
            assert f"</span> {part}" in text
    pictures = data.pictured(tiny_parts)
    assert list(pictures) == list(tiny_parts.classes)
    assert len({picture for some in pictures.values() for picture in some}) == sum(map(len, pictures.values()))


def test_classes_beyond_the_first_are_counted_without_pictures(tiny_store, monkeypatch):
    monkeypatch.setattr(data, "PICTURED", 2)
    text = data.render(tiny_store)
    assert text.count("<img") == 2 * data.SHAPES
    assert "No pictures of the other 1." in text


def test_the_commands_write_the_same_page(folder, tmp_path, capsys):
    pages = {name: tmp_path / f"{name}.html" for name in ("prepare", "dry", "folder", "store", "python")}
    assert run(["prepare", str(folder), "-o", str(tmp_path / "store"), "--page", str(pages["prepare"])]) == 0
    assert run(["prepare", str(folder), "--dry-run", "--page", str(pages["dry"])]) == 0
    assert f"your data: {pages['dry']}" in capsys.readouterr().err
    assert run(["info", str(folder), "--page", str(pages["folder"]), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "folder"
    assert run(["info", str(tmp_path / "store"), "--page", str(pages["store"])]) == 0
    pointkit.prepare(folder, tmp_path / "other" / "store", page=str(pages["python"]))
    texts = {page.read_text() for page in pages.values()}
    assert len(texts) == 1
    assert "&lt;b&gt;broken.xyz" in texts.pop()


def test_a_page_is_refused_before_the_work(folder, tmp_path, capsys):
    (tmp_path / "mine.html").write_text("my own")
    for words, flags in (
        ("--page must end in .html", ["--page", str(tmp_path / "page.pdf")]),
        ("exists already; --force replaces it", ["--page", str(tmp_path / "mine.html")]),
        ("--page must lie in a folder", ["--page", str(tmp_path / "nowhere" / "page.html")]),
    ):
        assert run(["prepare", str(folder), "-o", str(tmp_path / "store"), *flags]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "store").exists()
    assert (tmp_path / "mine.html").read_text() == "my own"
    data.check(tmp_path / "mine.html", force=True)
    with pytest.raises(PointkitError, match="must end in"):
        pointkit.prepare(folder, tmp_path / "store", page=tmp_path / "page")


def test_files_and_runs_have_no_such_page(folder, tiny_run, tmp_path, capsys):
    for path in (folder / "box" / "0.xyz", tiny_run):
        assert run(["info", str(path), "--page", str(tmp_path / "page.html")]) == 2
        assert "--page is for stores and folders of shapes" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()
