"""The processor time of the audit beside that of reading the same set: python benchmarks/audit.py FOLDER [--task parts]

Reading is what `prepare` does without the audit: read, draw, split, write. Both run in one process.
"""

from __future__ import annotations

import argparse
import pathlib
import tempfile
import time
from concurrent.futures import Executor, Future

from pointkit import audit, prepare
from pointkit import store as stores


class Here(Executor):
    """Runs each job at once, in this process, so that its time is counted."""

    def submit(self, function, /, *arguments, **named):
        done: Future = Future()
        done.set_result(function(*arguments, **named))
        return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--task")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "store"
        whole, checked = 0.0, 0.0
        inside = audit.of_store

        def timed(*arguments, **named):
            nonlocal checked
            begun = time.process_time()
            found = inside(*arguments, **named)
            checked += time.process_time() - begun
            return found

        audit.of_store = timed
        begun = time.process_time()
        made = prepare.prepare(asked.folder, output, task=asked.task, workers=1, executor=Here())
        whole = time.process_time() - begun
        if not checked:  # prepare without the audit
            timed(stores.open(output))
            whole += checked
        shapes = len(made.store.rows)
        print(f"{shapes:,} shapes: reading {whole - checked:.2f} s, audit {checked:.2f} s of processor time")
        print(f"ratio {checked / (whole - checked):.2f}; {1000 * checked / shapes:.2f} ms a shape")


if __name__ == "__main__":
    main()
