"""Files -> store: layouts, splits, bad files, kills, deaths, full disks, and the same bytes in the end."""

import concurrent.futures
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest

from pointkit import disk, store
from pointkit.errors import MachineError, PointkitError, StoreError
from pointkit.prepare import chunks, prepare, reading
from tests.limits import files_of_at_most

DATA = os.environ.get("POINTKIT_DATA")
READ = chunks.read


def mesh(seed: int) -> str:
    corners = np.random.default_rng(seed).normal(size=(4, 3)).round(4)
    lines = [" ".join(map(str, corner)) for corner in corners]
    return "\n".join(["OFF", "4 4 0", *lines, "3 0 1 2", "3 0 1 3", "3 0 2 3", "3 1 2 3"]) + "\n"


def make(root: pathlib.Path, files: list[str]) -> pathlib.Path:
    for i, file in enumerate(files):
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(mesh(i))
    return root


def official(train: int = 20, test: int = 3) -> list[str]:
    numbers = {"train": train, "test": test}
    return [
        f"{name}/{split}/{name}_{i:03}.off"
        for name in ("bed", "chair")
        for split in numbers
        for i in range(numbers[split])
    ]


@pytest.fixture
def source(tmp_path):
    return make(tmp_path / "set", official())


class Here(concurrent.futures.Executor):
    """Runs a job where it is: for the tests that are not about processes, whose start costs more than all the rest."""

    def submit(self, fn, /, *args):
        future = concurrent.futures.Future()
        try:
            future.set_result(fn(*args))
        except Exception as error:
            future.set_exception(error)
        return future


def quick(*args, **settings):
    return prepare(*args, executor=Here(), **settings)


def contents(made: store.Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(made.path.iterdir())}


def counts(made: store.Store) -> dict[tuple[str, str], int]:
    return dict(Counter((row.class_name, row.split) for row in made.rows))


