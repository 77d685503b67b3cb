"""Our scoring against lm-evaluation-harness's own, on the same requests."""

import json
import math
import os
import re
import sys
from importlib.util import find_spec

import pytest
import torch
from tests.evaluate.language import TEXT, model, tokenizer

from penjing.data import ChoiceItem
from penjing.errors import DataError, MeasureError, MissingExtraError
from penjing.evaluate import Rolling, perplexity
from penjing.tasks.choices import MultipleChoice
from penjing.tasks.choices.requests import token_ids
from penjing.tasks.kinds.arc import STYLE
from penjing.tasks.kinds.lm_eval import titled
from penjing.tasks.lm_eval import HarnessTask, adapter, rolling_log_likelihoods
from penjing.tasks.task import Examined

# What other packages warn of on import is no concern of ours.
pytestmark = pytest.mark.filterwarnings("ignore")


def installed(test):
    """Slow (each run of the harness takes seconds around the model's milliseconds), and skipped without it.

    Where the environment says that it is required (`make test-lm-eval`), nothing is skipped.
    """
    missing = find_spec("lm_eval") is None and os.environ.get("PENJING_LM_EVAL") != "required"
    return pytest.mark.slow(pytest.mark.skipif(missing, reason="lm_eval is not installed: make test-lm-eval")(test))


CHOICES = ("blue", "a lazy brown fox", "the worst of times", "water")
RECORDS = [
    {"question": f"What is {i} + {i * 7} in the sky?", "choices": CHOICES[i % 2 :], "answer": i % 3} for i in range(12)
]
DOCUMENTS = [TEXT[i * 31 : i * 31 + n] for i, n in enumerate((4, 90, 333, 1100, 700))]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("harness")


@pytest.fixture(autouse=True)
def _own_cache(home, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(home / "datasets"))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    if find_spec("datasets"):
        import datasets

        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", home / "datasets")


def choices_task(home, **more):
    path = home / "choices.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in RECORDS), encoding="utf-8")
    return {
        "task": "own_choices",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(path)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_target": "answer",
        "doc_to_choice": "choices",
        "metric_list": [{"metric": m} for m in ("acc", "acc_norm", "acc_mutual_info")],
        **more,
    }


def rolling_task(home):
    path = home / "documents.jsonl"
    path.write_text("".join(json.dumps({"page": d}) + "\n" for d in DOCUMENTS), encoding="utf-8")
    return {
        "task": "own_pages",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(path)}},
        "test_split": "test",
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "page",
        "metric_list": [{"metric": m} for m in ("word_perplexity", "byte_perplexity", "bits_per_byte")],
    }


def writing_task(home):
    path = home / "writing.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in RECORDS), encoding="utf-8")
    return {
        "task": "own_writing",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(path)}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": ["e"], "max_gen_toks": 10, "do_sample": False},
        "metric_list": [{"metric": "exact_match"}],
    }


def examined(bos=False, positions=512):
    return Examined(name="tiny", module=model(positions=positions), tokenizer=tokenizer(bos=bos))


