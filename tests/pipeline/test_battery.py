"""Results of tasks are kept, and what a model cannot be measured on says why."""

from dataclasses import dataclass, field

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from penjing.core import Measurement, Subject
from penjing.data import ChoiceItem
from penjing.errors import DataError, MeasureError
from penjing.pipeline.battery import examine, paired, require_unseen
from penjing.tasks.choices import MultipleChoice


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=16, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(place)
    return place


@dataclass(frozen=True)
class Counting:
    name: str = "counting"
    data: str = "a"
    runs: list = field(default_factory=list)
    fails: bool = False

    def key(self):
        return f"counting/1 {self.data}"

    def run(self, model, *, progress=None):
        self.runs.append(model.name)
        if self.fails:
            raise MeasureError("the model cannot count")
        items = {"id": ["a", "b"], "correct": [1, 0]}
        return (
            Measurement(name=self.name, value=0.5, unit="share right", better="higher", n=2, items=items, chance=0.5),
        )


SUBJECT = Subject(name="model", source="model", figures=())


def test_a_second_run_takes_what_the_first_kept(folder, tmp_path):
    task = Counting()
    first = examine([folder], [SUBJECT], [task], cache=tmp_path)
    second = examine([folder], [SUBJECT], [task], cache=tmp_path)
    assert task.runs == ["model"]
    assert first == second
    assert second[0].figures[0].items["correct"] == [1, 0]


def test_other_data_are_measured_anew(folder, tmp_path):
    task, other = Counting(), Counting(data="b")
    examine([folder], [SUBJECT], [task, other], cache=tmp_path)
    assert (len(task.runs), len(other.runs)) == (1, 1)


def test_a_damaged_result_is_taken_again(folder, tmp_path):
    task = Counting()
    examine([folder], [SUBJECT], [task], cache=tmp_path)
    for path in (tmp_path / "battery").glob("*.json"):
        path.write_text(path.read_text()[:20])
    examine([folder], [SUBJECT], [task], cache=tmp_path)
    assert len(task.runs) == 2


def test_what_cannot_be_measured_says_why_and_is_not_kept(folder, tmp_path):
    task = Counting(fails=True)
    for _ in range(2):
        (found,) = examine([folder], [SUBJECT], [task], cache=tmp_path)
        assert (found.figures[0].value, found.figures[0].note) == (None, "the model cannot count")
    assert len(task.runs) == 2


def test_a_model_without_a_tokenizer_says_so(folder, tmp_path):
    task = MultipleChoice(name="sums", items=(ChoiceItem(id="a", question="?", choices=("x", "y"), answer=0),))
    (found,) = examine([folder], [SUBJECT], [task], cache=tmp_path)
    assert "no tokenizer" in found.figures[0].note


def test_models_are_paired_item_by_item(folder, tmp_path):
    (one,) = examine([folder], [SUBJECT], [Counting()], cache=tmp_path)
    other = Subject(name="other", source="other", figures=one.figures)
    (difference,) = paired([one, other])
    assert (difference.name, difference.value, difference.details["subject"]) == ("counting_difference", 0.0, "other")


def test_a_task_that_was_calibrated_on_is_refused():
    passage = "The quick brown fox jumps over the lazy dog while the band plays a slow waltz in the square. " * 2
    task = MultipleChoice(name="sums", items=(ChoiceItem(id="a", question=passage, choices=("x", "y"), answer=0),))
    with pytest.raises(DataError, match="the task sums was leaked"):
        require_unseen(["before. " + passage + " after."], [task])
    require_unseen(["something else entirely. " * 20], [task])
