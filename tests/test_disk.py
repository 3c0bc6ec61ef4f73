"""A thing on the disk: whole or not at all, held by one process, its folder made by one rule, its trouble a line."""

import errno
import os
import pathlib
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointkit import disk
from pointkit.errors import MachineError, PointkitError, RunError
from tests.limits import files_of_at_most


def names(folder):
    return sorted(os.listdir(folder))


def refused(call, kind=PointkitError):
    with pytest.raises(kind) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- a file


def put(path, data, **how):
    with disk.replacing(path, **how) as file:
        file.write(data)


@pytest.mark.parametrize("how", [{}, {"shared": False}, {"durable": False}], ids=str)
def test_a_file_is_replaced_whole(tmp_path, how):
    put(tmp_path / "a.txt", b"one", **how)
    put(tmp_path / "a.txt", b"two", **how)
    assert (tmp_path / "a.txt").read_bytes() == b"two"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("shared", [True, False])
def test_until_it_is_whole_the_older_one_stands_and_nobody_sees_the_new_one(tmp_path, shared):
    put(tmp_path / "a.txt", b"one")
    with disk.replacing(tmp_path / "a.txt", shared=shared) as file:
        file.write(b"half")
        file.flush()
        assert (tmp_path / "a.txt").read_bytes() == b"one"
        [other] = set(names(tmp_path)) - {"a.txt"}
        assert other.startswith(".")
        assert other.endswith(".writing")
    assert (tmp_path / "a.txt").read_bytes() == b"half"


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError])
def test_a_failure_leaves_the_older_one_and_nothing_else(tmp_path, shared, error):
    put(tmp_path / "a.txt", b"one")

    def fail():
        with disk.replacing(tmp_path / "a.txt", shared=shared) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        fail()
    assert (tmp_path / "a.txt").read_bytes() == b"one"
    assert names(tmp_path) == ["a.txt"]


def test_a_write_that_fails_names_the_file_and_leaves_nothing(tmp_path):
    target = tmp_path / "page.html"
    with files_of_at_most(4096), pytest.raises(OSError, match=r"page\.html"), disk.replacing(target) as file:
        file.write(bytes(100_000))
    assert names(tmp_path) == []


def test_a_folder_that_is_missing_is_told_by_the_files_own_name(tmp_path):
    target = tmp_path / "missing" / "a.txt"
    with pytest.raises(FileNotFoundError) as caught:
        put(target, b"")
    assert caught.value.filename == str(target)


def test_an_error_of_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, disk.replacing(tmp_path / "a.txt"):
        (tmp_path / "source.txt").read_bytes()
    assert caught.value.filename == str(tmp_path / "source.txt")


def test_a_name_may_be_as_long_as_names_can_be(tmp_path):
    put(tmp_path / ("n" * 255), b"long")
    assert names(tmp_path) == ["n" * 255]


def test_two_may_write_the_same_file_at_once(tmp_path):
    with disk.replacing(tmp_path / "a.txt") as one, disk.replacing(tmp_path / "a.txt") as other:
        one.write(b"one")
        other.write(b"other")
    assert (tmp_path / "a.txt").read_bytes() == b"one"
    assert names(tmp_path) == ["a.txt"]


def test_what_a_killed_writer_left_is_written_over(tmp_path):
    (tmp_path / ".a.txt.writing").write_bytes(b"half of something long")
    disk.replace(tmp_path / "a.txt", b"whole")
    assert (tmp_path / "a.txt").read_bytes() == b"whole"
    assert names(tmp_path) == ["a.txt"]


def test_a_link_beside_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".run.json.writing").symlink_to(tmp_path / "precious")
    disk.replace(tmp_path / "run" / "run.json", b"ours")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "run" / "run.json").read_bytes() == b"ours"
    assert not (tmp_path / "run" / "run.json").is_symlink()


