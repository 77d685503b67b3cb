"""The page with linked charts in a real browser, steered as a person would."""

import os
import shutil

import pytest
import samples
from battery import BATTERY

from penjing.core import Measurement, Report, Subject
from penjing.report import page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LARGEST = 3 * 2**20

pytest.importorskip("altair", reason="needs penjing[charts]")
pytest.importorskip("vl_convert", reason="needs penjing[charts]")
driver = pytest.importorskip("playwright.sync_api", reason="needs playwright")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the path; install the package 'chromium'"),
]
PHONE = {"width": 390, "height": 844}
EVIL = samples.EVIL + "</script><!--"


def hostile():
    def one(name, value):
        details = {
            "curve": {"x": [0, 1], "y": [value, 0.1], "x_name": EVIL, "y_name": EVIL},
            "grid": {"corruptions": [EVIL], "severities": [EVIL], "values": [[value]]},
            "kinds": {EVIL: {"n": 2, "strict": 1, "loose": 1}},
            "class": EVIL,
        }
        figures = (
            samples._m("parameters", value * 100, "parameters"),
            Measurement(
                name=EVIL, value=value, unit="accuracy", better="higher", group="quality", details=details,
                items={"id": [EVIL], "correct": [value > 0.5]},
            ),
        )
        return Subject(name=EVIL + name, source=EVIL, figures=figures)

    told = {"subject": EVIL + "1", "verdict": EVIL, "flips": {EVIL: 1}, "interval": [-1, 1]}
    ratio = Measurement(name=EVIL + "_difference", value=-0.1, unit="accuracy", details=told, protocol=EVIL)
    return Report(title=EVIL, subjects=tuple(one(str(i), 0.9 - i / 4) for i in range(4)), ratios=(ratio,))


@pytest.fixture(scope="module")
def texts():
    return {"battery": page(BATTERY, charts=True), "hostile": page(hostile(), charts=True)}


@pytest.fixture(scope="module")
def browser():
    with driver.sync_playwright() as p:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        chromium = p.chromium.launch(executable_path=CHROMIUM, args=flags, env={**os.environ, "TZ": "UTC"})
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, texts, tmp_path):
    """A function that opens a page: (page, what went wrong); every request that is not the page itself is refused."""
    contexts = []

    def go(name="battery", **settings):
        path = tmp_path / f"{name}.html"
        path.write_text(texts[name], encoding="utf-8")
        context = browser.new_context(**settings)
        contexts.append(context)
        wrong = []

        def meet(route):
            if route.request.url.split("#")[0] == path.as_uri():
                return route.continue_()
            wrong.append(f"asked for {route.request.url}")
            return route.abort()

        context.route("**/*", meet)
        shown = context.new_page()
        shown.on("console", lambda m: wrong.append(m.text) if m.type in {"error", "warning"} else None)
        shown.on("pageerror", lambda e: wrong.append(str(e)))
        shown.on("dialog", lambda d: (wrong.append("dialog"), d.dismiss()))
        shown.goto(path.as_uri())
        shown.wait_for_function("document.documentElement.dataset.ready", timeout=30_000)
        return shown, wrong

    yield go
    for context in contexts:
        context.close()


def names(shown):
    """The models that the trade-off draws."""
    return shown.evaluate("penjing.views.tradeoff.view.data('points').map(p => p.name)")


def test_every_chart_is_drawn_and_nothing_is_asked_for(opened, texts):
    assert len(texts["battery"].encode()) < LARGEST
    shown, wrong = opened()
    assert shown.locator(".vega svg").count() == 3
    assert shown.locator(".drawn:visible").count() == 0
    assert len(names(shown)) == 4
    assert wrong == []


def test_a_box_filters_every_view(opened):
    shown, wrong = opened()
    assert shown.locator("[data-model='3']:visible").count() > 20
    shown.get_by_label("keep 0.5").first.uncheck()
    shown.wait_for_function("penjing.views.tradeoff.view.data('points').length == 3")
    assert shown.locator("main [data-model='3']:visible").count() == 0
    for key in ("curve-social_iqa", "bins-ece"):
        assert shown.evaluate(f"penjing.views['{key}'].view.signal('shown')") == [0, 1, 2]
    shown.get_by_label("keep 0.5").first.check()
    shown.wait_for_function("penjing.views.tradeoff.view.data('points').length == 4")
    assert wrong == []


