"""Rows of tokens on disk: the very same as drawn anew, found for the same tokenizer and texts only, never damaged."""

import os

import pytest
import torch
from tests.evaluate.language import tokenizer

from penjing.data import token_rows
from penjing.errors import DataError
from penjing.planning import rows_cache as tokenised

TEXTS = ["the cat sat on the mat " * 40, "a dog lay in the sun " * 40]
ASKED = {"length": 8, "count": 5, "seed": 3}


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "model"
    tokenizer().save_pretrained(place)
    return place


@pytest.fixture
def calls(monkeypatch):
    """Each time that a tokenizer is read."""
    found = []
    real = tokenised.tokenizer
    monkeypatch.setattr(tokenised, "tokenizer", lambda folder: found.append(folder) or real(folder))
    return found


def test_the_second_time_no_tokenizer_is_read(folder, tmp_path, calls):
    first = tokenised.rows_of(folder, TEXTS, **ASKED, cache=tmp_path / "cache")
    again = tokenised.rows_of(folder, TEXTS, **ASKED, cache=tmp_path / "cache")
    assert torch.equal(first, token_rows(tokenizer(), TEXTS, **ASKED))
    assert torch.equal(first, again)
    assert first.dtype == again.dtype == torch.int64
    assert len(calls) == 1


@pytest.mark.parametrize("change", ["texts", "length", "count", "seed", "tokenizer", "config"])
def test_anything_else_is_drawn_anew(folder, tmp_path, calls, change):
    tokenised.rows_of(folder, TEXTS, **ASKED, cache=tmp_path / "cache")
    texts, asked = TEXTS, dict(ASKED)
    if change == "texts":
        texts = [TEXTS[0], TEXTS[1] + "!"]
    elif change in asked:
        asked[change] += 1
    elif change == "tokenizer":
        tokenizer(bos=True).save_pretrained(folder)
    else:
        (folder / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    tokenised.rows_of(folder, texts, **asked, cache=tmp_path / "cache")
    assert len(calls) == 2


def test_weights_are_not_read_for_the_key(folder, tmp_path, calls):
    tokenised.rows_of(folder, TEXTS, **ASKED, cache=tmp_path / "cache")
    (folder / "model.safetensors").write_bytes(b"other weights")
    tokenised.rows_of(folder, TEXTS, **ASKED, cache=tmp_path / "cache")
    assert len(calls) == 1


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "text"])
def test_a_damaged_file_is_drawn_anew_and_mended(folder, tmp_path, calls, harm):
    first = tokenised.rows_of(folder, TEXTS, **ASKED, cache=tmp_path / "cache")
    (path,) = (tmp_path / "cache" / "rows").iterdir()
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes({"flip": bytes(data), "cut": bytes(data[:-5]), "empty": b"", "text": b"no rows"}[harm])
    for _ in range(2):
        assert torch.equal(tokenised.rows_of(folder, TEXTS, **ASKED, cache=tmp_path / "cache"), first)
    assert len(calls) == 2


@pytest.mark.skipif(os.name == "nt", reason="a file in the place of a folder is another error there")
def test_a_disk_that_cannot_be_written_to_is_let_be(folder, tmp_path):
    (tmp_path / "cache").write_text("not a folder", encoding="utf-8")
    found = tokenised.rows_of(folder, TEXTS, **ASKED, cache=tmp_path / "cache")
    assert found.shape == (5, 8)


def test_a_file_that_cannot_be_read_keeps_nothing(folder, tmp_path, calls, monkeypatch):
    def refuse(path):
        raise PermissionError(path)

    monkeypatch.setattr(tokenised, "_of_file", refuse)
    for _ in range(2):
        assert tokenised.rows_of(folder, TEXTS, **ASKED, cache=tmp_path / "cache").shape == (5, 8)
    assert len(calls) == 2
    assert not (tmp_path / "cache").exists()


def test_too_short_texts_are_refused_and_nothing_is_kept(folder, tmp_path):
    with pytest.raises(DataError):
        tokenised.rows_of(folder, ["the cat"], **ASKED, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
