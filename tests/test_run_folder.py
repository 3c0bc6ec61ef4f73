"""A run's folder: what is written is whole, what is read is checked, one writes at a time."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from pointkit import disk, run_folder
from pointkit.config import Settings
from pointkit.errors import MachineError, PointkitError, RunError
from pointkit.run_folder import CHECKPOINT, PREVIOUS, Checkpoint, Progress
from pointkit.task import Classification
from tests.history import read_history

HISTORY = run_folder.history_columns(Classification)
FACTS = {
    "id": "0123",
    "task": "classification",
    "classes": ["chair", "table"],
    "settings": Settings().flat(),
    "input": {"num_points": 64, "drawn": 96, "seed": 0, "scale": "unit sphere", "up": "z"},
    "parameters": 7,
    "store": {"name": "s", "path": "/s", "checksum": "abc", "shapes": {"train": 2, "val": 1, "test": 1}},
    "backend": "jax",
    "versions": {},
}
DISK = """
import os, sys
import numpy as np
from pathlib import Path
from pointkit import run_folder
sys.path.insert(0, os.environ["TESTS"])
from tests.test_run_folder import checkpoint
path = Path(sys.argv[1])
"""


def progress_of(epochs, batch=0):
    progress = Progress()
    for epoch in range(epochs):
        progress.add(1.0 / (epoch + 1), 0.5, 4, 0.001)
        progress.finish_epoch({"val_loss": 1.0 / (epoch + 1), "val_accuracy": 0.5})
    for _ in range(batch):
        progress.add(0.25, 0.5, 4, 0.001)
    return progress


def checkpoint(epochs, batch=0, size=8, run="0123"):
    """A checkpoint whose arrays tell its epoch."""
    arrays = {
        "model/kernel": np.full((2, size), epochs, np.float32),
        "best/kernel": np.full((2, size), -epochs, np.float32),
        "random/000": np.array([epochs, batch], np.uint32),
        "optimizer/000": np.array(epochs, np.int32),  # a number, no list of one
    }
    return Checkpoint(run, progress_of(epochs, batch), arrays)


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "run"
    run_folder.create(path)
    run_folder.write_facts(path, FACTS)
    return path


def refused(call, *words, kind=RunError):
    with pytest.raises(kind) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert str(word) in line
    return line


def same(one, other):
    return (
        one.progress == other.progress
        and one.arrays.keys() == other.arrays.keys()
        and all(np.array_equal(one.arrays[k], other.arrays[k]) for k in one.arrays)
        and all(one.arrays[k].dtype == other.arrays[k].dtype for k in one.arrays)
    )


def child(body, *arguments):
    """Run Python text in a process of its own, without Keras."""
    environment = {**os.environ, "TESTS": os.getcwd()}
    return subprocess.Popen(
        [sys.executable, "-c", DISK + body, *map(str, arguments)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# --- the folder ------------------------------------------------------------------------------------------------------


def test_at_most_one_level_above_may_be_missing(tmp_path, monkeypatch):
    run_folder.create(tmp_path / "runs" / "a")
    assert (tmp_path / "runs" / "a").is_dir()
    refused(lambda: run_folder.create(tmp_path / "b" / "c" / "d"), f"{tmp_path / 'b'} must exist, found none")
    assert not (tmp_path / "b").exists()
    monkeypatch.chdir(tmp_path)
    for name in ("here", "one/below", "runs/a"):
        run_folder.create(run_folder.pathlib.Path(name))
    refused(
        lambda: run_folder.create(run_folder.pathlib.Path("x/y/z")), "x/y/z", f"{tmp_path / 'x'} must exist, found none"
    )


def test_a_folder_for_several_runs_is_made_by_the_same_rule(tmp_path):
    disk.make(tmp_path / "runs" / "a", RunError)
    run_folder.create(tmp_path / "runs" / "a" / "seed-0")
    refused(lambda: disk.make(tmp_path / "x" / "y" / "z", RunError), "must exist, found none")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "run").write_text("mine")
    refused(lambda: run_folder.create(tmp_path / "run"), tmp_path / "run", "must be a folder, found a file")
    refused(lambda: run_folder.create(tmp_path / "run" / "a"), f"{tmp_path / 'run'} must exist, found a file")
    assert (tmp_path / "run").read_text() == "mine"


def test_a_link_to_nowhere_and_a_name_too_long(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "else")
    refused(lambda: run_folder.create(tmp_path / "link"), "cannot be made")
    refused(lambda: run_folder.create(tmp_path / ("n" * 300)), "cannot be made")


def test_a_strangers_folder_is_left_alone(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "b.jpg").touch()
    (tmp_path / "photos" / "a.jpg").touch()
    refused(lambda: run_folder.create(tmp_path / "photos"), "photos", "not a run", "a.jpg", "another folder")
    assert sorted(os.listdir(tmp_path / "photos")) == ["a.jpg", "b.jpg"]


def test_an_empty_folder_and_a_run_will_do(tmp_path, run):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".DS_Store").touch()
    run_folder.create(tmp_path / "empty")
    (run / "notes.txt").touch()
    run_folder.create(run)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "run").mkdir(mode=0o555)
    run_folder.create(tmp_path / "run")
    refused(lambda: run_folder.locked(tmp_path / "run").__enter__(), tmp_path / "run", "cannot be written to")


def test_a_read_only_disk(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", refuse)
    refused(lambda: run_folder.locked(tmp_path).__enter__(), tmp_path, "cannot be written to", "Read-only")


# --- the lock --------------------------------------------------------------------------------------------------------


def test_a_run_in_use_is_refused_with_the_holders_pid(run):
    with (
        run_folder.locked(run),
        pytest.raises(RunError, match=rf"{run}: in use by the process {os.getpid()}, which trains there"),
        run_folder.locked(run),
    ):
        pytest.fail("locked twice")
    with run_folder.locked(run):
        pass


def test_what_could_not_begin_is_said_before_anything_is_made(run, tmp_path):
    new = tmp_path / "new" / "run"
    run_folder.check(new)
    assert not new.parent.exists()
    refused(lambda: run_folder.check(new / "too" / "deep"), "must exist")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    refused(lambda: run_folder.check(tmp_path / "mine"), "not a run")
    before = sorted(run.iterdir())
    run_folder.check(run)
    assert sorted(run.iterdir()) == before
    with run_folder.locked(run):
        refused(lambda: run_folder.check(run), "in use by the process")


def test_a_dead_holder_holds_nothing(run):
    holder = child("with run_folder.locked(path): print('held', flush=True); __import__('time').sleep(60)", run)
    assert holder.stdout.readline() == "held\n"
    refused(lambda: run_folder.locked(run).__enter__(), holder.pid)
    holder.kill()
    holder.communicate()
    with run_folder.locked(run):
        assert (run / ".lock").read_text() == str(os.getpid())


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_the_machines_fault_and_harms_nothing(run, monkeypatch, code):
    run_folder.save_checkpoint(run, checkpoint(1))
    run_folder.save_checkpoint(run, checkpoint(2))
    before = {file.name: file.read_bytes() for file in run.iterdir()}

    def full(handle):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    refused(
        lambda: run_folder.save_checkpoint(run, checkpoint(3)), run, "no space left (needed 0.0 MB)", kind=MachineError
    )
    assert {file.name: file.read_bytes() for file in run.iterdir()} == before


def test_a_folder_that_went_away_while_training(run):
    for file in run.iterdir():
        file.unlink()
    run.rmdir()
    refused(
        lambda: run_folder.save_checkpoint(run, checkpoint(1)), run, "cannot be read or written", kind=PointkitError
    )


# --- run.json --------------------------------------------------------------------------------------------------------


def test_facts_come_back(run):
    facts = run_folder.read_facts(run)
    assert facts == {"format": "pointkit run", "version": 1, **FACTS}


def test_settings_that_an_older_version_did_not_know_have_their_defaults(run):
    settings = {key: value for key, value in FACTS["settings"].items() if key != "rotate"}
    run_folder.write_facts(run, FACTS | {"settings": settings})
    assert run_folder.read_facts(run)["settings"]["rotate"] == Settings().rotate


def changed(name, value):
    facts = json.loads(json.dumps({"format": "pointkit run", "version": 1, **FACTS}))
    *above, last = name.split(".")
    at = facts
    for key in above:
        at = at[key]
    if value is KeyError:
        del at[last]
    else:
        at[last] = value
    return json.dumps(facts)


@pytest.mark.parametrize("name", [*run_folder.RULES, "version"])
@pytest.mark.parametrize("value", [KeyError, None, [], True, 1.5])
def test_facts_with_a_key_missing_or_of_another_type_are_refused(run, name, value):
    if name == "classes" and value == []:
        value = ["one"]
    (run / "run.json").write_text(changed(name, value))
    refused(lambda: run_folder.read_facts(run), run / "run.json", "damaged", name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("not JSON",)),
        ("{", ("not JSON",)),
        ("[" * 100_000, ("not JSON",)),
        ("[]", ("format is not 'pointkit run'",)),
        ('{"format": "pointkit store"}', ("format is not 'pointkit run'",)),
        (changed("version", 2), ("run version 2", "reads up to 1", "install a newer one")),
        (changed("classes", ["a", 1]), ("classes",)),
        (changed("input.num_points", 0), ("input.num_points must be at least 1, found 0",)),
        (changed("input.drawn", -1), ("input.drawn",)),
        (changed("settings.epochs", 0), ("settings: epochs must be at least 1",)),
        (changed("settings.model", "lambda"), ("settings: model must be one of",)),
        (changed("settings.hidden", 1), ("settings", "hidden")),
    ],
)
def test_damaged_facts_are_refused_in_a_line(run, text, words):
    (run / "run.json").write_text(text)
    refused(lambda: run_folder.read_facts(run), run, *words)


def test_facts_that_are_no_text(run):
    (run / "run.json").write_bytes(b"\xff\xff")
    refused(lambda: run_folder.read_facts(run), "not JSON")


def test_a_folder_without_facts_is_no_run(tmp_path):
    refused(lambda: run_folder.read_facts(tmp_path), tmp_path, "not a run", "pointkit train STORE -o RUN")
    refused(lambda: run_folder.read_facts(tmp_path / "none"), "does not exist", f"-o {tmp_path / 'none'}")
    refused(lambda: run_folder.load_checkpoint(tmp_path), "not a run")


# --- progress and history --------------------------------------------------------------------------------------------


def test_progress_by_hand():
    progress = Progress()
    progress.add(1.0, 0.5, 8, 0.1)
    progress.add(4.0, 1.0, 4, 0.05)
    progress.seconds = 1.26
    assert progress.means() == {"loss": 2.0, "accuracy": pytest.approx(2 / 3), "learning_rate": 0.05}
    assert progress.finish_epoch({"val_loss": 0.7, "val_accuracy": 0.9})
    row = {"epoch": 1, "loss": 2.0, "accuracy": 8 / 12, "val_loss": 0.7, "val_accuracy": 0.9, "learning_rate": 0.05}
    assert progress.history == [row | {"seconds": 1.3}]
    assert tuple(progress.history[0]) == HISTORY
    progress.add(3.0, 0.0, 2, 0.01)
    assert progress.means()["loss"] == 3.0
    assert not progress.finish_epoch({"val_loss": 0.7, "val_accuracy": 0.9})
    assert (progress.best_epoch, progress.best_val_loss) == (1, 0.7)
    progress.add(3.0, 0.0, 2, 0.01)
    assert not progress.finish_epoch({"val_loss": float("nan"), "val_accuracy": 0.9})
    progress.add(3.0, 0.0, 2, 0.01)
    assert progress.finish_epoch({"val_loss": 0.6, "val_accuracy": 0.9})
    assert (progress.best_epoch, progress.epoch, progress.batch) == (4, 4, 0)


def test_history_comes_back_and_is_written_only_where_it_changed(run):
    history = progress_of(3).history
    history[1]["val_loss"] = 0.1 + 0.2
    run_folder.write_history(run, history)
    assert read_history(run) == history
    before = (run / "history.csv").stat()
    run_folder.write_history(run, history)
    assert (run / "history.csv").stat() == before
    run_folder.write_history(run, history[:2])
    assert len(read_history(run)) == 2


# --- checkpoints -----------------------------------------------------------------------------------------------------


def test_there_is_none_before_the_first(run):
    assert run_folder.load_checkpoint(run) == (None, [])


def test_the_newest_comes_back_and_one_before_it_is_kept(run):
    for epoch in range(1, 5):
        run_folder.save_checkpoint(run, checkpoint(epoch, batch=epoch))
        loaded, notes = run_folder.load_checkpoint(run)
        assert same(loaded, checkpoint(epoch, batch=epoch))
        assert notes == []
    assert sorted(os.listdir(run)) == [PREVIOUS, CHECKPOINT, "run.json"]
    (run / CHECKPOINT).unlink()
    assert same(run_folder.load_checkpoint(run)[0], checkpoint(3, batch=3))


def test_only_some_of_the_arrays(run):
    run_folder.save_checkpoint(run, checkpoint(1))
    loaded, _ = run_folder.load_checkpoint(run, ("best/",))
    assert list(loaded.arrays) == ["best/kernel"]


def test_the_best_loss_may_be_infinite_and_a_loss_nan(run):
    saved = checkpoint(0)
    saved.progress.add(1.0, 0.5, 4, 0.1)
    saved.progress.finish_epoch({"val_loss": float("nan"), "val_accuracy": 0.5})
    run_folder.save_checkpoint(run, saved)
    loaded = run_folder.load_checkpoint(run)[0].progress
    assert loaded.best_val_loss == float("inf")
    assert np.isnan(loaded.history[0]["val_loss"])


def damage(file, how):
    data = file.read_bytes()
    if how == "empty":
        data = b""
    elif isinstance(how, float):
        data = data[: int(how * len(data))]
    elif how == "longer":
        data += b"\0"
    file.write_bytes(data)


@pytest.mark.parametrize("how", ["empty", "longer", *(k / 10 + 0.05 for k in range(10))])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(run, how):
    run_folder.save_checkpoint(run, checkpoint(1))
    run_folder.save_checkpoint(run, checkpoint(2))
    damage(run / CHECKPOINT, how)
    loaded, notes = run_folder.load_checkpoint(run)
    assert same(loaded, checkpoint(1))
    assert len(notes) == 1
    assert str(run / CHECKPOINT) in notes[0]
    assert "falling back" in notes[0]
    damage(run / PREVIOUS, how)
    refused(lambda: run_folder.load_checkpoint(run), run, CHECKPOINT, PREVIOUS, "delete")


def test_no_flipped_bit_goes_unseen(run):
    whole = checkpoint(2, batch=3)
    run_folder.save_checkpoint(run, whole)
    data = (run / CHECKPOINT).read_bytes()
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << (place % 8)
        (run / CHECKPOINT).write_bytes(flipped)
        try:
            loaded = run_folder.load_checkpoint(run)[0]
        except RunError:
            continue
        assert same(loaded, whole), place  # a bit that says nothing: of the spaces that fill the header up


def test_a_damaged_one_is_dropped_before_it_can_push_out_the_good_one(run):
    run_folder.save_checkpoint(run, checkpoint(1))
    run_folder.save_checkpoint(run, checkpoint(2))
    damage(run / CHECKPOINT, 0.5)
    run_folder.drop_damaged(run)
    assert run_folder.load_checkpoint(run)[1] == []
    run_folder.save_checkpoint(run, checkpoint(2))
    damage(run / CHECKPOINT, 0.5)
    assert same(run_folder.load_checkpoint(run)[0], checkpoint(1))


def test_another_runs_checkpoint_is_not_taken(run):
    run_folder.save_checkpoint(run, checkpoint(1))
    run_folder.save_checkpoint(run, checkpoint(2, run="4567"))
    loaded, notes = run_folder.load_checkpoint(run)
    assert same(loaded, checkpoint(1))
    assert "another run" in notes[0]


def stranger(path, content, /, **metadata):
    """A checkpoint whose checksum is right and whose content is not."""
    arrays = {"model/kernel": np.zeros(3, np.float32)}
    text = json.dumps(content)
    checksum = run_folder._checksum("0123", text, arrays)
    save_file(arrays, path / CHECKPOINT, {"run": "0123", "progress": text, "sha256": checksum, **metadata})


@pytest.mark.parametrize(
    "progress",
    [
        {},
        [],
        7,
        {"epoch": 3},
        {"epoch": "3"},
        {"epochs": 3},
        {"batch": "3"},
        {"loss": None},
        {"epoch": 1, "history": [dict.fromkeys(HISTORY, "x")]},
        {"epoch": 1, "history": [{"epoch": 1}]},
        {"epoch": 1, "history": "x"},
        {"epoch": 1, "history": [1]},
    ],
)
def test_a_strangers_progress_is_checked(run, progress):
    stranger(run, progress)
    if progress == {}:
        assert run_folder.load_checkpoint(run)[0].progress == Progress()
    else:
        refused(lambda: run_folder.load_checkpoint(run), run, "damaged")


@pytest.mark.parametrize("key", ["run", "progress", "sha256"])
def test_a_strangers_metadata_are_checked(run, key):
    stranger(run, {}, **{key: "x"})
    refused(lambda: run_folder.load_checkpoint(run), "damaged")


def test_a_file_without_metadata_a_folder_and_a_pickle(run):
    save_file({"a": np.zeros(2, np.float32)}, run / CHECKPOINT)
    refused(lambda: run_folder.load_checkpoint(run), "checksum")
    (run / CHECKPOINT).unlink()
    (run / CHECKPOINT).mkdir()
    refused(lambda: run_folder.load_checkpoint(run), "not a file")
    (run / CHECKPOINT).rmdir()
    (run / CHECKPOINT).write_bytes(b"\x80\x04\x95cos\nsystem\n(S'touch marker'\ntR.")
    refused(lambda: run_folder.load_checkpoint(run), "damaged")


def test_the_checksum_tells_names_types_and_shapes():
    base = {"a": np.arange(4, dtype=np.float32)}
    others = [
        {"b": base["a"]},
        {"a": base["a"].view(np.int32)},
        {"a": base["a"].reshape(2, 2)},
        {"a": base["a"][:2], "b": base["a"][2:]},
    ]
    sums = {run_folder._checksum("r", "p", arrays) for arrays in (base, *others)}
    sums |= {run_folder._checksum("rp", "", base), run_folder._checksum("", "rp", base)}
    assert len(sums) == 7


@given(st.dictionaries(st.text("abc/", min_size=1), st.lists(st.floats(width=32), max_size=5), max_size=4))
def test_any_arrays_come_back_bit_for_bit(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("run")
    run_folder.write_facts(path, FACTS)
    saved = Checkpoint("0123", Progress(), {name: np.array(a, np.float32) for name, a in arrays.items()})
    run_folder.save_checkpoint(path, saved)
    loaded = run_folder.load_checkpoint(path)[0]
    assert {k: a.tobytes() for k, a in loaded.arrays.items()} == {k: a.tobytes() for k, a in saved.arrays.items()}


def test_what_is_saved_is_not_written_into(run):
    saved = checkpoint(1)
    for array in saved.arrays.values():
        array.flags.writeable = False
    run_folder.save_checkpoint(run, saved)
    assert same(run_folder.load_checkpoint(run)[0], checkpoint(1))


# --- killed in the middle of a save ----------------------------------------------------------------------------------

KILL = """
import io, signal
def deadly(call):
    def wrapped(*arguments, **named):
        global count
        count += 1
        if count == when:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **named)
    return wrapped
