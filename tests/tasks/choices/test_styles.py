import pytest
from tests.tasks.choices.written import NAMES, style

from penjing.data import ChoiceItem, Form, ScoredItem
from penjing.errors import DataError
from penjing.tasks.choices.styles import shots_for, solved, written
from penjing.tasks.kinds.hellaswag import clean


def item(**fields):
    return ChoiceItem(**{"id": "1", "question": "Why?", "choices": ("so", "thus"), "answer": 1, **fields})


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("arc", {}, [("Question: Why?\nAnswer:", " so"), ("Question: Why?\nAnswer:", " thus")]),
        ("piqa", {}, [("Question: Why?\nAnswer:", " so"), ("Question: Why?\nAnswer:", " thus")]),
        ("openbookqa", {}, [("Why?", " so"), ("Why?", " thus")]),
        ("plain", {"context": "It is."}, [("It is.\nWhy?", " so"), ("It is.\nWhy?", " thus")]),
        (
            "boolq",
            {"context": "Ice floats.", "question": "does ice float", "choices": ("no", "yes")},
            [("Ice floats.\nQuestion: does ice float?\nAnswer:", a) for a in (" no", " yes")],
        ),
        (
            "hellaswag",
            {"context": "Making tea", "question": "Boil water. [step] Then", "choices": ("pour [x]it.", "wait  now.")},
            [("Making tea: Boil water. Then", " pour it."), ("Making tea: Boil water. Then", " wait now.")],
        ),
        (
            "winogrande",
            {"question": "The cup broke since the _ was hard.", "choices": ("floor", "cup")},
            [("The cup broke since the floor", " was hard."), ("The cup broke since the cup", " was hard.")],
        ),
        (
            "mmlu",
            {"question": " Which? ", "choices": ("a", "b", "c", "d")},
            [("Which?\nA. a\nB. b\nC. c\nD. d\nAnswer:", f" {x}") for x in "ABCD"],
        ),
    ],
)
def test_the_templates(name, fields, expected):
    assert list(style(name).pairs(item(**fields))) == expected


def test_bigbench_follows_the_tasks_form():
    usual = item(extra={"form": Form()})
    assert written(usual, style("bigbench"))[0] == ("\nQ: Why?\n  choice: so\n  choice: thus\nA: ", "so")
    form = Form(task_prefix="Think. ", input_prefix="", output_prefix=" -> ", append_choices=False, separator="--")
    own = item(extra={"form": form})
    example = item(id="2", question="Who?", extra={"form": form})
    context, continuation = written(own, style("bigbench"), [example])[1]
    assert (context, continuation) == ("Think. Who? -> thus--Why? -> ", "thus")


def test_mmlus_header_names_the_subject_once():
    how, asked = style("mmlu"), item(extra={"group": "high_school_physics"})
    context, _ = written(asked, how, [item(id="2", question="Who?", extra={"group": "high_school_physics"})])[0]
    header = "The following are multiple choice questions (with answers) about high school physics.\n\n"
    assert context == f"{header}Who?\nA. so\nB. thus\nAnswer: B\n\nWhy?\nA. so\nB. thus\nAnswer:"


def test_solved_examples_show_the_best_choice():
    assert solved(item(), style("arc")) == "Question: Why?\nAnswer: thus"
    several = ScoredItem(id="1", question="Why?", choices=("a", "b", "c"), scores=(0.2, 0.9, 0.9))
    assert solved(several, style("arc")) == "Question: Why?\nAnswer: b"


def test_every_style_writes_one_continuation_per_choice():
    for name in NAMES:
        how = style(name)
        asked = item(question="one _ two", context="about")
        assert how.name == name
        assert len(how.pairs(asked)) == len(how.lengths(asked)) == 2


def test_shots_are_the_same_each_time_and_never_the_item():
    pool = [item(id=str(i), question=f"{i}?") for i in range(20)]
    how = style("arc")
    first = shots_for(pool[3], pool, 5, how, seed=1)
    assert first == shots_for(pool[3], list(pool), 5, how, seed=1)
    assert pool[3] not in first
    assert len({s.id for s in first}) == 5
    assert first != shots_for(pool[3], pool, 5, how, seed=2)
    assert first != shots_for(pool[4], pool, 5, how, seed=1)


def test_mmlu_takes_the_first_of_the_same_subject():
    pool = [item(id=str(i), question=f"{i}?", extra={"group": "ab"[i % 2]}) for i in range(12)]
    asked = item(id="x", extra={"group": "b"})
    assert [s.id for s in shots_for(asked, pool, 3, style("mmlu"))] == ["1", "3", "5"]
    with pytest.raises(DataError, match=r"found 6 examples of group 'b' besides item x, needed 7 shots"):
        shots_for(asked, pool, 7, style("mmlu"))


def test_more_choices_than_letters_are_refused():
    with pytest.raises(DataError, match="item 1 has 27 choices"):
        style("mmlu").pairs(item(choices=tuple(map(str, range(27)))))


def test_hellaswag_is_cleaned_as_its_authors_did():
    assert clean("  A [title] B [header] c  d ") == "A. B c d"
