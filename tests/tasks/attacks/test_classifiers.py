import pytest
import torch
from tests.evaluate.models import llama
from tests.house.tiny import tiny_model
from tests.tasks.attacks.toy import ITEMS

from penjing.errors import DataError, MeasureError
from penjing.tasks.attacks import Attacked, label_words, recipe, sequence_classifier
from penjing.tasks.task import Examined

TEXTS = ["A good film.", "bad", "It was a film, and it was bad.", "ugly"]


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tiny_model(tmp_path_factory.mktemp("attacks") / "model")
    module = AutoModelForCausalLM.from_pretrained(folder).eval()
    return Examined(name="tiny", module=module, tokenizer=AutoTokenizer.from_pretrained(folder))


@pytest.fixture(scope="module")
def classifier_model(language_model):
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(language_model.tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=24, num_labels=3, initializer_range=0.5,
    )  # fmt: skip
    module = BertForSequenceClassification(config).eval()
    return Examined(name="bert", module=module, tokenizer=language_model.tokenizer)


def test_a_sequence_classifier_gives_the_softmax_of_each_text_alone(classifier_model):
    found = sequence_classifier(classifier_model, batch=2)(TEXTS)
    for row, text in zip(found, TEXTS, strict=True):
        ids = torch.tensor([classifier_model.tokenizer(text)["input_ids"][:24]])
        with torch.inference_mode():
            alone = classifier_model.module(input_ids=ids).logits.softmax(1)[0]
        torch.testing.assert_close(row, alone, atol=1e-6, rtol=1e-5)


def naive_label_words(model, text, words, template):
    """Log-likelihoods token by token, each from the whole text before it."""
    sums = []
    for word in words:
        start = len(model.tokenizer(template.replace("{text}", text))["input_ids"])
        ids = model.tokenizer(template.replace("{text}", text) + " " + word)["input_ids"]
        total = 0.0
        for place in range(start, len(ids)):
            with torch.inference_mode():
                logits = model.module(input_ids=torch.tensor([ids[:place]])).logits[0, -1]
            total += float(logits.log_softmax(0)[ids[place]])
        sums.append(total)
    return torch.tensor(sums).softmax(0)


@pytest.mark.parametrize("words", [("no", "yes"), ("awful", "so-so", "good")])
def test_label_words_equal_the_loop(language_model, words):
    template = "{text}\nWas it:"
    found = label_words(language_model, words, template=template, batch=2)(TEXTS)
    for row, text in zip(found, TEXTS, strict=True):
        torch.testing.assert_close(row, naive_label_words(language_model, text, words, template), atol=1e-6, rtol=1e-4)


def test_words_of_one_token_take_one_forward_a_length(language_model):
    class OneToken:
        """Words as tokens, so that a label is one."""

        def __call__(self, text, **settings):
            return {"input_ids": [2 + sum(map(ord, w)) % 200 for w in text.split()]}

    model = Examined(name="words", module=language_model.module, tokenizer=OneToken())
    calls = []
    hook = model.module.register_forward_pre_hook(lambda *a, **k: calls.append(1))
    try:
        found = label_words(model, ("no", "yes"), template="{text} :")(["a b", "c d", "e"])
    finally:
        hook.remove()
    assert len(calls) == 2
    torch.testing.assert_close(found.sum(1), torch.ones(3))
    torch.testing.assert_close(found[0], naive_label_words(model, "a b", ("no", "yes"), "{text} :"))


def test_an_attack_runs_on_both(classifier_model, language_model):
    def words(model):
        return label_words(model, ("bad", "good"))

    for model, make in ((classifier_model, sequence_classifier), (language_model, words)):
        found = Attacked(items=ITEMS[:3], attack=recipe("deepwordbug"), classifier=make).run(model)
        assert found[0].n == 3
        assert 0 <= found[0].value <= found[1].value


def test_braces_in_a_text_are_text(language_model):
    assert label_words(language_model, ("a", "b"))(["{x} {0} {text}"]).shape == (1, 2)


def test_a_poor_template_or_label_words_are_refused(language_model):
    for words, template, said in [
        (("a", "b"), "no place", "0 places"),
        (("a", "a"), "{text}", "each different"),
        (("a",), "{text}", "two or more"),
    ]:
        with pytest.raises(DataError, match=said):
            label_words(language_model, words, template=template)


def test_a_text_longer_than_the_model_is_refused_by_label_words(language_model):
    with pytest.raises(MeasureError, match="1024 positions"):
        label_words(language_model, ("a", "b"))(["long " * 300])


def test_a_language_model_is_no_sequence_classifier(language_model):
    with pytest.raises(MeasureError, match="give a template and label words"):
        sequence_classifier(language_model)(["a"])


def test_a_sequence_classifier_is_no_language_model(classifier_model):
    with pytest.raises(MeasureError, match="causal language model"):
        label_words(classifier_model, ("a", "b"), template="{text}:")(["a"])


def test_a_model_without_a_tokenizer_is_refused():
    with pytest.raises(DataError, match="no tokenizer"):
        sequence_classifier(Examined(name="bare", module=llama()))
