"""Processes whose death is their job's own."""

import concurrent.futures
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from pointkit import pool, served
from pointkit.pool import Pool, WorkerDied


class Odd(Exception):
    pass


def double(value):
    return 2 * value


def end(signum):
    os.kill(os.getpid(), signum)


def raise_odd():
    raise Odd("as it was")


def fill(size):
    return len(bytearray(size))


def chatter():
    print("a library that prints")
    os.write(2, b"and one that panics")
    return os.getpid()


def test_jobs_and_order():
    with Pool(2, 30) as pool:
        assert list(pool.map(double, range(20))) == [2 * i for i in range(20)]


def test_a_process_serves_many_jobs_and_not_the_caller():
    with Pool(1, 30) as pool:
        pids = {pool.submit(os.getpid).result() for _ in range(5)}
    assert len(pids) == 1
    assert os.getpid() not in pids


def test_an_error_comes_back_and_the_process_lives():
    with Pool(1, 30) as pool:
        pid = pool.submit(os.getpid).result()
        with pytest.raises(Odd, match="as it was"):
            pool.submit(raise_odd).result()
        assert pool.submit(os.getpid).result() == pid


@pytest.mark.parametrize(("signum", "name"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGSEGV, "SIGSEGV")])
def test_a_death_fails_its_own_job(signum, name):
    with Pool(2, 30) as pool:
        jobs = [pool.submit(double, 1), pool.submit(end, signum), *(pool.submit(double, i) for i in range(10))]
        with pytest.raises(WorkerDied, match=rf"died \(signal {name}\)"):
            jobs[1].result()
        assert [job.result() for job in jobs[2:]] == [2 * i for i in range(10)]


def test_an_exit_is_a_death():
    with Pool(1, 30) as pool, pytest.raises(WorkerDied, match=r"died \(exit code 3\)"):
        pool.submit(os._exit, 3).result()


def test_a_deadline_ends_the_job_and_the_next_gets_a_fresh_process():
    with Pool(1, 0.5) as pool:
        pool.deadline = 30
        first = pool.submit(os.getpid).result()
        pool.deadline = 0.2
        with pytest.raises(WorkerDied, match=r"no answer within 0\.2 seconds"):
            pool.submit(time.sleep, 60).result()
        pool.deadline = 30
        assert pool.submit(os.getpid).result() != first


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a limit on the address space")
def test_memory_is_bounded():
    with Pool(1, 30, memory=1 << 30) as pool:
        assert pool.submit(fill, 1 << 20).result() == 1 << 20
        with pytest.raises(MemoryError):
            pool.submit(fill, 2 << 30).result()


def test_a_job_cannot_write_into_the_callers_output(capfd):
    with Pool(1, 30) as pool:
        pool.submit(chatter).result()
    assert capfd.readouterr() == ("", "")


def test_leaving_ends_the_processes():
    with Pool(2, 30) as pool:
        pids = set(pool.map(slow_pid, range(4)))
    assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def slow_pid(_):
    time.sleep(0.05)
    return os.getpid()


def interrupted():
    with Pool(1, 600) as pool:
        jobs = pool.submit(time.sleep, 600), pool.submit(double, 1)
        while not jobs[0].running():
            time.sleep(0.01)
        try:
            raise KeyboardInterrupt
        finally:
            interrupted.jobs = jobs


def test_an_error_in_the_block_ends_what_runs():
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - start < 60
    sleeping, waiting = interrupted.jobs
    assert waiting.cancelled()
    assert isinstance(sleeping.exception(), (WorkerDied, OSError))


def test_it_is_an_executor():
    assert issubclass(Pool, concurrent.futures.Executor)
    with Pool(1, 30) as pool, pytest.raises(ValueError, match="positional arguments only, got value"):
        pool.submit(double, value=1)


