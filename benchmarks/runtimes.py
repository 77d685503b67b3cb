"""Does a cut pay where people run models: SmolLM2-135M whole and cut, in transformers, onnxruntime and llama.cpp.

    OMP_NUM_THREADS=1 python benchmarks/runtimes.py --work out/runtimes

Makes what is not in `--work` yet: the model cut to 0.75 and 0.5 of its neurons (`activation`, the text that penjing
ships, widths in multiples of 32), and of each model the files of every runtime. Then, within one run, it takes
perplexity in each runtime on the same blocks of text, and times in rounds that go through the models in turn, with the
first one twice as a null: for every kind of file the whole model beside the cut ones, and the whole model in every
runtime. Seconds are those of the processor, on one thread, since the machine may not be quiet; ratios are the median
over rounds. `--tiny` only shows that it runs.
"""

import argparse
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import penjing
from penjing.core.places import cache_folder
from penjing.data import read_texts, shipped, tokenise
from penjing.evaluate import Blocks, perplexity
from penjing.evaluate.statistics import Interval, paired_ratio
from penjing.exporters.runtime import runner_of
from penjing.io.assets import fetch_asset
from penjing.pipeline.file_figures import acting
from penjing.profiling.speed import Speed, SpeedResult, compare_speed
from penjing.profiling.speed.ratios import why
from penjing.running.source import as_folder, resolve
from penjing.running.stock import load, tokenizer

SHARES = {"keep 0.75": 0.75, "keep 0.5": 0.5}
FILES = ("onnx:f32", "gguf:f32", "gguf:q8_0", "gguf:q4_0")
TRANSFORMERS = "transformers f32"


def models_in(work: Path, tiny: bool) -> dict[str, Path]:
    """The whole model and the cut ones, made where they are missing."""
    if tiny:
        whole = work / "whole"
        if not whole.is_dir():
            from tests.exporters.gguf import families

            families.make("llama", whole)
    else:
        whole = as_folder(resolve(fetch_asset("smollm2")), cache_folder())
    found = {"whole": whole}
    for name, share in SHARES.items():
        found[name] = work / name.replace(" ", "-")
        if not found[name].is_dir():
            choice = penjing.Choice(method="maw" if tiny else "activation", keep=share, multiple=32)
            penjing.shrink(whole, found[name], choice=choice, measure=False)
    return found


def files_in(work: Path, models: Mapping[str, Path]) -> dict[str, dict[str, Path]]:
    """Kind of file -> model -> the file, or the folder for transformers; made where they are missing."""
    out: dict[str, dict[str, Path]] = {TRANSFORMERS: dict(models)}
    for kind in FILES:
        runtime, _, variant = kind.partition(":")
        named = f"{'llama.cpp' if runtime == 'gguf' else 'onnxruntime'} {variant}"
        out[named] = {}
        for name, folder in models.items():
            path = work / f"{name.replace(' ', '-')}-{variant}.{runtime}"
            if not path.is_file():
                penjing.export(folder, kind, path)
            out[named][name] = path
    return out


def losses(files: Mapping[str, Mapping[str, Path]], ids: torch.Tensor | None, window: int) -> dict[str, Any]:
    """Kind -> model -> perplexity and its standard error, in that runtime, in float32 where it is transformers."""
    out: dict[str, Any] = {}
    for kind, models in files.items():
        for name, path in models.items():
            if ids is None:
                continue
            if path.is_dir():
                found = perplexity(load(path, dtype=torch.float32), ids, protocol=Blocks(window=window))
            else:
                with runner_of(path).open(path, context=window, threads=1) as file:
                    found = perplexity(acting(file), ids, protocol=Blocks(window=window))
            out.setdefault(kind, {})[name] = {"value": found.value, "error": found.spread, "n": found.n}
            print(f"  {kind}, {name}: perplexity {found.value:.2f}", flush=True)
    return out


def size(path: Path) -> int:
    """Bytes of a file, or of the weights in a folder."""
    return path.stat().st_size if path.is_file() else sum(p.stat().st_size for p in path.glob("*.safetensors"))


