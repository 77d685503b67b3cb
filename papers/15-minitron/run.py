"""Minitron's checks at the size of a laptop (arXiv:2407.14679): a language model of letters, cut to half and healed.

`python -m papers.15-minitron.run OUT` prints the figures; `--write` keeps them in expected.json. The teacher and what
was measured so far lie in OUT, and are not made again.
"""

import copy
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from papers.assets.smollm2 import round_
from papers.assets.texts import novels
from papers.expected import record
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

import penjing
from penjing import layouts
from penjing.core import Budget
from penjing.healers import HEALERS
from penjing.io import open_checkpoint
from penjing.maths.kendall import kendall
from penjing.train import Pair, Run, Settings, heal

WIDE, LAYERS, HEADS, NEURONS = 192, 6, 6, 512
BATCH, LENGTH = 8, 128
TEACHER_STEPS, STEPS, LONG = 1200, 160, 160
RATE = 1e-3
SEEDS = (0, 1, 2)
SHAPES = (
    "neurons:256,heads:3,blocks:6", "neurons:512,heads:6,blocks:3", "neurons:384,heads:4,blocks:4",
    "neurons:336,heads:6,blocks:4", "neurons:320,heads:3,blocks:5", "neurons:288,heads:4,blocks:5",
    "neurons:288,heads:2,blocks:6", "neurons:224,heads:4,blocks:6",
)  # fmt: skip
"""Shapes of half of the blocks' parameters, within 5 %."""
WIDTH, DEPTH = SHAPES[:2]


def letters() -> tuple[Tensor, list[dict[str, Tensor]], list[dict[str, Tensor]]]:
    """(bytes to train on, batches to calibrate on, batches held out): the last novel is held out."""
    *read, last = novels()
    ids = torch.tensor(list("\n".join(read).encode("latin1", "replace")))
    held = torch.tensor(list(last.encode("latin1", "replace")))[: 32 * LENGTH * 4 : 1].view(-1, LENGTH)
    return ids, drawn(ids, 8, seed=99), [{"input_ids": rows} for rows in held.split(32)]


def drawn(ids: Tensor, count: int, *, seed: int) -> list[dict[str, Tensor]]:
    """So many batches of windows from anywhere in the text."""
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(len(ids) - LENGTH, (count, BATCH), generator=generator)
    return [{"input_ids": torch.stack([ids[s : s + LENGTH] for s in row])} for row in starts.tolist()]


def model(seed: int, **shape: Any) -> nn.Module:
    """A new language model of bytes."""
    torch.manual_seed(seed)
    sizes = {"num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": NEURONS, **shape}
    config = LlamaConfig(
        vocab_size=256, hidden_size=WIDE, head_dim=WIDE // HEADS, max_position_embeddings=LENGTH,
        tie_word_embeddings=False, **{"num_key_value_heads": sizes["num_attention_heads"], **sizes},
    )  # fmt: skip
    return LlamaForCausalLM(config)


def trained(
    module: nn.Module, by: str, batches: Sequence[Any], *, teacher: nn.Module | None = None, seed: int = 0,
    held_out: Sequence[Any] = (), **how: Any,
) -> Run:  # fmt: skip
    """The module trained in place on the batches, each once, by a healer of penjing's."""
    run = Run(
        module=module.train(), model=open_checkpoint(module), layout=layouts.from_module(module.eval(), batches[0]),
        budget=Budget(keep=1.0), steps=len(batches), learning_rate=RATE, seed=seed, how=Settings(**how),
    )  # fmt: skip
    module.train()
    pair = Pair(blocks=_blocks(module), teacher=teacher, teacher_blocks=() if teacher is None else _blocks(teacher))
    heal(HEALERS.build(by), run, batches, pair=pair, held_out=held_out)
    module.eval()
    return run


def _blocks(module: nn.Module) -> tuple[str, ...]:
    return tuple(f"model.layers.{i}" for i in range(len(module.get_submodule("model.layers")._modules)))