def theirs(task, bos=False, positions=512, **settings):
    """The harness's own results, with its own HFLM."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    lm = HFLM(
        pretrained=model(positions=positions),
        tokenizer=tokenizer(bos=bos),
        backend="causal",
        batch_size=4,
        device="cpu",
    )
    known = TaskManager(include_defaults=False)
    # Two draws: the errors of shares are not bootstrapped, those of perplexities are not compared.
    return simple_evaluate(
        model=lm, tasks=[task], task_manager=known, bootstrap_iters=2, fewshot_random_seed=1234, **settings
    )


@installed
@pytest.mark.parametrize(("bos", "positions"), [(False, 512), (True, 512), (False, 20)])
def test_multiple_choice_equals_the_harness(home, bos, positions):
    task = choices_task(home)
    found = theirs(task, bos, positions)
    ours = HarnessTask(name="own", task=task).run(examined(bos, positions))
    expected = found["results"]["own_choices"]
    assert [f.name for f in ours] == ["own", "own:acc_norm", "own:acc_mutual_info"]
    for figure, metric in zip(ours, ("acc", "acc_norm", "acc_mutual_info"), strict=True):
        assert figure.value == pytest.approx(expected[f"{metric},none"], abs=1e-9)
        assert figure.spread == pytest.approx(expected[f"{metric}_stderr,none"], abs=1e-9)
    rows = found["samples"]["own_choices"]
    for mine, row in zip(ours[0].items["log_likelihoods"], rows, strict=True):
        assert mine == pytest.approx([float(x[0]) for x in row["filtered_resps"]], abs=1e-4)
    assert ours[0].chance == pytest.approx(sum(1 / len(r["choices"]) for r in RECORDS) / 12)
    assert ("lost their beginning" in ours[0].note) == (positions == 20)


@installed
@pytest.mark.parametrize("bos", [False, True])
def test_our_own_task_equals_the_harness(home, bos):
    """MultipleChoice in the style of ARC, with nothing of the harness in between."""
    rows = theirs(choices_task(home), bos)["samples"]["own_choices"]
    items = tuple(
        ChoiceItem(id=str(i), question=r["question"], choices=tuple(r["choices"]), answer=r["answer"])
        for i, r in enumerate(RECORDS)
    )
    metrics = ("acc", "acc_norm", "acc_mutual_info")
    task = MultipleChoice(name="own", items=items, style=STYLE, metrics=metrics, alone="")
    for figure in task.run(examined(bos)):
        metric = figure.name.partition(":")[2] or "acc"
        assert figure.items["correct"] == [int(r[metric]) for r in rows]
    for mine, row in zip(task.run(examined(bos))[0].items["log_likelihoods"], rows, strict=True):
        theirs_each = [float(x[0]) for x in row["filtered_resps"]][: len(mine)]
        assert mine == pytest.approx(theirs_each, abs=1e-4)


@installed
@pytest.mark.parametrize(("bos", "positions"), [(False, 512), (True, 512), (False, 37)])
def test_rolling_perplexity_equals_the_harness(home, bos, positions):
    task = rolling_task(home)
    found = theirs(task, bos, positions)
    ours = HarnessTask(name="own", task=task).run(examined(bos, positions))
    expected = found["results"]["own_pages"]
    for figure, metric in zip(ours, ("word_perplexity", "byte_perplexity", "bits_per_byte"), strict=True):
        assert figure.value == pytest.approx(expected[f"{metric},none"], rel=1e-4)
        assert figure.spread > 0
        assert len(figure.items["score"]) == len(DOCUMENTS)
    sums = rolling_log_likelihoods(model(positions=positions), tokenizer(bos=bos), DOCUMENTS)
    rows = [float(r["filtered_resps"][0]) for r in found["samples"]["own_pages"]]
    assert sums == pytest.approx(rows, rel=1e-5, abs=1e-3)


@installed
@pytest.mark.parametrize("positions", [512, 37])
def test_our_own_rolling_perplexity_equals_the_harness(home, positions):
    expected = theirs(rolling_task(home), positions=positions)["results"]["own_pages"]
    documents = [(d, torch.tensor(ids)) for d, ids in zip(DOCUMENTS, token_ids(tokenizer(), DOCUMENTS), strict=True)]
    details = perplexity(model(positions=positions), documents, protocol=Rolling(prefix=0, window=positions)).details
    for metric in ("word_perplexity", "byte_perplexity", "bits_per_byte"):
        if metric == "word_perplexity":
            # The harness counts the empty strings that its split leaves at a document's ends as words.
            words = sum(len(re.split(r"\s+", d)) for d in DOCUMENTS)
            found = math.exp(details["bits_per_byte"] * math.log(2) * details["bytes"] / words)
        else:
            found = details[metric]
        assert found == pytest.approx(expected[f"{metric},none"], rel=1e-4)


@installed
def test_replies_equal_the_harness(home):
    task = writing_task(home)
    rows = theirs(task)["samples"]["own_writing"]
    lm = adapter(model(), tokenizer())
    from lm_eval.api.instance import Instance

    requests = [
        Instance(
            request_type="generate_until", doc={}, arguments=(r["question"], dict(task["generation_kwargs"])), idx=0
        )
        for r in RECORDS
    ]
    assert lm.generate_until(requests) == [r["resps"][0][0] for r in rows]
    (figure,) = HarnessTask(name="own", task=task).run(examined())
    assert figure.n == len(RECORDS)


@installed
def test_a_yaml_file_and_shots_work(home):
    import yaml

    # As in a benchmark: the examples come from a split of their own.
    task = choices_task(home, task="own_file", fewshot_split="test")
    path = home / "own_file.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(task))), encoding="utf-8")
    found = theirs(json.loads(json.dumps(task)), num_fewshot=2, limit=5)["samples"]["own_file"]
    figure = HarnessTask(name="own", task=path, shots=2, limit=5, metric="acc_norm").run(examined())[0]
    assert (figure.name, figure.unit, figure.n) == ("own", "acc_norm", 5)
    for mine, row in zip(figure.items["log_likelihoods"], found, strict=True):
        assert mine == pytest.approx([float(x[0]) for x in row["filtered_resps"]], abs=1e-4)


@installed
def test_an_unknown_task_is_refused():
    with pytest.raises(DataError, match="knows no task 'no_such_task'"):
        HarnessTask(name="own", task="no_such_task").run(examined())


@installed
def test_an_unknown_metric_is_refused(home):
    with pytest.raises(DataError, match="gave no 'f1'; it gave acc, acc_norm"):
        HarnessTask(name="own", task=choices_task(home), metric="f1").run(examined())


@installed
def test_sampled_replies_are_refused(home):
    task = writing_task(home)
    task["generation_kwargs"] = {"until": ["e"], "do_sample": True, "temperature": 0.7}
    with pytest.raises(MeasureError, match="asks for sampled replies"):
        HarnessTask(name="own", task=task).run(examined())


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.setitem(sys.modules, "lm_eval.api.model", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'penjing\[lm-eval\]'"):
        HarnessTask(name="own", task="arc_easy").run(examined())


def test_the_key_says_what_changes_figures(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("task: a\n", encoding="utf-8")
    first = HarnessTask(name="t", task=path).key()
    path.write_text("task: a\nnum_fewshot: 3\n", encoding="utf-8")
    keys = {
        first,
        HarnessTask(name="t", task=path).key(),
        HarnessTask(name="t", task="arc_easy").key(),
        HarnessTask(name="t", task={"task": "a"}).key(),
        HarnessTask(name="t", task="arc_easy", shots=2).key(),
        HarnessTask(name="t", task="arc_easy", limit=2).key(),
    }
    assert len(keys) == 6


def test_rolling_gives_empty_texts_nothing():
    sums = rolling_log_likelihoods(model(), tokenizer(), ["", "The sky"])
    assert sums[0] == 0.0
    assert sums[1] < 0
    assert rolling_log_likelihoods(model(), tokenizer(), [""]) == [0.0]


def test_the_harness_s_names_are_written_as_their_makers_do():
    assert titled("arc_easy") == "ARC easy"
    assert titled("leaderboard_mmlu_pro") == "Leaderboard MMLU pro"
    assert titled("lambada") == ""
