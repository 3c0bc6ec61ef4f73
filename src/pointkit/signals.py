"""Stopping on SIGINT and SIGTERM at a moment that the program chooses, and soon in any case.

The first signal only sets a flag, which the training checks after each step. If that takes too long (a compiler at
work, a long step), a watching thread ends the process: what was committed stays committed. A second signal ends it at
once.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(Exception):
    """The user asked to stop, and the work so far is committed. ``exit_code`` is the command's: 130 or 143."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


class StopRequest:
    """``with StopRequest(...) as stop:`` catches the signals; ``stop.check()`` raises Stopped once one has come.

    A signal that no ``check`` saw is raised at the end of the block, so none is lost. As soon as the first has come,
    ``heard`` is called. ``patience`` seconds after it, ``last_words`` is called and the process ends. All this works in
    the main thread alone, as Python handles signals only there. In other threads it does nothing.
    """

    def __init__(
        self,
        patience: float = 8.0,
        last_words: Callable[[], None] = lambda: None,
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        self.patience = patience
        self.last_words, self.heard = last_words, heard
        self.signum: int | None = None
        self._active = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> StopRequest:
        if self._active:
            reader, self._writer = socket.socketpair()
            self._writer.setblocking(False)
            self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
            self._handlers = {signum: signal.signal(signum, self._note) for signum in SIGNALS}
            threading.Thread(target=self._watch, args=(reader,), name="stop-watch", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._active:
            for signum, handler in self._handlers.items():
                signal.signal(signum, handler)
            signal.set_wakeup_fd(self._wakeup)
            self._writer.close()  # ends the watching thread's read
        if error is None:
            self.check()

    def check(self) -> None:
        """Raise Stopped where a signal has come."""
        if self.signum is not None:
            raise Stopped(self.signum)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum

    def _watch(self, reader: socket.socket) -> None:
        """Wait for signals. Python runs handlers only between bytecodes, but writes to this socket at once."""
        first, deadline = 0, 0.0
        with reader:
            while True:
                if first:
                    reader.settimeout(max(deadline - time.monotonic(), 0.001))
                try:
                    came = reader.recv(1)
                except TimeoutError:
                    self._end(first)
                if not came:
                    return
                if came[0] not in SIGNALS:  # some other handler's
                    continue
                if first:
                    self._end(came[0])
                first, deadline = came[0], time.monotonic() + self.patience
                threading.Thread(target=self.heard, daemon=True).start()

    def _end(self, signum: int) -> NoReturn:
        words = threading.Thread(target=self.last_words, daemon=True)  # a terminal that takes no text must not block us
        words.start()
        words.join(0.5)
        if os.isatty(2):
            os.write(2, b"\x1b[?25h")  # the cursor, which a bar hides
        os._exit(128 + signum)


class Interrupting(StopRequest):
    """``with Interrupting(...):`` raises Stopped within the block as soon as a signal comes and Python can run.

    Where Python cannot, as within a compiler, the process ends after the ``patience``.
    """

    def _note(self, signum: int, frame: FrameType | None) -> None:
        super()._note(signum, frame)
        raise Stopped(signum)
