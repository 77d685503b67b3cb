"""Whether a response follows each instruction of its prompt, strictly and loosely."""

from collections.abc import Sequence
from dataclasses import dataclass

from penjing.data.instructions import InstructedPrompt, Instruction
from penjing.tasks.instructions.registry import KINDS


@dataclass(frozen=True)
class Verdict:
    """What one response did with its prompt's instructions, in their order."""

    prompt: InstructedPrompt
    strict: tuple[bool, ...]
    loose: tuple[bool, ...]


def follows(text: str, instruction: Instruction) -> bool:
    """Whether a response follows an instruction as it stands; an empty one never does."""
    return bool(text.strip()) and KINDS[instruction.kind].check(text, **instruction.parameters)


def variants(text: str) -> tuple[str, ...]:
    """The eight forms in which a response is looked at loosely.

    As it is, without its first line, without its last, without both; each also without asterisks.
    """
    lines = text.split("\n")
    cut = (text, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])))
    return (*cut, *(form.replace("*", "") for form in cut))


def judge(prompt: InstructedPrompt, response: str) -> Verdict:
    """The verdict on one response: loose is followed by any of the eight forms, each instruction for itself."""
    forms = variants(response)
    strict = tuple(follows(response, i) for i in prompt.instructions)
    loose = tuple(any(follows(form, i) for form in forms) for i in prompt.instructions)
    return Verdict(prompt, strict, loose)


def judge_all(prompts: Sequence[InstructedPrompt], responses: Sequence[str]) -> tuple[Verdict, ...]:
    """One verdict for each prompt and its response."""
    return tuple(judge(p, r) for p, r in zip(prompts, responses, strict=True))
