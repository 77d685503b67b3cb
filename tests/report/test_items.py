"""Per-item records beside a report."""

import json

import pytest
from battery import BATTERY

from penjing.errors import DataError
from penjing.report import from_json, load, load_items, save, to_json, with_items


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("run")
    save(BATTERY, place)
    return place


def test_items_come_back_as_they_were(folder):
    found = load_items(folder)
    assert len(found) == sum(bool(f.items) for s in BATTERY.subjects for f in s.figures)
    figure = BATTERY.subjects[2].figure("arithmetic")
    assert figure is not None
    assert found["keep 0.75", "arithmetic"] == figure.items


def test_items_stay_out_of_the_report(folder):
    assert '"items"' not in (folder / "report.json").read_text()
    assert (folder / "report.json").stat().st_size < (folder / "items.jsonl").stat().st_size
    assert not load(folder).subjects[0].figures[4].items
    whole = with_items(load(folder), load_items(folder))
    assert whole.subjects[0].figure("piqa") == BATTERY.subjects[0].figure("piqa")


def test_items_are_read_when_asked_for(folder, tmp_path):
    copy = tmp_path / "items.jsonl"
    copy.write_bytes((folder / "items.jsonl").read_bytes())
    found = load_items(tmp_path)
    key = next(iter(found))
    copy.write_bytes(b"")
    with pytest.raises(DataError, match="is not JSON"):
        found[key]


def test_a_report_without_items_leaves_none_of_an_earlier_one(tmp_path):
    save(BATTERY, tmp_path)
    save(load(tmp_path), tmp_path)
    assert not (tmp_path / "items.jsonl").exists()
    assert len(load_items(tmp_path)) == 0


GOOD = {"subject": "a", "figure": "b", "columns": {"id": ["x"], "correct": [1]}}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2 is not JSON"),
        ("[" * 100_000, "line 2 is not JSON"),
        ("[]", "exactly the keys"),
        (json.dumps({**GOOD, "more": 1}), "exactly the keys"),
        (json.dumps({**GOOD, "figure": 3}), "need to be text"),
        (json.dumps({**GOOD, "figure": "c", "columns": {"id": "x"}}), "column 'id' is a str"),
        (json.dumps({**GOOD, "figure": "c", "columns": {"id": ["x"], "correct": []}}), "different lengths"),
        (json.dumps(GOOD), "repeats 'b' of 'a'"),
    ],
)
def test_a_hostile_line_is_refused_by_file_and_line(line, said, tmp_path):
    (tmp_path / "items.jsonl").write_text(json.dumps(GOOD) + "\n" + line + "\n")
    with pytest.raises(DataError, match=said):
        load_items(tmp_path)


def test_a_line_without_end_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr("penjing.report.items.LONGEST", 1000)
    (tmp_path / "items.jsonl").write_text("x" * 5000)
    with pytest.raises(DataError, match="longer than"):
        load_items(tmp_path)


@pytest.mark.parametrize("schema", [1, 2])
def test_a_report_of_an_older_schema_is_read_and_its_figures_say_what_they_were_taken_for(schema):
    data = json.loads(json.dumps(to_json(BATTERY)))
    assert data["schema"] == 3
    for figure in (f for s in data["subjects"] for f in s["figures"]):
        for key in ("label", "better", "group"):
            del figure[key]
    read = from_json({**data, "schema": schema})
    assert [[(f.label, f.better, f.group) for f in s.figures] for s in read.subjects] == [
        [(f.label, f.better, f.group) for f in s.figures] for s in BATTERY.subjects
    ]
    assert {f.group for f in read.subjects[0].figures} >= {"size", "quality"}


@pytest.mark.parametrize(("key", "value"), [("better", "upwards"), ("group", "speed")])
def test_a_way_or_a_group_that_is_none_is_refused(key, value):
    data = json.loads(json.dumps(to_json(BATTERY)))
    data["subjects"][0]["figures"][0][key] = value
    with pytest.raises(DataError, match=f"{key} is '{value}'"):
        from_json(data)


def test_items_inside_a_report_are_refused():
    data = json.loads(json.dumps(to_json(BATTERY)))
    data["subjects"][0]["figures"][0]["items"] = {"id": []}
    with pytest.raises(DataError, match="unknown key 'items'"):
        from_json(data)


def test_a_huge_report_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("penjing.report.store.LARGEST", 10)
    (tmp_path / "report.json").write_text("{" + " " * 100)
    with pytest.raises(DataError, match="has 101 bytes"):
        load(tmp_path)
