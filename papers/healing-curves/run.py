"""What a pruned SmolLM2-135M gets back by training: losses, tokens and two sizes, held against a control.

`python -m papers.healing-curves.run OUT [--write] [--budget NAME] [--only PART]` goes through the runs that OUT does
not have yet, one after the other, each resumable, and prints the figures; `--write` keeps them in expected.json.
"""

import json
import math
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from papers.assets.healing import training_text
from papers.assets.smollm2 import DRAWS, round_
from papers.assets.texts import handbook
from papers.expected import record
from torch import Tensor

import penjing
from penjing.core.places import cache_folder
from penjing.data import read_texts, shipped, tokenise, windows
from penjing.io.assets import fetch_asset
from penjing.maths.bootstrap import bootstrap
from penjing.pipeline.carry_out import Manner, carry_out
from penjing.pipeline.healing import course_of, healed
from penjing.pipeline.healing_data import lessons
from penjing.running.lending import Lender
from penjing.running.source import as_folder, resolve
from penjing.running.stock import load, tokenizer

KEEPS = (0.75, 0.5)
BUDGETS = {"smoke": 1024, "short": 131_072, "long": 524_288}
ROWS, LENGTH = 16, 256
CHARACTERS = 3_000_000
"""Of addresses and of novels, as many of each: more tokens than any run reads, so that none is read twice."""
CALIBRATION_ROWS = 64


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to heal."""

    method: str
    settings: Mapping[str, Any] | None = None
    lora: int | None = None
    rate: float = 2e-4


WAYS = {
    "logits": Way(method="logits"),
    "sft": Way(method="sft"),
    "half and half": Way(method="logits", settings={"own": 0.5}),
    "local": Way(method="local"),
    "lora": Way(method="logits", lora=32, rate=1e-3),
    "written": Way(method="logits"),
}
"""Minitron's loss is `logits` here: no block is gone, so it looks at no hidden state."""


def judged(folder: Path) -> dict[str, Tensor]:
    """Text -> [rows length] of it: two that penjing ships, and a handbook, a kind that nothing here is trained on."""
    read = {p.stem.removeprefix("evaluation-"): "\n".join(read_texts([p])) for p in shipped("evaluation")}
    read["handbook"] = handbook()
    words = tokenizer(folder)
    return {name: windows(tokenise([text], words), LENGTH, ROWS) for name, text in read.items()}


@torch.no_grad()
def looked_at(folder: Path, rows: Tensor, dense: Any) -> dict[str, list[float]]:
    """Of each row: its loss in nats a token, and how far its predictions are from the dense model's."""
    module = load(folder, dtype=torch.float32)
    found: dict[str, list[float]] = {"loss": [], "divergence": [], "agree": []}
    for row in rows:
        own, other = (torch.log_softmax(m(input_ids=row[None]).logits[0].float(), -1) for m in (module, dense))
        found["loss"].append(float(-own[:-1].gather(1, row[1:, None]).mean()))
        found["divergence"].append(float((other.exp() * (other - own)).sum(-1).mean()))
        found["agree"].append(float((own.argmax(-1) == other.argmax(-1)).float().mean()))
    return found


def made(name: str, out: Path, keep: float | None, way: Way, tokens: int, dense: Path, text: Path) -> dict[str, Any]:
    """One healed model in its folder, and what it cost; `keep` None is the control, the dense model itself."""
    place, began = out / name, _seconds()
    wish = penjing.Heal(
        method=way.method, tokens=tokens, settings=way.settings or {}, lora=way.lora, learning_rate=way.rate,
        texts=() if "written" in name else (str(text),), written="written" in name,
        teacher=None if keep is None else str(dense),
    )  # fmt: skip
    if keep is None:
        source = resolve(dense)
        course = course_of(wish, lessons(source, wish, penjing.Data(), cache=cache_folder(), progress=_quiet), 0)
        plan = healed(source, None, course, lender=Lender(), cache=cache_folder(), folder=out / f".{name}")
        carry_out(source, plan, place, Manner(reopening=False), cache=cache_folder(), lender=Lender())
    else:
        plan = penjing.heal(out / f"cut-{keep:g}", place, how=wish, measure=False).plan
    told = plan.made["healing"]
    return {
        "tokens": told["tokens"], "steps": told["steps"], "processor seconds": round(_seconds() - began),
        "training loss": told["loss"], "bfloat16": told["bfloat16"],
    }  # fmt: skip


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _quiet(what: str, done: int, total: int) -> None:
    """No progress."""


