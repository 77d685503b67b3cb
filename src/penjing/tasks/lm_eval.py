"""Any task of lm-evaluation-harness, run on our own scoring of the model.

Source: lm-evaluation-harness 0.4.13. Its task definitions, filters and aggregations are used as they are;
log-likelihoods, rolling log-likelihoods and greedy replies are ours, and equal its own to 1e-4 in float32.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from penjing.core import Measurement
from penjing.core.report import Better
from penjing.errors import DataError, MeasureError, MissingExtraError
from penjing.evaluate.scoring import max_positions, score
from penjing.evaluate.statistics import mean_ratio
from penjing.evaluate.windows import rolling
from penjing.tasks.choices.grades import mean_with_error
from penjing.tasks.choices.likelihood import log_likelihoods
from penjing.tasks.choices.requests import encode, prefix_token, special_tokens, token_ids
from penjing.tasks.generation.greedy import LIMIT, generate
from penjing.tasks.task import Examined, called

VERSION = 1
WINDOW = 2048
Progress = Callable[[int, int], None]


def rolling_log_likelihoods(
    module: Any, tokenizer: Any, texts: Sequence[str], *, batch: int | None = None
) -> list[float]:
    """Each text's summed log-probability, in nats, in disjoint windows of the model's positions (2048 if unknown).

    Raises:
        MeasureError: the logits are not numbers.
        DataError: a token number is outside the vocabulary.
    """
    documents = [torch.tensor(ids, dtype=torch.long) for ids in token_ids(tokenizer, texts)]
    filled = [i for i, d in enumerate(documents) if len(d)]
    if not filled:
        return [0.0] * len(texts)
    window = max_positions(module) or WINDOW
    windows = rolling([documents[i] for i in filled], window, prefix_token(tokenizer))
    out = [0.0] * len(texts)
    for w, loss in zip(windows, score(module, windows, batch=batch).tolist(), strict=True):
        out[filled[w.unit]] -= loss
    return out


def adapter(module: Any, tokenizer: Any, *, batch: int | None = None, progress: Progress | None = None) -> Any:
    """The model as lm-evaluation-harness wants it: an `lm_eval.api.model.LM`.

    Raises:
        MissingExtraError: lm-eval is not installed.
    """
    try:
        from lm_eval.api.model import LM  # type: ignore[import-not-found]
    except ImportError as error:
        raise MissingExtraError("lm_eval", "lm-eval", "running a task of lm-evaluation-harness") from error

    class Adapter(LM):
        """Our scoring behind the harness's three kinds of request."""

        tokenizer_name = str(getattr(tokenizer, "name_or_path", "") or "tokenizer")

        def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
            names = [f"request {r.idx} of document {r.doc_id}" for r in requests]
            asked = encode(tokenizer, [r.args for r in requests])
            found = log_likelihoods(module, asked, batch=batch, names=names, progress=progress)
            self.truncated = getattr(self, "truncated", 0) + found.truncated
            return list(zip(found.values, found.greedy, strict=True))

        def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
            return rolling_log_likelihoods(module, tokenizer, [r.args[0] for r in requests], batch=batch)

        def generate_until(self, requests: Sequence[Any]) -> list[str]:
            return _replies(module, tokenizer, [r.args for r in requests], batch, progress)

    return Adapter()


def _replies(
    module: Any, tokenizer: Any, asked: Sequence[tuple[str, Mapping[str, Any]]], batch: int | None, progress: Any
) -> list[str]:
    """Greedy replies; prompts with the same settings run together."""
    settings = [_settings(kwargs) for _, kwargs in asked]
    order = sorted(range(len(asked)), key=lambda i: settings[i])
    out = [""] * len(asked)
    for (stops, limit), places in groupby(order, key=lambda i: settings[i]):
        chosen = list(places)
        prompts = [asked[i][0] for i in chosen]
        made = generate(module, tokenizer, prompts, stops=stops, limit=limit, batch=batch, progress=progress)
        for i, reply in zip(chosen, made, strict=True):
            out[i] = reply.text
    return out