def test_the_last_model_stays(opened):
    shown, _ = opened()
    for box in shown.locator("input[name=model]").all():
        box.click()
    assert shown.locator("input[name=model]:checked").count() == 1


def test_the_measure_moves_chart_table_and_items(opened):
    shown, wrong = opened()
    shown.locator("select[name=metric]").select_option("piqa")
    assert "PIQA" in shown.locator("#up-name").inner_text()
    assert shown.locator("tr.chosen").first.inner_text().startswith("PIQA")
    assert shown.locator("details.flips:visible").count() == 1
    value = shown.evaluate("penjing.views.tradeoff.view.data('points')[0].y")
    assert value == pytest.approx(0.671)
    shown.locator("select[name=across]").select_option("decode_seconds_per_token")
    shown.wait_for_function("penjing.views.tradeoff.view.data('points')[0].x < 1")
    assert wrong == []


def test_the_stepped_line_joins_only_what_nothing_beats(opened):
    shown, _ = opened()
    shown.locator("select[name=metric]").select_option("truthfulqa:mc2")
    shown.wait_for_function("penjing.views.tradeoff.view.data('front').length == 1")
    assert shown.evaluate("penjing.views.tradeoff.view.data('front')[0].name") == "keep 0.5"


def test_the_keyboard_is_enough(opened):
    shown, _ = opened()
    for _ in range(60):
        shown.keyboard.press("Tab")
        if shown.evaluate("document.activeElement.name") == "model":
            break
    assert shown.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    shown.keyboard.press("Space")
    shown.wait_for_function("penjing.views.tradeoff.view.data('points').length == 3")
    for _ in range(4):
        shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.name") == "metric"
    before = shown.locator("#up-name").inner_text()
    shown.keyboard.press("ArrowDown")
    assert shown.locator("#up-name").inner_text() != before


def test_links_lead_to_headings(opened):
    shown, _ = opened()
    links = shown.eval_on_selector_all("nav a", "all => all.map(a => a.getAttribute('href'))")
    assert len(links) > 10
    assert all(shown.locator(f"h2{link}").count() == 1 for link in links)
    shown.locator("nav a", has_text="Corruption").click()
    assert shown.evaluate("Math.abs(document.querySelector('#corruptions').getBoundingClientRect().top) < 200")


def test_each_chart_has_a_name_and_a_table(opened):
    shown, _ = opened()
    said = shown.eval_on_selector_all(".vega", "all => all.map(v => v.getAttribute('aria-label'))")
    assert all(len(text) > 20 for text in said)
    assert shown.locator("figure.chart details table").count() == 2


@pytest.mark.parametrize("name", ["battery", "hostile"])
def test_a_phone_needs_no_sideways_scroll(opened, name):
    shown, wrong = opened(name, viewport=PHONE, is_mobile=True, device_scale_factor=2)
    shown.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert shown.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [390, 390]
    assert wrong == []


def test_hostile_names_stay_text_in_charts(opened):
    shown, wrong = opened("hostile")
    assert shown.locator("img").count() == 0
    assert shown.evaluate("penjing.views.tradeoff.view.data('points')[0].name") == EVIL + "0"
    assert wrong == []


def test_colours_turn_with_the_page(opened):
    found, fill = {}, "getComputedStyle(document.querySelector('.vega path[aria-roledescription=point]')).fill"
    for scheme in ("light", "dark"):
        shown, _ = opened(color_scheme=scheme)
        found[scheme] = shown.evaluate(fill)
        if scheme == "light":
            shown.emulate_media(media="print")
            found["print"] = shown.evaluate(fill)
    assert len(set(found.values())) == 3


def test_paper_shows_everything_in_black_and_white(opened):
    shown, _ = opened()
    shown.emulate_media(media="print")
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shown.locator("details:not(.whole):not(.aside):not([open])").count() == 0
    names_of = ["--m0", "--m1", "--m2", "--m3", "--green", "--worse"]
    value = "n => getComputedStyle(document.documentElement).getPropertyValue(n).trim()"
    assert all(len(set(c[1:])) == 1 for c in shown.evaluate(f"{names_of}.map({value})"))
    assert shown.locator("nav:visible, select:visible").count() == 0
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
