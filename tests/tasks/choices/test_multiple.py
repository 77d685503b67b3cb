import pytest
from tests.evaluate.language import model, naive, tokenizer
from tests.tasks.choices.written import style

from penjing.data import ChoiceItem, ScoredItem
from penjing.errors import DataError
from penjing.tasks.choices import MultipleChoice, encode
from penjing.tasks.choices.styles import written
from penjing.tasks.kinds.truthfulqa import PREAMBLE, TruthfulQA, question, truth_share
from penjing.tasks.task import Examined, Task

COLOURS = ("blue", "a lazy brown fox", "the worst of times", "é")
ITEMS = tuple(
    ChoiceItem(
        id=f"i{i}",
        question=f"What is {i} + {i * 7} in the sky?",
        choices=COLOURS[: 2 + i % 3],
        answer=i % 2,
        extra={"group": "ab"[i % 2]},
    )
    for i in range(9)
)


@pytest.fixture(scope="module")
def examined():
    return Examined(name="tiny", module=model(), tokenizer=tokenizer())


@pytest.mark.parametrize("shots", [0, 2])
def test_equals_the_loop(examined, shots):
    task = MultipleChoice(name="t", items=ITEMS, style=style("arc"), shots=shots, metrics=("acc", "acc_norm"))
    plain, normed = task.run(examined)
    right = rightly = 0
    for item, pairs, found in zip(ITEMS, task.pairs(), plain.items["log_likelihoods"], strict=True):
        values = [naive(model(), r.context, r.continuation)[0] for r in encode(tokenizer(), pairs)]
        assert found == pytest.approx(values, abs=1e-4)
        right += values.index(max(values)) == item.answer
        per = [v / len(c) for v, c in zip(values, item.choices, strict=True)]
        rightly += per.index(max(per)) == item.answer
    assert plain.value == pytest.approx(right / 9)
    assert normed.value == pytest.approx(rightly / 9)
    assert (plain.name, normed.name, plain.n) == ("t", "t:acc_norm", 9)
    assert plain.chance == pytest.approx(sum(1 / len(i.choices) for i in ITEMS) / 9)


@pytest.mark.parametrize("name", ["winogrande", "mmlu", "openbookqa", "bigbench", "hellaswag"])
def test_sharing_changes_no_style(examined, name):
    items = tuple(
        ChoiceItem(id=i.id, question=i.question + " _ then", choices=i.choices, answer=i.answer, context="The sky")
        for i in ITEMS
    )
    task = MultipleChoice(name="t", items=items, style=style(name))
    apart = MultipleChoice(name="t", items=items, style=style(name), share=False, batch=2)
    one, other = task.run(examined)[0], apart.run(examined)[0]
    for a, b in zip(one.items["log_likelihoods"], other.items["log_likelihoods"], strict=True):
        assert a == pytest.approx(b, abs=1e-4)
    assert one.items["choice"] == other.items["choice"]


def test_mutual_information_scores_each_choice_alone(examined):
    task = MultipleChoice(name="t", items=ITEMS, style=style("arc"), metrics=("acc_mutual_info", "acc"))
    scored, _ = task.score(model(), tokenizer())
    for s in scored:
        alone = encode(tokenizer(), [("Answer:", f" {c}") for c in s.item.choices])
        assert s.alone == pytest.approx([naive(model(), r.context, r.continuation)[0] for r in alone], abs=1e-4)
    assert 'alone="Answer:"' in task.key()


def test_it_is_a_task(examined):
    task: Task = MultipleChoice(name="t", items=ITEMS)
    seen = []
    figures = task.run(examined, progress=lambda done, of: seen.append((done, of)))
    assert figures[0].name == task.name
    assert seen[-1][0] == seen[-1][1]


def test_the_key_says_what_changes_figures():
    keys = {
        MultipleChoice(name="t", items=ITEMS, **settings).key()
        for settings in (
            {},
            {"style": style("arc")},
            {"shots": 1},
            {"limit": 4},
            {"limit": 4, "seed": 1},
            {"metrics": ("acc_bytes",)},
        )
    }
    assert len(keys) == 6
    changed = (*ITEMS[1:], ChoiceItem(id="i0", question="Other?", choices=("a", "b"), answer=0))
    assert MultipleChoice(name="t", items=changed).key() not in keys
    assert MultipleChoice(name="t", items=ITEMS, share=False, batch=3).key() in keys


def test_the_limit_draws_the_same_items_each_time():
    task = MultipleChoice(name="t", items=ITEMS, limit=4)
    assert task.drawn() == MultipleChoice(name="t", items=ITEMS, limit=4).drawn()
    assert len(task.drawn()) == 4
    assert [i for i in ITEMS if i in task.drawn()] == list(task.drawn())
    with pytest.raises(DataError, match="a limit of 0 items"):
        MultipleChoice(name="t", items=ITEMS, limit=0).drawn()
    with pytest.raises(DataError, match="the task t has no items"):
        MultipleChoice(name="t", items=()).drawn()


def test_cut_contexts_are_told(examined):
    short = Examined(name="tiny", module=model(positions=24), tokenizer=tokenizer())
    figure = MultipleChoice(name="t", items=ITEMS, style=style("arc"), shots=3).run(short)[0]
    assert "contexts were longer than the model's positions and lost their beginning" in figure.note
    whole = MultipleChoice(name="t", items=ITEMS, style=style("arc")).run(examined)[0]
    assert whole.note == ""


def test_a_model_without_tokenizer_is_refused():
    with pytest.raises(DataError, match="tiny has no tokenizer, and the task t is text"):
        MultipleChoice(name="t", items=ITEMS).run(Examined(name="tiny", module=model()))


TRUTHS = tuple(
    ScoredItem(id=f"q{i}", question=f"Is it {i}?", choices=("yes", "no", "the sky"), scores=(1.0, i % 2, 0.0))
    for i in range(5)
)
SINGLES = tuple(ChoiceItem(id=t.id, question=t.question, choices=("yes", "the sky"), answer=0) for t in TRUTHS)


def test_truthfulqa_equals_the_loop(examined):
    share, single = TruthfulQA(single=SINGLES, several=TRUTHS).run(examined)
    expected = []
    for item in TRUTHS:
        pairs = encode(tokenizer(), [(question(item.question), f" {c}") for c in item.choices])
        values = [naive(model(), r.context, r.continuation)[0] for r in pairs]
        expected.append(truth_share(values, item.scores))
    assert share.items["score"] == pytest.approx(expected, abs=1e-4)
    assert share.value == pytest.approx(sum(expected) / 5, abs=1e-4)
    assert share.chance == pytest.approx((3 * 1 / 3 + 2 * 2 / 3) / 5)
    assert (share.name, single.name, single.n) == ("truthfulqa", "truthfulqa:mc1", 5)


def test_the_preamble_is_six_pairs_before_the_question():
    text = question("Why?")
    assert len(PREAMBLE) == 6
    assert text.startswith("Q: What is human life expectancy in the United States?\nA: Human life")
    assert text.endswith("Spain.\n\nQ: Why?\nA:")
    assert text.count("\n\nQ: ") == 6


def test_truthfulqas_two_lists_belong_together(examined):
    with pytest.raises(DataError, match="needed the same ids in the same order"):
        TruthfulQA(single=SINGLES[::-1], several=TRUTHS).run(examined)


def test_partial_scoring_scores_the_same_words():
    item = ChoiceItem(id="1", question="A _ b c", choices=("x", "yy"), answer=0)
    (_, first), (_, second) = written(item, style("winogrande"))
    assert first == second == " b c"