def _note(out: Path, name: str, of: Mapping[str, Any]) -> None:
    with (out / "rows.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"name": name, **of}) + "\n")


def rows_of(out: Path) -> dict[str, dict[str, Any]]:
    """What was measured so far, by name."""
    path = out / "rows.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {told.pop("name"): told for told in map(json.loads, lines)}


def measure(out: Path, budgets: list[str], only: str) -> None:
    """Everything that is not measured yet."""
    out.mkdir(parents=True, exist_ok=True)
    dense = as_folder(resolve(fetch_asset("smollm2")), cache_folder())
    text, rows, whole = training_text(out, CHARACTERS), judged(dense), load(dense, dtype=torch.float32)

    def note(name: str, folder: Path, **cost: Any) -> None:
        _note(out, name, {"texts": {k: looked_at(folder, r, whole) for k, r in rows.items()}, **cost})
        print(f"{name} done", file=sys.stderr, flush=True)

    if "dense" not in rows_of(out):
        note("dense", dense)
    for keep in KEEPS:
        folder = out / f"cut-{keep:g}"
        if folder.name not in rows_of(out):
            penjing.shrink(
                dense, folder, keep=keep, data=penjing.Data(texts=(str(text),), rows=CALIBRATION_ROWS), measure=False
            )
            note(folder.name, folder)
    for budget in budgets:
        for keep, ways in ((None, {"control": Way(method="sft")}), *((keep, WAYS) for keep in KEEPS)):
            for label, way in ways.items():
                name = f"{budget}-{label}" + (f"-{keep:g}" if keep else "")
                if only in name and name not in rows_of(out):
                    cost = made(name, out, keep, way, BUDGETS[budget], dense, text)
                    note(name, out / name, **cost)


def figures(out: Path) -> dict[str, Any]:
    """Of each model: perplexity over the dense model's, the control's and that healed on logits, and agreement."""
    known = rows_of(out)
    table: dict[str, Any] = {}
    for name, told in known.items():
        budget, keep = name.partition("-")[0], name.rpartition("-")[2]
        others = {"control": known.get(f"{budget}-control"), "logits": known.get(f"{budget}-logits-{keep}")}
        others = {label: other for label, other in others.items() if other is not None and other is not told}
        cost = {k: v for k, v in told.items() if k != "texts"}
        table[name] = {text: _over(seen, known, others, text) for text, seen in told["texts"].items()} | cost
    return {"rows": ROWS, "tokens a text": ROWS * LENGTH, "models": table, "readings": readings(table)}


def _over(seen: Mapping[str, Any], known: Mapping[str, Any], others: Mapping[str, Any], text: str) -> dict[str, Any]:
    dense = known["dense"]["texts"][text]["loss"]
    out: dict[str, Any] = {"perplexity": round_(torch.tensor(seen["loss"]).mean().exp()), **_times(seen["loss"], dense)}
    for label, other in others.items():
        against = _times(seen["loss"], other["texts"][text]["loss"])
        out |= {f"times {label}": against["times"], f"{label} interval": against["interval"]}
    return out | {k: round_(torch.tensor(seen[k]).mean()) for k in ("divergence", "agree")}


def readings(table: Mapping[str, Any]) -> dict[str, bool]:
    """What this study asks, of what was measured."""
    out: dict[str, bool] = {}
    for keep in KEEPS:
        cut, logits, sft = (table[name] for name in (f"cut-{keep:g}", f"short-logits-{keep:g}", f"short-sft-{keep:g}"))
        for text in ("speeches", "novel", "handbook"):
            gone = 1 - math.log(logits[text]["times"]) / math.log(cut[text]["times"])
            out[f"1 {keep:g} {text}: logits close half of the gap, in nats"] = gone >= 0.5
            out[f"3 {keep:g} {text}: the text's own loss agrees less often with the dense model than logits do"] = (
                sft[text]["agree"] < logits[text]["agree"]
            )
        for text in ("novel", "handbook"):
            behind = sft[text]["logits interval"][0] > 1
            out[f"2 {keep:g} {text}: logits are better than the text's own loss on text of another kind"] = behind
    for text in ("speeches", "novel", "handbook"):
        no_worse = table["short-written-0.75"][text]["logits interval"][0] <= 1
        out[f"5 0.75 {text}: text that the teacher wrote heals no worse than speeches and novels"] = no_worse
    for keep, most in ((0.75, (1.08, 1.20)), (0.5, (1.35, 1.9))):
        healed = table[f"short-logits-{keep:g}"]
        for text, limit in zip(("speeches", "novel"), most, strict=True):
            out[f"4 {keep:g} {text}: at most {limit:g} times the dense model"] = healed[text]["times"] <= limit
    return out


def _times(losses: list[float], others: list[float]) -> dict[str, Any]:
    gap = (torch.tensor(losses).double() - torch.tensor(others).double())[:, None]
    drawn = bootstrap(gap, lambda s: s[..., 0] / len(gap), generator=torch.Generator().manual_seed(0), draws=DRAWS)
    value, low, high = (round_(torch.tensor(v).exp()) for v in (drawn.value, *drawn.interval()))
    return {"times": value, "interval": [low, high]}


def _asked(flag: str, usual: str) -> str:
    return sys.argv[sys.argv.index(flag) + 1] if flag in sys.argv else usual


if __name__ == "__main__":
    place = Path(sys.argv[1])
    measure(place, [_asked("--budget", "short")], _asked("--only", ""))
    found = figures(place)
    print(json.dumps(found, indent=1))
    record(__file__, found, write="--write" in sys.argv)