def ratios(timed: SpeedResult, base: str) -> dict[str, dict[str, list[float]]]:
    """Job -> model -> [ratio to the base, low, high] of seconds; the null is the base's second copy over the first."""
    out: dict[str, dict[str, list[float]]] = {}
    for job, by_model in timed.timings.seconds.items():
        first = [min(r) for r in by_model[base]]
        every = {**{n: [min(r) for r in rounds] for n, rounds in by_model.items() if n != base}}
        every["null"] = [min(r) for r in timed.timings.null[job]]
        out[job] = {n: _interval(paired_ratio(rounds, first)) for n, rounds in every.items()}
        out[job]["milliseconds"] = [1000 * sorted(first)[len(first) // 2]]
    return out


def _interval(found: Interval) -> list[float]:
    return [round(x, 4) for x in (found.value, found.low, found.high)]


def main() -> None:
    """Make, measure, print the tables and, with `--json`, the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--work", type=Path, default=Path("out/runtimes"))
    parser.add_argument("--tiny", action="store_true", help="a random model: shows that it runs, says nothing")
    parser.add_argument("--blocks", type=int, default=3, help="of text, for perplexities")
    parser.add_argument("--window", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=128, help="of the prompt and of the context")
    parser.add_argument("--json", type=Path, help="write the figures here")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    files = files_in(asked.work, models_in(asked.work, asked.tiny))
    begun, load_before = time.monotonic(), os.getloadavg()
    ids = None if asked.tiny else _text(files[TRANSFORMERS]["whole"])[: asked.blocks * asked.window]
    told: dict[str, Any] = {"perplexity": losses(files, ids, asked.window)}
    told["bytes"] = {kind: {n: size(p) for n, p in models.items()} for kind, models in files.items()}
    length = 32 if asked.tiny else asked.tokens
    speed = Speed(
        tokens=length, context=length, rounds=asked.rounds, prefills=1, steps=6, threads=1, limit=120.0, warm=0.1,
        more=False, energy="no", clock="processor",
    )  # fmt: skip
    told["cut over whole"] = {k: ratios(compare_speed(models, speed=speed), "whole") for k, models in files.items()}
    whole = {kind: models["whole"] for kind, models in files.items()}
    told["runtime over transformers"] = ratios(compare_speed(whole, speed=speed), TRANSFORMERS)
    told |= {"load": [load_before, os.getloadavg()], "seconds": round(time.monotonic() - begun)}
    show(told)
    if asked.json:
        asked.json.write_text(json.dumps(told, indent=1) + "\n")


def _text(folder: Path) -> torch.Tensor:
    return tokenise(read_texts(shipped("evaluation")[:1]), tokenizer(folder))


def show(told: Mapping[str, Any]) -> None:
    """The tables, as Markdown."""
    print("\n| runtime and type | model | MB | perplexity | prompt, of the whole | token, of the whole |")
    print("|" + "---|" * 6)
    for kind, models in told["bytes"].items():
        jobs = told["cut over whole"][kind]
        for name, count in models.items():
            found = told["perplexity"].get(kind, {}).get(name)
            quality = f"{found['value']:.1f} ± {found['error']:.1f}" if found else "not measured"
            cells = [_told(jobs[job], "null" if name == "whole" else name) for job in ("prefill", "decode")]
            print(f"| {kind} | {name} | {count / 1e6:.0f} | {quality} | {' | '.join(cells)} |")
    print("\n| the whole model in | prompt, of transformers | token, of transformers |\n|---|---|---|")
    jobs = told["runtime over transformers"]
    for kind in [*(k for k in jobs["decode"] if k not in ("null", "milliseconds")), "null"]:
        print(f"| {kind} | {_told(jobs['prefill'], kind)} | {_told(jobs['decode'], kind)} |")
    print(f"\nload before and after {told['load']}, {told['seconds']} s")


def _told(job: Mapping[str, list[float]], name: str) -> str:
    """The ratio with its interval; withheld where the null, which is told itself, says that it may be noise."""
    effect, null = Interval(*job[name]), Interval(*job["null"])
    text = f"{effect.value:.2f} ({effect.low:.2f} to {effect.high:.2f})"
    if name == "null":
        return f"{text}, itself"
    return "withheld" if why(effect, null) else text


if __name__ == "__main__":
    main()
