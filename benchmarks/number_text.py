"""How fast numbers are read from text: ours beside ``np.loadtxt``, pandas and pyarrow where installed, on one core.

    python benchmarks/number_text.py [--numbers 600000] [--rounds 7] [--beside OLD.py] [--json]

Each form is a text with six numbers a line, as some program writes them. All ways read it from memory in one process.
They take turns, so that other work on the machine slows all alike. Times are the processor's, in milliseconds, medians
over the rounds. The ratio in brackets is the median of a way's time over ours. Each way's numbers are compared with
those of ``float``, bit by bit, and different ones are counted. ``--beside`` adds an older
``src/pointkit/formats/numbers.py``, for a comparison before and after. Exits with 1 where a number of ours differs from
``float``'s, and where ours has less than 0.95 of the speed of ``np.loadtxt``, or less than 3 times it on short
decimals.
"""

import argparse
import importlib.util
import io
import json
import statistics
import sys
import time

import numpy as np

from pointkit.formats import numbers

COLUMNS = 6
FLOOR, SHORT_FLOOR = 0.95, 3.0
SHORT = "%.6f"


def forms(count):
    """Name and text of each form, from one seed."""
    rng = np.random.default_rng(0)
    unit = rng.uniform(-1, 1, count).tolist()
    survey = np.column_stack(
        [rng.uniform(4e5, 5e5, count), rng.uniform(5.4e6, 5.5e6, count), rng.uniform(1, 900, count)]
    )
    colors = rng.integers(0, 256, (count, 3))
    mixed = ["%.6f", "%.0f", "%.18e", "%.17g", "%.3e", "%.3f"]
    tokens = {
        SHORT: [f"{x:.6f}" for x in unit],
        "UTM and colours": [f"{v:.3f}" for v in survey[: count // 6].ravel().tolist()],
        "integers": [str(i) for i in rng.integers(0, 100_000, count).tolist()],
        "float32": [str(x) for x in np.array(unit, np.float32)],
        "%.18e": [f"{x:.18e}" for x in unit],
        "%.17g": [f"{x:.17g}" for x in unit],
        "UTM %.17g": [f"{x:.17g}" for x in survey.ravel()[:count].tolist()],
        "repr": [repr(x) for x in unit],
        "%.6e": [f"{x:.6e}" for x in unit],
        "mixed": [mixed[i % 6] % (1000 * x) for i, x in enumerate(unit)],
        "nan among %.6f": ["nan" if i % 18 < 6 else f"{x:.6f}" for i, x in enumerate(unit)],
    }
    utm = tokens["UTM and colours"]
    tokens["UTM and colours"] = [
        token for i in range(count // 6) for token in (*utm[3 * i : 3 * i + 3], *map(str, colors[i].tolist()))
    ]
    for name, words in tokens.items():
        lines = (" ".join(words[i : i + COLUMNS]) for i in range(0, len(words) // COLUMNS * COLUMNS, COLUMNS))
        yield name, "\n".join(lines).encode() + b"\n"


def loadtxt(text):
    return np.loadtxt(io.BytesIO(text), ndmin=2)


def fromstring(text):
    return np.fromstring(text, sep=" ")


def pandas(text):
    import pandas

    return pandas.read_csv(io.BytesIO(text), sep=" ", header=None).to_numpy(np.float64)


def pyarrow(text):
    from pyarrow import csv, float64

    names = [str(i) for i in range(COLUMNS)]
    table = csv.read_csv(
        io.BytesIO(text),
        csv.ReadOptions(column_names=names, use_threads=False),
        csv.ParseOptions(delimiter=" "),
        csv.ConvertOptions(column_types=dict.fromkeys(names, float64())),
    )
    return np.column_stack([column.to_numpy() for column in table.columns])


def older(path):
    spec = importlib.util.spec_from_file_location("numbers_before", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.table


def ways(beside):
    found = {"pointkit": numbers.table, "np.loadtxt": loadtxt, "np.fromstring": fromstring}
    if beside:
        found["before"] = older(beside)
    return found | {way.__name__: way for way in (pandas, pyarrow) if importlib.util.find_spec(way.__name__)}


def measure(text, readers, rounds):
    right = np.array([float(token) for token in text.split()])
    taken = {name: [] for name in readers}
    differ = {}
    for name, reader in readers.items():
        values = np.ascontiguousarray(reader(text)).ravel()
        same = (values.view(np.int64) == right.view(np.int64)) | (np.isnan(values) & np.isnan(right))
        differ[name] = int(np.count_nonzero(~same))
    for _ in range(rounds):
        for name, reader in readers.items():
            start = time.process_time()
            reader(text)
            taken[name].append(time.process_time() - start)
    against = {name: [b / a for a, b in zip(taken["pointkit"], times, strict=True)] for name, times in taken.items()}
    return {
        "ms": {name: round(1000 * statistics.median(times), 1) for name, times in taken.items()},
        "speed": {name: round(statistics.median(ratios), 2) for name, ratios in against.items()},
        "differ": differ,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numbers", type=int, default=600_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--beside", metavar="OLD.py", help="an older numbers.py to measure too")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    readers = ways(options.beside)
    result = {name: measure(text, readers, options.rounds) for name, text in forms(options.numbers)}
    missed = [
        name
        for name, row in result.items()
        if row["differ"]["pointkit"] or row["speed"]["np.loadtxt"] < (SHORT_FLOOR if name == SHORT else FLOOR)
    ]
    if options.json:
        print(json.dumps({"numbers": options.numbers, "rounds": options.rounds, "forms": result, "missed": missed}))
        return bool(missed)
    print(f"{options.numbers:,} numbers, {options.rounds} rounds: milliseconds (times ours)")
    print(f"{'':18}" + "".join(f"{name:>18}" for name in readers))
    for form, row in result.items():
        cells = "".join(f"{row['ms'][name]:10.1f} ({row['speed'][name]:5.2f})" for name in readers)
        print(f"{form:18}{cells}" + "".join(f"  {name}: {n} differ" for name, n in row["differ"].items() if n))
    print(f"missed: {', '.join(missed)}" if missed else "every floor held")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
