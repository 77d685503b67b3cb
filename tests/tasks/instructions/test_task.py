import math
from dataclasses import replace

import pytest
import torch
from tests.evaluate.models import llama
from tests.house.tiny import tiny_model

from penjing.data.instructions import InstructedPrompt, Instruction, read_instructions, shipped_instructions
from penjing.errors import DataError, MeasureError
from penjing.evaluate.statistics import records
from penjing.tasks.instructions import Instructions, by_kind, instruction_accuracy, judge_all, prompt_accuracy
from penjing.tasks.instructions.trivial import trivial_verdicts
from penjing.tasks.task import Examined

NO_COMMA = Instruction("punctuation:no_comma", {})
SHORT = Instruction("length_constraints:number_words", {"num_words": 3, "relation": "less than"})
QUOTED = Instruction("startend:quotation", {})
PROMPTS = (
    InstructedPrompt(key="a", prompt="Say it, without commas.", instructions=(NO_COMMA, SHORT)),
    InstructedPrompt(key="b", prompt="Quote.", instructions=(QUOTED,)),
    InstructedPrompt(key="c", prompt="Be brief.", instructions=(SHORT,)),
)
ANSWERS = ["one two three four", '*"x"*', "yes"]
NOBODY = Examined(name="nobody", module=None)


def run(answers=ANSWERS, **settings):
    task = Instructions(prompts=PROMPTS, generate=lambda texts: answers[: len(texts)], **settings)
    return {m.name: m for m in task.run(NOBODY)}


def test_the_four_figures_by_hand():
    found = run()
    assert list(found) == [
        "instructions",
        "instructions:prompt_loose",
        "instructions:instruction_strict",
        "instructions:instruction_loose",
    ]
    values = [m.value for m in found.values()]
    assert values == pytest.approx([1 / 3, 2 / 3, 2 / 4, 3 / 4])
    assert [m.n for m in found.values()] == [3, 3, 4, 4]
    assert found["instructions"].spread == pytest.approx(math.sqrt(1 / 3 * 2 / 3 / 2))


def naive_error(sums, counts):
    """The delta method, term by term."""
    n, mean = len(sums), sum(sums) / sum(counts)
    return math.sqrt(n / (n - 1) * sum((s - mean * c) ** 2 for s, c in zip(sums, counts, strict=True))) / sum(counts)


def test_the_error_of_instructions_is_over_prompts():
    assert run()["instructions:instruction_strict"].spread == pytest.approx(naive_error([1, 0, 1], [2, 1, 1]))


def test_the_records_give_the_figures():
    found = run()
    main = found["instructions"].items
    assert main["id"] == ["a", "b", "c"]
    assert main["strict"] == [0, 0, 1]
    assert main["loose"] == [0, 1, 1]
    assert main["characters"] == [18, 5, 3]
    assert main["words"] == [4, 1, 1]
    single = found["instructions:instruction_strict"].items
    assert single["id"] == ["a#1", "a#2", "b#1", "c#1"]
    assert single["cluster"] == ["a", "a", "b", "c"]
    assert single["correct"] == [1, 0, 0, 1]
    assert all(records(m) is not None for m in found.values())


def test_the_table_counts_each_kind():
    assert by_kind(judge_all(PROMPTS, ANSWERS)) == {
        "length_constraints:number_words": {"n": 2, "strict": 1, "loose": 1},
        "punctuation:no_comma": {"n": 1, "strict": 1, "loose": 1},
        "startend:quotation": {"n": 1, "strict": 0, "loose": 1},
    }


def test_trivial_answers_are_scored_and_the_best_is_the_chance():
    found = run()["instructions"]
    # "yes" is brief and has no comma; the echo of "Be brief." is brief too.
    assert found.details["trivial"] == pytest.approx({"yes": 2 / 3, "plain": 0, "echo": 1 / 3})
    assert found.chance == pytest.approx(2 / 3)
    assert "'yes'" in found.note
    assert found.details["trivial_kinds"]["yes"]["punctuation:no_comma"] == {"n": 1, "strict": 1, "loose": 1}


