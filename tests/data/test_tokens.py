"""Tokens in windows."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.data import token_rows, tokenise, windows
from penjing.errors import DataError


def letters(text, add_special_tokens=True, verbose=True):
    """A tokenizer of one token a character; a special one at the start unless told not to."""
    assert not verbose
    return {"input_ids": ([0] if add_special_tokens else []) + [ord(c) for c in text]}


@given(tokens=st.integers(1, 60), length=st.integers(1, 9), count=st.integers(1, 9), seed=st.none() | st.integers(0, 9))
def test_windows_are_stretches_of_the_text_that_do_not_overlap(tokens, length, count, seed):
    ids = torch.arange(tokens)
    if tokens // length < count:
        with pytest.raises(DataError, match=f"found {tokens} tokens, needed {count * length}"):
            windows(ids, length, count, seed=seed)
        return
    found = windows(ids, length, count, seed=seed)
    assert found.shape == (count, length)
    assert len(found.unique()) == count * length
    assert torch.equal(found, found[:, :1] + torch.arange(length))
    assert found.flatten().tolist() == sorted(found.flatten().tolist())


def test_without_a_seed_they_are_spread_over_the_whole_text():
    assert windows(torch.arange(100), 10, 4)[:, 0].tolist() == [0, 20, 50, 70]


def test_a_seed_draws_the_same_again_and_another_draws_others():
    ids = torch.arange(1000)
    assert torch.equal(windows(ids, 10, 5, seed=1), windows(ids, 10, 5, seed=1))
    assert not torch.equal(windows(ids, 10, 5, seed=1), windows(ids, 10, 5, seed=2))


def test_without_a_count_all_are_given():
    assert windows(torch.arange(25), 10).tolist() == [list(range(10)), list(range(10, 20))]


def test_a_text_shorter_than_a_window_is_refused_with_both_lengths():
    with pytest.raises(DataError, match="found 103 tokens, needed 512 for one window"):
        windows(torch.arange(103), 512)


@pytest.mark.parametrize(("length", "count"), [(0, 1), (4, 0), (-1, None)])
def test_windows_of_nothing_are_refused(length, count):
    with pytest.raises(DataError, match="must be 1 or more"):
        windows(torch.arange(10), length, count)


def test_texts_are_joined_without_special_tokens():
    assert tokenise(["ab", "c"], letters).tolist() == [97, 98, 99]


def test_texts_without_tokens_are_refused():
    with pytest.raises(DataError, match="2 texts gave no tokens"):
        tokenise(["", ""], letters)


def test_rows_are_windows_of_tokens():
    assert token_rows(letters, ["abcd"], length=2).tolist() == [[97, 98], [99, 100]]


def test_a_tokenizer_may_return_an_object_with_keys():
    class Encoding(SimpleNamespace):
        def __getitem__(self, key):
            return getattr(self, key)

    assert tokenise(["ab"], lambda *a, **k: Encoding(input_ids=[5, 6])).tolist() == [5, 6]
