"""A headless Chromium, driven by its own protocol: a page is opened, and photographed when it stands still."""

from __future__ import annotations

import base64
import contextlib
import io
import itertools
import json
import pathlib
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib.image
import numpy as np
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --use-angle=swiftshader --enable-unsafe-swiftshader "
    "--remote-debugging-port=0"
)
PATIENCE = 240.0  # seconds; five are enough on an idle machine


class Page:
    """A page in the browser. ``requests``: the addresses it asked for; ``errors``: what its scripts threw."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.session: str | None = None
        self.loaded = False
        self.requests: list[str] = []
        self.errors: list[str] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and wait for its answer."""
        number = next(self._numbers)
        session = {"sessionId": self.session} if self.session else {}
        self._socket.send(json.dumps({"id": number, "method": method, "params": params, **session}))
        while True:
            message = json.loads(self._socket.recv(timeout=PATIENCE))
            if message.get("id") != number:
                self._note(message)
            elif "error" in message:
                raise RuntimeError(f"{method}: {message['error']}")
            else:
                return message["result"]

    def visit(self, url: str) -> None:
        """Go to an address and wait until the page has loaded."""
        self.loaded = False
        self.call("Page.navigate", url=url)
        while not self.loaded:
            self._note(json.loads(self._socket.recv(timeout=PATIENCE)))

    def _note(self, message: dict[str, Any]) -> None:
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            case "Runtime.exceptionThrown":
                self.errors.append(json.dumps(message["params"]["exceptionDetails"])[:300])
            case "Page.loadEventFired":
                self.loaded = True

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def click(self, element: str) -> None:
        """Press the left mouse button on an element, given as a JavaScript expression."""
        box = f"(({element}).getBoundingClientRect())"
        x, y = self.run(f"[{box}.x + {box}.width / 2, {box}.y + {box}.height / 2]")
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def photograph(self) -> np.ndarray:
        """Pixels (height, width, 3), 0 to 1."""
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        return matplotlib.image.imread(io.BytesIO(data))[..., :3]

    def whole(self, width: int, dark: bool = False) -> np.ndarray:
        """A photograph of the page from top to bottom in a window of that width, on a light or a dark screen."""
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[theme])
        for height in (800, None):
            height = height or int(self.run("document.documentElement.scrollHeight"))
            self.call(
                "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
            )
        return self.photograph()

    def until(self, holds: Callable[[np.ndarray], bool], seconds: float = PATIENCE) -> np.ndarray:
        """The first photograph that shows what is waited for."""
        end = time.monotonic() + seconds
        while not holds(pixels := self.photograph()):
            assert time.monotonic() < end, f"not seen within {seconds} s; scripts threw {self.errors}"
            time.sleep(0.2)
        return pixels


@contextlib.contextmanager
def opened(page: pathlib.Path, profile: pathlib.Path, width: int = 800, height: int = 480) -> Iterator[Page]:
    """Open a file in a browser of its own; the test is skipped where no Chromium is found."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser to open the page with: none of {', '.join(NAMES)} is on the PATH")
    connect = pytest.importorskip("websockets.sync.client").connect
    command = [program, *FLAGS.split(), f"--window-size={width},{height}", f"--user-data-dir={profile}", "about:blank"]
    browser = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        assert browser.stderr
        address = next(m[1] for line in browser.stderr if (m := re.search(r"DevTools listening on (ws://\S+)", line)))
        with connect(address, max_size=None) as socket:
            shown = Page(socket)
            target = next(t for t in shown.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
            shown.session = shown.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
            for domain in ("Page", "Network", "Runtime"):
                shown.call(f"{domain}.enable")
            shown.call(
                "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
            )
            shown.visit(page.absolute().as_uri())
            yield shown
            shown.session = None
            shown.call("Browser.close")
        browser.wait(timeout=20)
    finally:
        browser.kill()
        browser.communicate()
