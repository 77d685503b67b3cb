"""`torchrun -m penjing heal` on two processes writes what one process does."""

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from tests.house.tiny import tiny_model

import penjing


@pytest.mark.slow  # three fresh processes that import torch, and one that opens the result
def test_two_processes_heal_as_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    tiny_model(tmp_path / "tiny")
    (tmp_path / "text.txt").write_text("the tide comes in and the tide goes out again; " * 60, encoding="utf-8")
    penjing.shrink(tmp_path / "tiny", tmp_path / "cut", keep=0.5, method="magnitude", measure=False, progress=False)
    penjing.heal(
        tmp_path / "cut", tmp_path / "one", teacher=tmp_path / "tiny", texts=[tmp_path / "text.txt"],
        how=penjing.Heal(tokens=512, length=32, batch=4, learning_rate=1e-3), measure=False, progress=False,
    )  # fmt: skip
    words = [
        "heal", "cut", "--teacher", "tiny", "--text", "text.txt", "--tokens", "512", "--length", "32", "--batch", "4",
        "--learning-rate", "0.001", "--no-measure", "-o", "two",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "penjing", *words],
        cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("written:") == 1
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, two[name], atol=1e-5, rtol=0)
    assert len((tmp_path / "two" / "training.jsonl").read_text(encoding="utf-8").splitlines()) == 4
    missing = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "penjing", *words[:-1], "two"],
        cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert missing.stdout.count("nothing was done") == 1, missing.stdout + missing.stderr
