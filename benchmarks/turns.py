"""Contenders in processes of their own that take their steps in turn: whatever else the machine does strikes all alike.

A turn is a stretch of time, not a number of steps: the first step after the others' turns finds the processor's caches
and the system's free pages as they left them, and should weigh no more for a fast contender than for a slow one.

A benchmark's script starts itself once more for each contender, with ``--worker NAME``; there it calls ``work``.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
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
    """What a step answers and its seconds: between two events on the GPU where PyTorch has one, else by the clock.

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


def work(prepare):
    """The life of a contender's process: make its step, warm up, then steps whenever a line comes in.

    A step that answers a whole number was as many steps.
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
            number, seconds = timed(step)
            taken.append(seconds / (number if isinstance(number, int) else 1))
        print(json.dumps({"seconds": taken, "peak": peak(), "step": peak() - before}), flush=True)


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
    """Run the contenders (name -> command line) and return name -> median seconds, peak MiB, MiB above the start.

    A turn lasts ``turn`` seconds, and one step at least.
    """
    processes = {}
    for name, command in commands.items():
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2"}
        if name.endswith("tuned"):
            environment |= TUNED
        pipe = subprocess.PIPE
        processes[name] = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        _answer(processes[name])
    taken = {name: [] for name in processes}
    last = {}
    for _ in range(rounds):
        for name, process in processes.items():
            process.stdin.write(f"{turn}\n")
            process.stdin.flush()
            last[name] = _answer(process)
            taken[name] += last[name]["seconds"]
    for process in processes.values():
        process.stdin.close()
        process.wait()
    return {name: (statistics.median(taken[name]), last[name]["peak"], last[name]["step"]) for name in processes}


def _answer(process):
    for line in process.stdout:
        if line.startswith("{"):  # libraries print too
            return json.loads(line)
    sys.exit(process.wait() or 1)  # it has said why
