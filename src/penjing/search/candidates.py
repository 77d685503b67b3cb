"""Sets of calibration data to choose among, and examples to judge them on that are in none of them.

A candidate of text or images is what `plan` draws with the same files and seed, so that the chosen one is had again by
its seed. What is held out is drawn, with a seed of its own, from what no candidate took.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from penjing.calibrate.batches import examples as count_of
from penjing.calibrate.batches import some
from penjing.core.progress import Progress
from penjing.data import read_texts, shipped, token_rows
from penjing.data.datasets import NAMED, named_texts
from penjing.data.text import require_disjoint, shared_passage
from penjing.data.tokens import windows
from penjing.errors import DataError
from penjing.planning.batches import batches_digest
from penjing.planning.examples import IMAGES, TOKEN_ROWS
from penjing.planning.order import Order
from penjing.running.source import Source, as_folder
from penjing.running.stock import tokenizer
from penjing.search.split import Split, split

DRAWS, HELD_OUT = 10, 64
HELD_SEED = 42
"""What is held out is drawn with it; the paper's own."""
_HELD_TOKENS = 2048
"""Held-out tokens that go through the model together: their logits lie in memory three times."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is searched: `candidates` draws (None: 10) of all files, or, with `each`, of each file (None: 1).

    `held_out` rows or images are judged on, of `held_out_texts` if there are any. Of batches of one's own every fourth
    example is held out, and with `each` every batch is a candidate.
    """

    candidates: int | None = None
    each: bool = False
    held_out: int = HELD_OUT
    held_out_texts: tuple[Path, ...] = ()

    @property
    def draws(self) -> int:
        """How often each group of files is drawn from."""
        return self.candidates if self.candidates is not None else 1 if self.each else DRAWS


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """One set of calibration data, as an order for its plan.

    `files` are what it was drawn from, by the order's seed; `ids` [rows length] its tokens and `texts` what they say,
    for text; `places` its examples among those that are not held out, for batches of one's own.
    """

    name: str
    order: Order
    files: tuple[Path, ...] = ()
    ids: Tensor | None = None
    texts: tuple[str, ...] = ()
    places: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """The candidates, what is held out, and for text the tokenizer."""

    candidates: tuple[Candidate, ...]
    parted: Split
    reader: Callable[..., Any] | None = None


def draw(source: Source, order: Order, search: Search, *, cache: Path, progress: Progress) -> Drawn:
    """Candidates of an order's data, and held-out examples that are in none of them.

    Raises:
        DataError: there are fewer than two candidates, too little data, or held-out text that is also calibrated on.
    """
    if search.held_out < 2:
        raise DataError(f"found {search.held_out} rows to hold out, needed 2 or more for an interval; ask for more")
    if order.batches is not None:
        found = _of_own(source, order, search, cache, progress)
    elif order.images and source.config:
        found = _of_images(source, order, search, cache, progress)
    elif "vocab_size" in source.config:
        found = _of_text(source, order, search, cache, progress)
    else:
        raise DataError(
            f"{source.name} does not take text, and no other data was given; pass images=[...], or data=[...] with "
            "batches as the module takes them"
        )
    if len(found.candidates) < 2:
        raise DataError(
            f"found {len(found.candidates)} candidate(s), needed 2 or more to choose among; ask for more draws "
            "(candidates), or name more files"
        )
    return found


def _groups(files: Sequence[Path], search: Search) -> list[tuple[str, tuple[Path, ...]]]:
    """(name, files) of each group that is drawn from: all files, or one group for each."""
    if not search.each:
        return [("", tuple(files))]
    short = [f.name for f in files]
    return [(f.name if short.count(f.name) == 1 else str(f), (f,)) for f in dict.fromkeys(files)]


def _seeds(order: Order, search: Search, group: str) -> list[tuple[str, int]]:
    """(name, seed) of each draw from a group."""
    if search.draws < 1:
        raise DataError(f"found {search.draws} candidates, needed 2 or more to choose among; ask for more draws")
    seeds = [order.seed + i for i in range(search.draws)]
    if group and search.draws == 1:
        return [(group, order.seed)]
    return [(f"{group}, seed {s}" if group else f"seed {s}", s) for s in seeds]


