"""`instructions`: prompts whose instructions a program checks; `instructions:FILE.jsonl` for one's own."""

from collections.abc import Sequence

from penjing.data.instructions import read_instructions, shipped_instructions
from penjing.tasks.instructions import Instructions
from penjing.tasks.kind import Asked, Kind
from penjing.tasks.task import Task

NEW_TOKENS = 256
"""Tokens that an answer may have, unless told otherwise: enough for the shipped prompts."""


def read(data: str, asked: Asked) -> Sequence[Task]:
    """One task, of the first prompts of the file; without one, of those that come with penjing.

    Raises:
        DataError: the file cannot be read; file and line are named.
    """
    prompts = read_instructions(data or shipped_instructions())[: asked.limit]
    return [Instructions(name="instructions", prompts=prompts, max_new_tokens=NEW_TOKENS)]


KIND = Kind(read=read, better="higher", alone=True)
