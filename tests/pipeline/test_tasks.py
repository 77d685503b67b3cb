"""Tasks as they are named on the command line."""

import json

import pytest

from penjing.errors import DataError
from penjing.pipeline.tasks import read_tasks


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
    assert (task.name, task.style, task.items[0].answer, task.limit) == ("arc", "arc", 1, 1)


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
    with pytest.raises(DataError, match="no benchmark is named 'hellaswagg'; did you mean 'hellaswag'"):
        read_tasks([f"hellaswagg:{sums}"])


def test_two_tasks_of_one_name_are_refused(sums):
    with pytest.raises(DataError, match="2 tasks are called 'my-sums'"):
        read_tasks([str(sums), str(sums)])
