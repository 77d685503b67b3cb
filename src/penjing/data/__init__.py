"""Texts in, windows of tokens out; and the texts that come with the package."""

from penjing.data.bigbench import BigBench, Form, read_bigbench
from penjing.data.items import ChoiceItem, ExactItem, ScoredItem, read_choices, read_exact
from penjing.data.shipped import shipped
from penjing.data.text import read_texts, require_disjoint, shared_passage
from penjing.data.tokens import token_rows, tokenise, windows

__all__ = [
    "BigBench",
    "ChoiceItem",
    "ExactItem",
    "Form",
    "ScoredItem",
    "read_bigbench",
    "read_choices",
    "read_exact",
    "read_texts",
    "require_disjoint",
    "shared_passage",
    "shipped",
    "token_rows",
    "tokenise",
    "windows",
]
