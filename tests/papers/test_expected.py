"""What a program's `--write` does to `expected.json` and to the package's row; what moved; which verdicts are wrong."""

import json

import pytest
from papers import expected

ROW = {
    "number": 7, "name": "sample", "title": "t", "paper": None, "room": "methods",
    "runs": [{"command": "python -m papers.07-sample.run", "minutes": None, "seeds": 1}],
    "claims": [
        {
            "claim": "a", "verdict": "reproduced", "where": None, "readings": ["/one/holds/1 *"],
            "figure": {"what": "w", "value": "/one/ratio", "n": 4, "of": "seeds"},
        }
    ],
    "results": {"one": {"ratio": 2.0, "holds": {"1 a": True}}, "two": {"x": [1, 2]}},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(expected, "ROWS", tmp_path)
    place = tmp_path / "07-sample"
    place.mkdir()
    (place / "expected.json").write_text(expected.text(ROW))
    return place


def stored(folder):
    return json.loads((folder / "expected.json").read_text())


def test_without_write_nothing_is_stored(folder, capsys):
    expected.record(str(folder / "run.py"), {"ratio": 3.0, "holds": {"1 a": True}}, write=False, part="one")
    assert stored(folder) == ROW
    assert not (folder.parent / "07-sample.json").exists()
    assert "0 of 1 stored figures came out the same" in capsys.readouterr().err


def test_write_replaces_one_part_and_the_row_follows(folder):
    expected.record(str(folder / "run.py"), {"ratio": 3.0, "holds": {"1 a": True}}, write=True, part="one")
    assert stored(folder)["results"] == {"one": {"ratio": 3.0, "holds": {"1 a": True}}, "two": {"x": [1, 2]}}
    assert stored(folder)["claims"] == ROW["claims"]
    assert json.loads((folder.parent / "07-sample.json").read_text())["claims"][0]["figure"]["value"] == 3.0


def test_a_verdict_against_its_readings_is_told_when_it_is_written(folder, capsys):
    expected.record(str(folder / "run.py"), {"ratio": 1.0, "holds": {"1 a": False}}, write=True, part="one")
    assert "claims[0].verdict is 'reproduced', but 0 of 1 readings hold: make it 'not'" in capsys.readouterr().err


def test_a_reading_that_is_not_there_is_told():
    assert expected.disagreements({**ROW, "results": {}}) == [
        "claims[0].readings has '/one/holds/1 *', which matches no reading in results"
    ]


@pytest.mark.parametrize(("holds", "verdict"), [((True, True), "reproduced"), ((True, False), "partly")])
def test_some_readings_make_partly(holds, verdict):
    results = {"one": {"holds": {f"1 {i}": h for i, h in enumerate(holds)}}}
    claim = {**ROW["claims"][0], "verdict": verdict}
    assert expected.disagreements({"claims": [claim], "results": results}) == []
    assert expected.disagreements({"claims": [{**claim, "verdict": "not"}], "results": results}) != []


def test_what_moved_most_is_named():
    told = expected.told({"a": 1.0, "b": [2, 4], "c": True, "d": 1}, {"a": 1.1, "b": [2, 5], "c": False, "e": 1})
    assert told.splitlines() == [
        "1 of 3 stored figures came out the same, 2 moved by more than 1 %",
        "the one that moved most: /b/1, 4 then, 5 now (25.00%)",
        "0 of 1 readings are as they were",
        "changed: /c, True then, False now",
        "no longer there: /d",
        "new: /e",
    ]


def test_lists_of_plain_values_stand_on_one_line():
    text = expected.text({"a": [1, 2], "b": [{"c": []}], "d": ["one  [x]", "two"]})
    assert '"a": [1, 2]' in text
    assert json.loads(text) == {"a": [1, 2], "b": [{"c": []}], "d": ["one  [x]", "two"]}
