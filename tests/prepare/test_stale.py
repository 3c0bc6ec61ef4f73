"""A file that changed is read again, though its name stays: also one that lies beside the file that names it."""

import json
import os
import shutil

import numpy as np
import pytest

from pointkit import formats
from pointkit.errors import StoreError
from pointkit.prepare import chunks, prepare
from pointkit.prepare.chunks import Rule, Source
from tests.prepare.test_prepare import Here, interrupt

COUNT = 40


def cloud(seed):
    return np.random.default_rng(seed).normal(size=(COUNT, 3)).astype("<f4")


def text(points, *more):
    return "".join(" ".join(f"{number:.4f}" for number in row) + "\n" for row in np.column_stack([points, *more]))


def with_buffers(root):
    """Classes of .gltf clouds, each with a buffer in a file of its own."""
    for number in range(8):
        path = root / f"class {number % 2}" / f"{number}.gltf"
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = {"buffer": 0, "byteLength": COUNT * 12}
        places = {"bufferView": 0, "componentType": 5126, "count": COUNT, "type": "VEC3"}
        path.write_text(
            json.dumps(
                {
                    "asset": {"version": "2.0"},
                    "buffers": [{"uri": f"{number}.bin", "byteLength": COUNT * 12}],
                    "bufferViews": [whole],
                    "accessors": [places],
                    "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "mode": 0}]}],
                    "nodes": [{"mesh": 0}],
                    "scenes": [{"nodes": [0]}],
                }
            )
        )
        path.with_suffix(".bin").write_bytes(cloud(number).tobytes())
    return root / "class 0" / "4.bin", cloud(99).tobytes(), {}


def with_labels(root):
    """Clouds with their labels in files beside them."""
    root.mkdir(parents=True)
    for number in range(8):
        (root / f"{number}.xyz").write_text(text(cloud(number)))
        (root / f"{number}.txt").write_text("".join(f"{i % 2}\n" for i in range(COUNT)))
    return root / "4.txt", "".join(f"{i // 20}\n" for i in range(COUNT)).encode(), {"task": "parts"}


def of_pieces(root):
    """Shapes of which each part is a file."""
    for number in range(8):
        for i, part in enumerate(("leg", "seat")):
            path = root / f"stool_{number}" / f"{part}.xyz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text(np.abs(cloud(number * 2 + i))))
    return root / "stool_4" / "leg.xyz", text(np.abs(cloud(99))).encode(), {"task": "parts", "folders": "pieces"}


def contents(made):
    return made.store.points.tobytes(), np.asarray(made.store.point_labels).tobytes()


@pytest.mark.parametrize("later", [True, False])
@pytest.mark.parametrize("kind", [with_buffers, with_labels, of_pieces])
def test_what_changed_beside_is_read_again(kind, later, tmp_path):
    path, new, settings = kind(tmp_path / "set")
    settings |= {"num_points": 16}
    before = contents(prepare(tmp_path / "set", tmp_path / "before", executor=Here(), **settings))
    interrupt(tmp_path / "set", tmp_path / "out", 8, **settings)
    size, time = formats.stamps(path)[0]
    assert len(new) == size
    path.write_bytes(new)
    time += 10**13 if later else -(10**12)  # an old file may take the place of a new one
    os.utime(path, ns=(time, time))
    made = prepare(tmp_path / "set", tmp_path / "out", executor=Here(), **settings)
    assert made.resumed == 0
    assert contents(made) != before
    assert contents(made) == contents(prepare(tmp_path / "set", tmp_path / "fresh", executor=Here(), **settings))
    with pytest.raises(StoreError, match="made with other files; --force replaces it"):
        prepare(tmp_path / "set", tmp_path / "before", executor=Here(), **settings)
    assert contents(prepare(tmp_path / "set", tmp_path / "before", executor=Here(), force=True, **settings)) != before


