"""The page in a real browser: no errors, nothing fetched, no sideways scroll on a phone."""

import json
import re
import shutil
import subprocess

import pytest
import samples

from penjing.report import page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--hide-scrollbars",
]  # fmt: skip
PROBE = """<script>
window.seen = [];
addEventListener("error", function (e) {
  seen.push(String(e.message || e.target.src || e.target.href));
}, true);
</script>"""
WRAP = """<!doctype html><body style="margin:0"><iframe id=f style="width:375px;height:800px;border:0"></iframe><script>
var f = document.getElementById("f");
f.onload = function () {
  var w = f.contentWindow, d = f.contentDocument;
  d.querySelectorAll("details").forEach(function (x) { x.open = true; });
  document.body.setAttribute("data-told", JSON.stringify({
    inner: d.documentElement.clientWidth, scroll: d.documentElement.scrollWidth, errors: w.seen,
    fetched: w.performance.getEntriesByType("resource").map(function (r) { return r.name; })
  }));
};
f.srcdoc = PAGE;
</script>"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the path; install the package 'chromium'"),
]


def told(text, folder):
    """What the browser says of a page shown 375 px wide, all folds open."""
    probed = text.replace("<head>", "<head>" + PROBE, 1)
    (folder / "wrap.html").write_text(
        WRAP.replace("PAGE", json.dumps(probed).replace("</", "<\\/").replace("<!--", "<\\!--"))
    )
    command = [CHROMIUM, *QUIET, f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=2000", "--dump-dom"]
    done = subprocess.run(
        [*command, f"file://{folder / 'wrap.html'}"], capture_output=True, text=True, timeout=90, check=True
    )
    found = re.search(r'data-told="([^"]*)"', done.stdout)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(found[1].replace("&quot;", '"').replace("&amp;", "&"))


@pytest.mark.parametrize("name", samples.ALL)
def test_a_page_is_sound_on_a_phone(name, tmp_path):
    seen = told(page(samples.ALL[name]), tmp_path)
    assert seen["inner"] == 375
    assert seen["scroll"] <= 375
    assert seen["errors"] == []
    assert seen["fetched"] == []


def test_a_broken_page_is_found(tmp_path):
    bad = '<div style="width:900px">.</div><script>nothing.there()</script><img src="missing.png">'
    seen = told(page(samples.CNN).replace("</main>", bad + "</main>"), tmp_path)
    assert seen["scroll"] > 375
    assert any("nothing" in e for e in seen["errors"])
    assert any("missing.png" in e for e in seen["errors"] + seen["fetched"])
