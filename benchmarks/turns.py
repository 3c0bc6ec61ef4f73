"""Contenders in processes of their own that take their steps in turn, so other work on the machine slows all alike.

A turn is a length of time, not a number of steps. The first step of a turn finds the processor's caches and the
system's free pages as the others left them, and it should weigh no more for a fast contender than for a slow one.

Where a contender's library has a GPU, the time of its kernels there is measured as well, after the turns.

A benchmark's script starts itself again for each contender, with ``--worker NAME``, and calls ``work`` there.
"""

import contextlib
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

TUNED = {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "2147483648", "MALLOC_TOP_PAD_": "268435456"}


def gpu():
    """The library of this process that computes on a GPU: "torch", "jax", "tensorflow", or none."""
    has = {
        "torch": lambda torch: torch.cuda.is_available(),
        "jax": lambda jax: jax.default_backend() == "gpu",
        "tensorflow": lambda tensorflow: tensorflow.config.list_physical_devices("GPU"),
    }
    return next((name for name, asked in has.items() if name in sys.modules and asked(sys.modules[name])), None)


def peak():
    """Most memory that this process has held so far, MiB: of the GPU where its library has one."""
    name = gpu()
    library = sys.modules.get(name)
    if name == "torch":
        return library.cuda.max_memory_allocated() / 2**20
    if name == "jax":
        return library.devices()[0].memory_stats()["peak_bytes_in_use"] / 2**20
    if name == "tensorflow":
        return library.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(step):
    """A step's result and its seconds: between two events on the GPU where PyTorch has one, else by the clock.

    A step must wait for its own result.
    """
    if gpu() == "torch":
        torch = sys.modules["torch"]
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        answer = step()
        end.record()
        end.synchronize()
        return answer, start.elapsed_time(end) / 1000
    begin = time.perf_counter()
    answer = step()
    return answer, time.perf_counter() - begin


def kernels(step, times=4):
    """Seconds that a step's kernels take on the GPU, with copies, by the profiler's events."""
    if gpu() == "torch":
        torch = sys.modules["torch"]
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
            steps = sum(_number(step()) for _ in range(times))
            torch.cuda.synchronize()
        events = [event for event in profiler.key_averages() if event.device_type.name == "CUDA"]
        return sum(event.self_device_time_total for event in events) / 1e6 / steps
    import jax

    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            steps = sum(_number(step()) for _ in range(times))
        (file,) = pathlib.Path(folder).rglob("*.xplane.pb")
        planes = [plane for plane in jax.profiler.ProfileData.from_file(str(file)).planes if "GPU" in plane.name]
        streams = [line for plane in planes for line in plane.lines if "Stream" in line.name]
        return sum(event.duration_ns for line in streams for event in line.events) / 1e9 / steps


def _number(answer):
    """How many steps a call was: the whole number that it returned, or one."""
    return answer if isinstance(answer, int) else 1


def work(prepare):
    """Run a contender's process: make its step, warm up, then take steps whenever a line comes in.

    A step that returns a whole number counts as so many. At the end of its input it prints the time of its kernels on a
    GPU.
    """
    step = prepare()
    before = peak()
    for _ in range(3):
        step()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        taken = []
        end = time.perf_counter() + float(line)
        while not taken or time.perf_counter() < end:
            answer, seconds = timed(step)
            taken.append(seconds / _number(answer))
        print(json.dumps({"seconds": taken, "peak": peak(), "step": peak() - before}), flush=True)
    with contextlib.suppress(BrokenPipeError):  # another contender has failed
        print(json.dumps({"kernels": kernels(step) if gpu() in ("torch", "jax") else None}), flush=True)


def products():
    """A function that multiplies matrices that stay in the cache; its work is 0.1 TFLOP."""
    import numpy as np

    a, b = np.ones((512, 512), "float32"), np.ones((512, 512), "float32")
    out = np.empty((512, 512), "float32")

    def multiply():
        for _ in range(373):
            np.matmul(a, b, out=out)

    return multiply


