"""Files and folders on the disk: written whole or not at all, held by one process, checked.

An unfinished file or folder has a hidden name beside its final one, and a rename finishes it. These are the names:

    .NAME.writing    a file or folder while it is written; after a kill it is useless, and the next writer replaces it
    .NAME.partial    work that the same command goes on from after a stop: chunks, or the bytes of a download
    .NAME.replaced   the folder that stood there, until the new one has its name
    .NAME.lock       a file that one process holds while it works on NAME; it contains the number of that process

Searches of folders pass over hidden names. Only the standard library is used here.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import os
import pathlib
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO

from pointkit.errors import MachineError, PointkitError

try:
    import fcntl
except ImportError:  # as on Windows
    fcntl = None  # type: ignore[assignment]

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
)

# ---- messages about paths and disks


def shown(path: Path) -> str:
    """A path for a message of one line."""
    return printable(os.fsdecode(path))


def printable(text: str) -> str:
    """A text in one line, with escapes for what cannot be printed."""
    return text if text.isprintable() else repr(text)[1:-1]


@contextlib.contextmanager
def disk_errors(path: pathlib.Path, advice: str = "") -> Iterator[None]:
    """Turn the disk's errors while ``path`` is read or written into ours: one line that names the path.

    The line about a full disk ends in ``advice``.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise MachineError(f"{path}: no space left{advice}") from None
        if error.errno in FORBIDDEN:
            raise PointkitError(f"{path}: cannot be read or written ({error.filename}: {error.strerror})") from None
        raise


# ---- whole or not at all


def beside(path: pathlib.Path, state: str) -> pathlib.Path:
    """The hidden name of ``path`` in a ``state`` of the table above, such as "writing"."""
    return path.with_name(f".{path.name}.{state}")


def sync(path: pathlib.Path) -> None:
    """Have the system put a file or folder on the disk now, before a rename that must come after it."""
    folder = path.is_dir()
    if folder and not hasattr(os, "O_DIRECTORY"):
        return  # Windows cannot open a folder
    handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def put(finished: pathlib.Path, path: pathlib.Path) -> None:
    """Give a file its final name, or a folder a free name, and put the change on the disk."""
    finished.replace(path)
    sync(path.parent)


@contextlib.contextmanager
def replacing(
    path: Path, *, shared: bool = True, durable: bool = True, keep: pathlib.Path | None = None
) -> Iterator[BinaryIO]:
    """A new file that takes the place of ``path`` when the block ends well, and is removed when it fails.

    ``shared``: another process may write the same file at the same time. So the new file has a random name until it is
    done, and a killed process leaves it behind. Otherwise its name is ``.NAME.writing``, which the next writer
    replaces. ``durable``: the file is on the disk before it has its name. Otherwise its readers must check it.
    ``keep``: the new name of the file that stood there. After a kill, that may be the only one. An OSError of the
    writing itself, as on a full disk, names ``path``.
    """
    target = pathlib.Path(os.fsdecode(path))
    # The random name is short, as the file's own name may fill all 255 bytes.
    writing = target.with_name(f".{secrets.token_hex(8)}.writing") if shared else beside(target, "writing")
    try:
        if not shared:
            writing.unlink(missing_ok=True)
        file = writing.open("xb")  # x: does not follow a link that somebody left there
        try:
            with file:
                yield file
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            if keep and target.exists():
                put(target, keep)
            writing.replace(target)
        except BaseException:
            writing.unlink(missing_ok=True)
            raise
        if durable:
            sync(target.parent)
    except OSError as error:
        if error.filename in (None, str(writing)):
            error.filename = shown(path)
        raise


def replace(path: pathlib.Path, data: bytes, keep: pathlib.Path | None = None) -> None:
    """Write a file in a folder that this process holds; ``keep`` is as in ``replacing``.

    Raises MachineError where the disk is full, PointkitError where the folder cannot be written to.
    """
    with (
        disk_errors(path.parent, f" (needed {len(data) / 1e6:.1f} MB)"),
        replacing(path, shared=False, keep=keep) as file,
    ):
        file.write(data)


