"""Damage to files: each damaged file is read or refused in one line, in little time and memory."""

import time

import numpy as np

from pointkit import formats
from pointkit.errors import FormatError


def refusal(data, suffix):
    """The line in which bytes are refused, without the words before it; None where they are read."""
    start = time.monotonic()
    try:
        formats.read(data, suffix)
    except FormatError as error:
        line = str(error)
    else:
        line = None
    assert time.monotonic() - start < 10
    assert line is None or (line.isprintable() and line.startswith("the given bytes: ")), line
    return line and line.removeprefix("the given bytes: ")


def mutants(data, count, seed):
    """Copies of ``data`` with bytes changed, taken out, doubled, or cut off, as ``seed`` says."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        piece = bytearray(data)
        at, length = int(rng.integers(len(data))), int(rng.integers(1, 40))
        match int(rng.integers(4)):
            case 0:
                piece[at : at + length] = rng.integers(0, 256, len(piece[at : at + length])).astype(np.uint8).tobytes()
            case 1:
                del piece[at : at + length]
            case 2:
                piece[at:at] = piece[at : at + length]
            case 3:
                piece[at] = int(rng.choice([0, 1, 45, 57, 127, 255]))
        yield bytes(piece[: int(rng.integers(1, len(piece)))] if rng.random() < 0.1 else piece)