def test_what_stood_there_is_kept_under_another_name(tmp_path):
    for data in (b"one", b"two", b"three"):
        disk.replace(tmp_path / "a", data, keep=tmp_path / "before")
    assert (tmp_path / "a").read_bytes() == b"three"
    assert (tmp_path / "before").read_bytes() == b"two"
    assert names(tmp_path) == ["a", "before"]


def test_a_full_disk_and_a_missing_folder_are_a_line(tmp_path):
    with files_of_at_most(1000):
        line = refused(lambda: disk.replace(tmp_path / "a", bytes(2_000_000)), MachineError)
    assert line == f"{tmp_path}: no space left (needed 2.0 MB)"
    assert refused(lambda: disk.replace(tmp_path / "no" / "a", b"")).startswith(f"{tmp_path / 'no'}: cannot be read")


# ---- a folder


def make(path, text, **how):
    with disk.making(path, **how) as folder:
        (folder / "inner").mkdir(parents=True)
        (folder / "inner" / "text").write_text(text)


def test_a_folder_takes_its_place_whole_and_what_stood_there_goes(tmp_path):
    make(tmp_path / "set", "one")
    (tmp_path / "set" / "more").touch()
    with disk.making(tmp_path / "set") as folder:
        folder.mkdir()
        assert names(tmp_path) == [".set.writing", "set"]
        assert names(tmp_path / "set") == ["inner", "more"]
    assert names(tmp_path) == ["set"]
    assert names(tmp_path / "set") == []


def test_a_name_is_found_where_the_process_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(pathlib.Path("set"), "one")
    assert (tmp_path / "set" / "inner" / "text").read_text() == "one"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError])
def test_a_failure_leaves_the_older_folder_and_nothing_else(tmp_path, error):
    make(tmp_path / "set", "one")

    def fail():
        with disk.making(tmp_path / "set") as folder:
            folder.mkdir()
            (folder / "half").touch()
            raise error

    with pytest.raises(error):
        fail()
    assert (tmp_path / "set" / "inner" / "text").read_text() == "one"
    assert names(tmp_path) == ["set"]


def test_a_folder_inside_the_new_one_may_be_what_takes_the_place(tmp_path):
    make(tmp_path / "set", "one", root=lambda folder: folder / "inner")
    assert names(tmp_path / "set") == ["text"]
    assert names(tmp_path) == ["set"]


def test_what_a_killed_one_left_is_removed(tmp_path):
    (tmp_path / ".set.writing").mkdir()
    (tmp_path / ".set.writing" / "half").touch()
    make(tmp_path / "set", "one")
    assert names(tmp_path) == ["set"]
    assert names(tmp_path / "set") == ["inner"]


def test_a_kill_between_the_two_renames_loses_nothing(tmp_path):
    make(tmp_path / "set", "one")
    (tmp_path / "set").rename(tmp_path / ".set.replaced")
    with pytest.raises(KeyboardInterrupt), disk.making(tmp_path / "set"):
        raise KeyboardInterrupt
    assert (tmp_path / "set" / "inner" / "text").read_text() == "one"
    assert names(tmp_path) == ["set"]


def test_a_system_that_opens_no_folder_syncs_files_alone(tmp_path, monkeypatch):
    synced = []
    monkeypatch.delattr(os, "O_DIRECTORY", raising=False)
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_size))
    disk.replace(tmp_path / "a", b"12345")
    disk.sync(tmp_path)
    assert synced == [5]


# ---- missing folders


def test_one_level_above_may_be_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "a", tmp_path / "b" / "c", pathlib.Path("d"), pathlib.Path("e/f")):
        disk.check_room(path)
        assert not path.exists()
        disk.make(path)
        disk.make(path)
        assert path.is_dir()


def test_no_longer_path_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    for path, above, found in (("a/b/c", "a", "none"), ("file/a", "file", "a file"), ("file/a/b", "file", "a file")):
        line = f"{path}: the folder {tmp_path / above} must exist, found {found}"
        for call in (disk.check_room, disk.make):
            assert refused(lambda path=path, call=call: call(pathlib.Path(path), RunError), RunError) == line
    assert names(tmp_path) == ["file"]
    assert refused(lambda: disk.make(tmp_path / "file")) == f"{tmp_path / 'file'}: must be a folder, found a file"


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "theirs").mkdir(mode=0o555)
    assert refused(lambda: disk.make(tmp_path / "theirs" / "a")).endswith("theirs cannot be written to")


