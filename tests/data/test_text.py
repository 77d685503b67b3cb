"""Reading texts, and finding what two have in common."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.data import read_texts, require_disjoint, shared_passage
from penjing.errors import DataError


def naive(first: str, second: str) -> int:
    """The length of the longest run of characters in both."""
    longest = 0
    for i in range(len(first)):
        while first[i : i + longest + 1] in second and i + longest < len(first):
            longest += 1
    return longest


def test_text_files_are_one_text_each_and_lines_of_jsonl_one_each(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n", "utf-8")
    (tmp_path / "b.jsonl").write_text('{"text": "three\\u2028"}\n\n{"text": "four", "more": 1}\n', "utf-8")
    assert read_texts([tmp_path / "a.txt", tmp_path / "b.jsonl"]) == ["one\ntwo\n", "three\u2028", "four"]


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfword")
    assert read_texts([tmp_path / "a.txt"]) == ["word"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "a.txt is empty"),
        ("a.txt", b" \n\t", "a.txt is empty"),
        ("a.txt", b"ab\0c", "a.txt holds zero bytes"),
        ("a.txt", b"fine\nnot \xff fine", "a.txt, line 2: byte 9 is not UTF-8"),
        ("a.jsonl", b'{"text": "x"}\n{"text": ', "a.jsonl, line 2: not JSON"),
        ("a.jsonl", b'{"content": "x"}', "a.jsonl, line 1: found keys 'content', needed an object whose 'text'"),
        ("a.jsonl", b'{"text": 3}', "a.jsonl, line 1: found keys 'text'"),
        ("a.jsonl", b"[1]", "a.jsonl, line 1: found list"),
        ("a.jsonl", b'{"text": " "}', "a.jsonl is empty"),
    ],
)
def test_what_is_no_text_is_refused_with_file_and_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_texts([tmp_path / name])


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"found nothing at .*gone.txt"):
        read_texts([tmp_path / "gone.txt"])
    with pytest.raises(DataError, match="found a folder at"):
        read_texts([tmp_path])
    with pytest.raises(DataError, match="found no text files"):
        read_texts([])


@given(first=st.text("ab ", max_size=300), second=st.text("ab ", max_size=300), common=st.text("ab", max_size=150))
def test_a_shared_passage_of_100_characters_is_always_found(first, second, common):
    ours, theirs = (" ".join(t.split()) for t in (first + common, common + second))
    passage = shared_passage([ours], [theirs])
    assert bool(passage) == (naive(ours, theirs) >= 100)
    assert passage in ours
    assert passage in theirs


def test_white_space_hides_nothing():
    line = " ".join(f"word{i}" for i in range(30))
    with pytest.raises(DataError, match=f"share {len(line)} characters, beginning 'word0 word1"):
        require_disjoint([line], ["other", line.replace(" ", "\n  ")])


def test_greetings_are_no_leak():
    greeting = "Fellow-Citizens of the Senate and of the House of Representatives: "
    require_disjoint([greeting + "one thing"], [greeting + "another"])


def test_jsonl_escapes_survive(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "é\n"}), "utf-8")
    assert read_texts([tmp_path / "a.jsonl"]) == ["é\n"]