def names(folder: pathlib.Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def refusal(*args, kind=PointkitError, **kwargs) -> str:
    with pytest.raises(kind) as caught:
        quick(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- what comes out


def test_an_official_split_gives_a_tenth_of_train_to_val(source, tmp_path):
    done = prepare(source, tmp_path / "out", num_points=64)
    assert counts(done.store) == {
        (name, split): n for name in ("bed", "chair") for split, n in (("train", 18), ("val", 2), ("test", 3))
    }
    assert done.store.manifest["split"] == "official, a tenth of train held out as val by class and group, seed 0"
    assert done.store.manifest["counts"]["val"] == {"bed": 2, "chair": 2}
    assert (done.unread, done.warnings, done.already, done.resumed) == ((), (), False, 0)
    assert all(row.file.startswith(f"{row.class_name}/") and row.ident + ".off" == row.file for row in done.store.rows)
    assert {row.file.split("/")[1] for row in done.store.rows if row.split == "test"} == {"test"}
    assert set(done.store.counts) == {64}
    assert names(tmp_path) == {"set", "out"}
    store.verify(done.store)


def test_no_split_gives_70_10_20(tmp_path):
    make(tmp_path / "set", [f"{name}/{i:02}.off" for name in ("bed", "chair") for i in range(20)])
    done = quick(tmp_path / "set", tmp_path / "out", num_points=8)
    assert counts(done.store) == {
        (name, split): n for name in ("bed", "chair") for split, n in (("train", 14), ("val", 2), ("test", 4))
    }
    assert done.store.manifest["split"] == "70/10/20 by class and group, seed 0"
    other = quick(tmp_path / "set", tmp_path / "other", num_points=8, seed=1)
    assert [row.split for row in other.store.rows] != [row.split for row in done.store.rows]


def test_a_whole_official_split_is_left_alone(tmp_path):
    files = [
        f"{split}/{name}/{i}.off" for split in ("train", "val", "test") for name in ("bed", "chair") for i in range(3)
    ]
    done = quick(make(tmp_path / "set", files), tmp_path / "out", num_points=8)
    assert done.store.manifest["split"] == "official"
    assert all(row.file.startswith(row.split) for row in done.store.rows)


def test_points_are_what_draw_gives(source, tmp_path):
    from pointkit import formats, preprocess

    done = quick(source, tmp_path / "out", num_points=32, seed=5)
    for i in (0, 17, 45):
        shape = formats.read(source / done.store.rows[i].file)
        np.testing.assert_array_equal(done.store.cloud(i), preprocess.draw(shape, 32, 5).points)


def test_the_same_bytes_for_any_number_of_workers_place_and_wrapper(source, tmp_path, monkeypatch):
    (source / "bed/train/bed_003.off").write_text("OFF\n9 9 9\n")
    monkeypatch.setattr(chunks, "MAX_FILES", 3)
    one = contents(prepare(source, tmp_path / "one", num_points=64, workers=1).store)
    assert set(one) == {"points.npy", "shapes.csv", "manifest.json", "unread.csv"}
    for workers in (2, 5):
        assert contents(prepare(source, tmp_path / str(workers), num_points=64, workers=workers).store) == one
    wrapped = tmp_path / "elsewhere" / "wrapped"
    shutil.copytree(source, wrapped / "set")
    assert contents(prepare(wrapped, tmp_path / "out", num_points=64).store) == one
    monkeypatch.chdir(tmp_path / "elsewhere" / "wrapped" / "set")
    assert contents(prepare(".", "../relative", num_points=64).store) == one
    text = one["manifest.json"].decode()
    assert str(tmp_path) not in text
    assert time.strftime("%Y-") not in text


def test_progress_by_class(source, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "MAX_FILES", 5)
    said = []
    quick(source, tmp_path / "out", num_points=8, progress=lambda *args: said.append(args))
    assert said[0] == (0, 46, {"bed": (0, 23), "chair": (0, 23)})
    assert said[-1] == (46, 46, {"bed": (23, 23), "chair": (23, 23)})
    done = [number for number, _, _ in said]
    assert done == sorted(done)
    assert len(set(done)) == 11
    assert all(number == sum(some for some, _ in classes.values()) for number, _, classes in said)


def test_a_known_set_brings_its_licence(tmp_path):
    from pointkit.datasets import DATASETS

    known = DATASETS["modelnet10"]
    done = quick(
        make(tmp_path / "ModelNet10", [f"{c}/test/1.off" for c in known.classes]), tmp_path / "out", num_points=8
    )
    assert done.store.manifest["licence"] == known.licence
    assert done.store.manifest["citation"] == known.citation
    other = quick(make(tmp_path / "x/ModelNet10", ["a/test/1.off", "b/test/1.off"]), tmp_path / "other", num_points=8)
    assert "licence" not in other.store.manifest


# ---- files that cannot be read


BAD = {
    "bed/train/bed_000.off": ("OFF\n0 0 0\n", "no vertices"),
    "bed/train/bed_001.off": ("", "empty"),
    "bed/test/bed_002.off": ("OFF\n4 4 0\n0 0 0\n", "promises 4 vertices"),
    "chair/train/chair_005.off": ("OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 2\n", "positive area"),
    "chair/train/chair_006.off": ("solid", "begins with OFF"),
}


@pytest.fixture
def damaged(source):
    for file, (text, _) in BAD.items():
        (source / file).write_text(text)
    os.mkfifo(source / "chair/train/pipe.off")
    (source / "chair/train/nothing.off").symlink_to("nowhere")
    return source


def test_bad_files_are_listed_and_the_others_prepared(damaged, tmp_path):
    done = prepare(damaged, tmp_path / "out", num_points=16)
    reasons = dict(done.unread)
    assert set(reasons) == {*BAD, "chair/train/pipe.off", "chair/train/nothing.off"}
    for file, (_, part) in BAD.items():
        assert part in reasons[file]
    assert "regular file" in reasons["chair/train/pipe.off"]
    assert reasons["chair/train/nothing.off"] == "No such file or directory"
    assert not any(str(tmp_path) in reason or "\n" in reason for reason in reasons.values())
    rows = disk.csv_rows(done.store.path / "unread.csv")
    assert [(row["file"], row["reason"]) for row in rows] == list(done.unread) == sorted(done.unread)
    assert done.store.manifest["unread"] == 7
    assert len(done.store.rows) == 46 - len(BAD)
    store.verify(done.store)


def test_strict_lists_them_beside_and_loses_no_work(damaged, tmp_path):
    message = refusal(damaged, tmp_path / "out", num_points=16, strict=True)
    listed = tmp_path / "out.unread.csv"
    assert message.startswith(f"{damaged}: --strict, and 7 files could not be read, such as bed/test/bed_002.off (")
    assert message.endswith(f"listed in {listed}")
    assert len(disk.csv_rows(listed)) == 7
    assert not (tmp_path / "out").exists()
    done = prepare(damaged, tmp_path / "out", num_points=16)
    assert done.resumed == 48
    assert names(tmp_path) == {"set", "out"}
    assert refusal(damaged, tmp_path / "out", num_points=16, strict=True) == message  # also where the store stands


def test_a_class_that_lost_its_files_is_an_error(source, tmp_path):
    for path in (source / "chair/train").iterdir():
        path.write_text("OFF\n0 0 0\n")
    message = refusal(source, tmp_path / "out", num_points=16)
    assert (
        "the class 'chair' has lost all its training files: 20 files could not be read, such as chair/train/" in message
    )
    for path in (source / "chair/test").iterdir():
        path.write_text("OFF\n0 0 0\n")
    assert "the class 'chair' has lost all its files" in refusal(source, tmp_path / "out", num_points=16)
    assert len(disk.csv_rows(tmp_path / "out.unread.csv")) == 23
    assert not (tmp_path / "out").exists()


def test_a_set_with_test_shapes_alone_is_prepared_with_a_warning(tmp_path):
    files = [f"{name}/test/{i}.off" for name in ("bed", "chair", "desk") for i in range(3)]
    files += [f"bed/train/{i}.off" for i in range(10, 15)] + ["sofa/train/1.off"]
    done = quick(make(tmp_path / "set", files), tmp_path / "out", num_points=16)
    assert done.warnings == (
        "no training shapes for chair, desk: the store can be evaluated and predicted on, not trained on",
        "no validation shapes for sofa",
        "no test shapes for sofa: their accuracy will be n/a",
    )
    assert counts(done.store)[("bed", "train")] == 4
    assert done.store.manifest["warnings"] == list(done.warnings)


def test_a_file_that_changes_meanwhile_is_listed(source, tmp_path):
    def meddle(done, total, classes):
        (source / "bed/train/bed_004.off").write_text(mesh(99) + "\n")
        (source / "bed/train/bed_005.off").unlink(missing_ok=True)

    done = quick(source, tmp_path / "out", num_points=16, progress=meddle)
    assert done.unread == (
        ("bed/train/bed_004.off", "changed while the set was prepared"),
        ("bed/train/bed_005.off", "No such file or directory"),
    )


def test_what_the_user_should_know_of_the_shapes(source, tmp_path):
    for i in range(7):
        (source / f"bed/train/bed_{i:03}.off").write_text(
            f"OFF\n{i + 2} 0 0\n" + "".join(f"{j} 0 {i}\n" for j in range(i + 2))
        )
    (source / "bed/notes.md").write_text("hello")
    done = quick(source, tmp_path / "out", num_points=16)
    assert done.warnings == (
        "files left out because nothing here reads their suffix: 1 .md",
        "7 shapes hold fewer than 16 points (the fewest 2); each keeps all it has, shapes.csv counts them",
    )
    assert done.store.counts[3] == 2


# ---- groups and copies


def test_copies_stay_on_one_side(tmp_path):
    make(tmp_path / "set", [f"{name}/{i:02}.off" for name in ("bed", "chair") for i in range(20)])
    for i in range(5):
        shutil.copy(tmp_path / f"set/bed/{i:02}.off", tmp_path / f"set/bed/copy of {i:02}.off")
    for seed in range(4):
        done = quick(tmp_path / "set", tmp_path / f"out{seed}", num_points=8, seed=seed)
        side = {row.ident: row.split for row in done.store.rows}
        assert all(side[f"bed/{i:02}"] == side[f"bed/copy of {i:02}"] for i in range(5))
    groups = {row.ident: row.group for row in done.store.rows if row.group}
    assert groups == {f"bed/{prefix}{i:02}": f"bed/{i:02}" for i in range(5) for prefix in ("", "copy of ")}
    assert done.warnings == ()


def test_copies_across_an_official_split_or_classes_are_said_once(source, tmp_path):
    shutil.copy(source / "bed/train/bed_007.off", source / "bed/test/again.off")
    shutil.copy(source / "chair/train/chair_001.off", source / "bed/train/chair?.off")
    done = quick(source, tmp_path / "out", num_points=8)
    assert done.warnings == ()
    copies = [one["text"] for one in done.store.manifest["findings"] if one["kind"] == "copies"]
    assert len(copies) == 2
    assert "across splits (bed/test/again.off = bed/train/bed_007.off)" in copies[0]
    assert "across classes (bed/train/chair?.off = chair/train/chair_001.off)" in copies[1]


def test_groups_from_a_table(tmp_path):
    make(tmp_path / "in/set", [f"{name}/{i:02}.off" for name in ("bed", "chair") for i in range(30)])
    rows = [
        (f"{prefix}{name}/{i:02}.off", f"object {i // 3}")
        for prefix, name in (("", "bed"), ("set/", "chair"))
        for i in range(30)
    ]
    table = tmp_path / "groups.csv"
    table.write_text(disk.csv_text(("file", "group"), rows[:-3]))
    done = quick(tmp_path / "in", tmp_path / "out", num_points=8, groups=table)
    sides = {(row.ident[-2:], row.split) for row in done.store.rows if row.ident < "chair/27"}
    assert (
        len({(int(number) // 3, split) for number, split in sides}) == 10
    )  # an object is in one split, in both classes
    assert done.store.rows[-1].group == ""
    without = quick(tmp_path / "in", tmp_path / "without", num_points=8)
    assert [row.split for row in without.store.rows] != [row.split for row in done.store.rows]
    assert "made with other groups" in refusal(tmp_path / "in", tmp_path / "out", num_points=8)


def test_a_table_with_mistakes_is_refused(source, tmp_path):
    table = tmp_path / "groups.csv"
    for text, found in (
        ("name,group\nx,y\n", "needs the columns file and group and a row, found name, group"),
        ("", "needs the columns file and group and a row, found none"),
        ("file,group\nbed/train/bed_000.off,a\nbed/none.off,b\n", "line 3: no file 'bed/none.off'"),
        ("file,group\nbed/train/bed_000.off,a\nbed/train/bed_000.off,b\n", "line 3: .* in two groups, 'a' and 'b'"),
    ):
        table.write_text(text)
        with pytest.raises(PointkitError, match=f"groups.csv: {found}"):
            quick(source, tmp_path / "out", groups=table)
    with pytest.raises(PointkitError, match=r"nowhere.csv: cannot be read as a CSV file \(.*No such file"):
        quick(source, tmp_path / "out", groups=tmp_path / "nowhere.csv")
    assert names(tmp_path) == {"set", "groups.csv"}


# ---- interruptions


class Enough(Exception):
    """Stands for a kill: raised from the progress callback."""


def interrupt(source, output, after, **settings):
    def progress(done, total, classes):
        if done >= after:
            raise Enough

    with pytest.raises(Enough):
        prepare(source, output, workers=1, progress=progress, **settings)


def test_what_was_read_is_not_read_again(source, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "MAX_FILES", 4)
    whole = contents(quick(source, tmp_path / "whole", num_points=16).store)
    interrupt(source, tmp_path / "out", 20, num_points=16)
    assert names(tmp_path) == {"set", "whole", ".out.partial"}
    for path in [path for path in sorted(source.rglob("*.off")) if path.is_file()][
        :20
    ]:  # unreadable, yet unchanged to a look
        status = path.stat()
        path.write_bytes(b"x" * status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    done = quick(source, tmp_path / "out", num_points=16)
    assert done.resumed >= 20
    assert contents(done.store) == whole
    assert names(tmp_path) == {"set", "whole", "out"}


def test_a_damaged_chunk_is_read_again(source, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "MAX_FILES", 4)
    whole = contents(quick(source, tmp_path / "whole", num_points=16).store)
    interrupt(source, tmp_path / "out", 20, num_points=16)
    kept = sorted((tmp_path / ".out.partial").glob("*.chunk"))
    kept[0].write_bytes(kept[0].read_bytes()[:-1])
    kept[1].write_bytes(kept[1].read_bytes()[:-1] + b"!")
    done = quick(source, tmp_path / "out", num_points=16)
    assert done.resumed == 4 * (len(kept) - 2)
    assert contents(done.store) == whole


@pytest.mark.parametrize("change", ["seed", "points", "file"])
def test_work_for_other_files_or_settings_is_not_taken(source, tmp_path, monkeypatch, change):
    monkeypatch.setattr(chunks, "MAX_FILES", 4)
    interrupt(source, tmp_path / "out", 20, num_points=16)
    if change == "file":
        (source / "bed/test/bed_000.off").write_text(mesh(1000))
    settings = {"num_points": 17 if change == "points" else 16, "seed": 1 if change == "seed" else 0}
    done = quick(source, tmp_path / "out", **settings)
    assert done.resumed == 0
    assert contents(done.store) == contents(quick(source, tmp_path / "whole", **settings).store)


def test_killed_at_many_moments(source, tmp_path):
    whole = contents(prepare(source, tmp_path / "whole", num_points=4096).store)
    script = (
        "import sys; from pointkit import prepare; from pointkit.prepare import chunks; chunks.MAX_FILES = 2; "
        "prepare.prepare(*sys.argv[1:], num_points=4096, workers=2, progress=lambda done, *_: print(done, flush=True))"
    )
    command = [sys.executable, "-c", script, str(source), str(tmp_path / "out")]
    killed = 0
    for moment in (0, 16, 46, 46):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                if int(line) >= moment:
                    break
            time.sleep(0.002 * killed)
            process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
        left = names(tmp_path) - {"set", "whole"}
        assert left <= {".out.lock", ".out.lock.db", ".out.partial", ".out.writing", "out"}
    assert killed >= 2
    assert contents(prepare(source, tmp_path / "out", num_points=4096).store) == whole
    assert names(tmp_path) == {"set", "whole", "out"}


def killer(root, sources, rule, target):
    """A reader that crashes on one file, and hangs on another."""
    if any("bed_003" in source.file for source in sources):
        os.kill(os.getpid(), signal.SIGKILL)
    if any("chair_003" in source.file for source in sources):
        time.sleep(600)
    return READ(root, sources, rule, target)


def test_a_reader_that_dies_or_hangs_costs_its_own_file(source, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "read", killer)
    monkeypatch.setattr(reading, "DEADLINE", 3.0)
    (source / "bed/test/bed_003.off").write_text(mesh(3))
    (source / "chair/test/chair_003.off").unlink(missing_ok=True)
    done = prepare(source, tmp_path / "out", num_points=16, workers=2)
    assert done.unread == (
        ("bed/test/bed_003.off", "the process that read it died (signal SIGKILL)"),
        ("bed/train/bed_003.off", "the process that read it died (signal SIGKILL)"),
        ("chair/train/chair_003.off", "no answer within 3 seconds"),
    )
    monkeypatch.setattr(chunks, "read", READ)
    for file, _ in done.unread:
        (source / file).write_text("OFF\n0 0 0\n")
    plain = prepare(source, tmp_path / "plain", num_points=16)
    assert plain.store.checksum == done.store.checksum
    assert names(tmp_path) == {"set", "out", "plain"}


def test_any_executor_will_do(source, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "MAX_FILES", 4)
    whole = contents(prepare(source, tmp_path / "whole", num_points=16).store)
    with concurrent.futures.ThreadPoolExecutor(3) as executor:
        assert contents(prepare(source, tmp_path / "out", num_points=16, executor=executor).store) == whole


class Broken(concurrent.futures.Executor):
    """Each job fails as it does where a pool of processes has broken."""

    def submit(self, fn, /, *args):
        future = concurrent.futures.Future()
        future.set_exception(concurrent.futures.BrokenExecutor("a process died"))
        return future


def test_a_broken_executor_is_made_up_for(tmp_path):
    source = make(tmp_path / "set", official(2, 1))
    whole = contents(prepare(source, tmp_path / "whole", num_points=16).store)
    assert contents(prepare(source, tmp_path / "out", num_points=16, executor=Broken()).store) == whole


# ---- the place


def test_a_store_that_stands(source, tmp_path):
    first = quick(source, tmp_path / "out", num_points=16)
    made = contents(first.store)
    again = quick(source, tmp_path / "out", num_points=16, workers=2)
    assert again.already
    assert not first.already
    assert (again.unread, again.warnings) == (first.unread, first.warnings)
    message = refusal(source, tmp_path / "out", num_points=32, seed=1, kind=StoreError)
    assert message.startswith(
        f"{tmp_path / 'out'}: exists, made with other num_points_drawn, seed; --force replaces it"
    )
    assert contents(store.open(tmp_path / "out")) == made
    forced = quick(source, tmp_path / "out", num_points=32, force=True)
    assert set(forced.store.counts) == {32}
    path = source / "bed/test/bed_000.off"
    later = time.time_ns() + 10**9
    os.utime(path, ns=(later, later))  # as large as before, but written since
    assert "made with other files" in refusal(source, tmp_path / "out", num_points=32)
    path.unlink()
    assert "made with other files" in refusal(source, tmp_path / "out", num_points=32)
    assert names(tmp_path) == {"set", "out"}


def test_a_store_inside_its_own_source(source):
    quick(source, source / "out", num_points=16)
    assert quick(source, source / "out", num_points=16).already
    forced = quick(source, source / "out", num_points=16, force=True)
    assert forced.store.classes == ("bed", "chair")
    assert forced.warnings == ()


def test_two_at_once(source, tmp_path):
    said = []

    def second(done, total, classes):
        if not said:
            said.append(refusal(source, tmp_path / "out", num_points=16))

    prepare(source, tmp_path / "out", num_points=16, progress=second)
    assert said == [f"{tmp_path / 'out'}: in use by the process {os.getpid()}, which prepares it"]
    assert names(tmp_path) == {"set", "out"}


def test_what_a_killed_one_left_is_removed(source, tmp_path):
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / ".0123456789abcdef.writing").write_text("half a chunk")
    (tmp_path / ".out.writing").mkdir()
    (tmp_path / ".out.writing" / "points.npy").write_text("half a store")
    (tmp_path / ".out.lock").write_text("1")
    quick(source, tmp_path / "out", num_points=16)
    assert names(tmp_path) == {"set", "out"}


def test_one_level_above_the_store_may_be_missing(source, tmp_path):
    assert quick(source, tmp_path / "data" / "out", num_points=16).store.path == tmp_path / "data" / "out"


def test_places_that_cannot_be(source, tmp_path):
    assert "nowhere must exist, found none" in refusal(source, tmp_path / "nowhere" / "deeper" / "out")
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "file").write_text("text")
    assert "file must exist, found a file" in refusal(source, tmp_path / "file" / "out")
    assert "file: exists and is not a store" in refusal(source, tmp_path / "file", force=True)
    assert "set: exists and is not a store" in refusal(source, source, force=True)
    assert sum(1 for _ in source.rglob("*.off")) == 46
    assert (tmp_path / "file").read_text() == "text"
    assert names(tmp_path) == {"set", "file"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(source, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o555)
    assert "locked cannot be written to" in refusal(source, tmp_path / "locked" / "out")


def test_settings_that_cannot_be(source, tmp_path):
    assert refusal(source, tmp_path / "out", num_points=0) == "num_points must be at least 1, got 0"
    assert refusal(source, tmp_path / "out", workers=0) == "workers must be at least 1, got 0"
    assert refusal(source, tmp_path / "out", seed=-1) == "seed must be at least 0, got -1"
    assert refusal(tmp_path / "no", tmp_path / "out") == f"{tmp_path / 'no'}: no such folder"
    assert names(tmp_path) == {"set"}


@pytest.mark.parametrize("size", [5_000, 20_000])  # too small for a chunk; for the points of all
def test_a_full_disk(source, tmp_path, monkeypatch, size):
    monkeypatch.setattr(chunks, "MAX_FILES", 10)
    with files_of_at_most(size):
        message = refusal(source, tmp_path / "out", num_points=64, kind=MachineError)
    assert message.startswith(f"{tmp_path / 'out'}: no space left")
    assert names(tmp_path) <= {"set", ".out.partial"}
    done = prepare(source, tmp_path / "out", num_points=64)
    assert done.resumed == (46 if size == 20_000 else 0)
    assert contents(done.store) == contents(prepare(source, tmp_path / "whole", num_points=64).store)


# ---- the real thing


@pytest.mark.skipif(not DATA, reason="POINTKIT_DATA does not name the folder of real data")
def test_the_untouched_meshes(tmp_path):
    done = prepare(pathlib.Path(DATA, "off_sample"), tmp_path / "out")
    assert len(done.store.rows) == 154
    assert done.unread == ()
    assert done.store.manifest["source"] == "ModelNet10"
    assert sum(done.store.manifest["counts"]["test"].values()) == 149
    assert [warning.split(":")[0] for warning in done.warnings] == [
        "no training shapes for bed, chair, desk, dresser, monitor, night_stand, sofa, table, toilet"
    ]


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="POINTKIT_DATA does not name the folder of real data")
@pytest.mark.parametrize(("folder", "empty"), [("mn10_meshes", 8), ("mn10_points", 0)])
def test_modelnet10(tmp_path, folder, empty):
    done = prepare(pathlib.Path(DATA, folder), tmp_path / "out", num_points=1024)
    assert len(done.unread) == empty
    assert len(done.store.rows) == 4899 - empty
    files = Counter(row.file.split("/")[1] for row in done.store.rows)
    files.update(file.split("/")[1] for file, _ in done.unread)
    assert files == {"train": 3991, "test": 908}
    found = done.store.manifest["counts"]
    for name in done.store.classes:
        share = found["val"][name] / (found["val"][name] + found["train"][name])
        assert share == pytest.approx(0.1, abs=0.02)