@torch.no_grad()
def loss(module: nn.Module, held: Sequence[dict[str, Tensor]]) -> float:
    """Nats per byte on what is held out."""
    module.eval()
    each = [float(module(**batch, labels=batch["input_ids"]).loss) for batch in held]
    return sum(each) / len(each)


def cut(teacher: nn.Module, batches: Sequence[Any], method: str = "minitron", **settings: Any) -> nn.Module:
    """The teacher, cut by a method of penjing's."""
    options: dict[str, Any] = {"method": method, "settings": settings, "keep": settings.pop("keep", 0.5)}
    choice = penjing.Choice(allow_sensitive="residual*" in settings.values())
    data = penjing.Data(batches=list(batches))
    done = penjing.shrink(copy.deepcopy(teacher), data=data, choice=choice, measure=False, **options)
    assert done.module is not None  # noqa: S101 - a module was given
    return done.module


def over(values: Sequence[float]) -> dict[str, float]:
    """Mean and the standard deviation over seeds."""
    found = torch.tensor(values, dtype=torch.float64)
    return {"mean": round_(found.mean()), "deviation": round_(found.std()) if len(values) > 1 else 0.0}


def once(out: Path, name: str, make: Callable[[], Any]) -> Any:
    """What was made under this name, or is made now and kept."""
    path = out / f"{name.translate(str.maketrans(' ,:', '---'))}.json"
    if not path.is_file():
        found = make()
        path.write_text(json.dumps(found), encoding="utf-8")
        print(name, found, file=sys.stderr, flush=True)
    return json.loads(path.read_text(encoding="utf-8"))


def taught(out: Path, ids: Tensor) -> nn.Module:
    """The teacher: trained on the text, once."""
    teacher, path = model(0), out / "teacher.safetensors"
    if not path.is_file():
        trained(teacher, "sft", drawn(ids, TEACHER_STEPS, seed=1), schedule="cosine")
        save_file(teacher.state_dict(), path)
    teacher.load_state_dict(load_file(path))
    return teacher.eval()


def measured(place: Path) -> dict[str, Any]:
    """All five checks."""
    place.mkdir(parents=True, exist_ok=True)
    ids, calibration, held = letters()
    teacher = taught(place, ids)
    steps = {"teacher": TEACHER_STEPS, "healing": STEPS}
    out: dict[str, Any] = {"teacher": round_(loss(teacher, held)), "steps": steps}
    whole, small = (sum(p.numel() for p in m.parameters()) for m in (teacher, cut(teacher, calibration, shape=WIDTH)))
    out["parameters"] = {"teacher": whole, "student": small}
    out["1, 2: ways"] = ways(place, teacher, ids, calibration, held)
    out["3: shapes"] = ranks(place, teacher, ids, calibration, held)
    out["4: neurons"] = rankings(teacher, calibration, held, axes="neurons.*", keep=0.5)
    out["5: channels"] = rankings(teacher, calibration, held, axes="residual*", keep=0.75)
    out["readings"] = readings(out)
    return out


def ways(out: Path, teacher: nn.Module, ids: Tensor, calibration: Sequence[Any], held: Sequence[Any]) -> dict[str, Any]:
    """Checks 1 and 2: half by width or by depth, healed by three losses or trained from new, on the same batches."""
    arms = {
        "width, logits": (WIDTH, "logits"), "width, sft": (WIDTH, "sft"), "depth, logits": (DEPTH, "logits"),
        "depth, minitron": (DEPTH, "minitron"), "new": ("", "sft"),
    }  # fmt: skip
    found: dict[str, list[float]] = {name: [] for name in arms}
    first = {name: loss(cut(teacher, calibration, shape=shape), held) for name, (shape, _) in arms.items() if shape}
    for seed in SEEDS:
        batches = drawn(ids, STEPS, seed=10 + seed)
        for name, (shape, by) in arms.items():

            def healed(shape: str = shape, by: str = by, seed: int = seed, batches: Any = batches) -> float:
                new = model(100 + seed, num_attention_heads=3, intermediate_size=256)
                student = cut(teacher, calibration, shape=shape) if shape else new
                trained(student, by, batches, teacher=teacher if by != "sft" else None, seed=seed, average=0.2)
                return loss(student, held)

            found[name].append(once(out, f"{name} {seed}", healed))
    return {n: over(v) | ({"cut": round_(first[n])} if n in first else {}) | {"each": v} for n, v in found.items()}