def _settings(kwargs: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    if kwargs.get("do_sample") and kwargs.get("temperature", 1.0) > 0:
        raise MeasureError("the task asks for sampled replies, penjing writes the likeliest; set do_sample to false")
    until = kwargs.get("until") or []
    limits = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
    limit = next((kwargs[k] for k in limits if kwargs.get(k)), LIMIT)
    return tuple([until] if isinstance(until, str) else until), int(limit)


@dataclass(frozen=True, kw_only=True)
class HarnessTask:
    """A task of lm-evaluation-harness: its name, the path of a YAML file, or its config as a mapping.

    A YAML file may name Python functions of its folder, which the harness runs: give it only files you trust.
    `shots` None leaves the task's own. `limit` takes the first so many documents. `metric` is the main figure's
    (empty: the task's first), `label` what people call the task (empty: its name).
    """

    name: str
    task: str | Path | Mapping[str, Any]
    shots: int | None = None
    limit: int | None = None
    metric: str = ""
    seed: int = 1234
    batch: int | None = None
    label: str = ""

    def key(self) -> str:
        """The protocol: everything that changes the figures."""
        if isinstance(self.task, Mapping):
            text = json.dumps(self.task, sort_keys=True, default=str).encode()
        else:
            path = Path(self.task)
            text = path.read_bytes() if path.is_file() else str(self.task).encode()
        named = self.task.get("task", "") if isinstance(self.task, Mapping) else Path(self.task).stem
        return (
            f"lm_eval/{VERSION} task={named} shots={'own' if self.shots is None else self.shots} "
            f"limit={self.limit or 'none'} seed={self.seed} config=sha256:{hashlib.sha256(text).hexdigest()[:16]}"
        )

    def run(self, model: Examined, *, progress: Progress | None = None) -> tuple[Measurement, ...]:
        """One figure per metric and filter: the first bears the task's name, the others `name:metric`.

        Raises:
            MissingExtraError: lm-eval is not installed.
            DataError: the model has no tokenizer, or the harness does not know the task.
            MeasureError: the model cannot be measured so.
        """
        reader = model.reader(f"the task {self.name}")
        lm = adapter(model.module, reader, batch=self.batch, progress=progress)
        found = self._evaluate(lm)
        protocol = f"{self.key()} {special_tokens(reader)} harness={version('lm_eval')}"
        cut = getattr(lm, "truncated", 0)
        note = f"{cut} requests were longer than the model's positions and lost their beginning" if cut else ""
        return self._named(_figures(found, protocol, note))

    def _evaluate(self, lm: Any) -> Mapping[str, Any]:
        from lm_eval import simple_evaluate  # type: ignore[import-not-found]
        from lm_eval.tasks import TaskManager  # type: ignore[import-not-found]

        task = dict(self.task) if isinstance(self.task, Mapping) else str(self.task)
        known = TaskManager(include_defaults=isinstance(task, str) and not Path(task).is_file())
        if isinstance(task, str) and not Path(task).is_file() and task not in known.all_tasks:
            raise DataError(f"lm-evaluation-harness knows no task '{task}'; give one of its names, or a YAML file")
        found = simple_evaluate(
            model=lm,
            tasks=[task],
            num_fewshot=self.shots,
            limit=self.limit,
            task_manager=known,
            bootstrap_iters=0,
            random_seed=None,  # type: ignore[arg-type]
            numpy_random_seed=None,  # type: ignore[arg-type]
            torch_random_seed=None,  # type: ignore[arg-type]
            fewshot_random_seed=self.seed,
        )
        if found is None:
            raise MeasureError(f"the harness gave no results for {self.name}; run it in one process")
        return found

    def _named(self, figures: Sequence[tuple[str, Measurement]]) -> tuple[Measurement, ...]:
        names = [what for what, _ in figures]
        main = self.metric or (names[0] if names else "")
        if main not in names:
            raise DataError(f"the task {self.name} gave no '{main}'; it gave {', '.join(names) or 'nothing'}")
        ordered = sorted(figures, key=lambda pair: pair[0] != main)
        return tuple(
            replace(
                f, name=self.name if what == main else f"{self.name}:{what}",
                label=called(self.label, "" if what == main else what),
            )
            for what, f in ordered
        )  # fmt: skip


def _figures(found: Mapping[str, Any], protocol: str, note: str) -> list[tuple[str, Measurement]]:
    """(what, figure) for every number in the harness's results."""
    several = len(found["results"]) > 1
    out = []
    for task, values in found["results"].items():
        samples = found.get("samples", {}).get(task, [])
        config = found.get("configs", {}).get(task, {})
        for entry, value in values.items():
            metric, _, chosen = entry.partition(",")
            if not chosen or metric.endswith("_stderr") or isinstance(value, str | bool):
                continue
            what = metric if chosen == "none" else f"{metric}.{chosen}"
            rows = [s for s in samples if s.get("filter", "none") == chosen]
            n = len(rows) or int(found.get("n-samples", {}).get(task, {}).get("effective", 0))
            error = _error(rows, metric, float(value))
            figure = Measurement(
                name="",
                value=float(value),
                unit=metric,
                better=_better(found, task, metric),
                group="quality",
                n=n,
                spread=error,
                spread_kind="" if error is None else "standard error",
                chance=_chance(config, metric, rows),
                protocol=f"{protocol} version={found.get('versions', {}).get(task, 'none')}",
                note=note,
                items=_items(rows, metric),
            )
            out.append((f"{task}.{what}" if several else what, figure))
    return out


def _better(found: Mapping[str, Any], task: str, metric: str) -> Better:
    """Which way is better, as the harness' task says; neither where it does not."""
    told = found.get("higher_is_better", {}).get(task, {}).get(metric)
    return "" if told is None else "higher" if told else "lower"


def _chance(config: Mapping[str, Any], metric: str, rows: Sequence[Mapping[str, Any]]) -> float | None:
    """The mean of 1 / number of choices, where the harness takes an argmax over choices of which one is right."""
    usual = config.get("output_type") == "multiple_choice" and not config.get("process_results")
    if not usual or metric not in {"acc", "acc_norm", "acc_bytes"} or not rows:
        return None
    asked = [len(r["resps"]) for r in rows]
    if any("acc_mutual_info" in r for r in rows):
        asked = [n // 2 for n in asked]
    return sum(1 / n for n in asked) / len(asked)


def _error(rows: Sequence[Mapping[str, Any]], metric: str, value: float) -> float | None:
    """The standard error over documents of a mean, or of a perplexity by the delta method; None for anything else."""
    values = [r.get(metric) for r in rows]
    if len(values) < 2 or None in values:
        return None
    if metric in {"word_perplexity", "byte_perplexity", "bits_per_byte"}:
        _, error = mean_ratio([-v[0] for v in values], [v[1] for v in values])  # type: ignore[index]
        scale = 1 / math.log(2) if metric == "bits_per_byte" else value
        return None if error is None else error * scale
    if not all(isinstance(v, int | float) or hasattr(v, "item") for v in values):
        return None
    mean, error = mean_with_error([float(v) for v in values])  # type: ignore[arg-type]
    return error if math.isclose(mean, value, rel_tol=1e-6, abs_tol=1e-9) else None


def _items(rows: Sequence[Mapping[str, Any]], metric: str) -> dict[str, list[Any]]:
    values = [v[0] if isinstance(v := r.get(metric), tuple) else v for r in rows]
    if not rows or not all(isinstance(v, int | float) or hasattr(v, "item") for v in values):
        return {}
    numbers = [float(v) for v in values if v is not None]
    binary = set(numbers) <= {0.0, 1.0}
    column = {"correct": [int(v) for v in numbers]} if binary else {"score": numbers}
    out: dict[str, list[Any]] = {"id": [str(r["doc_id"]) for r in rows], **column}
    if all(_pairs(r) for r in rows):
        out["log_likelihoods"] = [[float(x[0]) for x in r["filtered_resps"]] for r in rows]
    return out


def _pairs(row: Mapping[str, Any]) -> bool:
    return all(isinstance(x, list | tuple) and len(x) == 2 for x in row.get("filtered_resps", ["-"]))
