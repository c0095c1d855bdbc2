"""The pictures of the page on the apps: run `make demo` first; takes a Chromium.

.venv/bin/python docs/make_app_pictures.py [FOLDER]
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import panel as pn
from playwright.sync_api import sync_playwright

import glaciertoolkit as gt
from glaciertoolkit.apps.correction_serve import serve_correction_lab
from glaciertoolkit.apps.lab_serve import serve_tracking_lab
from glaciertoolkit.apps.profile_serve import serve_profile_inspector
from glaciertoolkit.apps.serve import serve_explorer

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
PICTURES = Path(__file__).parent / "pictures"
SIZE = {"width": 1280, "height": 800}
DRAWN = 6000
"""Milliseconds after which a page has drawn everything."""


def main() -> None:
    folder = sys.argv[1] if len(sys.argv) > 1 else "out/demo"
    pair = gt.simulate_pair(size=1024, seed=1).compute()
    dem, outlines = gt.simulate_dem(pair), gt.simulate_outlines(pair)
    offsets = pair.glacier.track(template=64, search=12, step=8).compute()
    options: dict[str, Any] = {"threaded": True}
    served = {
        "app_explorer": serve_explorer(folder, **options),
        "app_profile": serve_profile_inspector(folder, **options),
        "app_lab": serve_tracking_lab(pair, **options),
        "app_corrections": serve_correction_lab(offsets, dem=dem, outlines=outlines, **options),
    }
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, app in served.items():
            page = browser.new_page(viewport=SIZE)
            page.goto(app.url)
            page.wait_for_timeout(DRAWN)
            page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
            page.close()
        browser.close()
    pn.state.kill_all_servers()


if __name__ == "__main__":
    main()
