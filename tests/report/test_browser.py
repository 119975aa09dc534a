"""A real browser shows the page without a complaint, wide and narrow."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from edgetl.report.html import page
from edgetl.report.record import Run

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_WIDTHS = [pytest.param(1280, id="desktop"), pytest.param(390, id="phone")]

pytestmark = pytest.mark.skipif(_CHROMIUM is None, reason="chromium is not installed")


def _open(file: Path, width: int, *options: str) -> subprocess.CompletedProcess[str]:
    assert _CHROMIUM is not None
    return subprocess.run(
        [
            _CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            "--v=0",
            f"--user-data-dir={file.parent / 'profile'}",
            f"--window-size={width},2000",
            *options,
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )


@pytest.mark.parametrize("width", _WIDTHS)
@pytest.mark.parametrize("kind", ["classifier", "detector"])
def test_browser_shows_the_page_and_complains_of_nothing(
    kind: str, width: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run: Run = request.getfixturevalue(kind)
    file = tmp_path / "report.html"
    file.write_text(page(run), encoding="utf-8")
    picture = tmp_path / "page.png"
    done = _open(file, width, f"--screenshot={picture}")
    assert "CONSOLE" not in done.stderr
    with Image.open(picture) as shown:
        assert shown.width == width
        assert len(shown.convert("RGB").getcolors(2**24) or ()) > 50


def test_what_the_browser_is_not_allowed_to_do_would_be_seen(
    tmp_path: Path, classifier: Run
) -> None:
    file = tmp_path / "report.html"
    text = page(classifier).replace("</main>", "<script>1</script></main>")
    file.write_text(text, encoding="utf-8")
    assert "CONSOLE" in _open(file, 390, "--dump-dom").stderr


@pytest.mark.parametrize("width", [1280, 360])
def test_page_does_not_scroll_sideways(width: int, tmp_path: Path, classifier: Run) -> None:
    # Windows have a least width that frames have not.
    inner = tmp_path / "report.html"
    told = (
        "<script>onload = () => parent.postMessage("
        "[document.documentElement.scrollWidth, innerWidth], '*')</script></body>"
    )
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page(classifier))
    inner.write_text(text.replace("</body>", told), encoding="utf-8")
    outer = tmp_path / "frame.html"
    outer.write_text(
        "<script>onmessage = (e) => document.body.dataset.found = e.data.join(' of ')</script>"
        f'<body><iframe src="report.html" width="{width}" height="900" style="border:0">',
        encoding="utf-8",
    )
    done = _open(outer, 1400, "--dump-dom", "--virtual-time-budget=2000")
    assert f'data-found="{width} of {width}"' in done.stdout
