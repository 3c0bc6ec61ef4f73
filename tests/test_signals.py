"""Signals: the first raises a flag, the second ends the process, and so does the first where nobody looks."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from pointkit.signals import SIGNALS, Interrupting, Stopped, StopRequest

HEAD = """
import hashlib, os, signal, time
from pointkit.signals import Interrupting, Stopped, StopRequest
def words():
    os.write(2, b"last words")
def deaf():  # one long call in C, in which Python runs no handler
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
def patient():  # many short steps, none of which looks at the flag
    print("ready", flush=True)
    while True:
        time.sleep(0.01)
"""


def start(body):
    """A Python process that runs ``body``, once it has said that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", HEAD + body], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def ended(process):
    """Its exit code and what it wrote on standard error."""
    _, text = process.communicate(timeout=30)
    return process.returncode, text


@pytest.mark.parametrize("signum", SIGNALS)
def test_the_first_signal_is_seen_at_the_next_check(signum):
    before = signal.getsignal(signum)

    def steps():
        with StopRequest() as stop:
            stop.check()
            os.kill(os.getpid(), signum)
            assert stop.signum == signum
            stop.check()
            pytest.fail("the check did not see it")

    with pytest.raises(Stopped) as caught:
        steps()
    assert caught.value.exit_code == 128 + signum
    assert signum.name in str(caught.value)
    assert signal.getsignal(signum) is before


def test_nothing_happens_without_a_signal():
    with StopRequest(last_words=pytest.fail) as stop:
        stop.check()


def test_a_signal_that_no_check_saw_is_raised_at_the_end():
    with pytest.raises(Stopped), StopRequest():
        os.kill(os.getpid(), signal.SIGINT)


def test_an_error_in_the_block_is_not_hidden_by_a_signal():
    def fail():
        os.kill(os.getpid(), signal.SIGTERM)
        raise KeyError

    with pytest.raises(KeyError), StopRequest():
        fail()


def test_the_watch_ends_with_the_block_and_spares_the_process():
    with pytest.raises(Stopped), StopRequest(patience=0.05):
        os.kill(os.getpid(), signal.SIGTERM)
    while any(thread.name == "stop-watch" for thread in threading.enumerate()):
        time.sleep(0.01)
    time.sleep(0.1)  # the patience is over, and we are still here


def test_the_wakeup_descriptor_of_others_comes_back():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    old = signal.set_wakeup_fd(writer)
    try:
        with StopRequest():
            pass
        assert signal.set_wakeup_fd(-1) == writer
    finally:
        signal.set_wakeup_fd(old)
        os.close(reader)
        os.close(writer)


def test_outside_the_main_thread_nothing_is_caught():
    seen = []

    def work():
        with StopRequest() as stop:
            stop.check()
            seen.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize(("first", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_process_that_never_looks_is_ended_after_the_patience(first, code):
    process = start("with StopRequest(patience=0.3, last_words=words): deaf()")
    process.send_signal(first)
    assert ended(process) == (code, "last words")


@pytest.mark.parametrize(("second", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_second_signal_ends_the_process_at_once(second, code):
    process = start("with StopRequest(patience=1000, last_words=words): patient()")
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.2)
    process.send_signal(second)
    assert ended(process) == (code, "last words")


@pytest.mark.parametrize("words", ["lambda: time.sleep(1000)", "lambda: 1 / 0"])
def test_last_words_that_hang_or_fail_hold_nobody(words):
    process = start(f"with StopRequest(patience=0.1, last_words={words}): deaf()")
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 143


def test_other_signals_are_left_to_others():
    body = """
signal.signal(signal.SIGUSR1, lambda *_: None)
with StopRequest(patience=0.1, last_words=words):
    print("ready", flush=True)
    for _ in range(40): time.sleep(0.01)
"""
    process = start(body)
    for _ in range(3):
        process.send_signal(signal.SIGUSR1)
    assert ended(process) == (0, "")


def test_the_first_signal_is_heard_at_once():
    heard = threading.Event()

    def steps():
        with StopRequest(heard=heard.set):
            os.kill(os.getpid(), signal.SIGINT)
            assert heard.wait(30)

    with pytest.raises(Stopped):
        steps()


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_interrupts_the_block_where_it_is(signum):
    before = signal.getsignal(signum)

    def work():
        with Interrupting():
            os.kill(os.getpid(), signum)
            for _ in range(1000):
                time.sleep(0.01)
            pytest.fail("nothing was raised")

    with pytest.raises(Stopped) as caught:
        work()
    assert caught.value.exit_code == 128 + signum
    assert signal.getsignal(signum) is before


def test_a_training_within_a_command_stops_in_its_own_way():
    def training():
        with Interrupting(), StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.signum == signal.SIGINT  # and nothing was raised before the check
            stop.check()

    with pytest.raises(Stopped):
        training()


def test_where_python_cannot_be_interrupted_the_process_ends():
    process = start("with Interrupting(patience=0.3, last_words=words): deaf()")
    time.sleep(0.5)  # until it is in C: before, Python would be interrupted
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, "last words")