for line in sys.stdin:
    fork = os.fork()  # to begin anew would take a second each
    if not fork:
        count, when = 0, int(line)
        for module, names in ((os, ("fsync", "replace", "unlink", "close")), (io, ("open",))):
            for name in names:
                setattr(module, name, deadly(getattr(module, name)))
        run_folder.save_checkpoint(path, checkpoint(3))
        run_folder.write_history(path, checkpoint(3).progress.history)
        print(count, end=" ")
        break
    print(os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]), flush=True)
"""


def test_killed_between_any_two_operations_of_a_save(run):
    when, answer, epochs = 0, [str(-signal.SIGKILL)], []
    with child(KILL, run) as process:
        while answer == [str(-signal.SIGKILL)]:
            when += 1
            for epoch in (1, 2):
                run_folder.save_checkpoint(run, checkpoint(epoch))
            run_folder.write_history(run, checkpoint(2).progress.history)
            process.stdin.write(f"{when}\n")
            process.stdin.flush()
            answer = process.stdout.readline().split()
            loaded, notes = run_folder.load_checkpoint(run)
            assert notes == []
            assert same(loaded, checkpoint(loaded.progress.epoch))  # never a mix
            epochs.append(loaded.progress.epoch)
            history = read_history(run)
            assert [row["epoch"] for row in history] in ([1, 2], [1, 2, 3])
        _, err = process.communicate()
    assert answer[-1] == "0", err
    assert int(answer[0]) == when - 1 >= 12
    assert set(epochs) == {2, 3}
    assert epochs == sorted(epochs)


def operations(run):
    """The names of the calls that a save makes to the system, in order, as strace sees them."""
    log = run.parent / "strace"
    calls = "openat,write,fsync,rename,renameat,renameat2,unlink,close"
    command = ["strace", "-f", "-o", str(log), "-e", f"trace={calls}"]
    subprocess.run([*command, *one_save(run)], check=True, env={**os.environ, "TESTS": os.getcwd()})
    lines = [line.split(maxsplit=1)[1] for line in log.read_text().splitlines()]
    start = next(i for i, line in enumerate(lines) if ".writing" in line)
    return lines[:start], lines[start:]


def one_save(run):
    return [sys.executable, "-c", DISK + "run_folder.save_checkpoint(path, checkpoint(3, size=4096))", str(run)]


@pytest.mark.slow
@pytest.mark.skipif(not run_folder.pathlib.Path("/usr/bin/strace").exists(), reason="strace is not installed")
def test_killed_at_every_call_to_the_system_of_a_save(run):
    def begin():
        for epoch in (1, 2):
            run_folder.save_checkpoint(run, checkpoint(epoch, size=4096))

    begin()
    before, during = operations(run)
    names = ("openat", "write", "fsync", "rename", "renameat", "renameat2", "unlink")
    tried = 0
    for name in names:
        first = sum(line.startswith(f"{name}(") for line in before)
        for when in range(first + 1, first + 1 + sum(line.startswith(f"{name}(") for line in during)):
            begin()
            inject = ["strace", "-f", "-o", "/dev/null", "-e", f"inject={name}:signal=SIGKILL:when={when}"]
            environment = {**os.environ, "TESTS": os.getcwd()}
            done = subprocess.run([*inject, *one_save(run)], check=False, env=environment, capture_output=True)
            assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL, 0)
            loaded, notes = run_folder.load_checkpoint(run)
            assert notes == []
            assert loaded.progress.epoch in (2, 3)
            assert same(loaded, checkpoint(loaded.progress.epoch, size=4096))
            tried += 1
    assert tried >= 8


@pytest.mark.skipif(not run_folder.pathlib.Path("/usr/bin/strace").exists(), reason="strace is not installed")
def test_what_is_renamed_is_on_the_disk_before_and_the_folder_after(run):
    run_folder.save_checkpoint(run, checkpoint(2))
    _, during = operations(run)
    calls = [line for line in during if line.startswith(("fsync", "rename"))]
    assert [line.partition("(")[0].removesuffix("at2").removesuffix("at") for line in calls] == [
        "fsync",  # the new file
        "rename",  # the current one becomes the previous
        "fsync",  # the folder
        "rename",  # the new one becomes the current
        "fsync",
    ]


@pytest.mark.slow
def test_a_limit_on_file_sizes_is_a_full_disk(run):
    run_folder.save_checkpoint(run, checkpoint(1))
    body = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    run_folder.save_checkpoint(path, checkpoint(2, size=4096))
except Exception as error:
    print(f"{type(error).__name__} {error}")
"""
    out, err = child(body, run).communicate()
    assert out == f"MachineError {run}: no space left (needed 0.1 MB)\n", err
    assert same(run_folder.load_checkpoint(run)[0], checkpoint(1))
    assert sorted(os.listdir(run)) == [CHECKPOINT, "run.json"]


