"""What answers score that pay no heed to the prompt, or only copy it.

A pruned model that answers with a word, or repeats itself, meets many instructions without following any. So the
scores of three such answers stand beside the model's.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from penjing.data.instructions import InstructedPrompt
from penjing.tasks.instructions.verdicts import Verdict, judge_all

FIXED: Mapping[str, str] = MappingProxyType({"yes": "yes", "plain": "i am not sure what to say about this"})
"""Answers that are the same for every prompt: one word; a plain sentence without capitals, commas or signs."""

ECHO = "echo"
"""The answer that repeats the prompt."""


def trivial_verdicts(prompts: Sequence[InstructedPrompt]) -> dict[str, tuple[Verdict, ...]]:
    """Name of the answer -> its verdicts."""
    out = {name: judge_all(prompts, [text] * len(prompts)) for name, text in FIXED.items()}
    out[ECHO] = judge_all(prompts, [p.prompt for p in prompts])
    return out