def take(commands, *, backend, rounds, turn):
    """Run contenders (name -> command line). Gives name -> seconds, peak MiB, MiB above the start, kernels' seconds.

    Seconds are medians. A turn lasts ``turn`` seconds, and one step at least. Without a GPU the last figure is None.
    """
    processes = {}
    for name, command in commands.items():
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2"}
        environment["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # one GPU for all contenders
        if name.endswith("tuned"):
            environment |= TUNED
        pipe = subprocess.PIPE
        processes[name] = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
    for process in processes.values():  # all warm up at once
        _answer(process)
    taken = {name: [] for name in processes}
    last = {}
    for _ in range(rounds):
        for name, process in processes.items():
            process.stdin.write(f"{turn}\n")
            process.stdin.flush()
            last[name] = _answer(process)
            taken[name] += last[name]["seconds"]
    result = {}
    for name, process in processes.items():
        process.stdin.close()
        figures = last[name] | _answer(process)
        process.wait()
        result[name] = (statistics.median(taken[name]), figures["peak"], figures["step"], figures["kernels"])
    return result


def resident():
    """MiB that this process holds now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def work_by_processor(prepare):
    """Run a contender's process of ``take_by_processor``: one step whenever a line comes in."""
    step = prepare()
    before = peak() if gpu() else resident()
    step()
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        used, begin = time.process_time(), time.perf_counter()
        step()
        wall, used = time.perf_counter() - begin, time.process_time() - used
        print(json.dumps({"wall": wall, "used": wall if gpu() else used, "mib": peak() - before}), flush=True)


def take_by_processor(commands, *, backend, threads, rounds):
    """Run contenders (name -> command line) with so many threads, one step each in turn.

    Gives name -> least seconds of processor time, least seconds of wall time, and MiB above what it held before its
    first step. On a GPU both times are wall time.
    """
    many = "true" if threads > 1 else "false"
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={many} intra_op_parallelism_threads={threads}",
        "OMP_NUM_THREADS": str(threads),
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": "1",
    }
    pipe = subprocess.PIPE
    processes = {
        name: subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        for name, command in commands.items()
    }
    taken = {name: [] for name in processes}
    for process in processes.values():
        _answer(process)
    for _ in range(rounds):
        for name, process in processes.items():
            process.stdin.write("\n")
            process.stdin.flush()
            taken[name].append(_answer(process))
    for process in processes.values():
        process.stdin.close()
        process.wait()
    return {
        name: (min(each["used"] for each in steps), min(each["wall"] for each in steps), steps[-1]["mib"])
        for name, steps in taken.items()
    }


def table(result):
    """Print a result's milliseconds, ratios and MiB by contender."""
    print(f"{'':18}{'processor ms':>14}{'wall ms':>10}{'ratio':>8}{'MiB':>7}{'share':>7}")
    for name, used in result["milliseconds"].items():
        ratio, share = result["ratios"].get(name, 1.0), result["memory_ratios"].get(name, 1.0)
        wall, mib = result["wall_milliseconds"][name], result["mib_above_start"][name]
        print(f"{name:18}{used:14.1f}{wall:10.1f}{ratio:8.1f}{mib:7}{share:7.2f}")


def figures(taken):
    """What ``take_by_processor`` gave, as milliseconds, MiB and ratios to "pointkit"."""
    ours = taken["pointkit"]
    rivals = [name for name in taken if name != "pointkit"]
    return {
        "milliseconds": {name: round(1000 * used, 1) for name, (used, _, _) in taken.items()},
        "wall_milliseconds": {name: round(1000 * wall, 1) for name, (_, wall, _) in taken.items()},
        "mib_above_start": {name: round(mib) for name, (_, _, mib) in taken.items()},
        "ratios": {name: round(taken[name][0] / ours[0], 1) for name in rivals},
        "memory_ratios": {name: round(ours[2] / taken[name][2], 2) for name in rivals},
        "load": round(os.getloadavg()[0], 1),
    }


def _answer(process):
    for line in process.stdout:
        if line.startswith("{"):  # libraries print too
            return json.loads(line)
    sys.exit(process.wait() or 1)  # it has said why
