# SPDX-License-Identifier: MIT
"""A headless Chromium through chromedriver's WebDriver protocol, with the standard library alone."""

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from typing import Any, Callable

ELEMENT_KEY = "element-6066-11e4-a52e-4f735466cecf"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--disable-extensions", "--disable-default-apps",
         "--hide-scrollbars", "--force-color-profile=srgb", "--force-device-scale-factor=1",
         "--mute-audio", "--password-store=basic"]


class WebDriverError(Exception):
    """What chromedriver, or the page's script, complained of."""


def find_programs() -> tuple[str, str] | None:
    """Paths of chromium and chromedriver, or None when one is missing."""
    browser = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
                    if p), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


class Browser:
    """One browser with an empty profile of its own. Use as a context."""

    def __init__(self, width: int = 1280, height: int = 900, dark: bool = False,
                 phone: bool = False, flags: tuple[str, ...] = ()) -> None:
        programs = find_programs()
        if programs is None:
            raise WebDriverError("chromium or chromedriver is not installed")
        self.folder = tempfile.mkdtemp(prefix="pinhole-browser-")
        self.session = ""
        # Port 0: chromedriver picks a free one and says which.
        log = open(os.path.join(self.folder, "driver.log"), "wb")
        self.driver = subprocess.Popen([programs[1], "--port=0"], stdout=log, stderr=log)
        log.close()
        try:
            self.base = f"http://127.0.0.1:{self._driver_port()}"
            self._open(programs[0], width, height, dark, phone, flags)
        except BaseException:
            self.close()
            raise

    def _driver_port(self) -> int:
        end = time.monotonic() + 60
        while time.monotonic() < end and self.driver.poll() is None:
            with open(os.path.join(self.folder, "driver.log"), encoding="utf-8") as log:
                match = re.search(r"started successfully on port (\d+)", log.read())
            if match:
                return int(match.group(1))
            time.sleep(0.05)
        raise WebDriverError("chromedriver did not start")

    def _open(self, browser: str, width: int, height: int, dark: bool, phone: bool,
              flags: tuple[str, ...]) -> None:
        options: dict[str, Any] = {
            "binary": browser,
            "args": [*FLAGS, *flags, f"--window-size={width},{height}",
                     f"--user-data-dir={self.folder}/profile"]}
        if phone:
            options["mobileEmulation"] = {
                "deviceMetrics": {"width": width, "height": height, "pixelRatio": 1,
                                  "mobile": True, "touch": True}}
        answer = self._send("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"}}}}, timeout=120)
        self.session = f"/session/{answer['sessionId']}"
        self.devtools("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        if not phone:
            self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                          deviceScaleFactor=1, mobile=False)

    def _send(self, method: str, path: str, body: Any = None, timeout: float = 60) -> Any:
        request = urllib.request.Request(
            self.base + path, method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error)["value"]
            raise WebDriverError(f"{value['error']}: {value['message']}") from None

    def close(self) -> None:
        if self.session:
            try:
                self._send("DELETE", self.session, timeout=20)
            except (OSError, WebDriverError):
                pass
            self.session = ""
        self.driver.terminate()
        try:
            self.driver.wait(10)
        except subprocess.TimeoutExpired:
            self.driver.kill()
            self.driver.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, url: str) -> None:
        """Loads a page. A stream in it never ends, so this does not wait for "load"."""
        self._send("POST", f"{self.session}/timeouts", {"pageLoad": 60000, "script": 60000})
        self._send("POST", f"{self.session}/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a script's `return`."""
        return self._send("POST", f"{self.session}/execute/sync",
                          {"script": script, "args": list(arguments)})

    def run_async(self, script: str, *arguments: Any) -> Any:
        """What a script hands to its last argument, a function."""
        return self._send("POST", f"{self.session}/execute/async",
                          {"script": script, "args": list(arguments)}, timeout=90)

    def devtools(self, command: str, **parameters: Any) -> Any:
        return self._send("POST", f"{self.session}/goog/cdp/execute",
                          {"cmd": command, "params": parameters})

    def element(self, selector: str) -> str:
        found = self._send("POST", f"{self.session}/element",
                           {"using": "css selector", "value": selector})
        return str(found[ELEMENT_KEY])

    def click(self, selector: str) -> None:
        """A real click: fails when the element is hidden or covered."""
        self._send("POST", f"{self.session}/element/{self.element(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        """Replaces what stands in an input and leaves it, as a person does."""
        self.run("arguments[0].focus(); arguments[0].select();", {ELEMENT_KEY: self.element(selector)})
        self._send("POST", f"{self.session}/element/{self.element(selector)}/value",
                   {"text": text + "\ue004"})  # Tab

    def choose(self, selector: str, value: str) -> None:
        """Picks an option of a select."""
        self.click(f'{selector} option[value="{value}"]')

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0]).textContent;", selector))

    def screenshot(self) -> bytes:
        return base64.b64decode(self._send("GET", f"{self.session}/screenshot"))

    def complaints(self) -> list[str]:
        """What the page has complained of on its console: errors and refused resources."""
        entries = self._send("POST", f"{self.session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def wait(self, what: str, condition: Callable[[], Any], seconds: float = 60) -> Any:
        """The condition's first true value; an error that says `what` was waited for."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.1)
        raise WebDriverError(f"waited {seconds:.0f} s in vain: {what}")
