"""Texts in, windows of tokens out; and the texts that come with the package."""

from penjing.data.shipped import shipped
from penjing.data.text import read_texts, require_disjoint, shared_passage
from penjing.data.tokens import token_rows, tokenise, windows

__all__ = ["read_texts", "require_disjoint", "shared_passage", "shipped", "token_rows", "tokenise", "windows"]
