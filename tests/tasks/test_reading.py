"""Tasks as they are named on the command line."""

import json
from importlib import metadata

import pytest

from penjing.errors import DataError
from penjing.tasks.kinds import TASKS
from penjing.tasks.reading import moved, read_tasks


@pytest.fixture
def sums(tmp_path):
    path = tmp_path / "My Sums.jsonl"
    lines = [json.dumps({"question": f"{a}+1=", "choices": ["1", "2"], "answer": 0}) for a in "01"]
    path.write_text("\n".join(lines))
    return path


def test_a_bare_file_of_questions_is_a_task_with_the_files_name(sums):
    (task,) = read_tasks([str(sums)])
    assert task.name == "my-sums"
    assert len(task.items) == 2


def test_a_benchmarks_name_stands_before_its_file(tmp_path):
    path = tmp_path / "test.jsonl"
    path.write_text(
        json.dumps({"id": "a", "question": "?", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": "B"})
    )
    (task,) = read_tasks([f"arc:{path}"], limit=1)
    assert (task.name, task.label, task.items[0].answer, task.limit) == ("arc", "ARC", 1, 1)


def test_a_folder_is_a_bigbench_task(tmp_path):
    (tmp_path / "adding").mkdir()
    examples = [{"input": "1+1", "target_scores": {"2": 1, "3": 0}}]
    task = {"name": "adding", "examples": examples, "metrics": ["multiple_choice_grade"]}
    (tmp_path / "adding" / "task.json").write_text(json.dumps(task))
    assert [t.name for t in read_tasks([str(tmp_path / "adding")])] == ["adding"]


def test_the_subtasks_of_a_folder_keep_their_own_names(tmp_path):
    task = {"examples": [{"input": "a?", "target_scores": {"b": 1, "c": 0}}], "metrics": ["multiple_choice_grade"]}
    for part in ("one_sentence", "two_sentences"):
        (tmp_path / "causes" / part).mkdir(parents=True)
        (tmp_path / "causes" / part / "task.json").write_text(json.dumps({"name": part, **task}))
    named = [t.name for t in read_tasks([str(tmp_path / "causes")])]
    assert named == ["causes.one_sentence", "causes.two_sentences"]


def test_the_shipped_instructions_need_no_file():
    (task,) = read_tasks(["instructions"], limit=3)
    assert len(task.prompts) == 3


def test_an_unknown_benchmark_suggests_the_nearest(sums):
    with pytest.raises(DataError, match="no kind of task is named 'hellaswagg'; did you mean 'hellaswag'"):
        read_tasks([f"hellaswagg:{sums}"])


def test_two_tasks_of_one_name_are_refused(sums):
    with pytest.raises(DataError, match="2 tasks are called 'my-sums'"):
        read_tasks([str(sums), str(sums)])


def test_what_needs_data_says_how_it_is_written():
    with pytest.raises(DataError, match=r"hellaswag names no data; write hellaswag:FILE.jsonl"):
        read_tasks(["hellaswag"])


def test_a_file_that_no_kind_takes_by_itself_is_refused(tmp_path):
    path = tmp_path / "sums.csv"
    path.touch()
    with pytest.raises(DataError, match=r"no kind of task takes .*sums.csv by itself; put the name of one before it"):
        read_tasks([str(path)])


def test_labels_of_a_file_of_their_own_are_a_setting(tmp_path):
    rows, labels = tmp_path / "valid.jsonl", tmp_path / "valid.lst"
    rows.write_text("\n".join(json.dumps({"goal": str(i), "sol1": "a", "sol2": "b"}) for i in range(3)))
    labels.write_text("0\n1\n1\n")
    (task,) = read_tasks([f"piqa:{rows},labels={labels}"])
    assert [i.answer for i in task.items] == [0, 1, 1]


def test_other_packages_add_kinds(tmp_path, monkeypatch):
    (tmp_path / "theirs_kind.py").write_text(
        '"""`rows:FILE.csv`: rows."""\n\nfrom penjing.tasks.kind import Kind\n'
        'KIND = Kind(read=lambda data, asked: [], better="lower", bare=lambda path: path.suffix == ".csv")\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [metadata.EntryPoint("rows", "theirs_kind", group)])
    assert read_tasks([f"rows:{tmp_path}/a.csv", str(tmp_path / "b.csv")]) == ()
    TASKS._loaded.pop("rows")


@pytest.mark.parametrize(
    ("wish", "there"),
    [
        ("a.jsonl", "/x/a.jsonl"),
        ("sums", "/x/sums"),
        ("arc:a.jsonl", "arc:/x/a.jsonl"),
        ("images:a,b,size=3", "images:/x/a,/x/b,size=3"),
        ("attack:pwws:a.jsonl,words=b", "attack:pwws:/x/a.jsonl,words=b"),
        ("lm-eval:arc_easy", "lm-eval:arc_easy"),
        ("instructions", "instructions"),
    ],
)
def test_the_places_of_a_wish_can_be_changed(wish, there, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sums").mkdir()
    assert moved(wish, lambda place: f"/x/{place}") == there
