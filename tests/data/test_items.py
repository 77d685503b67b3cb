import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.data import ChoiceItem, ScoredItem, jsonl, read_choices, read_exact
from penjing.errors import DataError
from penjing.tasks.kinds import TASKS
from penjing.tasks.kinds.piqa import items as read_piqa

READERS = {name: file.items for name, file in TASKS.load_all().modules.items() if hasattr(file, "items")}

GOOD = {"question": "Why?", "choices": ["so", "thus"], "answer": 1}


@pytest.fixture
def file(tmp_path):
    def write(*rows, raw=None):
        path = tmp_path / "items.jsonl"
        lines = [r if isinstance(r, str) else json.dumps(r) for r in rows]
        path.write_bytes(raw if raw is not None else "\n".join(lines).encode())
        return path

    return write


def test_choices_are_read(file):
    rows = [{**GOOD, "id": "a", "context": "So", "topic": "x"}, "", {**GOOD, "answer": "A"}, {**GOOD, "answer": 0}]
    first, second, third = read_choices(file(*rows))
    assert first == ChoiceItem(
        id="a", question="Why?", choices=("so", "thus"), answer=1, context="So", extra={"topic": "x"}
    )
    assert first.scores == (0.0, 1.0)
    assert (second.id, second.answer) == ("3", 0)
    assert (third.id, third.answer) == ("4", 0)


def test_several_truths_are_read(file):
    (found,) = read_choices(file({"question": "Why?", "choices": ["a", "b", "c"], "scores": [1, 0.5, 0]}))
    assert found == ScoredItem(id="1", question="Why?", choices=("a", "b", "c"), scores=(1.0, 0.5, 0.0))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"question": "Why?"', r"line 2: not JSON"),
        ("[" * 100_000, r"line 2: not JSON"),
        ('["a"]', r"line 2: found a list of 1, needed an object"),
        ("null", r"line 2: found nothing, needed an object"),
        ({"question": "Why?", "answer": 0}, r"line 2: found no 'choices'"),
        ({**GOOD, "choices": []}, r"line 2: found 0 of them as 'choices'"),
        ({**GOOD, "choices": ["a"]}, r"line 2: found 1 of them as 'choices', needed a list of 2"),
        ({**GOOD, "choices": "ab"}, r"line 2: found 'ab' as 'choices'"),
        ({**GOOD, "choices": ["a", 3]}, r"line 2: found 3 as 'choices\[1\]', needed a string"),
        ({**GOOD, "answer": 2}, r"line 2: found the answer 2, needed one of 2 choices: 0 to 1, or A to B"),
        ({**GOOD, "answer": -1}, r"line 2: found the answer -1"),
        ({**GOOD, "answer": "C"}, r"line 2: found the answer 'C'"),
        ({**GOOD, "answer": "so"}, r"line 2: found the answer 'so'"),
        ({**GOOD, "answer": ""}, r"line 2: found the answer ''"),
        ({**GOOD, "answer": "AB"}, r"line 2: found the answer 'AB'"),
        ({**GOOD, "answer": True}, r"line 2: found the answer True"),
        ({**GOOD, "answer": 1.0}, r"line 2: found the answer 1.0"),
        ({**GOOD, "answer": None}, r"line 2: found the answer nothing"),
        ({"question": "Why?", "choices": ["a", "b"]}, r"line 2: found no 'answer'"),
        ({**GOOD, "scores": [1, 0]}, r"line 2: found both 'answer' and 'scores'"),
        ({**GOOD, "question": 3}, r"line 2: found 3 as 'question', needed a string"),
        ({**GOOD, "question": None}, r"line 2: found nothing as 'question'"),
        ({**GOOD, "id": 1.5}, r"line 2: found 1.5 as 'id'"),
        ({**GOOD, "id": "first"}, r"line 2: the id 'first' is also that of line 1"),
        (
            '{"question": "\\ud800", "choices": ["a", "b"], "answer": 0}',
            r"line 2: 'question' holds half of a surrogate",
        ),
        ({"question": "?", "choices": ["a", "b"], "scores": [1]}, r"line 2: found 1 scores, needed a list of 2"),
        ({"question": "?", "choices": ["a", "b"], "scores": [0, 0]}, r"line 2: found scores from 0 to 0"),
        ({"question": "?", "choices": ["a", "b"], "scores": [2, 0]}, r"line 2: found scores from 0 to 2"),
        ('{"question": "?", "choices": ["a", "b"], "scores": [NaN, 0]}', r"line 2: found nan as 'scores\[0\]'"),
    ],
)
def test_a_bad_line_is_named(file, row, message):
    with pytest.raises(DataError, match=r"items\.jsonl, " + message):
        read_choices(file({**GOOD, "id": "first"}, row))


