import pytest
from tests.evaluate.language import model, tokenizer

from penjing.data import ExactItem
from penjing.data.bigbench import BigBench, Form
from penjing.errors import DataError
from penjing.tasks.generation import READINGS, ExactMatch, Reply, generate
from penjing.tasks.generation.exact import graded
from penjing.tasks.kinds.bigbench import exact as bigbench_exact
from penjing.tasks.kinds.gsm8k import gsm8k
from penjing.tasks.task import Examined, Task

ITEMS = tuple(ExactItem(id=str(i), prompt=f"What is {i} + {i}?", targets=(str(2 * i), "none")) for i in range(6))


@pytest.fixture(scope="module")
def examined():
    return Examined(name="tiny", module=model(), tokenizer=tokenizer())


def said(*texts, ended="end"):
    return [Reply(t, len(t), ended) for t in texts]


def test_grades_are_the_share_right():
    found = graded(ITEMS[:4], said(" 0", "2\n", "5", "none"), READINGS["exact"], name="t")
    assert found.items["correct"] == [1, 1, 0, 1]
    assert found.value == 0.75
    assert found.spread == pytest.approx((0.75 * 0.25 / 3) ** 0.5)
    assert found.note == ""


def test_what_went_wrong_is_counted_in_the_note():
    replies = [Reply("#### 0", 3, "limit"), Reply("so", 2, "end", truncated=True)]
    found = graded(ITEMS[:2], replies, READINGS["strict"], name="t")
    assert "1 of 2 replies ran into the limit of new tokens" in found.note
    assert "no answer could be read off 1 of 2 replies" in found.note
    assert "1 of 2 contexts were longer" in found.note
    assert found.items["answer"] == ["0", None]


def test_what_the_model_writes_is_what_is_graded(examined):
    asked = ["What is 0 + 0?", "What is 3 + 3?"]
    wrote = generate(model(), tokenizer(), asked, limit=6, stops=["\n"])
    items = (
        ExactItem(id="a", prompt=asked[0], targets=("never this",)),
        ExactItem(id="b", prompt=asked[1], targets=(wrote[1].text,)),
    )
    (figure,) = ExactMatch(name="t", items=items, max_new_tokens=6, stops=("\n",)).run(examined)
    assert figure.items["correct"] == [0, 1]
    assert figure.items["reply"] == [r.text for r in wrote]


def test_it_is_a_task_whose_key_says_what_changes_figures():
    task: Task = ExactMatch(name="t", items=ITEMS)
    settings = (
        {"shots": 1},
        {"stops": ("x",)},
        {"max_new_tokens": 3},
        {"limit": 2},
        {"readings": ("strict",)},
        {"before": "Q"},
    )
    keys = {ExactMatch(name="t", items=ITEMS, **s).key() for s in settings}
    assert len(keys | {task.key()}) == 7


def test_gsm8k_is_written_as_published(examined):
    items = [
        ExactItem(id=str(i), prompt=f"How many is {i}?", targets=(str(i),), extra={"solution": f"It is.\n#### {i}"})
        for i in range(4)
    ]
    task = gsm8k(items, shots=2)
    prompt = task.prompts()[3]
    assert prompt.endswith("\n\nQuestion: How many is 3?\nAnswer:")
    assert prompt.count("\nAnswer: It is.\n#### ") == 2
    assert "Question: How many is 3?" not in prompt.removesuffix("Question: How many is 3?\nAnswer:")
    small = ExactMatch(**{**task.__dict__, "max_new_tokens": 4})
    figures = small.run(examined)
    assert [(f.name, f.label) for f in figures] == [("gsm8k", "GSM8K"), ("gsm8k:flexible", "GSM8K: flexible")]
    with pytest.raises(DataError, match="found 3 examples besides item 0, needed 5 shots"):
        gsm8k(items).prompts()


def test_bigbench_reads_by_the_tasks_own_expression(examined):
    exact = tuple(ExactItem(id=f"sums:{i}", prompt=f"\nQ: {i}?\nA: ", targets=("7",)) for i in range(3))
    made = BigBench(name="Sums", form=Form(), choices=(), exact=exact, regex=r"\d+")
    task = bigbench_exact(made, max_new_tokens=4)
    assert task.readings == (r"pattern:\d+",)
    (figure,) = task.run(examined)
    assert (figure.name, figure.n) == ("sums", 3)


def test_an_unknown_reading_is_refused(examined):
    with pytest.raises(DataError, match=r"no reading is named 'stric'.*did you mean 'strict'"):
        ExactMatch(name="t", items=ITEMS, readings=("stric",)).run(examined)
    with pytest.raises(DataError, match="has no tokenizer"):
        ExactMatch(name="t", items=ITEMS).run(Examined(name="tiny", module=model()))
