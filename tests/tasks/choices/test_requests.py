import pytest
from tests.evaluate.language import TEXT, tokenizer

from penjing.errors import DataError, MeasureError
from penjing.tasks.choices.requests import encode, special_tokens


def ids(text, **settings):
    return tuple(tokenizer()(text, **settings)["input_ids"])


def test_a_pair_is_tokenised_together_and_split_after_the_context():
    (found,) = encode(tokenizer(), [("The sky is", " blue.")])
    assert found.context == ids("The sky is")
    assert found.context + found.continuation == ids("The sky is blue.")


def test_spaces_at_the_contexts_end_go_to_the_continuation():
    moved, plain = encode(tokenizer(), [("The sky is  ", "blue."), ("The sky is", "  blue.")])
    assert moved == plain
    newline = encode(tokenizer(), [("The sky is\n", "blue.")])[0]
    assert newline.context == ids("The sky is")
    assert tokenizer().decode(newline.continuation) == "\nblue."


def test_where_tokens_join_over_the_seam_the_contexts_count_decides():
    (found,) = encode(tokenizer(), [("Questi", "on")])
    whole = ids("Question")
    assert len(ids("Questi")) > 1
    assert len(whole) <= len(ids("Questi")) + 1
    assert found.continuation == whole[len(ids("Questi")) :]


def test_an_empty_context_is_the_prefix_token():
    (found,) = encode(tokenizer(), [("", "The sky")])
    assert found.context == (tokenizer().bos_token_id,)
    assert found.continuation == ids("The sky")
    assert encode(tokenizer(bos=True), [("", "The sky")]) == [found]
    assert encode(tokenizer(), [("", "<s>The sky")]) == [found]


def test_a_beginning_token_is_there_once():
    with_bos, written = encode(tokenizer(bos=True), [("The sky", " is"), ("<s>The sky", " is")])
    assert with_bos.context[0] == 0
    assert with_bos == written
    assert special_tokens(tokenizer(bos=True)) == "bos=0"
    assert special_tokens(tokenizer()) == "bos=none"


def test_order_is_kept_across_kinds():
    pairs = [("", "a"), ("b", " c"), ("", "d"), ("<s>e", " f")]
    found = encode(tokenizer(bos=True), pairs)
    assert [encode(tokenizer(bos=True), [p])[0] for p in pairs] == found


def test_a_continuation_without_tokens_is_refused():
    with pytest.raises(DataError, match="the continuation '' has no tokens of its own after '…The sky'"):
        encode(tokenizer(), [("The sky", "")])


def test_a_tokenizer_without_special_tokens_needs_a_context():
    class Bare:
        bos_token_id = eos_token_id = None

        def __call__(self, texts, **_):
            return {"input_ids": [[ord(c) for c in t] for t in texts]}

    assert encode(Bare(), [("ab", "c")])[0].continuation == (ord("c"),)
    with pytest.raises(MeasureError, match="neither a beginning-of-text nor an end-of-text token"):
        encode(Bare(), [("", "c")])


def test_thousands_of_pairs_are_cut_into_batches(monkeypatch):
    words = TEXT.split(" ")[:20]
    pairs = [(" ".join(words[:i]), " " + words[i]) for i in range(1, 20)]
    whole = encode(tokenizer(), pairs)
    monkeypatch.setattr("penjing.tasks.choices.requests._AT_ONCE", 7)
    assert encode(tokenizer(), pairs) == whole
