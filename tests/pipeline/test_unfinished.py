"""A shrink that was stopped, wherever it was, goes on with the same words; a taken place stays as it is."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from hashlib import sha256
from importlib import import_module
from pathlib import Path

import pytest
from tests.house.tiny import tiny_model
from typer.testing import CliRunner

import penjing
from penjing.cli import app
from penjing.errors import FinishedError, OutputError
from penjing.io.workspace import Workspace
from penjing.pipeline import carry_out, quality
from penjing.pipeline.request import Choice, Measure
from penjing.surgery import ReopenResult

api = import_module("penjing.api.shrink")  # the name in the package is the function's
ASKED = {"method": "magnitude", "keep": 0.5, "length": 32, "measure": Measure(speed=False)}
PAGES = {"report.html", "report.json", "README.md", "picture.png"}


class KilledError(BaseException):
    """The end of a run, wherever it is."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    place = tmp_path_factory.mktemp("unfinished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENJING_CACHE", str(place / "cache"))
        yield tiny_model(place / "tiny")


@pytest.fixture(autouse=True)
def opens(request, monkeypatch):
    """No fresh process is begun: what it finds is said at once."""
    if "killed_at_random" not in request.node.name:
        found = ReopenResult(loader="none", versions={}, ok=True, max_abs_difference=0.0)
        monkeypatch.setattr(carry_out, "reopen", lambda *given, **how: found)


@pytest.fixture
def writings(monkeypatch):
    """The folders that weights were written to, in order."""
    seen, stream = [], carry_out.stream
    monkeypatch.setattr(carry_out, "stream", lambda *a, **k: (seen.append(Path(a[3])), stream(*a, **k))[1])
    return seen


def dying(*given, **how):
    raise KilledError


def weights(folder: Path) -> dict[str, str]:
    kept = {p for p in folder.iterdir() if p.name not in PAGES}
    return {p.name: sha256(p.read_bytes()).hexdigest() for p in sorted(kept)}


def stopped(tiny, out, monkeypatch, *at, error=KilledError, **more):
    """A shrink that ends at a function that is not to be reached."""
    with monkeypatch.context() as patch:
        patch.setattr(*at, dying)
        with pytest.raises(error):
            penjing.shrink(tiny, out, **{**ASKED, **more})


@pytest.mark.parametrize(
    ("at", "written"),
    [((Workspace, "tidy"), 1), ((carry_out, "reopen"), 1), ((quality, "beside"), 1), ((api, "save_card"), 1)],
    ids=["renamed", "re-opening", "measuring", "card"],
)
def test_a_shrink_that_died_goes_on_to_the_report(tiny, tmp_path, monkeypatch, writings, at, written):
    out = tmp_path / "out"
    stopped(tiny, out, monkeypatch, *at)
    assert {p.name for p in tmp_path.iterdir()} >= {"out", ".out.unfinished"}
    assert not PAGES & {p.name for p in out.iterdir()}
    first = weights(out)

    def planned_again(*given, **how):
        raise AssertionError("the plan was made already")

    monkeypatch.setattr(api, "plan_for", planned_again)
    done = penjing.shrink(tiny, out, **ASKED)
    assert done.report is not None
    assert done.report.subjects[1].figure("perplexity").value
    assert "difference" in done.report.provenance["reopened"]
    assert weights(out) == first
    assert {p.name for p in out.iterdir()} >= PAGES - {"picture.png"}
    assert len(writings) == written
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_figures_that_were_taken_are_not_taken_again(tiny, tmp_path, monkeypatch):
    out = tmp_path / "out"
    stopped(tiny, out, monkeypatch, api, "save")
    with monkeypatch.context() as patch:
        patch.setattr(quality, "beside", dying)
        patch.setattr(carry_out, "reopen", dying)
        report = penjing.shrink(tiny, out, **ASKED).report
    again = penjing.compare(tiny, [out], length=32, speed=False)
    for one, other in zip(report.subjects, again.subjects, strict=True):
        assert one.figure("perplexity").value == other.figure("perplexity").value
    assert report.subjects[1].figure("divergence").value == again.subjects[1].figure("divergence").value


def test_another_request_is_not_mixed_with_what_was_left(tiny, tmp_path, monkeypatch, caplog):
    out = tmp_path / "out"
    stopped(tiny, out, monkeypatch, quality, "beside")
    with pytest.raises(OutputError, match=r"another result of penjing.*--force"):
        penjing.shrink(tiny, out, **{**ASKED, "keep": 0.25})
    done = penjing.shrink(tiny, out, force=True, **{**ASKED, "keep": 0.25})
    assert json.loads((out / "config.json").read_text())["intermediate_size"] == 32
    assert done.report.subjects[1].figure("perplexity").value
    assert "asked for something else" in caplog.text


def test_what_is_finished_is_said_to_be_and_made_anew_by_force(tiny, tmp_path, writings):
    out, asked = tmp_path / "out", {**ASKED, "measure": False}
    penjing.shrink(tiny, out, **asked)
    first = weights(out)
    with pytest.raises(FinishedError, match="finished"):
        penjing.shrink(tiny, out, **asked)
    (out / "model.safetensors").write_bytes(b"broken")
    penjing.shrink(tiny, out, force=True, **asked)
    assert weights(out) == first
    assert len(writings) == 2


