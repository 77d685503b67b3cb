"""Take a tiny model of every stock family all the way: layout, proof, default shrink, opening, equality to its mask.

Run `python -m benchmarks.stock_families [NAME ...]` from the root of the repository; `--page` alone writes the page of
the results that are kept in docs/understand/families.json. Each family has a process of its own, forked from one that
has imported everything by taking llama through, and a limit of processor time. What is measured in between (text,
images) takes no part: it is no property of a family. A family passes, or is refused before anything is written with the
reason that is in the table.
"""

import argparse
import io
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

KEPT = Path(__file__).parent.parent / "docs" / "understand" / "families.json"
PAGE = KEPT.with_name("stock-families.md")
SECONDS = 240
TOLERANCE = 1e-4
"""Of the largest output: what a cut in float32 may differ by from its mask."""


class Fault(Exception):  # noqa: N818 - it is a finding, not an error of this program
    """A stage that did not go as it should, with what it said."""

    def __init__(self, stage: str, said: object) -> None:
        super().__init__(stage, str(said))
        self.stage, self.said = stage, " ".join(str(said).split())[:600]


def through(family: str, folder: Path) -> dict[str, Any]:
    """One family: what was cut, or how it was refused."""
    import torch
    import transformers

    import penjing
    from benchmarks import tiny_configs
    from penjing.errors import LayoutError, PenjingError
    from penjing.layouts.prove.small import prove_config
    from penjing.select.usual import by_kind, usual

    try:
        config, model = tiny_configs.runnable(family)
    except Exception as error:
        raise Fault("none", f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[-1]}") from error
    count = sum(p.numel() for p in model.parameters())
    if count > tiny_configs.LARGEST:
        raise Fault("none", f"{count:,} parameters are not tiny")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    model.save_pretrained(folder / "model")
    out: dict[str, Any] = {"class": type(model).__name__, "parameters": count}
    stage = "look"
    try:
        layout = penjing.layout(folder / "model")
        penjing.look(folder / "model")
        out["free"] = dict(Counter(a.kind for a in layout.axes.values() if a.state == "free"))
        stage = "proof"
        if any(a.state == "free" for a in layout.axes.values()):
            try:
                prove_config(config, layout)
            except LayoutError as error:
                raise Fault("proof", error) from error
        stage = "plan"
        plan = penjing.plan(folder / "model", method="magnitude", keep=0.5)
        out["cut"] = by_kind(usual(layout))
        stage = "shrink"
        penjing.apply(folder / "model", plan, folder / "out", reopening=False)
    except PenjingError as error:
        if (folder / "out").exists():
            raise Fault("after writing", error) from error
        return {**out, "refused": " ".join(str(error).split())[:600], "stage": stage, **_beyond(folder, error)}
    kind = getattr(transformers, type(model).__name__)
    try:
        small, loading = kind.from_pretrained(folder / "out", output_loading_info=True)
    except Exception as error:
        raise Fault("open", f"{type(error).__name__}: {error}") from error
    after = sum(p.numel() for p in small.parameters())
    if loading["missing_keys"] or loading["mismatched_keys"] or after >= count:
        raise Fault("open", f"{count} -> {after} parameters, {loading}")
    out["after"] = after
    out["difference"] = _differs(kind.from_pretrained(folder / "model").eval(), small.eval(), layout, plan)
    if out["difference"] > TOLERANCE:
        raise Fault("mask", f"differs from its mask by {out['difference']:.3g} of the largest output")
    return out


def _beyond(folder: Path, error: Exception) -> dict[str, Any]:
    """What `penjing.load` opens instead, where the refusal names it: what was cut, parameters, difference."""
    if "--opens-with penjing" not in str(error):
        return {}
    import penjing
    from penjing.errors import PenjingError
    from penjing.pipeline.request import Choice
    from penjing.select.usual import by_kind

    whole, layout = penjing.load(folder / "model"), penjing.layout(folder / "model")
    try:
        plan = penjing.plan(folder / "model", choice=Choice(method="magnitude", keep=0.5, opens_with="penjing"))
        penjing.apply(folder / "model", plan, folder / "out", opens_with="penjing", reopening=False)
    except PenjingError as refusal:
        if (folder / "out").exists():
            raise Fault("after writing", refusal) from refusal
        return {"then_refused": " ".join(str(refusal).split())[:600]}
    small = penjing.load(folder / "out")
    difference = _differs(whole, small, layout, plan)
    if difference > TOLERANCE:
        raise Fault("mask", f"differs from its mask by {difference:.3g} of the largest output")
    after = sum(p.numel() for p in small.parameters())
    return {"after": after, "cut": by_kind([layout.axes[a] for a in plan.keeps()]), "difference": difference}


def _differs(before: Any, small: Any, layout: Any, plan: Any) -> float:
    """The largest difference of the outputs of the cut model and the masked one, over the largest output."""
    import torch

    from penjing.layouts.graph.inputs import example
    from penjing.surgery.memory import masked, run

    inputs = example(before, device="cpu")
    with torch.no_grad():
        wanted = run(masked(before, layout, plan), inputs).double()
        given = run(small, inputs).double()
    if given.shape != wanted.shape:
        return float("inf")
    return float((given - wanted).abs().max() / wanted.abs().max().clamp_min(1e-12))


