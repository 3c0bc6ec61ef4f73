"""A plain twin of ``formats.annotate``, the other way round: a file without what was added, one row after another."""

import io
import re
import struct
import zipfile

import numpy as np

from pointkit.formats import pcd

CODES = {"char": "b", "uchar": "B", "short": "h", "ushort": "H", "int": "i", "uint": "I", "float": "f", "double": "d",
         "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "float32": "f",
         "float64": "d"}  # fmt: skip


def stripped(data, suffix, ours, notes=()):
    """The bytes of a file as they were before the fields ``ours`` and ``notes`` were added, and ``source_`` undone."""
    strip = {".ply": _ply, ".pcd": _pcd, ".npy": _npy, ".npz": _npz}.get(suffix, _text)
    return strip(data, ours, notes)


def _renamed(line, ours):
    for name in ours:
        line = re.sub(rb"(?<![\w])source_%s(?![\w])" % name.encode(), name.encode(), line)
    return line


def _ply(data, ours, notes):
    end = re.search(rb"^end_header\r?\n", data, re.MULTILINE).end()
    head, elements, order = [], [], ""
    target = "face" if re.search(rb"^element face [1-9]", data[:end], re.MULTILINE) else "vertex"
    for line in data[:end].splitlines(keepends=True):
        words = line.decode().split()
        if words[0] == "comment" and " ".join(words[1:]) in notes:
            continue
        if words[0] == "format":
            order = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}[words[1]]
        if words[0] == "element":
            elements.append((words[1], int(words[2]), []))
        if words[0] == "property":
            elements[-1][2].append(words[1:])
            if elements[-1][0] == target:
                if words[-1] in ours:
                    continue
                line = _renamed(line, ours)
        head.append(line)
    elements = [(count, properties, ours if name == target else ()) for name, count, properties in elements]
    return b"".join(head) + (_ply_rows(data[end:], elements, order) if order else _ply_lines(data[end:], elements))


def _ply_rows(body, elements, order):
    at, kept = 0, []
    for count, properties, ours in elements:
        for _ in range(count):
            for each in properties:
                start, number = at, 1
                if each[0] == "list":
                    (number,) = struct.unpack_from(order + CODES[each[1]], body, at)
                    at += struct.calcsize(CODES[each[1]])
                at += number * struct.calcsize(CODES[each[-2]])
                if each[-1] not in ours:
                    kept.append(body[start:at])
    assert at == len(body)
    return b"".join(kept)


def _ply_lines(body, elements):
    lines = body.splitlines(keepends=True)
    rows = iter([i for i, line in enumerate(lines) if line.split()])
    for count, properties, ours in elements:
        for _ in range(count):
            row = next(rows)
            tokens = list(re.finditer(rb"\S+", lines[row]))
            cut = []
            for each in properties:
                number = int(tokens[0][0]) + 1 if each[0] == "list" else 1
                if each[-1] in ours:
                    cut += tokens[:number]
                tokens = tokens[number:]
            assert not tokens
            for token in reversed(cut):
                lines[row] = lines[row][: token.start() - 1] + lines[row][token.end() :]
    return b"".join(lines)


def _pcd(data, ours, notes):
    end = re.search(rb"^DATA.*\n", data, re.MULTILINE).end()
    contents = [line.split(b"#")[0].split() for line in data[:end].splitlines()]
    entries = {words[0]: words[1:] for words in contents if words}
    names = [name.decode() for name in entries.get(b"FIELDS", entries.get(b"COLUMNS"))]
    more = sum(name in ours for name in names)
    assert set(names[-more:]) == set(ours)
    head = []
    for line in data[:end].splitlines(keepends=True):
        if line.lstrip(b"# ").strip().decode() in notes:
            continue
        content = line.split(b"#")[0].rstrip()
        if content.split() and content.split()[0] in (b"FIELDS", b"COLUMNS", b"SIZE", b"TYPE", b"COUNT"):
            line = content.rsplit(b" ", more)[0] + line[len(content) :]
        head.append(_renamed(line, ours))
    counts = [int(word) for word in entries.get(b"COUNT", [1] * len(names))]
    sizes = [int(size) * count for size, count in zip(entries[b"SIZE"], counts, strict=True)]
    storage, body = entries[b"DATA"][0], data[end:]
    if storage == b"ascii":
        number = sum(counts[-more:])
        lines = [re.sub(rb"(?: \S+){%d}(?=\s*$)" % number, b"", line) for line in body.splitlines(keepends=True)]
        return b"".join(head + lines)
    points = int(entries[b"POINTS"][0])
    if storage == b"binary":
        theirs, width = sum(sizes[:-more]), sum(sizes)
        return b"".join(head + [body[i * width : i * width + theirs] for i in range(points)])
    packed, size = struct.unpack("<II", body[:8])
    theirs = points * sum(sizes[:-more])
    assert size == points * sum(sizes)
    stream = body[8 : 8 + packed]
    assert len(body) == 8 + packed
    runs = -(-(size - theirs) // 32)
    own = stream[: len(stream) - (size - theirs) - runs]  # ours are literal: 32 bytes behind each byte that says so
    assert pcd._lzf(stream, size)[:theirs] == pcd._lzf(own, theirs)
    return b"".join([*head, struct.pack("<II", len(own), theirs), own])


def _npz(data, ours, notes):
    """The entries that are not ours."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        theirs = {name: file.read(name) for name in file.namelist() if name.removesuffix(".npy") not in ours}
    return {_renamed(name.encode(), ours).decode(): raw for name, raw in theirs.items()}


def _npy(data, ours, notes):
    array, stream = np.load(io.BytesIO(data)), io.BytesIO()
    if array.dtype.names:
        names = [name for name in array.dtype.names if name not in ours]
        theirs = np.empty(len(array), [(name.removeprefix("source_"), array.dtype[name]) for name in names])
        for old, name in zip(names, theirs.dtype.names, strict=True):
            theirs[name] = array[old]
        np.save(stream, theirs)
        return stream.getvalue()
    np.save(stream, array[:, : -_width(ours)])
    return stream.getvalue()


def _text(data, ours, notes):
    more = rb"(?:[ \t,;]+[^\s,;#/]+){%d}(?=[\s,;]*(?:(?:#|//).*)?$)" % _width(ours)
    lines, named = [], False
    for line in data.splitlines(keepends=True):
        words = re.sub(rb"\s*(?:#|//)", b"", line).decode("latin-1").strip()
        if words in notes:
            continue
        comment = re.match(rb"\s*(?:#|//)", line)
        title = not named and set(ours) <= {word.strip("\"'") for word in re.split(r"[\s,;]+", words)}
        if title or (not comment and len(re.split(r"[\s,;]+", words)) > 1):
            line = _renamed(re.sub(more, b"", line, count=1), ours if title else ())
        named |= title
        lines.append(line)
    return b"".join(lines)


def _width(ours):
    """Numbers in a row of them."""
    return sum(int(np.prod(np.shape(column)[1:])) for column in ours.values())