def test_the_command_line_ends_well_where_all_is_done(tiny, tmp_path):
    words = ["shrink", str(tiny), "-o", str(tmp_path / "out"), "--method", "magnitude", "--no-measure"]
    assert CliRunner().invoke(app, words).exit_code == 0
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 0
    assert "nothing was done" in again.stdout


def test_force_takes_away_results_only(tiny, tmp_path):
    asked = {**ASKED, "measure": False, "force": True}
    letters, result = tmp_path / "letters", tmp_path / "result"
    letters.mkdir()
    (letters / "letter.txt").write_text("dear reader")
    with pytest.raises(OutputError, match="not empty"):
        penjing.shrink(tiny, letters, **asked)
    penjing.shrink(tiny, result, **asked)
    (result / "diary.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"'diary.txt', which penjing did not write"):
        penjing.shrink(tiny, result, **{**asked, "keep": 0.25})
    with pytest.raises(OutputError, match="is the input itself"):
        penjing.shrink(tiny, tiny, **asked)
    with pytest.raises(OutputError, match="lies inside the input"):
        penjing.shrink(tiny, tiny / "small", **asked)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["letters", "result"]
    assert (result / "diary.txt").read_text() == "mine"


def test_a_killed_replacement_keeps_the_old_result_until_the_new_one_is_whole(tiny, tmp_path, monkeypatch):
    out, asked = tmp_path / "out", {**ASKED, "measure": False}
    penjing.shrink(tiny, out, **asked)
    old = weights(out)
    stopped(tiny, out, monkeypatch, Workspace, "publish", **{**asked, "keep": 0.25, "force": True})
    assert weights(out) == old
    penjing.shrink(tiny, out, force=True, **{**asked, "keep": 0.25})
    assert weights(out) != old
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_refusal_leaves_nothing_behind(tiny, tmp_path):
    with pytest.raises(penjing.errors.PenjingError):
        penjing.shrink(tiny, tmp_path / "out", measure=False, choice=Choice(method="magnitude", axes="nothing.*"))
    assert list(tmp_path.iterdir()) == []


def test_texts_that_leak_are_refused_before_anything_is_written(tiny, tmp_path):
    text = tmp_path / "some.txt"
    text.write_text("the same words are in both of them, and there are many of these words here. " * 200)
    with pytest.raises(penjing.errors.DataError):
        penjing.shrink(tiny, tmp_path / "out", texts=[text], length=32, measure=Measure(texts=(text,), speed=False))
    assert [p.name for p in tmp_path.iterdir()] == ["some.txt"]


PROGRAM = "import sys; sys.argv[0] = 'penjing'; from penjing.cli import main; main()"


def command(tiny, out):
    words = ["shrink", str(tiny), "-o", str(out), "--method", "magnitude", "--keep", "0.5", "--length", "32"]
    return [sys.executable, "-c", PROGRAM, *words]


def test_a_plan_that_was_being_carried_out_goes_on_behind_the_writing(tiny, tmp_path, monkeypatch, writings):
    plan, out = penjing.plan(tiny, method="magnitude", keep=0.5), tmp_path / "out"
    for at in ((Workspace, "tidy"), (carry_out, "reopen")):
        with monkeypatch.context() as patch:
            patch.setattr(*at, dying)
            with pytest.raises(KilledError):
                penjing.apply(tiny, plan, out)
    assert {p.name for p in tmp_path.iterdir()} >= {"out", ".out.unfinished"}
    first = weights(out)
    done = penjing.apply(tiny, plan, out)
    assert done.reopened.ok
    assert weights(out) == first
    assert len(writings) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_another_plan_or_model_does_not_go_on_there(tiny, tmp_path, monkeypatch):
    plan, out = penjing.plan(tiny, method="magnitude", keep=0.5), tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(carry_out, "reopen", dying)
        with pytest.raises(KilledError):
            penjing.apply(tiny, plan, out)
    first = weights(out)
    with pytest.raises(OutputError, match="another result of penjing"):
        penjing.apply(tiny, penjing.plan(tiny, method="magnitude", keep=0.75), out)
    with pytest.raises(OutputError, match="another result of penjing"):
        penjing.apply(tiny_model(tmp_path / "other"), plan, out)
    assert weights(out) == first


@pytest.mark.nightly
@pytest.mark.parametrize(("how", "times"), [(signal.SIGKILL, 20), (signal.SIGINT, 5)])
def test_killed_at_random_moments_it_goes_on_to_the_same_bytes(tiny, tmp_path, how, times):
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    start = time.monotonic()
    subprocess.run(command(tiny, tmp_path / "whole"), env=env, check=True, capture_output=True)
    took = time.monotonic() - start
    wanted, draw = weights(tmp_path / "whole"), random.Random(0)
    for i in range(times):
        place = tmp_path / str(i)
        place.mkdir()
        run = subprocess.Popen(
            command(tiny, place / "whole"), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(draw.uniform(0, took))
        run.send_signal(how)
        run.wait()
        again = subprocess.run(command(tiny, place / "whole"), env=env, capture_output=True, text=True, check=False)
        assert again.returncode == 0, again.stderr[-600:]
        assert weights(place / "whole") == wanted
        assert {p.name for p in (place / "whole").iterdir()} >= PAGES - {"picture.png"}
        assert [p.name for p in place.iterdir()] == ["whole"]