# ---- held by one process

HOLD = """
import pathlib, sys, time
from pointkit import disk
with disk.held(pathlib.Path(sys.argv[1]), "sleeps"):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def hold(path, **how):
    return disk.held(path, "works there", **how)


def test_one_holds_it_and_the_other_is_told_who(tmp_path):
    with hold(tmp_path / "set"):
        assert (tmp_path / ".set.lock").read_text() == str(os.getpid())
        for _ in range(2):
            line = refused(lambda: hold(tmp_path / "set", error=RunError).__enter__(), RunError)
            assert line == f"{tmp_path / 'set'}: in use by the process {os.getpid()}, which works there"
        with hold(tmp_path / "other"):
            pass
    assert names(tmp_path) == []
    with hold(tmp_path / "set"):
        pass


def test_the_file_for_it_may_have_another_place(tmp_path):
    with hold(tmp_path, lock=tmp_path / "inside"):
        assert (tmp_path / "inside").read_text() == str(os.getpid())
        assert refused(lambda: hold(tmp_path, lock=tmp_path / "inside").__enter__()).startswith(f"{tmp_path}: in use")
    assert names(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_failure_lets_it_go(tmp_path, error):
    with pytest.raises(error), hold(tmp_path / "set"):
        raise error
    with hold(tmp_path / "set"):
        pass
    assert names(tmp_path) == []


def test_a_living_process_holds_it_and_a_dead_one_does_not(tmp_path):
    with holder(tmp_path / "set") as process:
        try:
            line = refused(lambda: hold(tmp_path / "set").__enter__())
            assert line == f"{tmp_path / 'set'}: in use by the process {process.pid}, which works there"
        finally:
            process.kill()
    assert ".set.lock" in names(tmp_path)
    with hold(tmp_path / "set"):
        assert (tmp_path / ".set.lock").read_text() == str(os.getpid())
    assert names(tmp_path) == []


def test_only_one_at_a_time_gets_it(tmp_path):
    inside, most, got = 0, 0, 0
    count = threading.Lock()

    def work():
        nonlocal inside, most, got
        for _ in range(200):
            try:
                with hold(tmp_path / "set"):
                    with count:
                        inside += 1
                        most, got = max(most, inside), got + 1
                    with count:
                        inside -= 1
            except PointkitError:
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert got > 4
    assert names(tmp_path) == []


def test_a_lock_that_was_removed_meanwhile_is_none(tmp_path, monkeypatch):
    """Between the opening of the file and its locking, its holder ends, and another one begins with a new file."""
    exclusive = disk._exclusive
    holder, next_holder = hold(tmp_path / "set"), hold(tmp_path / "set")
    holder.__enter__()

    def late(handle, database):
        monkeypatch.setattr(disk, "_exclusive", exclusive)
        holder.__exit__(None, None, None)
        next_holder.__enter__()
        return exclusive(handle, database)

    monkeypatch.setattr(disk, "_exclusive", late)
    assert "in use by the process" in refused(lambda: hold(tmp_path / "set").__enter__())
    next_holder.__exit__(None, None, None)
    assert names(tmp_path) == []


def test_a_link_in_the_place_of_the_lock_empties_nobodys_file(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".set.lock").symlink_to(tmp_path / "precious")
    assert "cannot be written to" in refused(lambda: hold(tmp_path / "set").__enter__())
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_place_without_a_folder_and_a_disk_that_is_full(tmp_path):
    assert "cannot be written to" in refused(lambda: hold(tmp_path / "no" / "set").__enter__())
    with files_of_at_most(0):
        assert refused(lambda: hold(tmp_path / "set").__enter__(), MachineError) == f"{tmp_path / 'set'}: no space left"


@pytest.mark.skipif(disk.fcntl is None, reason="Python has no flock here")
def test_a_disk_without_locks(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(disk.fcntl, "flock", refuse)
    assert "cannot be locked (No locks available)" in refused(lambda: hold(tmp_path / "set").__enter__())


def test_without_flock_what_is_no_lock_is_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "fcntl", None)
    (tmp_path / ".set.lock.db").write_text("no database, and somebody's")
    assert "cannot be locked (file is not a database)" in refused(lambda: hold(tmp_path / "set").__enter__())
    assert (tmp_path / ".set.lock.db").read_text() == "no database, and somebody's"
    (tmp_path / ".set.lock.db").unlink()
    (tmp_path / ".set.lock.db").mkdir()
    assert "cannot be locked (unable to open" in refused(lambda: hold(tmp_path / "set").__enter__())


# ---- where Python lacks what POSIX systems have

WITHOUT = """
import os, sys
sys.modules["fcntl"] = sys.modules["resource"] = None
for name in ("sched_getaffinity", "sysconf", "sysconf_names", "O_NOFOLLOW", "O_DIRECTORY"):
    vars(os).pop(name, None)
