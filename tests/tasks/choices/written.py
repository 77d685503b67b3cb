"""The styles of the known benchmarks, by their names."""

from penjing.tasks.choices.styles import PLAIN, QUESTION, Style
from penjing.tasks.kinds import TASKS

NAMES = ("arc", "bigbench", "boolq", "hellaswag", "mmlu", "openbookqa", "piqa", "plain", "question", "winogrande")


def style(name: str) -> Style:
    return {"plain": PLAIN, "question": QUESTION}[name] if name in ("plain", "question") else TASKS.load(name).STYLE
