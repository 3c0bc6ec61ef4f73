"""Chunks of files: how they are divided, and their files."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pointkit import disk, formats, outputs
from pointkit.cloud import PointCloud, Sample
from pointkit.formats.columns import Meaning
from pointkit.prepare import chunks
from pointkit.prepare.chunks import ReadResult, Rule, Source


def stamp(root, file):
    status = (root / file).stat()
    return Source(file, ((status.st_size, status.st_mtime_ns),))


@given(st.lists(st.integers(0, 5_000_000), max_size=200))
@example([4_000_001, 0])  # an empty file after one that fills a chunk alone
def test_division(sizes):
    sources = [Source(str(i), ((size, 0),)) for i, size in enumerate(sizes)]
    parts = chunks.divide(sources)
    assert [source for part in parts for source in sources[part]] == sources
    for part, after in zip(parts, [*parts[1:], None], strict=False):
        inside = sizes[part]
        assert 1 <= len(inside) <= chunks.MAX_FILES
        assert len(inside) == 1 or sum(inside) <= chunks.MAX_BYTES
        if after:  # no chunk could have taken one file more
            assert len(inside) == chunks.MAX_FILES or sum(inside) + sizes[after.start] > chunks.MAX_BYTES


def test_reading_keeps_results_and_points(tmp_path):
    (tmp_path / "good.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    (tmp_path / "flat.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n2 0 0\n3 0 1 2\n")
    (tmp_path / "bare.off").write_text("OFF\n2 0 0\n0 0 0\n1 0 0\n")
    (tmp_path / "cut.off").write_text("OFF\n3 1 0\n0 0 0\n")
    files = ["good.off", "flat.off", "bare.off", "cut.off"]
    sources = [*(stamp(tmp_path, file) for file in files), Source("gone.off", ((1, 1),)), Source("good.off", ((1, 1),))]
    target = tmp_path / "chunk"
    results = chunks.read(str(tmp_path), sources, Rule(50, 0), str(target))
    assert [result.size for result in results] == [50, 0, 2, 0, 0, 0]
    assert results[1].reason.startswith("a surface needs a face of positive area")
    assert results[2].warnings == ()  # a file without faces is a cloud
    assert "the header promises 3 vertices" in results[3].reason
    assert results[4].reason == "No such file or directory"
    assert results[5].reason == "changed while the set was prepared"
    assert not any(str(tmp_path) in result.reason for result in results)
    kept, clouds = chunks.load(target)
    assert kept == results == chunks.check(target, 6)
    assert [cloud.points.shape for cloud in clouds] == [(50, 3), (0, 3), (2, 3), (0, 3), (0, 3), (0, 3)]
    assert {path.name for path in tmp_path.iterdir()} == {*files, "chunk"}
    assert [len(sample.points) for sample in chunks.samples([target, target])] == [50, 2] * 2


def test_labels_and_features_come_with_their_points(tmp_path):
    rng = np.random.default_rng(0)
    table = np.column_stack([rng.normal(size=(9, 6)).round(4), np.arange(9) % 4])
    np.savetxt(tmp_path / "a.txt", table, "%.4f")
    (tmp_path / "b.txt").write_text("0 0 0 0 0 1 2.5\n")
    sources = [stamp(tmp_path, name) for name in ("a.txt", "b.txt", "a.txt")]
    results = chunks.read(
        str(tmp_path), sources, Rule(5, 0, True, "normal", ("normals", "color")), str(tmp_path / "chunk")
    )
    assert [(o.size, o.labelled, o.features) for o in results] == [
        (9, True, ("normals",)),
        (0, False, ()),
        (9, True, ("normals",)),
    ]
    assert "b.txt" not in results[1].reason
    assert "labels must be whole numbers, got 2.5" in results[1].reason
    kept, samples = chunks.load(tmp_path / "chunk")
    assert kept == results
    for sample in (samples[0], samples[2]):
        rows = np.column_stack([sample.points, sample.features, sample.labels])
        np.testing.assert_allclose(rows[np.lexsort(rows.T)], table[np.lexsort(table.T)], atol=1e-6)


def test_answers_of_ours_are_no_shapes(tmp_path):
    """Whatever they are called: a comment in them says it. The user may say that a field is the truth."""
    cloud = PointCloud(np.eye(3), {"label": np.arange(3)})
    (tmp_path / "scan.ply").write_bytes(b"")
    mark = outputs.mark(tmp_path / "scan.ply", "0123 epoch 4", "labels of stick")
    formats.write(tmp_path / "renamed.ply", cloud, notes=[mark])
    sources = [stamp(tmp_path, "renamed.ply")]
    for meaning, size in ((Meaning(), 0), (Meaning("label"), 3)):
        rule = Rule(5, 0, layout="fields", meaning=meaning)
        [result] = chunks.read(str(tmp_path), sources, rule, str(tmp_path / "chunk"))
        assert result.size == size
        assert result.reason.startswith("holds pointkit's own answers") == (not size)


def test_a_reader_that_fails_in_its_own_way_is_listed(tmp_path, monkeypatch):
    def read(path, meaning):
        raise {"a": MemoryError(), "b": RuntimeError(f"assert {path}\nfailed"), "c": PermissionError(13, "Denied")}[
            path.stem
        ]

    monkeypatch.setattr(chunks.formats, "read", read)
    for name in "abc":
        (tmp_path / f"{name}.off").write_text("x")
    sources = [stamp(tmp_path, f"{n}.off") for n in "abc"]
    results = chunks.read(str(tmp_path), sources, Rule(5, 0), str(tmp_path / "chunk"))
    assert [result.reason for result in results] == [
        "reading it takes more memory than there is",
        "RuntimeError: assert b.off failed",
        "Denied",
    ]


def test_a_damaged_chunk_is_not_believed(tmp_path):
    points = np.arange(30, dtype=np.float32).reshape(10, 3)
    results = [ReadResult(10, disk.digest(points.data), ()), chunks.unread("cut")]
    path = tmp_path / "chunk"
    chunks.save(path, results, [Sample(points), Sample.nothing()])
    whole = path.read_bytes()
    assert chunks.check(path, 2) == results
    assert chunks.check(path, 3) is None
    assert chunks.check(tmp_path / "none", 2) is None
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert chunks.check(path, 2) is None
    for place in range(whole.index(b"\n") + 1, len(whole), 11):
        flipped = bytearray(whole)
        flipped[place] ^= 4
        path.write_bytes(flipped)
        assert chunks.check(path, 2) is None
    empty = hashlib.sha256(b"").hexdigest()
    lists = [[], [1], [[10, "x", [], ""]], [[-1, "x", [], ""]]]
    for header in ({}, [1], {"sha256": "", "results": []}, *({"sha256": empty, "results": some} for some in lists)):
        path.write_bytes(json.dumps(header).encode() + b"\n")
        assert chunks.check(path, 1) is None


def test_a_chunk_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "chunk").mkdir()  # a rename onto a folder fails
    with pytest.raises(OSError):
        chunks.save(tmp_path / "chunk", [], [])
    assert [path.name for path in tmp_path.iterdir()] == ["chunk"]
