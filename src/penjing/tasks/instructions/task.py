"""Instruction following as a measurement: greedy answers, checked by program."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from penjing.core import Measurement
from penjing.data.instructions import InstructedPrompt, instructions_hash
from penjing.errors import MeasureError
from penjing.tasks.generation import Reply
from penjing.tasks.instructions import language
from penjing.tasks.instructions.counting import words
from penjing.tasks.instructions.figures import accuracies
from penjing.tasks.instructions.generating import respond, uses_template
from penjing.tasks.instructions.verdicts import judge_all
from penjing.tasks.task import Examined, Progress

Generate = Callable[[Sequence[str]], Sequence[str]]

PROTOCOL = "instructions/1"
RULES = "words=regex sentences=rules language=langdetect"
"""What differs from the original: its words and languages are the same, its sentences are nltk's."""


@dataclass(frozen=True, kw_only=True)
class Instructions:
    """The share of prompts all of whose instructions a model follows, and three figures beside it.

    Answers are greedy, of at most `max_new_tokens`, in batches; a chat template is used when the
    tokenizer has one. `generate` answers in the model's place: it gets all prompts and gives as many texts.

    Source: Zhou et al., arXiv:2311.07911; the checks' own docstrings tell where they differ.
    """

    prompts: tuple[InstructedPrompt, ...]
    name: str = "instructions"
    max_new_tokens: int = 1280
    batch: int | None = None
    generate: Generate | None = None

    def key(self) -> str:
        """Changes with the prompts, their instructions and the settings; a `generate` of one's own counts by name."""
        by = "greedy" if self.generate is None else getattr(self.generate, "__qualname__", repr(self.generate))
        return (
            f"{PROTOCOL} name={self.name} {RULES} new_tokens={self.max_new_tokens} by={by} "
            f"prompts={instructions_hash(self.prompts)}"
        )

    def run(self, model: Examined, *, progress: Progress | None = None) -> tuple[Measurement, ...]:
        """Accuracy by prompt, strict (the main figure) and loose, then by instruction, strict and loose.

        Records have, for each prompt, `strict`, `loose`, the answer's length in `characters` and `words`, and whether
        it was `cut` at the limit. `details` has a table of kinds, and what trivial answers score.

        Raises:
            MeasureError: there are no prompts, or the model cannot generate, or gives too few answers.
            DataError: it has no tokenizer.
            MissingExtraError: an instruction is about a language, and langdetect is not installed.
        """
        if not self.prompts:
            raise MeasureError("there are no prompts; give at least one")
        if any(i.kind in language.KINDS for p in self.prompts for i in p.instructions):
            language.ready()  # or hours of answers would end in a missing package
        responses, how = self._responses(model, progress)
        verdicts = judge_all(self.prompts, [r.text for r in responses])
        protocol = f"{PROTOCOL} {how} {RULES} prompts={len(self.prompts)} data=sha256:{instructions_hash(self.prompts)}"
        columns = {
            "characters": [len(r.text) for r in responses],
            "words": [len(words(r.text)) for r in responses],
            "cut": [int(r.ended == "limit") for r in responses],
        }
        return accuracies(verdicts, name=self.name, protocol=protocol, note=self._note(responses), columns=columns)

    def _responses(self, model: Examined, progress: Progress | None) -> tuple[Sequence[Reply], str]:
        texts = [p.prompt for p in self.prompts]
        if self.generate is None:
            how = f"greedy new_tokens={self.max_new_tokens} template={'chat' if uses_template(model) else 'none'}"
            found = respond(model, texts, new_tokens=self.max_new_tokens, batch=self.batch, progress=progress)
            return found, how
        given = self.generate(texts)
        if len(given) != len(texts):
            raise MeasureError(f"found {len(given)} answers to {len(texts)} prompts; `generate` must give one for each")
        if progress:
            progress(len(texts), len(texts))
        return [Reply(text, 0, "end") for text in given], "given"

    def _note(self, responses: Sequence[Reply]) -> str:
        told = []
        if cut := sum(r.ended == "limit" for r in responses):
            told.append(f"{cut} of {len(responses)} answers were cut at {self.max_new_tokens} tokens")
        if short := sum(r.truncated for r in responses):
            told.append(f"{short} prompts were too long for the model and lost their beginning")
        if empty := sum(not r.text.strip() for r in responses):
            told.append(f"{empty} answers are empty")
        return "; ".join(told)
