"""Run folders: what a writer leaves behind, and how they are listed with distrust."""

import json
import os
import socket
import subprocess
import sys

import pytest
import samples

from penjing.core import Measurement, Report, Subject
from penjing.errors import DataError, OutputError
from penjing.report import load
from penjing.report.items import load_items
from penjing.report.run_reader import RUN_BYTES
from penjing.report.runs import RunWriter, list_runs, read_report, read_run, report_bytes


def state(folder):
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def by_key(root, **more):
    return {r.key: r for r in list_runs(root, **more)}


def test_a_run_tells_how_it_ended(runs):
    found = by_key(runs)
    assert {k: r.status for k, r in found.items()} == {
        "full": "done", "cnn": "done", "broken": "failed", "stopped": "interrupted"
    }  # fmt: skip
    assert found["broken"].error == "RuntimeError: the disk was full"
    assert found["cnn"].name == "clothes"
    assert (found["stopped"].what, found["stopped"].done, found["stopped"].total) == ("measuring", 3, 10)


def test_the_error_goes_on(tmp_path):
    with pytest.raises(ZeroDivisionError), RunWriter(tmp_path / "a", "a"):
        raise ZeroDivisionError
    assert state(tmp_path / "a")["error"] == "ZeroDivisionError: "


def test_a_list_has_the_gist_without_the_report(runs):
    (runs / "full" / "report.json").write_text("{ not read by a list", encoding="utf-8")
    summary = by_key(runs)["full"].summary
    assert summary.models == ("SmolLM2-135M", "SmolLM2-135M-0.75")
    assert (summary.size, summary.change) == ("114.6 M", "−15 %")
    assert (summary.measure, summary.quality) == ("Perplexity", "34.8")
    assert summary.headline.startswith("15 % fewer parameters")


def test_the_report_and_its_items_lie_in_the_folder(tmp_path):
    figure = Measurement(name="accuracy", value=0.5, unit="fraction", n=2, items={"id": [1, 2], "correct": [0, 1]})
    report = Report(title="t", subjects=(Subject(name="a", source="a", figures=(figure,)),))
    with RunWriter(tmp_path / "a", "a") as run:
        run.report(report)
    assert load(tmp_path / "a").subjects[0].figures[0].value == 0.5
    assert load_items(tmp_path / "a")["a", "accuracy"] == {"id": [1, 2], "correct": [0, 1]}
    assert read_report(tmp_path, "a").title == "t"


def test_progress_is_written_seldom_but_a_new_kind_of_work_at_once(tmp_path):
    with RunWriter(tmp_path / "a", "a", every=3600) as run:
        run.progress("one", 1, 9)
        run.progress("one", 2, 9)
        assert state(run.folder)["progress"] == {"what": "one", "done": 1, "total": 9}
        run.progress("two", 5, 9)
        assert state(run.folder)["progress"]["what"] == "two"
        run.progress("two", 9, 9)
    assert state(run.folder)["progress"]["done"] == 9
    assert sorted(os.listdir(run.folder)) == ["run.json"]


def test_a_folder_that_a_living_run_writes_is_not_taken(tmp_path):
    with RunWriter(tmp_path / "a", "a"), pytest.raises(OutputError, match="still going"):
        RunWriter(tmp_path / "a", "a").__enter__()
    with RunWriter(tmp_path / "a", "again"):
        assert read_run(tmp_path, "a").name == "again"


def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        RunWriter(tmp_path / "file" / "a", "a").__enter__()