def test_bad_files_are_refused(file, tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"found nothing at .*missing\.jsonl"):
        read_choices(tmp_path / "missing.jsonl")
    with pytest.raises(DataError, match="found a folder at"):
        read_choices(tmp_path)
    with pytest.raises(DataError, match="is empty"):
        read_choices(file(raw=b"\n \n"))
    with pytest.raises(DataError, match="line 2: byte 14 is not UTF-8"):
        read_choices(file(raw=json.dumps(GOOD).encode() + b'\n{"question": "\xff"}'))
    with pytest.raises(DataError, match="line 1: byte 0 is not UTF-8"):
        read_choices(file(raw="{}".encode("utf-16")))
    monkeypatch.setattr(jsonl, "LINE_BYTES", 1 << 10)
    with pytest.raises(DataError, match="line 2: longer than"):
        read_choices(file(GOOD, {**GOOD, "question": "x" * 2000}))


def test_a_mark_at_the_files_start_is_no_matter(file):
    assert len(read_choices(file(raw=b"\xef\xbb\xbf" + json.dumps(GOOD).encode()))) == 1


def test_separators_inside_strings_do_not_split_lines(file):
    (found,) = read_choices(file(raw=json.dumps({**GOOD, "question": "a\u2028b\x85c"}, ensure_ascii=False).encode()))
    assert found.question == "a\u2028b\x85c"


@settings(max_examples=60)
@given(
    row=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["id", "question", "choices", "answer", "scores", "label"]), inner)
        ),
        max_leaves=8,
    )
)
def test_nothing_but_data_errors_come_out(row, tmp_path_factory):
    path = tmp_path_factory.mktemp("any") / "a.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    for reader in (read_choices, read_exact, *READERS.values()):
        with suppress(DataError):
            reader(path)


def test_exact_items_are_read(file):
    one, two = read_exact(file({"prompt": "2+2=", "target": "4"}, {"id": 7, "prompt": "?", "targets": ["a", "b"]}))
    assert (one.id, one.targets) == ("1", ("4",))
    assert (two.id, two.targets) == ("7", ("a", "b"))
    with pytest.raises(DataError, match="line 1: found nothing as 'targets'"):
        read_exact(file({"prompt": "?"}))


