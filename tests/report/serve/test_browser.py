"""The pages of the server in a real browser: list, filter, choose, compare, and a run that goes on."""

import json
import shutil
import subprocess
import sys
import threading

import pytest
import samples

from penjing.report.runs import RunWriter

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the path")]


@pytest.fixture
def url(runs):
    command = [sys.executable, "-c", "from penjing.cli import main; main()", "serve", str(runs), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        told = "".join(iter(server.stdout.readline, "}\n")) + "}"
        yield json.loads(told)["url"]
        server.terminate()


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as tool:
        found = tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield found
        found.close()


@pytest.fixture
def page(browser, url):
    """A page of a fresh profile; at the end nothing was complained of and nothing asked of another machine."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    found = context.new_page()
    said, asked = [], []
    found.on("console", lambda m: said.append(m.text) if m.type in {"error", "warning"} else None)
    found.on("pageerror", lambda e: said.append(str(e)))
    context.on("request", lambda r: asked.append(r.url))
    found.set_default_timeout(15000)
    yield found
    context.close()
    assert said == []
    assert [a for a in asked if not a.startswith((url, "data:", "blob:"))] == []


def rows(page):
    return page.locator(".runs tbody tr")


def one_row(page):
    page.wait_for_selector(".runs tbody tr:first-child:last-child")


def test_the_list_is_filtered_as_one_types_and_by_what_is_chosen(page, url):
    page.goto(url)
    assert rows(page).count() == 4
    page.keyboard.press("/")
    page.keyboard.type("clothes")
    one_row(page)
    assert rows(page).get_attribute("data-key") == "cnn"
    assert "text=clothes" in page.url
    page.fill("input[name=text]", "")
    page.select_option("select[name=status]", "failed")
    page.wait_for_selector("[data-key=broken]:first-child:last-child")
    page.select_option("select[name=status]", "")
    page.select_option("select[name=model]", "SmolLM2-135M")
    page.wait_for_selector("tr:first-child:nth-last-child(2)[data-key=stopped]")
    page.reload()
    assert page.locator("select[name=model]").input_value() == "SmolLM2-135M"
    assert rows(page).count() == 2


def test_the_list_is_sorted_by_keyboard_and_the_focus_stays(page, url):
    page.goto(url)
    page.locator("thead th.name a").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("thead th.name[aria-sort=ascending]")
    assert page.locator("tbody tr").first.get_attribute("data-key") == "broken"
    page.keyboard.press("Enter")
    page.wait_for_selector("tbody tr:first-child[data-key=stopped]")
    assert page.locator("thead th.name").get_attribute("aria-sort") == "descending"


def test_what_is_chosen_stays_chosen_and_is_compared(page, url):
    page.goto(url)
    assert page.locator("#compare").is_disabled()
    page.check("[data-key=full] input")
    page.fill("input[name=text]", "clothes")
    one_row(page)
    page.check("[data-key=cnn] input")
    assert "2 chosen: full, cnn" in page.locator("#which").inner_text()
    page.click("#compare")
    page.wait_for_selector("nav.served")
    assert "SmolLM2-135M-0.75" in page.inner_text("main")
    page.click("nav.served a")
    page.wait_for_selector("[data-key=full]")
    assert page.locator("[data-key=full] input").is_checked()
    page.click("#clear")
    assert not page.locator("[data-key=full] input").is_checked()


def follow(page, url, runs):
    """Open a run that a thread writes; see its bar, its figures and its end as they come."""
    step = {name: threading.Event() for name in ("open", "report", "end")}

    def work():
        with RunWriter(runs / "live", "A live run", every=0.01) as run:
            run.progress("measuring perplexity", 1, 4)
            step["open"].set()
            step["report"].wait(60)
            run.progress("measuring perplexity", 3, 4)
            run.report(samples.FULL)
            step["end"].wait(60)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        step["open"].wait(20)
        page.goto(url + "runs/live")
        assert page.locator("progress").get_attribute("value") == "0.25"
        assert "None yet" in page.inner_text("#part")
        step["report"].set()
        page.wait_for_selector(".figures >> text=34.8")
        page.wait_for_selector('progress[value="0.75"]')
        step["end"].set()
        page.wait_for_selector("[data-status=done]")
    finally:
        for one in step.values():
            one.set()
        thread.join()
    page.click("text=Open the report")
    page.wait_for_selector("nav.served")


def test_a_running_run_is_followed_to_its_end(page, url, runs):
    follow(page, url, runs)


def test_without_events_it_is_asked_for_from_time_to_time(page, url, runs):
    page.add_init_script("delete window.EventSource")
    follow(page, url, runs)


def test_a_new_run_appears_in_the_open_list(page, url, runs):
    page.goto(url)
    with RunWriter(runs / "fresh", "Just begun"):
        page.wait_for_selector("[data-key=fresh] .running, [data-key=fresh].running, [data-key=fresh] td.running")


def test_hostile_names_run_nothing(page, url, runs):
    with RunWriter(runs / "<img src=x onerror=alert(1)>", samples.EVIL, samples.EVIL) as run:
        run.progress(samples.EVIL, 1, 2)
        run.report(samples.HOSTILE)
        page.on("dialog", lambda d: pytest.fail(d.message))
        page.goto(url)
        page.click("[data-key*=onerror] th a")
        page.wait_for_selector("text=Open the report so far")
        page.click("text=Open the report so far")
        page.wait_for_selector("nav.served")


def test_a_report_cannot_read_the_server(browser, url):
    context = browser.new_context()  # its console will tell of the refusal
    found = context.new_page()
    found.goto(url + "runs/full")
    assert found.evaluate("window.origin") == "null"
    assert found.evaluate("() => fetch('/').then(() => 'read', () => 'refused')") == "refused"
    context.close()


@pytest.mark.parametrize("path", ["", "runs/broken", "runs/full/state", "runs/stopped"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone(path, scheme, browser, url):
    context = browser.new_context(viewport={"width": 375, "height": 800}, color_scheme=scheme)
    found = context.new_page()
    found.goto(url + path)
    assert found.evaluate("document.documentElement.scrollWidth") <= 375
    context.close()