def test_a_set_that_moved_with_its_store_is_read_once_and_stays(tmp_path, monkeypatch):
    with_labels(tmp_path / "here" / "set")
    settings = {"task": "parts", "num_points": 16}
    before = contents(prepare(tmp_path / "here" / "set", tmp_path / "here" / "out", executor=Here(), **settings))
    shutil.copytree(tmp_path / "here", tmp_path / "there")  # each file keeps its time
    read, seen = [], chunks.read
    monkeypatch.setattr(chunks, "read", lambda *args: read.append(args) or seen(*args))
    for times in (1, 0):
        made = prepare(tmp_path / "there" / "set", tmp_path / "there" / "out", executor=Here(), **settings)
        assert made.already
        assert contents(made) == before
        assert len(read) == times
        read.clear()
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["out", "set"]


def test_a_buffer_that_changes_while_it_is_read_is_listed(tmp_path):
    path, new, _ = with_buffers(tmp_path / "set")
    file = path.with_suffix(".gltf")
    source = Source("4.gltf", formats.stamps(file))
    assert [size for size, _ in source.stamps] == [file.stat().st_size, COUNT * 12]
    [result] = chunks.read(str(path.parent), [source], Rule(16, 0), str(tmp_path / "chunk"))
    assert result.size == 16
    path.write_bytes(new + b"\0")
    [result] = chunks.read(str(path.parent), [source], Rule(16, 0), str(tmp_path / "chunk"))
    assert result.reason == "changed while the set was prepared"


def test_what_a_file_names_is_looked_at_in_its_folder_alone(tmp_path):
    (tmp_path / "out.bin").write_bytes(b"0")
    (tmp_path / "set").mkdir()
    path = tmp_path / "set" / "a.gltf"
    for uri, found in (("../out.bin", 0), ("gone.bin", 1), ("data:,x", 0), ("https://a.org/b.bin", 0), (7, 0)):
        path.write_text(json.dumps({"buffers": [{"uri": uri}]}))
        assert formats.stamps_beside(path) == ((0, 0),) * found
    for text_of_it in ("", "[]", '{"buffers": 3}', '{"buffers": [1]}', "[" * 100_000):
        path.write_text(text_of_it)
        assert formats.stamps_beside(path) == ()
    os.mkfifo(tmp_path / "set" / "pipe.gltf")
    assert formats.stamps_beside(tmp_path / "set" / "pipe.gltf") == ()
    assert formats.stamps(tmp_path / "set" / "nothing.gltf") == ()


def test_killed_while_a_store_is_compared_it_is_made_all_the_same(tmp_path):
    with_labels(tmp_path / "set")
    settings = {"task": "parts", "num_points": 16}
    before = contents(prepare(tmp_path / "set", tmp_path / "out", executor=Here(), **settings))
    left = tmp_path / ".out.partial" / "tmp1"  # where a comparison was at work
    left.mkdir(parents=True)
    (left / "a.chunk").write_bytes(b"half")
    made = prepare(tmp_path / "set", tmp_path / "out", executor=Here(), force=True, **settings)
    assert contents(made) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set"]


def turned_link(root, other):
    """A link leads to another file, whose own times are old."""
    file = root / "class 0" / "4.xyz"
    file.rename(other / "old.xyz")
    file.symlink_to(other / "old.xyz")
    yield
    file.unlink()
    file.symlink_to(other / "new.xyz")
    yield


def swapped_folder(root, other):
    """A folder takes the place of another, with its files as they were."""
    shutil.copytree(root / "class 0", other / "class 0")
    (other / "new.xyz").replace(other / "class 0" / "4.xyz")
    yield
    (root / "class 0").rename(other / "was")
    (other / "class 0").rename(root / "class 0")
    yield


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("change", [turned_link, swapped_folder])
def test_a_link_and_a_folder_may_take_anothers_place(change, inside, tmp_path):
    root, other = tmp_path / "set", tmp_path / "other"
    other.mkdir()
    for number in range(8):
        path = root / f"class {number % 2}" / f"{number}.xyz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(np.abs(cloud(number))))
    (other / "new.xyz").write_text(text(np.abs(cloud(99))))
    out = root / "out" if inside else tmp_path / "out"
    steps = change(root, other)
    next(steps)
    prepare(root, out, num_points=16, executor=Here())
    assert prepare(root, out, num_points=16, executor=Here()).already
    next(steps)
    with pytest.raises(StoreError, match="made with other files; --force replaces it"):
        prepare(root, out, num_points=16, executor=Here())
