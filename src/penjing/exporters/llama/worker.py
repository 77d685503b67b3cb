"""A process that runs one GGUF file: requests come in as lines of JSON, answers go out so, logits as raw float32.

llama.cpp ends its process where a file makes no sense to it, which must not be ours.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from penjing.errors import PenjingError
from penjing.exporters.llama.library import Running, version


def main() -> None:
    """Answer until the input closes."""
    # What the library prints must not stand among the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    settings = json.loads(sys.argv[1])
    try:
        running = Running(Path(settings.pop("path")), **settings)
    except PenjingError as error:
        _say(answers, {"error": str(error)})
        return
    told = {
        "vocabulary": running.size, "positions": running.positions, "parameters": running.parameters,
        "reads_text": running.reads_text, "version": version(),
    }  # fmt: skip
    _say(answers, told)
    for line in sys.stdin.buffer:
        try:
            answer, values = _answer(running, json.loads(line))
        except PenjingError as error:
            answer, values = {"error": str(error)}, None
        _say(answers, answer, values)
    running.close()


def _say(answers: BinaryIO, answer: Mapping[str, Any], values: np.ndarray | None = None) -> None:
    answers.write(json.dumps(dict(answer)).encode() + b"\n")
    if values is not None:
        answers.write(np.ascontiguousarray(values, "<f4").tobytes())
    answers.flush()


def _answer(running: Running, asked: Mapping[str, Any]) -> tuple[dict[str, Any], np.ndarray | None]:
    if asked["do"] == "tokenize":
        return {"tokens": [running.tokenize(t, special=asked["special"]) for t in asked["texts"]]}, None
    if asked["do"] == "greedy":
        return {"tokens": running.greedy(asked["tokens"], asked["count"])}, None
    values = running.logits(asked["tokens"])
    return {"shape": list(values.shape)}, values


if __name__ == "__main__":
    main()