@contextlib.contextmanager
def making(
    path: pathlib.Path, root: Callable[[pathlib.Path], pathlib.Path] = lambda folder: folder
) -> Iterator[pathlib.Path]:
    """The free name of a folder that the block makes. It takes the place of ``path`` when the block ends well.

    What stood there is then removed. When the block fails, only the new folder is removed. ``root`` gives the folder in
    the new one that takes the place.
    """
    path = path.absolute()
    writing, old = beside(path, "writing"), beside(path, "replaced")
    if old.exists() and not path.exists():  # an earlier process was killed between the two renames below
        old.rename(path)
    shutil.rmtree(writing, ignore_errors=True)
    try:
        yield writing
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
            path.rename(old)
        put(root(writing), path)
    finally:
        shutil.rmtree(writing, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


# ---- missing folders


def check_room(path: pathlib.Path, error: type[PointkitError] = PointkitError) -> None:
    """Check that ``path`` can be made: one level above it may be missing, no more.

    A longer path that does not exist is more likely a slip. Raises ``error``.
    """
    parent = path.absolute().parent
    above = parent if parent.exists() else parent.parent
    if not above.is_dir():
        raise error(f"{path}: the folder {above} must exist, found {'a file' if above.exists() else 'none'}")
    if not os.access(above, os.W_OK | os.X_OK):
        raise error(f"{path}: the folder {above} cannot be written to")


def make(path: pathlib.Path, error: type[PointkitError] = PointkitError) -> None:
    """Make a folder where none stands, and one level above it where that is missing too. Raises ``error``."""
    try:
        if path.is_dir():
            return
        if path.exists():
            raise error(f"{path}: must be a folder, found a file")
        check_room(path, error)
        path.mkdir(exist_ok=True, parents=True)
    except OSError as problem:
        raise error(f"{path}: cannot be made ({problem.strerror})") from None


# ---- held by one process


@contextlib.contextmanager
def held(
    path: pathlib.Path, does: str, *, lock: pathlib.Path | None = None, error: type[PointkitError] = PointkitError
) -> Iterator[None]:
    """Hold ``path`` while the block runs, so that nobody else can hold it; ``lock`` is the file for that.

    Raises ``error`` where it is held already, in this process or another: "PATH: in use by the process N, which DOES".
    A process that died holds nothing.
    """
    lock = lock or beside(path.absolute(), "lock")
    database = lock.with_name(f"{lock.name}.db")
    while True:
        if lock.is_symlink():  # it may lead to somebody's file
            raise error(f"{path}: cannot be written to ({lock.name} is a link)")
        with contextlib.ExitStack() as stack:
            try:
                handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as problem:
                raise error(f"{path}: cannot be written to ({problem.strerror})") from None
            stack.callback(os.close, handle)
            try:
                stack.enter_context(_exclusive(handle, database))
            except BlockingIOError:
                holder = os.read(handle, 20).decode("ascii", "replace") or "(starting)"
                raise error(f"{path}: in use by the process {holder}, which {does}") from None
            except OSError as problem:
                raise error(f"{path}: cannot be locked ({problem.strerror})") from None
            if not _is_still(lock, handle):  # its holder removed it after we had opened it
                continue
            with disk_errors(path):
                os.ftruncate(handle, 0)
                os.write(handle, str(os.getpid()).encode())
            try:
                yield
            finally:
                # The lock is removed last: whoever still finds it also finds the database.
                left = [file for file in (database, lock) if not _removed(file)]
                stack.close()
                for file in left:  # Windows removes no open file, so none that another process holds
                    _removed(file)
            return


@contextlib.contextmanager
def _exclusive(handle: int, database: pathlib.Path) -> Iterator[None]:
    """Hold the system's lock on an open file, or raise BlockingIOError. The system frees it when the process ends.

    Where Python has no ``flock``, the lock is SQLite's on the file ``database``. Nothing is ever written into it.
    """
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
        return
    import sqlite3

    try:
        connection = sqlite3.connect(database, timeout=0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as problem:
        raise OSError(errno.ENOLCK, str(problem)) from None
    with contextlib.closing(connection):
        try:
            connection.execute("PRAGMA journal_mode = memory")  # no file beside it
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as problem:
            if problem.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise BlockingIOError from None
            raise OSError(errno.ENOLCK, str(problem)) from None
        yield


def _is_still(path: pathlib.Path, handle: int) -> bool:
    """Whether a path is the open file itself, and no link to it."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def _removed(path: pathlib.Path) -> bool:
    """Remove a file. Returns whether it is gone."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


# ---- checked, and tables of text


def stamp(path: pathlib.Path) -> tuple[int, int]:
    """Size in bytes and time of change in ns: where they differ, a file has been written since."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def digest(data: bytes | memoryview) -> str:
    """SHA-256, in hex."""
    return hashlib.sha256(data).hexdigest()


def file_digest(path: pathlib.Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV with lines that end in \\n. Names with commas, quotes, \\n and \\r come back as they were."""
    lines: list[str] = []

    class Lines:
        def write(self, line: str) -> None:
            lines.append(line.removesuffix("\r\n"))

    table = csv.writer(Lines())  # with its own line end, \r\n, it quotes names that hold \r
    table.writerow(columns)
    table.writerows(rows)
    return "\n".join(lines) + "\n"


def csv_rows(path: pathlib.Path) -> list[dict[str, str]]:
    """The rows of a CSV file with a line of column names. Names that are not UTF-8 are those of os.fsdecode."""
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))
