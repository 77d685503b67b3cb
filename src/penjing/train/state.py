"""All that a run needs to go on, as tensors and plain facts; put back, it computes the same bits."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from penjing.errors import TrainingError
from penjing.train.run import Run


def state_of(run: Run) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors by name, facts) of a run between two steps: weights, optimiser, masks, means, and generators."""
    tensors = {f"trained:{n}": t for n, t in run.trained().items()}
    for place, entries in run.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser:{place}:{k}": v for k, v in entries.items() if isinstance(v, Tensor)}
    tensors |= {f"mask:{n}": t for n, t in run.masks.items()} | {f"held:{n}": t for n, t in run.held.items()}
    tensors |= {f"average:{n}": t for n, t in run.average.held.items()} | {f"best:{n}": t for n, t in run.best.items()}
    tensors |= {f"memory:{n}": t for n, t in run.memory.items()}
    tensors["generator:cpu"] = torch.get_rng_state()
    for place in _devices(run):
        tensors[f"generator:{place}"] = torch.cuda.get_rng_state(place)
    facts = {
        "step": run.step, "losses": run.losses, "held_out": run.held_out, "averaged": run.average.count,
        "norm": run.norm, "began": run.began, "course": run.course,
    }  # fmt: skip
    return {n: t.detach().cpu().contiguous() for n, t in tensors.items()}, facts


def restore(run: Run, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Put a run that has not begun where another one was.

    Raises:
        TrainingError: the state is not of such a run.
    """
    parts = _parts(tensors)
    own = run.trained()
    if set(own) != set(parts["trained"]):
        odd = min(set(own) ^ set(parts["trained"]))
        raise TrainingError(f"the kept state and the model that is trained differ in '{odd}'; remove it to begin anew")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(parts["trained"][name])
    device = next(iter(own.values())).device
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts["optimiser"].items():
        place, _, key = name.partition(":")
        state.setdefault(int(place), {})[key] = tensor
    run.optimiser.load_state_dict({"state": state, "param_groups": run.optimiser.state_dict()["param_groups"]})
    run.masks = {n: t.to(device) for n, t in parts["mask"].items()}
    run.held = {n: t.to(device) for n, t in parts["held"].items()}
    run.best = {n: t.to(device) for n, t in parts["best"].items()}
    run.memory = {n: t.to(device) for n, t in parts["memory"].items()}
    run.average.restore({n: t.to(device) for n, t in parts["average"].items()}, facts)
    run.step, run.losses, run.norm = int(facts["step"]), [float(x) for x in facts["losses"]], float(facts["norm"])
    run.began, run.course = int(facts.get("began", 0)), int(facts.get("course", 0))
    run.held_out = [(int(step), float(loss)) for step, loss in facts["held_out"]]
    for name, tensor in parts["generator"].items():
        torch.set_rng_state(tensor) if name == "cpu" else torch.cuda.set_rng_state(tensor, int(name))


def _parts(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    kinds = ("trained", "optimiser", "mask", "held", "average", "best", "memory", "generator")
    parts: dict[str, dict[str, Tensor]] = {kind: {} for kind in kinds}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(":")
        parts[kind][rest] = tensor
    return parts


def _devices(run: Run) -> list[int]:
    return sorted({p.device.index for p in run.module.parameters() if p.device.type == "cuda"})
