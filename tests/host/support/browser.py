# SPDX-License-Identifier: MIT
"""A headless Chromium for tests, by Selenium and the chromedriver that is installed."""

import shutil
from typing import Any, Callable

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import Select, WebDriverWait

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--disable-extensions", "--disable-default-apps",
         "--hide-scrollbars", "--force-color-profile=srgb", "--force-device-scale-factor=1",
         "--mute-audio", "--password-store=basic"]
PATIENCE_S = 60


def find_programs() -> tuple[str, str] | None:
    """Paths of chromium and chromedriver, or None when one is missing. Given both, Selenium looks
    for nothing elsewhere."""
    browser = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
                    if p), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


class Browser(webdriver.Chrome):
    """One browser with an empty profile of its own. Use as a context."""

    def __init__(self, width: int = 1280, height: int = 900, dark: bool = False,
                 phone: bool = False, flags: tuple[str, ...] = ()) -> None:
        programs = find_programs()
        assert programs is not None, "chromium or chromedriver is not installed"
        options = webdriver.ChromeOptions()
        options.binary_location = programs[0]
        for flag in (*FLAGS, *flags, f"--window-size={width},{height}"):
            options.add_argument(flag)
        if phone:
            options.add_experimental_option("mobileEmulation", {
                "deviceMetrics": {"width": width, "height": height, "pixelRatio": 1,
                                  "mobile": True, "touch": True}})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        super().__init__(service=Service(programs[1]), options=options)
        self.set_page_load_timeout(PATIENCE_S)
        self.set_script_timeout(PATIENCE_S)
        self.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
        if not phone:
            self.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a script's `return`."""
        return self.execute_script(script, *arguments)

    def element(self, selector: str) -> Any:
        return self.find_element(By.CSS_SELECTOR, selector)

    def click(self, selector: str) -> None:
        """A real click: fails when the element is hidden or covered."""
        self.element(selector).click()

    def type(self, selector: str, text: str) -> None:
        """Replaces what stands in an input and leaves it, as a person does."""
        field = self.element(selector)
        self.run("arguments[0].focus(); arguments[0].select();", field)
        field.send_keys(text + Keys.TAB)

    def choose(self, selector: str, value: str) -> None:
        """Picks an option of a select."""
        Select(self.element(selector)).select_by_value(value)

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0]).textContent;", selector))

    def complaints(self) -> list[str]:
        """What the page has complained of on its console: errors and refused resources."""
        return [entry["message"] for entry in self.get_log("browser") if entry["level"] == "SEVERE"]

    def wait(self, what: str, condition: Callable[[], Any]) -> Any:
        """The condition's first true value; an error that says `what` was waited for."""
        return WebDriverWait(self, PATIENCE_S, 0.1).until(lambda _: condition(), what)