def in_child(family: str, seconds: int) -> dict[str, Any]:
    """What becomes of a family, found in a forked process that ends itself after so many seconds of the processor."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        with os.fdopen(writing, "w") as file:
            file.write(json.dumps(_found(family)))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        told = file.read()
    os.waitpid(child, 0)
    late = f"not done after {seconds} seconds of the processor, or killed"
    return json.loads(told) if told else {"fault": late, "stage": "time"}


def _found(family: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        os.environ["PENJING_CACHE"] = f"{folder}/cache"
        try:
            return through(family, Path(folder))
        except Fault as fault:
            return {"fault": fault.said, "stage": fault.stage}
        except BaseException as error:
            at = re.search(r"/penjing/([\w/]+\.py)", str(getattr(error, "__traceback__", "")))
            place = f" in {at[1]}" if at else ""
            return {"fault": " ".join(f"{type(error).__name__}{place}: {error}".split())[:600], "stage": "crash"}


def families() -> list[str]:
    """The families of the installed transformers that have a class."""
    import transformers

    from benchmarks.tiny_configs import head_of

    return [f for f in transformers.CONFIG_MAPPING if head_of(f)]


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The page: the share, and a line for each family."""
    tried = {f: r for f, r in results.items() if r.get("stage") != "none"}
    passed = {f: r for f, r in tried.items() if "after" in r and not {"fault", "refused"} & r.keys()}
    refused = {f: r for f, r in tried.items() if "refused" in r}
    other = {f: r for f, r in tried.items() if "fault" in r}
    share = (len(passed) + len(refused)) / max(len(tried), 1)
    good, no, bad = len(passed), len(refused), len(other)
    lines = [
        "# Stock families, all the way", "",
        f"{len(tried)} families of transformers have a tiny config that `benchmarks/tiny_configs.py` makes of their",
        f"defaults. {good} pass: laid out, each free axis proved, shrunk as by default to half of the units,",
        f"opened by transformers with nothing missing, and equal to the mask. {no} are refused before anything",
        f"is written, with the reason below. {bad} do neither. **{share:.1%} pass or are refused with a reason**",
        "(`python -m benchmarks.stock_families`; float32, random weights).", "",
        f"{len(results) - len(tried)} further families have no tiny config here: a class that needs a package that is",
        "not installed, or sizes that the names of entries do not tell. Families in no table have not been run.", "",
        "## Pass", "",
        "| family | class | parameters | after | cut | differs from its mask by |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    lines += [
        f"| {f} | {r['class']} | {r['parameters']:,} | {r['after']:,} | {r['cut']} | {r['difference']:.1g} |"
        for f, r in sorted(passed.items())
    ]
    lines += ["", "## Refused before anything is written", ""]
    lines += ["The last column is what `--opens-with penjing` cuts, where the refusal names it.", ""]
    lines += ["| family | stage | reason | with `--opens-with penjing` |", "|---|---|---|---|"]
    lines += [f"| {f} | {r['stage']} | {_cell(r['refused'])} | {_then(r)} |" for f, r in sorted(refused.items())]
    if other:
        lines += ["", "## Neither", "", "| family | stage | what happened |", "|---|---|---|"]
        lines += [f"| {f} | {r['stage']} | {_cell(r['fault'])} |" for f, r in sorted(other.items())]
    return "\n".join(lines) + "\n"


def _then(result: Mapping[str, Any]) -> str:
    if "after" not in result:
        return f"refused: {_cell(result['then_refused'])}" if "then_refused" in result else ""
    parameters = f"{result['parameters']:,} -> {result['after']:,} parameters"
    return f"{result['cut']}: {parameters}, differs from its mask by {result['difference']:.1g}"


def _cell(text: str) -> str:
    return re.sub(r"/\S*/(?=[\w.]+)", "", text).replace("|", "\\|")[:300]


def main() -> None:
    """Run the families named, or all that have no result yet, and write results and page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--again", action="store_true", help="also those that have a fault from an earlier run")
    parser.add_argument("--page", action="store_true", help="only write the page")
    parser.add_argument("--seconds", type=int, default=SECONDS)
    asked = parser.parse_args()
    results = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    if not asked.page:
        os.environ["HF_HUB_OFFLINE"] = "1"
        import torch
        import torch.export  # what every child needs is imported once
        import transformers

        import penjing.pipeline.carry_out
        import penjing.profiling.look  # noqa: F401

        torch.set_num_threads(1)
        transformers.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            os.environ["PENJING_CACHE"] = f"{folder}/cache"
            through("llama", Path(folder))  # what every child needs of transformers is imported once
        again = [f for f, r in results.items() if "fault" in r and r["stage"] != "none"] if asked.again else []
        for family in asked.names or again or [f for f in families() if f not in results]:
            start = time.monotonic()
            results[family] = found = in_child(family, asked.seconds)
            KEPT.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            what = found.get("fault") or found.get("refused") or f"{found['cut']}, {found['difference']:.1g}"
            state = "FAULT" if "fault" in found else "refused" if "refused" in found else "ok"
            seconds = time.monotonic() - start
            sys.stdout.write(f"{family:28} {seconds:4.0f} s {state:7} {found.get('stage', '')} {what}\n")
            sys.stdout.flush()
    PAGE.write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
