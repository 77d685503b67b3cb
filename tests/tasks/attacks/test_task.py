import math
from dataclasses import replace

import pytest
from tests.tasks.attacks.toy import ITEMS, SYNONYMS, classify

from penjing.errors import MeasureError
from penjing.evaluate.statistics import records
from penjing.tasks.attacks import Attacked, Transferred, recipe, run_attack
from penjing.tasks.task import Examined

TOY = Examined(name="toy", module=None)
TEXTS = ITEMS[:6]


def toy(model):
    return classify


def blind(model):
    """Always the first class."""
    return lambda texts: classify([""] * len(texts)) * 0 + classify(["bad"])


def cheerful(model):
    """Always the second class."""
    return lambda texts: blind(model)(texts).flip(1)


def task(name="misspellings", **settings):
    return Attacked(items=TEXTS, attack=recipe(name, synonyms=SYNONYMS), classifier=toy, **settings)


def test_the_figures_equal_a_count_over_outcomes():
    found = {m.name: m for m in task().run(TOY)}
    outcomes = run_attack(classify, TEXTS, recipe("misspellings"))
    right = [o for o in outcomes if classify([o.item.text])[0].argmax() == o.item.label]
    won = [o for o in right if classify([o.text])[0].argmax() != o.item.label]
    assert 0 < len(won) < len(right) < len(outcomes)
    expected = {
        "attacked": (len(right) - len(won)) / len(outcomes),
        "attacked:clean_accuracy": len(right) / len(outcomes),
        "attacked:success_rate": len(won) / len(right),
        "attacked:words_changed": sum(o.changed / o.words for o in won) / len(won),
        "attacked:queries": sum(o.queries for o in right) / len(right),
    }
    assert {k: m.value for k, m in found.items()} == pytest.approx(expected)
    assert [m.n for m in found.values()] == [6, 6, len(right), len(won), len(right)]
    share = expected["attacked:success_rate"]
    assert found["attacked:success_rate"].spread == pytest.approx(math.sqrt(share * (1 - share) / (len(right) - 1)))


def test_records_give_the_figures():
    found = task().run(TOY)
    assert all(records(m) is not None for m in found[:2])
    assert not any(m.items for m in found[2:])  # which texts are attacked is each model's own
    main = found[0].items
    assert main["correct"] == main["robust"]
    assert all(len(column) == 6 for column in main.values())
    assert [bool(text) for text in main["text"]] == [
        c == 1 and r == 0 for c, r in zip(main["clean_correct"], main["robust"], strict=True)
    ]


def test_long_adversarial_texts_are_cut_in_the_records():
    long = replace(TEXTS[0], text="good " + "tree " * 200)
    found = Attacked(items=(long,), attack=recipe("pwws", synonyms=SYNONYMS), classifier=toy).run(TOY)
    assert max(map(len, found[0].items["text"])) <= 500


def test_who_always_says_the_same_is_robust_at_chance():
    found = {m.name: m for m in replace(task(), classifier=blind).run(TOY)}
    assert found["attacked"].value == found["attacked"].chance == 0.5
    assert found["attacked:success_rate"].value == 0
    assert found["attacked:words_changed"].value is None
    assert found["attacked:words_changed"].note == "no attack succeeded"


def test_nothing_right_means_nothing_attacked():
    wrong = tuple(replace(i, label=1) for i in TEXTS)
    found = {m.name: m for m in replace(task(), items=wrong, classifier=blind).run(TOY)}
    assert found["attacked"].value == 0
    assert found["attacked:success_rate"].value is None
    assert "none was attacked" in found["attacked:queries"].note


def test_no_texts_are_refused():
    with pytest.raises(MeasureError, match="no texts to attack"):
        replace(task(), items=()).run(TOY)
    with pytest.raises(MeasureError, match="no texts to transfer"):
        Transferred(found=(), classifier=toy).run(TOY)


def test_the_same_task_gives_the_same_figures_and_the_key_tells_tasks_apart():
    assert task().run(TOY) == task().run(TOY)
    other_data, other_model = replace(task(), items=TEXTS[1:]), replace(task(), classifier=blind)
    tasks = [task(), task(seed=1), task("deepwordbug"), other_data, other_model]
    assert len({t.key() for t in tasks}) == len(tasks)
    assert "source" not in task("pwws").key()
    assert "synonyms=toy" in task("pwws").key()


def test_progress_goes_to_the_end():
    steps = []
    task().run(TOY, progress=lambda done, all: steps.append((done, all)))
    assert steps == [(i, 6) for i in range(1, 7)]


def test_transfer_to_the_same_model_is_the_attack_itself():
    outcomes = run_attack(classify, TEXTS, recipe("misspellings"))
    found = {m.name: m for m in Transferred(found=outcomes, classifier=toy).run(TOY)}
    own = {m.name: m for m in task().run(TOY)}
    assert found["transferred"].value == own["attacked"].value
    assert found["transferred:clean_accuracy"].value == own["attacked:clean_accuracy"].value
    assert found["transferred:success_rate"].value == 1


def test_transfer_to_a_model_that_reads_nothing_flips_nothing():
    outcomes = run_attack(classify, TEXTS, recipe("misspellings"))
    found = {m.name: m for m in Transferred(found=outcomes, classifier=cheerful).run(TOY)}
    assert found["transferred:success_rate"].value == 0
    assert found["transferred:success_rate"].n > 0
    assert found["transferred"].value == 0.5
    assert len(found["transferred"].items["id"]) == 6
