"""All that a run needs to go on, as tensors and plain facts; put back, it computes the same bits."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from penjing.errors import TrainingError
from penjing.train.run import Run
from penjing.train.sharding import like

AGAIN = 7919
"""What sets the draws of later steps apart, where they begin anew."""


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
    # What lies in parts is copied to the CPU by what writes it.
    kept = {n: t if hasattr(t, "full_tensor") else t.cpu().contiguous() for n, t in tensors.items()}
    return {n: t.detach() for n, t in kept.items()}, facts


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
            tensor.copy_(like(parts["trained"][name], tensor))
    moved = _moved(run)
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts["optimiser"].items():
        place, _, key = name.partition(":")
        known = moved[int(place)]
        state.setdefault(int(place), {})[key] = like(tensor, known) if tensor.shape == known.shape else tensor
    run.optimiser.load_state_dict({"state": state, "param_groups": run.optimiser.state_dict()["param_groups"]})
    run.masks = {n: like(t, run.tensor(n)) for n, t in parts["mask"].items()}
    run.held = {n: like(t, run.tensor(n)) for n, t in parts["held"].items()}
    run.best = {n: like(t, own[n]) for n, t in parts["best"].items()}
    first = next(iter(own.values())).device
    run.memory = {n: like(t, own[n]) if n in own else t.to(first) for n, t in parts["memory"].items()}
    run.average.restore({n: like(t, own[n]) for n, t in parts["average"].items()}, facts)
    run.step, run.losses, run.norm = int(facts["step"]), [float(x) for x in facts["losses"]], float(facts["norm"])
    run.began, run.course = int(facts.get("began", 0)), int(facts.get("course", 0))
    run.held_out = [(int(step), float(loss)) for step, loss in facts["held_out"]]
    if not parts["generator"]:  # as many processes as now did not write it: their draws begin anew
        torch.manual_seed(run.seed + run.ranks.number + AGAIN * run.step)
    for name, tensor in parts["generator"].items():
        torch.set_rng_state(tensor) if name == "cpu" else torch.cuda.set_rng_state(tensor, int(name))


def reference(run: Run, name: str) -> Tensor | None:
    """The tensor of a run that one of its state's, by this name, lies like; None where there is none."""
    kind, _, rest = name.partition(":")
    if kind in ("trained", "average", "best"):
        return run.trained().get(rest)
    if kind == "optimiser":
        place = int(rest.partition(":")[0])
        moved = _moved(run)
        return moved[place] if place < len(moved) else None
    return run.tensor(rest) if kind in ("mask", "held") else None


def _moved(run: Run) -> list[Tensor]:
    """What the optimiser moves, in its order."""
    return [p for group in run.optimiser.param_groups for p in group["params"]]


def _parts(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    kinds = ("trained", "optimiser", "mask", "held", "average", "best", "memory", "generator")
    parts: dict[str, dict[str, Tensor]] = {kind: {} for kind in kinds}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(":")
        parts[kind][rest] = tensor
    return parts


def _devices(run: Run) -> list[int]:
    return sorted({p.device.index for p in run.module.parameters() if p.device.type == "cuda"})
