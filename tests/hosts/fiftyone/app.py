"""FiftyOne's App in a process of its own, and a real browser that shows it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
PATIENCE = 60_000  # milliseconds
APP = """
import sys, torch
torch.set_num_threads(1)
import fiftyone as fo
session = fo.launch_app(
    fo.load_dataset(sys.argv[1]),
    remote=True,
    address="127.0.0.1",
    port=int(sys.argv[2]),
    auto=False,
)
session.wait(-1)
"""


@contextmanager
def running_app(dataset: str) -> Iterator[str]:
    """Start the App, and give the address of a dataset in it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = subprocess.Popen([sys.executable, "-c", APP, dataset, str(port)])
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 300
    while True:
        assert app.poll() is None, "the App ended"
        assert time.monotonic() < deadline, "the App does not answer"
        try:
            urllib.request.urlopen(f"{url}/fiftyone", timeout=5).close()
            break
        except OSError:
            time.sleep(0.5)
    yield f"{url}/datasets/{dataset}"
    app.terminate()
    app.wait(60)


@contextmanager
def shown(address: str) -> Iterator[Any]:
    """Open a page of the App."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(PATIENCE)
        advertisement = page.get_by_text("Dismiss", exact=True).first
        page.add_locator_handler(advertisement, lambda shown: shown.click())
        page.goto(address, wait_until="domcontentloaded")
        yield page
        browser.close()


def begin(page: Any) -> None:
    """Propagate from the only field of prompts, and wait until the run can be stopped."""
    from playwright.sync_api import expect

    button = page.get_by_text("SAM 2: propagate masks").first
    button.wait_for()
    button.click()
    execute = page.get_by_role("dialog").get_by_role("button", name="Execute")
    expect(execute).to_be_enabled(timeout=PATIENCE)
    execute.click()
    page.get_by_role("button", name="Stop").first.wait_for()


def stop(page: Any) -> None:
    """Stop the run at work, and wait until the page says so."""
    page.get_by_role("button", name="Stop").first.click()
    page.get_by_text("1 stopped").first.wait_for()