"""
FILES = (
    "tests/test_disk.py",
    "tests/test_store.py",
    "tests/test_run_folder.py",
    "tests/formats/test_formats.py",
    "tests/datasets/test_modelnet.py",
    "tests/datasets/test_unpack.py",
    "tests/prepare",
)
# Of these some are not worth their time a second time, or are about what is missing.
LEFT_OUT = "flipped or killed_at_many or killed_between_any or no_name_leaves or before_and_the_folder or memory_is"
SOME = (
    "tests/test_disk.py",
    "tests/test_store.py::test_what_goes_in_comes_out",
    "tests/test_run_folder.py::test_a_run_in_use_is_refused_with_the_holders_pid",
    "tests/test_run_folder.py::test_a_dead_holder_holds_nothing",
    "tests/test_run_folder.py::test_the_newest_comes_back_and_one_before_it_is_kept",
    "tests/formats/test_formats.py::test_a_failed_write_leaves_the_older_file",
    "tests/datasets/test_modelnet.py::test_the_whole_way",
    "tests/datasets/test_unpack.py::test_a_good_zip",
    "tests/test_pool.py::test_jobs_and_order",
    "tests/prepare/test_prepare.py::test_what_was_read_is_not_read_again",
    "tests/prepare/test_prepare.py::test_two_at_once",
)


@pytest.mark.skipif(disk.fcntl is None, reason="this is the test that runs inside")
@pytest.mark.parametrize("tests", [SOME, pytest.param(FILES, marks=pytest.mark.slow)], ids=["some", "all"])
def test_files_and_locks_work_without_posix(tmp_path, tests):
    """Tests of files, and all processes that they start, where Python has none of what Windows lacks."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "base")]
    done = subprocess.run(
        [*command, "-k", f"not ({LEFT_OUT})", *tests],
        cwd=pathlib.Path(__file__).parent.parent,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


# ---- tables and checksums


@given(st.lists(st.text(st.characters(codec=None, exclude_characters="\0"), min_size=1), min_size=1, max_size=5))
def test_any_name_survives_a_table(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    names = [os.fsdecode(os.fsencode(name.encode("utf-8", "ignore").decode() or "x")) for name in names]
    path.write_bytes(disk.csv_text(("file", "reason"), [(name, name[::-1]) for name in names]).encode())
    assert disk.csv_rows(path) == [{"file": name, "reason": name[::-1]} for name in names]


def test_checksums(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert disk.digest(b"abc") == disk.file_digest(tmp_path / "a") == known


def test_paths_for_a_line():
    assert disk.shown(b"a\xff.ply") == "a\\udcff.ply"
    assert disk.shown(pathlib.Path("a\nb")) == "a\\nb"
    assert disk.printable("Ünï") == "Ünï"
