"""The proof after every apply: the folder opens without penjing, and computes what the result in memory computes."""

import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from penjing.errors import PlanError
from penjing.io.recorded import folder_config
from penjing.models import opener

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}
"""Largest difference over largest output that passes. The same code on the same machine gives 0; other thread
counts and fused kernels change the last bits."""


@dataclass(frozen=True, kw_only=True)
class ReopenResult:
    """What a fresh process found. `max_abs_difference` and `relative` are None when no output was computed."""

    loader: str
    versions: Mapping[str, str]
    ok: bool
    max_abs_difference: float | None = None
    relative: float | None = None
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    note: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def reopen(
    out: str | Path,
    inputs: Tensor | Mapping[str, Tensor],
    expected: Tensor | str | Path | None,
    *,
    strangers: Collection[str] = (),
    seconds: float = 1800.0,
) -> ReopenResult:
    """Open `out` with its stock loader in a fresh process that cannot import penjing, and compare outputs.

    What no stock loader opens is opened with `penjing.load` there. `inputs` are token ids [batch tokens] or the keyword
    arguments of the forward pass; `expected` is the output in memory, or a safetensors file with it
    under the name "output". None compares names only, for models too large to open twice: nothing is loaded, and the
    note says so. `strangers` are tensors that the loader need not know.

    Raises:
        PlanError: the folder does not open.
    """
    folder = Path(out).resolve()
    if expected is None:
        return _names_only(folder, strangers)
    with TemporaryDirectory(prefix="penjing-reopen-") as place:
        told, output = _run(folder, _named(inputs), Path(place), seconds)
    wanted = expected if isinstance(expected, Tensor) else _load(Path(expected))
    return _compare(told, output, wanted, strangers)


def _run(folder: Path, inputs: Mapping[str, Tensor], place: Path, seconds: float) -> tuple[dict[str, Any], Tensor]:
    from safetensors.torch import save_file

    save_file({k: v.detach().cpu().contiguous() for k, v in inputs.items()}, place / "inputs.safetensors")
    task = {
        "folder": str(folder),
        "inputs": str(place / "inputs.safetensors"),
        "out": str(place / "out.safetensors"),
        "told": str(place / "told.json"),
        "threads": torch.get_num_threads(),
        "package": "" if opener(folder_config(folder)) == "stock" else str(Path(__file__).parents[2]),
    }
    program = Path(__file__).with_name("reopen_process.py").read_text(encoding="utf-8")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, json.dumps(task)],
            cwd=place, env=environment, capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise PlanError(f"{folder} did not open and compute within {seconds:g} seconds; give it more time") from error
    if done.returncode:
        why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        with_ = "penjing.load" if task["package"] else "the stock loader"
        raise PlanError(f"{folder} does not open with {with_}: {why}; do not use it")
    return json.loads((place / "told.json").read_text(encoding="utf-8")), _load(place / "out.safetensors")


def _compare(told: Mapping[str, Any], output: Tensor, expected: Tensor, strangers: Collection[str]) -> ReopenResult:
    expected = expected.detach().cpu()
    same = output.shape == expected.shape
    difference = relative = None
    if same:
        gap = (output.double() - expected.double()).abs().nan_to_num(nan=float("inf"))
        gap[output.isnan() & expected.isnan()] = 0.0
        difference = float(gap.max()) if gap.numel() else 0.0
        scale = float(expected.double().abs().nan_to_num(0.0).max()) if gap.numel() else 0.0
        relative = difference / scale if scale else (0.0 if difference == 0 else float("inf"))
    wrong = [told[k] for k in ("missing", "unexpected", "mismatched")]
    wrong[1] = [n for n in wrong[1] if n not in strangers]
    within = relative is not None and relative <= TOLERANCE.get(expected.dtype, 1e-5)
    note = "" if same else f"the output is {list(output.shape)}, expected {list(expected.shape)}"
    return ReopenResult(
        loader=told["loader"],
        versions=told["versions"],
        ok=within and not any(wrong),
        max_abs_difference=difference,
        relative=relative,
        note=note,
        missing=tuple(wrong[0]),
        unexpected=tuple(wrong[1]),
        mismatched=tuple(wrong[2]),
    )


def _names_only(folder: Path, strangers: Collection[str]) -> ReopenResult:
    """Compare the names and shapes in the files with those that stock code makes, on the meta device."""
    import transformers

    from penjing.io import open_checkpoint
    from penjing.layouts import build

    with open_checkpoint(folder) as checkpoint:
        module = build(checkpoint.config)
        kept = {id(t): n for n, t in module.state_dict(keep_vars=True).items()}
        wanted = {n: tuple(t.shape) for n, t in module.state_dict().items()}
        stored = checkpoint.shapes
    tied = {n for n, t in module.state_dict(keep_vars=True).items() if kept[id(t)] != n or _shared(module, n)}
    missing = tuple(n for n in wanted if n not in stored and n not in tied)
    unexpected = tuple(n for n in stored if n not in wanted and n not in strangers)
    mismatched = tuple(n for n, s in stored.items() if n in wanted and wanted[n] != tuple(s))
    return ReopenResult(
        loader=type(module).__name__ if opener(checkpoint.config) == "stock" else "penjing.load",
        versions={"transformers": transformers.__version__, "torch": str(torch.__version__)},
        ok=not (missing or unexpected or mismatched),
        missing=missing,
        unexpected=unexpected,
        mismatched=mismatched,
        note="names and shapes were compared with the stock model; no output was computed",
    )


def _shared(module: Any, name: str) -> bool:
    state = module.state_dict(keep_vars=True)
    return sum(t is state[name] for t in state.values()) > 1


def _named(inputs: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
    given = {"input_ids": inputs} if isinstance(inputs, Tensor) else dict(inputs)
    return {k: v for k, v in given.items() if isinstance(v, Tensor)}


def _load(path: Path) -> Tensor:
    from safetensors.torch import load_file

    return load_file(path)["output"]
