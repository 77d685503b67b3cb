"""Instructions that a program can check, in the manner of IFEval: 25 kinds, strict and loose."""

from penjing.tasks.instructions.figures import accuracies, by_kind, instruction_accuracy, prompt_accuracy
from penjing.tasks.instructions.registry import KINDS, Kind
from penjing.tasks.instructions.task import Instructions
from penjing.tasks.instructions.trivial import trivial_verdicts
from penjing.tasks.instructions.verdicts import Verdict, follows, judge, judge_all, variants

__all__ = [
    "KINDS",
    "Instructions",
    "Kind",
    "Verdict",
    "accuracies",
    "by_kind",
    "follows",
    "instruction_accuracy",
    "judge",
    "judge_all",
    "prompt_accuracy",
    "trivial_verdicts",
    "variants",
]