def test_a_run_whose_process_was_killed_is_interrupted(tmp_path):
    code = (
        "import os, sys; from penjing.report.runs import RunWriter\n"
        "RunWriter(sys.argv[1], 'a').__enter__(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=False)
    assert state(tmp_path / "a")["status"] == "running"
    assert by_key(tmp_path)["a"].status == "interrupted"


def test_a_number_that_another_process_bears_now_is_not_the_run(tmp_path):
    with RunWriter(tmp_path / "a", "a") as run:
        assert by_key(tmp_path)["a"].status == "running"
        old = {**state(run.folder), "started": "2001-01-01T00:00:00+00:00", "updated": "2001-01-01T00:00:00+00:00"}
        (run.folder / "run.json").write_text(json.dumps(old))
        assert by_key(tmp_path)["a"].status == "interrupted"


def test_a_run_on_another_machine_is_believed(tmp_path):
    with RunWriter(tmp_path / "a", "a") as run:
        far = {**state(run.folder), "host": socket.gethostname() + "-other", "pid": 2**30}
        (run.folder / "run.json").write_text(json.dumps(far))
        assert by_key(tmp_path)["a"].status == "running"


def test_a_result_folder_without_run_json_is_a_finished_run(tmp_path):
    from penjing.report import save

    save(samples.FULL, tmp_path / "shrunk")
    found = by_key(tmp_path)["shrunk"]
    assert (found.status, found.name, found.summary.change) == ("done", "shrunk", "−15 %")


GOOD = {
    "schema": 1, "name": "x", "command": "", "started": "2026-01-31T12:00:00Z", "updated": "2026-01-31T12:00:00Z",
    "status": "done", "progress": {"what": "", "done": 0, "total": 0}, "pid": 1, "error": None,
}  # fmt: skip


def test_the_plain_contract_is_enough(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.json").write_text(json.dumps(GOOD))
    assert by_key(tmp_path)["a"].status == "done"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ('{"schema": 1, "na', "half-written"),
        ("[]", "needed an object"),
        ("[" * 60000, "not JSON"),
        (b"\xff\xfe\x00\x01", "not JSON"),
        (json.dumps({**GOOD, "schema": 2}), "schema '2'"),
        (json.dumps({**GOOD, "status": "<b>"}), "status"),
        (json.dumps({**GOOD, "status": ["done"]}), "status"),
        (json.dumps({**GOOD, "name": {"a": 1}}), "name is a dict"),
        (json.dumps({**GOOD, "pid": -1}), "pid"),
        (json.dumps({**GOOD, "started": "soon"}), "'started' that is a time"),
        (json.dumps({**GOOD, "progress": [1]}), "progress"),
        (json.dumps({**GOOD, "progress": {"done": 1e999}}), "done"),
        (json.dumps({**GOOD, "summary": "x"}), "summary"),
        (json.dumps({**GOOD, "summary": {"models": 3}}), "models"),
        (json.dumps({**GOOD, "name": "x" * RUN_BYTES}), "at most"),
    ],
)
def test_what_cannot_be_trusted_is_skipped_with_the_reason(text, said, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    found = by_key(tmp_path)["a"]
    assert found.status == "skipped"
    assert said in found.error


def test_a_huge_or_mad_report_is_skipped(tmp_path):
    for name, data in (
        ("digits", {"parameters": int("9" * 4000)}),
        ("interval", {"parameters": "many"}),
    ):
        (tmp_path / name).mkdir()
        figures = [{"name": k, "unit": "", "value": v} for k, v in data.items()]
        report = {"schema": 1, "title": "t", "subjects": [{"name": "a", "source": "a", "figures": figures}]}
        (tmp_path / name / "report.json").write_text(json.dumps(report))
    (tmp_path / "huge").mkdir()
    with open(tmp_path / "huge" / "report.json", "wb") as file:
        file.truncate(2**40)
    assert {r.status for r in list_runs(tmp_path)} == {"skipped"}
    with pytest.raises(DataError, match="at most"):
        report_bytes(tmp_path, "huge")


def test_links_pipes_and_empty_folders_are_skipped(runs, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "report.json").write_text(json.dumps({"secret": 1}))
    (runs / "out").symlink_to(secret)
    (runs / "inside").symlink_to(runs / "full")
    (runs / "sly").mkdir()
    (runs / "sly" / "run.json").symlink_to(runs / "full" / "run.json")
    (runs / "sly" / "report.json").symlink_to(secret / "report.json")
    (runs / "pipe").mkdir()
    os.mkfifo(runs / "pipe" / "run.json")
    (runs / "begun").mkdir()
    (runs / "README.md").write_text("not a run")
    (runs / ".hidden").mkdir()
    found = by_key(runs)
    skipped = {k: r.error for k, r in found.items() if r.status == "skipped"}
    assert set(skipped) == {"out", "inside", "sly", "pipe", "begun"}
    assert "links are not followed" in skipped["out"]
    assert "not a plain file" in skipped["pipe"]
    assert "neither run.json nor report.json" in skipped["begun"]
    for key in ("out", "inside", "sly"):
        with pytest.raises(DataError):
            report_bytes(runs, key)


@pytest.mark.parametrize("key", ["", ".", "..", "../runs", "a/b", "/etc", ".hidden", "a\0b", "a\\b"])
def test_a_key_is_one_plain_name(key, runs):
    with pytest.raises(DataError):
        read_run(runs, key)


def test_a_name_that_is_not_text_is_skipped(tmp_path):
    os.mkdir(os.fsencode(tmp_path) + b"/bad\xff")
    (found,) = list_runs(tmp_path)
    assert (found.key, found.status) == ("bad\\xff", "skipped")


def test_half_of_a_surrogate_pair_does_not_stop_the_list(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.json").write_text(json.dumps({**GOOD, "name": "x\ud800"}))
    assert list_runs(tmp_path)[0].name == "x?"


def test_only_what_changed_is_read_again(runs, monkeypatch):
    from penjing.report import runs as module

    known, read = {}, []
    first = by_key(runs, known=known)
    real = module.head
    monkeypatch.setattr(module, "head", lambda folder, key: read.append(key) or real(folder, key))
    assert by_key(runs, known=known) == first
    assert read == []
    with RunWriter(runs / "cnn", "new name"):
        read.clear()
        assert by_key(runs, known=known)["cnn"].name == "new name"
    assert read == ["cnn"]
    (runs / "stopped").rename(runs.parent / "away")
    assert "stopped" not in by_key(runs, known=known)
    assert "stopped" not in known


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match="cannot be listed"):
        list_runs(tmp_path / "none")
