"""A headless Chromium, driven over a pipe by the DevTools protocol."""

import base64
import collections
import contextlib
import fcntl
import json
import os
import shutil
import subprocess

import pytest

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")


class Page:
    """A page in a browser: open files, ask for values, tap, and take pictures of it."""

    def __init__(self, to_browser, from_browser):
        self._out, self._in = to_browser, from_browser
        self._waiting: collections.deque[bytes] = collections.deque()
        self._rest = b""
        self._count, self._session, self._loaded = 0, None, False
        self.errors, self.requests = [], []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(self, path, width, height=900):
        """Load a file into a window of a size, a touch screen below 600 pixels."""
        is_phone = width < 600
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=is_phone,
        )
        self._call("Emulation.setTouchEmulationEnabled", enabled=is_phone)
        self._loaded = False
        self._call("Page.navigate", url=path.resolve().as_uri())
        while not self._loaded:
            self._take()

    def value(self, expression):
        """Evaluate JavaScript and return its value."""
        how = {"returnByValue": True, "awaitPromise": True}
        result = self._call("Runtime.evaluate", expression=expression, **how)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def tap(self, selector):
        """Tap the middle of the first element that a selector finds."""
        place = self.value(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const r = e.getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        point = [{"x": place[0], "y": place[1]}]
        self._call("Input.dispatchTouchEvent", type="touchStart", touchPoints=point)
        self._call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def screenshot(self, path):
        """Save the whole page as PNG."""
        data = self._call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def _call(self, method, **parameters):
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        self._out.flush()
        while True:
            answer = self._take()
            if answer.get("id") == self._count:
                assert "error" not in answer, (method, answer)
                return answer["result"]

    def _take(self):
        while not self._waiting:
            received = self._in.read(1 << 20)
            assert received, "the browser has gone"
            *messages, partial = (self._rest + received).split(b"\0")
            self._waiting.extend(messages)
            self._rest = partial
        message = json.loads(self._waiting.popleft())
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.errors.append(parameters)
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        return message


@contextlib.contextmanager
def open_browser(profile):
    """Start a browser with a profile folder of its own; skip where no browser is installed."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium here")
    to_read, to_write = map(_above_nine, os.pipe())
    from_read, from_write = map(_above_nine, os.pipe())
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command = [program, *options, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
    script = f'exec "$@" 3<&{to_read} 4>&{from_write}'
    with (
        subprocess.Popen(
            ["bash", "-c", script, "browser", *command],
            pass_fds=(to_read, from_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process,
        open(to_write, "wb") as to_browser,
        open(from_read, "rb", buffering=0) as from_browser,
    ):
        os.close(to_read)
        os.close(from_write)
        try:
            yield Page(to_browser, from_browser)
        finally:
            process.kill()


def _above_nine(descriptor):
    """Move a descriptor away from 3 and 4, which the browser listens and speaks on."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10)
    os.close(descriptor)
    return moved
