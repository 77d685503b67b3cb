"""The documentation runs, links to what exists, names options that exist, and its generated pages are current."""

import importlib.util
import re
import shlex

import pytest
import torch
from tests.house import tree
from tests.house.tiny import tiny_model

from penjing.methods import METHODS
from penjing.pipeline.side_by_side import SideBySide

DOCS = tree.ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), tree.ROOT / "README.md", tree.ROOT / "CONTRIBUTING.md"])
NAMES = [p.relative_to(tree.ROOT).as_posix() for p in PAGES]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)")


def blocks(page, language):
    return [body for tag, body in FENCE.findall(page.read_text(encoding="utf-8")) if tag == language]


def generator():
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


WITH_CODE = [p for p in PAGES if blocks(p, "python")]
TIMED = ("first-shrink",)
"""Pages that the nightly tier runs as they stand; elsewhere nothing is timed, which takes three processes."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model") / "model")


def session(page):
    """Run a page's Python blocks as one session."""
    names = {"__name__": "__page__"}
    with torch.random.fork_rng():
        for body in blocks(page, "python"):
            exec(compile(body, str(page), "exec"), names)


@pytest.fixture
def place(model, tmp_path, monkeypatch):
    """A folder to be in, where `model` is a tiny model."""
    (tmp_path / "model").symlink_to(model, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("page", WITH_CODE, ids=[p.stem for p in WITH_CODE])
def test_the_python_blocks_run(page, place, monkeypatch):
    monkeypatch.setattr(SideBySide, "_speed_settings", lambda *_: None)
    session(page)


@pytest.mark.nightly
@pytest.mark.parametrize("page", [p for p in WITH_CODE if p.stem in TIMED], ids=TIMED)
def test_the_python_blocks_run_with_times(page, place):
    session(page)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    links = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("name", generator().PAGES)
def test_look_up_pages_are_current(name):
    """A new statistic or task may wait for the next `make docs`, at a release at the latest."""
    stored, made = (DOCS / "look-up" / name).read_text(encoding="utf-8"), generator()
    assert made.stale(name, stored, made.PAGES[name]()) == [], "run `make docs`"


def test_a_page_may_lack_what_is_new_and_nothing_else():
    stale, page = generator().stale, "# Tasks\n\n## arc\n\nold\n\n## mmlu\n\nsame\n"
    assert stale("tasks.md", page, page + "\n## new\n\nmore\n") == []
    assert stale("tasks.md", page, page.replace("old", "other")) == ["arc"]
    assert stale("tasks.md", page, page.replace("## mmlu\n\nsame\n", "")) == ["mmlu"]
    help = "--task TASK  One of FILE.jsonl,\n  arc:FILE; may be repeated. --limit N"
    assert stale("commands.md", help, help.replace("arc:FILE", "arc:FILE, new:FILE")) == []
    assert stale("commands.md", help, help.replace("--limit", "--most")) == ["commands.md"]


def test_every_method_has_a_page_that_is_current_and_no_page_is_left_over():
    pages = {p.stem: p.read_text(encoding="utf-8") for p in (DOCS / "look-up" / "methods").glob("*.md")}
    made = {name: generator().method(name) for name in METHODS.names()}
    assert sorted(pages) == sorted(made), "run `make docs`, and remove the page of a method that is gone"
    assert [name for name in made if pages[name] != made[name]] == [], "run `make docs`"


def command_lines():
    for page in PAGES:
        for body in blocks(page, "sh"):
            for line in body.splitlines():
                if line.startswith("penjing "):
                    yield page, line


def test_command_lines_name_commands_and_options_that_exist():
    reference = (DOCS / "look-up" / "commands.md").read_text(encoding="utf-8")
    helps = {part.split("\n", 1)[0]: part for part in reference.split("\n## penjing ")[1:]}
    lines = list(command_lines())
    assert lines
    for page, line in lines:
        command, *words = shlex.split(line, comments=True)[1:]
        assert command in helps, f"{page.name}: {line}"
        options = [w.split("=")[0] for w in words if w.startswith("-")]
        unknown = [o for o in options if not re.search(rf"(?<![\w-]){re.escape(o)}(?![\w-])", helps[command])]
        assert not unknown, f"{page.name}: {line}"


def test_every_make_target_that_pages_name_exists():
    makefile = (tree.ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {t for p in PAGES for t in re.findall(r"`make ([a-z-]+)", p.read_text(encoding="utf-8"))}
    assert named <= targets


def test_decisions_are_numbered_without_gaps_and_listed():
    pages = sorted((DOCS / "adr").glob("0*.md"))
    assert [int(p.name[:4]) for p in pages] == list(range(1, len(pages) + 1))
    index = (DOCS / "adr" / "README.md").read_text(encoding="utf-8")
    assert [p.name for p in pages if f"]({p.name})" not in index] == []