@pytest.mark.parametrize(
    ("kind", "row", "question", "choices", "answer"),
    [
        (
            "arc",
            {"id": "M", "question": "Q?", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"},
            "Q?",
            ("x", "y"),
            1,
        ),
        (
            "arc",
            {
                "id": "M",
                "question": {"stem": "Q?", "choices": [{"text": "x", "label": "A"}, {"text": "y", "label": "B"}]},
                "answerKey": "A",
            },
            "Q?",
            ("x", "y"),
            0,
        ),
        (
            "openbookqa",
            {"question_stem": "The sun", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": "B "},
            "The sun",
            ("x", "y"),
            1,
        ),
        (
            "hellaswag",
            {
                "ind": 4,
                "activity_label": "Tea",
                "ctx_a": "A man",
                "ctx_b": "then he",
                "endings": list("wxyz"),
                "label": "3",
            },
            "A man Then he",
            ("w", "x", "y", "z"),
            3,
        ),
        ("piqa", {"goal": "G", "sol1": "x", "sol2": "y", "label": 1}, "G", ("x", "y"), 1),
        ("boolq", {"question": "is it", "passage": "P", "answer": True}, "is it", ("no", "yes"), 1),
        ("boolq", {"question": "is it", "passage": "P", "label": 0, "idx": 3}, "is it", ("no", "yes"), 0),
        (
            "winogrande",
            {"qID": "q", "sentence": "a _ b", "option1": "x", "option2": "y", "answer": "2"},
            "a _ b",
            ("x", "y"),
            1,
        ),
        ("mmlu", {"question": "Q", "subject": "s", "choices": list("wxyz"), "answer": 2}, "Q", ("w", "x", "y", "z"), 2),
        ("mmlu", {"question": "Q", "choices": list("wxyz"), "answer": "D"}, "Q", ("w", "x", "y", "z"), 3),
    ],
)
def test_public_records_are_read(file, kind, row, question, choices, answer):
    (found,) = READERS[kind](file(row))
    assert (found.question, found.choices, found.answer) == (question, choices, answer)


@pytest.mark.parametrize(
    ("kind", "row", "message"),
    [
        (
            "arc",
            {"question": "Q?", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": "C"},
            "found the answerKey 'C', needed one of the labels A, B",
        ),
        (
            "arc",
            {"question": "Q?", "choices": {"text": ["x", "y"], "label": ["A", "A"]}, "answerKey": "A"},
            "found 2 choices with labels A, A",
        ),
        ("arc", {"question": "Q?", "answerKey": "A"}, "found nothing as 'choices'"),
        (
            "hellaswag",
            {"activity_label": "T", "ctx_a": "A", "ctx_b": "b", "endings": list("wx"), "label": ""},
            "found the answer ''",
        ),
        ("piqa", {"goal": "G", "sol1": "x", "sol2": "y"}, "found the answer nothing"),
        ("boolq", {"question": "is it", "passage": "P"}, "found the answer nothing"),
        (
            "winogrande",
            {"sentence": "a b", "option1": "x", "option2": "y", "answer": "2"},
            "found a sentence without a blank",
        ),
        (
            "winogrande",
            {"sentence": "a _ b", "option1": "x", "option2": "y", "answer": ""},
            "found the answer ''",
        ),
        ("gsm8k", {"question": "Q", "answer": "so 18"}, "found an answer without a number"),
        ("truthfulqa", {"question": "Q", "mc1_targets": {"a": 1, "b": 1}}, "found 2 true choices in 'mc1_targets'"),
        ("truthfulqa", {"question": "Q"}, "found nothing as 'mc1_targets'"),
    ],
)
def test_bad_public_records_are_named(file, kind, row, message):
    with pytest.raises(DataError, match=r"items\.jsonl, line 1: " + message):
        READERS[kind](file(row))


def test_gsm8ks_target_is_the_number(file):
    (found,) = READERS["gsm8k"](file({"question": "Q", "answer": "It is <<6*3=18>>18.\n#### 1,018"}))
    assert found.targets == ("1,018",)
    assert found.extra["solution"].endswith("#### 1,018")


@pytest.mark.parametrize("form", ["lists", "mapping", "array"])
def test_truthfulqas_targets_are_read_in_every_form(form, tmp_path):
    one = {"choices": ["a", "b"], "labels": [1, 0]} if form == "lists" else {"a": 1, "b": 0}
    two = {"choices": ["a", "b", "c"], "labels": [1, 0, 1]} if form == "lists" else {"a": 1, "b": 0, "c": 1}
    row = {"question": "Q", "mc1_targets": one, "mc2_targets": two}
    path = tmp_path / ("t.json" if form == "array" else "t.jsonl")
    path.write_text(json.dumps([row] if form == "array" else row), encoding="utf-8")
    (single,), (several,) = READERS["truthfulqa"](path)
    assert (single.choices, single.answer) == (("a", "b"), 0)
    assert several.scores == (1.0, 0.0, 1.0)


def test_piqas_labels_may_be_a_file_of_their_own(file, tmp_path):
    rows = [{"goal": str(i), "sol1": "x", "sol2": "y"} for i in range(3)]
    labels = tmp_path / "labels.lst"
    labels.write_text("0\n1\n1\n", encoding="utf-8")
    assert [i.answer for i in read_piqa(file(*rows), labels=labels)] == [0, 1, 1]
    labels.write_text("0\n1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"has 3 records, .* 2 labels"):
        read_piqa(file(*rows), labels=labels)