def test_a_model_that_says_yes_scores_what_the_trivial_answer_does():
    prompts = read_instructions(shipped_instructions())
    same = judge_all(prompts, ["yes"] * len(prompts))
    trivial = trivial_verdicts(prompts)["yes"]
    assert prompt_accuracy(same, "strict") == prompt_accuracy(trivial, "strict")
    assert 0 < instruction_accuracy(same, "strict")[0] < 0.5


def test_one_prompt_has_no_error():
    figures = Instructions(prompts=PROMPTS[1:2], generate=lambda texts: ["x"]).run(NOBODY)
    assert [m.spread for m in figures] == [None] * 4


def test_empty_answers_fail_and_are_told():
    found = run(["", " ", "yes"])["instructions"]
    assert found.value == pytest.approx(1 / 3)
    assert "2 answers are empty" in found.note


def test_too_few_answers_are_refused():
    with pytest.raises(MeasureError, match="found 2 answers to 3 prompts"):
        run(["a", "b"])


def test_no_prompts_are_refused():
    with pytest.raises(MeasureError, match="no prompts"):
        Instructions(prompts=()).run(NOBODY)


def test_the_key_changes_with_data_and_settings():
    task = Instructions(prompts=PROMPTS)
    changed = [
        replace(task, prompts=PROMPTS[:2]),
        replace(task, max_new_tokens=5),
        replace(task, prompts=(*PROMPTS[:2], replace(PROMPTS[2], instructions=(QUOTED,)))),
    ]
    assert len({task.key(), *(t.key() for t in changed)}) == 4
    assert task.key() == Instructions(prompts=PROMPTS).key()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tiny_model(tmp_path_factory.mktemp("instructions") / "model")
    module = AutoModelForCausalLM.from_pretrained(folder).eval()
    return Examined(name="tiny", module=module, tokenizer=AutoTokenizer.from_pretrained(folder))


def test_a_model_answers_greedily_in_batches_as_alone(model):
    task = Instructions(prompts=PROMPTS, max_new_tokens=6)
    steps = []
    batched = task.run(model, progress=lambda done, all: steps.append((done, all)))
    alone = replace(task, batch=1).run(model)
    assert [m.value for m in batched] == [m.value for m in alone]
    assert batched[0].items == alone[0].items
    assert steps[-1] == (3, 3)
    assert "greedy new_tokens=6 template=none" in batched[0].protocol


def test_answers_that_the_limit_cut_are_counted(model):
    found = Instructions(prompts=PROMPTS, max_new_tokens=2).run(model)[0]
    assert "answers were cut at 2 tokens" in found.note
    assert sum(found.items["cut"]) > 0


def test_a_limit_that_leaves_no_room_is_refused(model):
    with pytest.raises(MeasureError, match="the model has 1024 positions"):
        Instructions(prompts=PROMPTS, max_new_tokens=1024).run(model)


def test_a_prompt_that_lost_its_beginning_is_told(model):
    long = replace(PROMPTS[2], prompt="word " * 300)
    found = Instructions(prompts=(long,), max_new_tokens=2).run(model)[0]
    assert "1 prompts were too long for the model and lost their beginning" in found.note


def test_a_chat_template_is_used_where_there_is_one(model, monkeypatch):
    monkeypatch.setattr(
        model.tokenizer, "chat_template", "<s>{% for m in messages %}U: {{ m.content }}\nA:{% endfor %}"
    )
    seen = []
    real = model.module.forward

    def watching(input_ids=None, **settings):
        seen.append(input_ids.tolist())
        return real(input_ids=input_ids, **settings)

    monkeypatch.setattr(model.module, "forward", watching)
    found = Instructions(prompts=PROMPTS[2:], max_new_tokens=1).run(model)[0]
    assert "template=chat" in found.protocol
    assert model.tokenizer.decode(seen[0][0]).lstrip() == "<s>U: Be brief.\nA:"


def test_a_model_without_a_tokenizer_is_refused():
    with pytest.raises(DataError, match="no tokenizer"):
        Instructions(prompts=PROMPTS).run(Examined(name="bare", module=llama()))


def test_a_module_that_cannot_generate_is_refused(model):
    with pytest.raises(MeasureError, match="a Linear without a vocabulary"):
        Instructions(prompts=PROMPTS).run(replace(model, module=torch.nn.Linear(2, 2)))