def test_reading_while_another_writes(run):
    """evaluate and predict on a run in training: always a whole checkpoint, never a complaint."""
    run_folder.save_checkpoint(run, checkpoint(1))
    writer = child("for k in range(2, 10000): run_folder.save_checkpoint(path, checkpoint(k % 50))", run)
    try:
        seen, until = set(), time.monotonic() + 60
        while len(seen) < 20 and time.monotonic() < until:
            loaded, notes = run_folder.load_checkpoint(run)
            assert notes == []
            assert same(loaded, checkpoint(loaded.progress.epoch))
            seen.add(loaded.progress.epoch)
    finally:
        writer.kill()
        writer.communicate()
    assert len(seen) == 20


@pytest.mark.parametrize(
    ("epoch", "best", "patience", "over"),
    [(3, 3, 0, False), (3, 1, 0, False), (3, 1, 3, False), (3, 1, 2, True), (3, 0, 3, True), (10, 9, 0, True)],
)
def test_a_training_is_over_after_its_epochs_or_its_patience(epoch, best, patience, over):
    progress = Progress(epoch=epoch, best_epoch=best)
    assert progress.over({"epochs": 10, "patience": patience}) is over


@pytest.mark.parametrize("init", [3, [], {"run": "x"}, {"path": 3}])
def test_a_damaged_origin_is_refused(tmp_path, init):
    run_folder.create(tmp_path / "run")
    run_folder.write_facts(tmp_path / "run", {**FACTS, "init": init})
    with pytest.raises(RunError, match=r"damaged .init must name the path of a run"):
        run_folder.read_facts(tmp_path / "run")


def test_whether_there_is_a_checkpoint(tmp_path):
    assert not run_folder.has_checkpoint(tmp_path)
    (tmp_path / PREVIOUS).touch()
    assert run_folder.has_checkpoint(tmp_path)