def ranks(
    out: Path, teacher: nn.Module, ids: Tensor, calibration: Sequence[Any], held: Sequence[Any]
) -> dict[str, Any]:
    """Check 3: the divergence of eight shapes while they are healed, and how their order at each look agrees."""
    courses: dict[str, dict[str, list[float]]] = {}
    for seed in SEEDS[:2]:
        batches = drawn(ids, LONG, seed=50 + seed)
        for shape in SHAPES:

            def course(shape: str = shape, seed: int = seed, batches: Any = batches) -> list[float]:
                student = cut(teacher, calibration, shape=shape)
                before = _divergence(student, teacher, held)
                run = trained(student, "logits", batches, teacher=teacher, seed=seed, held_out=held, last=0.0)
                return [before, *(value for _, value in run.held_out)]

            courses.setdefault(f"seed {seed}", {})[shape] = once(out, f"{shape} {seed}", course)
    rounded = {k: {s: [round_(x) for x in c] for s, c in v.items()} for k, v in courses.items()}
    told: dict[str, Any] = {"divergence": rounded}
    tables = [torch.tensor(list(v.values()), dtype=torch.float64) for v in courses.values()]
    middle, last = tables[0].shape[1] // 2, tables[0].shape[1] - 1
    for name, (a, b) in {"cut to half": (0, middle), "cut to end": (0, last), "half to end": (middle, last)}.items():
        told[name] = [round_(kendall(t[:, a], t[:, b])[0]) for t in tables]
    told["between seeds, at the end"] = round_(kendall(tables[0][:, last], tables[1][:, last])[0])
    return told


@torch.no_grad()
def _divergence(student: nn.Module, teacher: nn.Module, held: Sequence[Any]) -> float:
    student.eval()
    each = []
    for batch in held:
        own, other = (torch.log_softmax(m(**batch).logits, -1) for m in (student, teacher))
        each.append(float((other.exp() * (other - own)).sum(-1).mean()))
    return sum(each) / len(each)


def rankings(teacher: nn.Module, calibration: Sequence[Any], held: Sequence[Any], **settings: Any) -> dict[str, Any]:
    """Checks 4 and 5: perplexity right after the cut, by the paper's ranking and by random ones."""
    ranked = loss(cut(teacher, calibration, **settings), held)
    chance = [loss(cut(teacher, calibration, "random", seed=s, **settings), held) for s in range(5)]
    times = [float(torch.tensor(c - ranked).exp()) for c in chance]
    return {"ranked": round_(ranked), "random": over(chance), "times": over(times), "least": round_(min(times))}


def readings(found: dict[str, Any]) -> dict[str, bool]:
    """What the five checks ask for."""
    arms = {name: told["mean"] for name, told in found["1, 2: ways"].items()}
    shapes = found["3: shapes"]
    return {
        "1 divergence no worse than the text's own loss": arms["width, logits"] <= arms["width, sft"],
        "1 both better than a new model by 0.1": max(arms["width, logits"], arms["width, sft"]) <= arms["new"] - 0.1,
        "2 width no worse than depth": arms["width, logits"] <= min(arms["depth, logits"], arms["depth, minitron"]),
        "3 the order moves from the cut on": max(shapes["cut to half"]) < 0.8,
        "3 it moves less later": min(shapes["half to end"]) > max(shapes["cut to half"]),
        "4 neurons 1.2 times better than chance": found["4: neurons"]["least"] >= 1.2,
        "5 channels better than chance": found["5: channels"]["least"] > 1.0,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    results = measured(Path(sys.argv[1]))
    print(json.dumps(results, indent=1))
    record(__file__, results, write="--write" in sys.argv)