def test_a_script_without_a_guard_may_use_it(tmp_path):
    """Nothing imports the main script again, which would start processes without end."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os\nfrom pointkit.pool import Pool\nprint('once', Pool(1, 30).submit(os.getcwd).result())\nos._exit(0)"
    )
    done = subprocess.run([sys.executable, "-u", script], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.stdout == f"once {tmp_path}\n"
    assert done.stderr == ""


def test_processes_end_with_the_caller(tmp_path):
    """A caller that is killed leaves none behind."""
    script = (
        "import os; from pointkit.pool import Pool; p = Pool(1, 30); "
        "print(p.submit(os.getpid).result(), flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    gone = threading.Event()
    for _ in range(200):
        try:
            os.kill(int(done.stdout), 0)
        except ProcessLookupError:
            gone.set()
            break
        time.sleep(0.05)
    assert gone.is_set()


def numbers(count, broken=None):
    for i in range(count):
        if i == broken:
            raise Odd("as it was")
        yield {"at": i, "array": np.full(1000, i), "pid": os.getpid()}


def hanging():
    yield 1
    time.sleep(60)


def dying():
    yield 1
    os.kill(os.getpid(), signal.SIGKILL)


def filling(size):
    yield len(bytearray(size))


class TestApart:
    def test_pieces_come_in_order_from_one_process_that_is_kept(self):
        pieces = list(pool.apart(numbers, 20, deadline=30))
        assert [piece["at"] for piece in pieces] == list(range(20))
        assert all((piece["array"] == i).all() for i, piece in enumerate(pieces))
        [again] = pool.apart(numbers, 1, deadline=30)
        assert {piece["pid"] for piece in pieces} == {again["pid"]} != {os.getpid()}

    def test_two_at_a_time_have_a_process_each(self):
        one, other = pool.apart(numbers, 2, deadline=30), pool.apart(numbers, 2, deadline=30)
        assert next(one)["pid"] != next(other)["pid"]
        assert [len(list(one)), len(list(other))] == [1, 1]

    def test_an_error_comes_after_the_pieces_before_it(self):
        pieces = pool.apart(numbers, 5, 2, deadline=30)
        assert [next(pieces)["at"], next(pieces)["at"]] == [0, 1]
        with pytest.raises(Odd, match="as it was"):
            next(pieces)

    @pytest.mark.parametrize(("job", "how"), [(hanging, r"within 1 seconds"), (dying, "signal SIGKILL")])
    def test_a_death_or_a_deadline_ends_it_and_the_next_has_another_process(self, job, how):
        list(pool.apart(numbers, 1, deadline=30))  # a process that has started and imported this file
        pieces = pool.apart(job, deadline=30 if job is dying else 1)
        assert next(pieces) == 1
        with pytest.raises(WorkerDied, match=how):
            next(pieces)
        assert list(pool.apart(numbers, 1, deadline=30))

    def test_leaving_early_ends_the_process(self):
        pieces = pool.apart(numbers, 1000, deadline=30)
        pid = next(pieces)["pid"]
        pieces.close()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a limit on the address space")
    def test_each_call_has_its_own_limit_on_memory(self):
        with pytest.raises(MemoryError):
            list(pool.apart(filling, 2 << 30, deadline=30, memory=1 << 30))
        assert list(pool.apart(filling, 1 << 30, deadline=30)) == [1 << 30]

    def test_in_a_pools_process_it_runs_right_there(self):
        with Pool(1, 30) as own:
            pid = own.submit(os.getpid).result()
            assert own.submit(apart_within).result() == pid
        assert not served.is_apart()


def meeting(own, other):
    """Comes to an end only where the other is at work at the same time."""
    own.touch()
    yield os.getpid()
    for _ in range(1000):
        if other.exists():
            break
        time.sleep(0.01)
    yield other.exists()


class TestInTurns:
    def test_jobs_are_at_work_side_by_side(self, tmp_path):
        one, other = tmp_path / "one", tmp_path / "other"
        pieces = pool.in_turns([(meeting, (one, other)), (meeting, (other, one))], deadline=30)
        pids = {next(pieces), next(pieces)}
        assert len(pids) == 2
        assert os.getpid() not in pids
        assert list(pieces) == [True, True]

    def test_all_have_begun_before_a_piece_is_waited_for(self, tmp_path):
        pieces = pool.in_turns([(found, (tmp_path / "late",)), (meeting, (tmp_path / "late", tmp_path))], deadline=30)
        assert next(pieces)
        pieces.close()

    @pytest.mark.parametrize("lengths", [(3, 3), (4, 2), (0, 3)])
    def test_pieces_come_in_turn(self, lengths):
        pieces = list(pool.in_turns([(numbers, (count,)) for count in lengths], deadline=30))
        assert [piece["at"] for piece in pieces] == sorted([*range(lengths[0]), *range(lengths[1])])

    def test_an_error_of_one_ends_the_others(self):
        pieces = pool.in_turns([(numbers, (1000,)), (numbers, (5, 1))], deadline=30)
        first = next(pieces)["pid"]
        with pytest.raises(Odd, match="as it was"):
            list(pieces)
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)

    def test_in_a_pools_process_they_take_turns_right_there(self):
        with Pool(1, 30) as own:
            assert own.submit(in_turns_within).result() == [0, 0, 1]


def found(path):
    for _ in range(1000):
        if path.exists():
            break
        time.sleep(0.01)
    yield path.exists()


def in_turns_within():
    return [piece["at"] for piece in pool.in_turns([(numbers, (2,)), (numbers, (1,))], deadline=30)]


def apart_within():
    [piece] = pool.apart(numbers, 1, deadline=30)
    return piece["pid"]
