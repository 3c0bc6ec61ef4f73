"""What is known of a compiler's time: measured times come back, others are guessed, and nothing can fail."""

import json

import pytest

from pointkit import compiling
from pointkit.compiling import GUESS, FirstCall, about, remember
from pointkit.watching import Beside

SETTINGS = {"model": "small", "features": "none", "num_points": 64, "batch_size": 8, "units": 16, "seed": 0}


class Told:
    """Keeps what it is told."""

    def __init__(self):
        self.lines = []

    def compiling(self, what, seconds):
        self.lines.append((what, seconds))

    def compiled(self):
        self.lines.append("compiled")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv("POINTKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "pointkit" / "compiling.json"


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("POINTKIT_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert compiling.cache() == tmp_path / "own"
    monkeypatch.delenv("POINTKIT_CACHE")
    assert compiling.cache() == tmp_path / "xdg" / "pointkit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert compiling.cache() == tmp_path / ".cache" / "pointkit"


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is told to go on."""
    now = [0.0]
    monkeypatch.setattr(compiling.time, "monotonic", lambda: now[0])
    return now


def test_a_time_that_was_measured_comes_back_and_another_is_guessed(cache):
    assert about("a", "training", 20) == pytest.approx(20 * GUESS["training"])
    remember("a", 12.34)
    remember("b", -1.0)
    assert about("a", "training", 20) == 12.3
    assert about("b", "training", 20) == 0
    assert about("c", "training", 20) == pytest.approx(20 * GUESS["training"])
    assert json.loads(cache.read_text()) == {"a": 12.3, "b": 0.0}


def test_the_oldest_times_are_forgotten(cache, monkeypatch):
    monkeypatch.setattr(compiling, "MOST", 3)
    for key in "abcda":
        remember(key, 1.0)
    assert list(json.loads(cache.read_text())) == ["c", "d", "a"]


@pytest.mark.parametrize("text", ["", "[]", '{"a": "x"}', "{", '{"a": null}'])
def test_a_damaged_cache_is_an_empty_one(cache, text):
    cache.parent.mkdir()
    cache.write_text(text)
    assert about("a", "answers", 10) == pytest.approx(10 * GUESS["answers"])
    remember("a", 2.0)
    assert about("a", "answers", 10) == 2.0


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("POINTKIT_CACHE", str(tmp_path / "file"))
    remember("a", 2.0)
    assert about("a", "answers", 10) == pytest.approx(10 * GUESS["answers"])


def test_the_first_call_less_the_second_is_the_compilers_time(cache, clock):
    told = Told()
    first = FirstCall("training", SETTINGS, 30, told)
    for seconds in (9.0, 2.0, 100.0):
        with first():
            clock[0] += seconds
    assert told.lines == [("training", pytest.approx(30 * GUESS["training"])), "compiled"]
    again = Told()
    with FirstCall("training", SETTINGS, 30, again)():
        pass
    assert again.lines[0] == ("training", 7.0)


def test_what_decides_a_time_is_the_network_and_its_inputs(cache, monkeypatch):
    def key(what="training", arrays=30, **changes):
        return FirstCall(what, SETTINGS | changes, arrays, Told()).key

    assert key() == key(seed=1, epochs=5)
    others = [key("validation"), key(arrays=31), key(num_points=32), key(batch_size=4), key(units=8)]
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert len({key(), *others}) == 6 or key() not in others


def test_a_call_that_fails_is_still_the_first_one_the_next_time(cache, clock):
    told = Told()
    first = FirstCall("answers", SETTINGS, 30, told)
    with pytest.raises(ValueError), first():
        raise ValueError
    with first():
        clock[0] += 1
    assert [line[0] for line in told.lines] == ["answers", "answers", "c"]
    assert not cache.exists()


def test_the_calls_of_a_training_are_told_of_each_by_its_name(cache, clock):
    told = Told()
    calls = compiling.calls(SETTINGS, 10, Beside(told))
    for call in (calls.training, calls.validation, calls.training):
        with call():
            clock[0] += 1
    assert [line[0] for line in told.lines if line != "compiled"] == ["training", "validation"]
    assert told.lines.count("compiled") == 2
