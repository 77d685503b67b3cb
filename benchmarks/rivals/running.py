"""Jobs in fresh processes: run, time-limited, in turn, with what the machine was doing."""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.rivals.environments import python

JOBS = Path(__file__).resolve().parent / "jobs"
Result = dict[str, Any]


def run(rival: str, job: str, arguments: Mapping[str, Any], *, seconds: float, threads: int) -> Result:
    """What a job says of itself, with `status`: "ok", "error" (and its last line) or "timeout"."""
    program = python(rival)
    threaded = {k: str(threads) for k in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    around = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", **threaded}
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch) / "answer.json"
        command = [program, JOBS / f"{job}.py", json.dumps({**arguments, "answer": str(answer)})]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=around, check=False)
        except subprocess.TimeoutExpired:
            return {"rival": rival, "status": "timeout", "load": before, "said": f"no answer in {seconds:g} s"}
        if done.returncode or not answer.is_file():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            return {"rival": rival, "status": "error", "load": before, "said": last[:300]}
        return {"rival": rival, "status": "ok", "load": before, **json.loads(answer.read_text(encoding="utf-8"))}


def in_turn(pairs: Sequence[tuple[str, str, Mapping[str, Any]]], *, repeats: int, seconds: float, threads: int) -> list:
    """`repeats` lists of one result per (rival, job, arguments): a b, a b, ..., so that a slow minute hits all.

    A job that has failed once is not run again: its first result stands for the rest.
    """
    rounds: list[list[Result]] = []
    for _ in range(repeats):
        row = []
        for i, (rival, job, arguments) in enumerate(pairs):
            earlier = rounds[0][i] if rounds else None
            failed = earlier is not None and earlier["status"] != "ok"
            row.append(earlier if failed else run(rival, job, arguments, seconds=seconds, threads=threads))
        rounds.append(row)
    return rounds
