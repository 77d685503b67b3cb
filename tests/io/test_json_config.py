"""Configs are read and written as transformers does, numbers that are not finite among them."""

import json
import math

import pytest

from penjing.errors import CheckpointError
from penjing.io.json_config import config_of_text, decoded, encoded, text_of_config
from penjing.io.shards import read_config

TABLE = {"limit": [0.0, math.inf], "inner": {"low": -math.inf}, "name": "x", "none": None, "list": [{"a": 1.5}]}


def test_what_transformers_writes_is_read_and_written_back():
    from transformers import PreTrainedConfig

    theirs = json.loads(json.dumps(PreTrainedConfig._encode_special_floats(TABLE)))
    assert decoded(theirs) == TABLE
    assert encoded(TABLE) == theirs
    assert json.loads(text_of_config(TABLE)) == theirs


def test_nan_comes_back():
    assert math.isnan(config_of_text(text_of_config({"x": math.nan}), "config.json")["x"])


def test_bare_words_of_older_writers_are_read(tmp_path):
    (tmp_path / "config.json").write_text('{"low": -Infinity}')
    assert read_config(tmp_path) == {"low": -math.inf}


def test_a_tagged_text_that_is_no_number_stays_a_table():
    assert decoded({"x": {"__float__": "big"}}) == {"x": {"__float__": "big"}}


@pytest.mark.parametrize(("text", "words"), [("{", "is not JSON"), ("[1]", "holds a list")])
def test_what_is_no_table_is_refused(text, words):
    with pytest.raises(CheckpointError, match=words):
        config_of_text(text, "config.json")