def _shares(total: int, parts: int) -> list[int]:
    return [total // parts + (i < total % parts) for i in range(parts)]


def _of_text(source: Source, order: Order, search: Search, cache: Path, progress: Progress) -> Drawn:
    reader = tokenizer(as_folder(source, cache, progress))
    progress("reading calibration text", 0, 0)
    files = order.texts or (() if search.each else tuple(shipped("calibration")))
    pools: list[Tensor] = []
    candidates: list[Candidate] = []
    for group, named in _groups(files, search):
        pool = token_rows(reader, _texts(named, order), length=order.length)
        _check_pool(pool, order, search, group)
        pools.append(pool)
        for name, seed in _seeds(order, search, group):
            ids = windows(pool.flatten(), order.length, order.rows, seed=seed)
            own = replace(order, texts=named, seed=seed, batches=list(ids.split(order.batch or TOKEN_ROWS)))
            candidates.append(Candidate(name=name, order=own, files=named, ids=ids, texts=_said(reader, ids)))
    if search.held_out_texts:
        given = read_texts(search.held_out_texts)
        require_disjoint(_texts(files, order), given)
        pools = [token_rows(reader, given, length=order.length)]
    rows = _held(reader, pools, candidates, order, search)
    batches = list(rows.split(max(1, _HELD_TOKENS // order.length)))
    told = {
        "rows": len(rows), "length": order.length, "seed": HELD_SEED, "sha256": batches_digest(batches),
        "files": [p.name for p in search.held_out_texts],
    }  # fmt: skip
    return Drawn(
        candidates=tuple(candidates), reader=reader,
        parted=Split(order=order, batches=batches, told=told, objective="divergence"),
    )  # fmt: skip


def _texts(named: Sequence[Path], order: Order) -> list[str]:
    """What a plan with these files reads."""
    files = [p for p in named if not str(p).startswith(NAMED)]
    texts = read_texts(files) if files else []
    for name in (str(p) for p in named if str(p).startswith(NAMED)):
        texts += named_texts(name, order.rows * order.length * 8)
    return texts


def _said(reader: Any, ids: Tensor) -> tuple[str, ...]:
    return tuple(reader.decode(row, clean_up_tokenization_spaces=False) for row in ids.tolist())


def _check_pool(pool: Tensor, order: Order, search: Search, group: str) -> None:
    of = f"'{group}'" if group else "the text"
    least = order.rows + (search.draws > 1)
    if len(pool) < least:
        why = f"to draw {order.rows} in {search.draws} ways" if search.draws > 1 else "for its candidate"
        raise DataError(
            f"found {len(pool)} rows of {order.length} tokens in {of}, needed {least} or more {why}; give more text, "
            "or ask for shorter or fewer rows"
        )


def _held(
    reader: Any, pools: Sequence[Tensor], candidates: Sequence[Candidate], order: Order, search: Search
) -> Tensor:
    """[held_out length]: as many rows of each pool; none is a candidate's, or says 100 characters that one says."""
    taken = {tuple(r) for c in candidates if c.ids is not None for r in c.ids.tolist()}
    said = list(dict.fromkeys(t for c in candidates for t in c.texts))
    rows: list[list[int]] = []
    for pool, share in zip(pools, _shares(search.held_out, len(pools)), strict=True):
        generator = torch.Generator().manual_seed(HELD_SEED)
        found = 0
        for row in pool[torch.randperm(len(pool), generator=generator)].tolist():
            if found == share:
                break
            if tuple(row) not in taken and not shared_passage(said, [reader.decode(row)]):
                taken.add(tuple(row))
                rows.append(row)
                found += 1
        if found < share:
            raise _too_little(found, share, pool, order, search)
    return torch.tensor(rows)


def _too_little(found: int, share: int, pool: Tensor, order: Order, search: Search) -> DataError:
    if search.held_out_texts:
        needed, drawn = share, "the held-out text"
    else:
        needed, drawn = search.draws * order.rows + share, f"{search.draws} x {order.rows} of which are calibrated on"
    return DataError(
        f"found {len(pool)} rows of {order.length} tokens, {drawn}; that leaves {found} to hold out and {share} are "
        f"needed, for which {needed} rows ({needed * order.length:,} tokens) are always enough; give more text, a text "
        "to hold out of its own, or ask for fewer candidates or for fewer or shorter rows"
    )


def _of_images(source: Source, order: Order, search: Search, cache: Path, progress: Progress) -> Drawn:
    from penjing.data.images import read_images
    from penjing.tasks.images.preparation import preparation
    from penjing.tasks.task import Examined

    progress("reading calibration images", 0, 0)
    folder = as_folder(source, cache, progress)
    prepare = preparation(Examined(name=source.name, module=None, folder=folder), None)
    size = max(prepare.resize) if isinstance(prepare.resize, tuple) else prepare.resize
    sets = {p: read_images(p, labels=order.labels, size=size if p.is_dir() else None) for p in order.images}
    taken: dict[Path, set[str]] = {p: set() for p in sets}
    candidates = []
    for group, named in _groups(order.images, search):
        for name, seed in _seeds(order, search, group):
            for path, share in zip(named, _shares(order.rows, len(named)), strict=True):
                taken[path] |= set(sets[path].take(share, seed=seed).ids) if share else set()
            own = replace(order, images=named, seed=seed)
            candidates.append(Candidate(name=name, order=own, files=named))
    batches = []
    for (path, held), share in zip(sets.items(), _shares(search.held_out, len(sets)), strict=True):
        places = torch.randperm(len(held), generator=torch.Generator().manual_seed(HELD_SEED)).tolist()
        free = [p for p in places if held.ids[p] not in taken[path]][:share]
        if len(free) < share:
            raise DataError(
                f"found {len(held)} images in {path}, of which the candidates take {len(taken[path])}; that leaves "
                f"{len(free)} to hold out and {share} are needed; give more images, or ask for fewer candidates or rows"
            )
        for part in torch.tensor(free, dtype=torch.long).split(order.batch or IMAGES):
            batches.append((prepare(held.pixels[part]), held.labels[part]))
    told = {"examples": sum(map(count_of, batches)), "seed": HELD_SEED, "sha256": batches_digest(batches)}
    parted = Split(order=order, batches=batches, told=told, objective="divergence")
    return Drawn(candidates=tuple(candidates), parted=parted)


def _of_own(source: Source, order: Order, search: Search, cache: Path, progress: Progress) -> Drawn:
    given = order.batches
    listed = list(given() if callable(given) else given or ())
    parted = split(source, replace(order, batches=listed), search.held_out, cache=cache, progress=progress)
    parted = replace(parted, objective="divergence")
    kept = list(parted.order.batches or ()) if not callable(parted.order.batches) else []
    counts = [count_of(b) for b in kept]
    starts = [sum(counts[:i]) for i in range(len(counts))]
    if search.each:
        spans = zip(starts, counts, strict=True)
        chosen = {f"batch {i}": (order.seed, range(s, s + n)) for i, (s, n) in enumerate(spans)}
    else:
        if sum(counts) <= order.rows:
            raise DataError(
                f"found {sum(counts)} examples beside those held out, and each candidate takes {order.rows} of them; "
                f"needed {order.rows + 1} or more for candidates that differ; give more, or ask for fewer rows"
            )
        chosen = {n: (s, _drawn(sum(counts), order.rows, s)) for n, s in _seeds(order, search, "")}
    candidates = []
    for name, (seed, places) in chosen.items():
        batches = [
            some(b, inside)
            for b, s, n in zip(kept, starts, counts, strict=True)
            if (inside := [p - s for p in places if s <= p < s + n])
        ]
        own = replace(order, batches=batches, seed=seed)
        candidates.append(Candidate(name=name, order=own, places=tuple(places)))
    return Drawn(candidates=tuple(candidates), parted=parted)


def _drawn(examples: int, count: int, seed: int) -> list[int]:
    return sorted(torch.randperm(examples, generator=torch.Generator().manual_seed(seed))[:count].tolist())
