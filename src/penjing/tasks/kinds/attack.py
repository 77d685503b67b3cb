"""`attack:RECIPE:FILE.jsonl`: accuracy on texts whose words are changed until a classifier errs.

Each line has a "text" and a "label". Recipes: `deepwordbug`, `textbugger-characters`, `misspellings`, and `pwws`, which
needs synonyms.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from penjing.data.labelled import read_labelled
from penjing.data.synonyms import read_synonyms, read_wordnet
from penjing.errors import DataError, MeasureError
from penjing.tasks.attacks import RECIPES, Attacked, recipe, sequence_classifier
from penjing.tasks.attacks.wished import ByWords, TextAttack
from penjing.tasks.kind import Asked, Kind, every_part, named, parted
from penjing.tasks.task import Task

SETTINGS = {
    "synonyms": "a folder of WordNet, or a list of synonyms",
    "words": "one word a class, joined by +, that a language model goes on with",
}


def read(data: str, asked: Asked) -> Sequence[Task]:
    """One task, named like the file and the recipe.

    Raises:
        DataError: the recipe is unknown or lacks synonyms, or the file cannot be read; file and line are named.
    """
    name, colon, rest = data.partition(":")
    if not colon:
        raise DataError(f"found attack:{data}; needed attack:RECIPE:FILE.jsonl with one of {', '.join(RECIPES)}")
    paths, told = parted(rest, SETTINGS, "attack")
    if len(paths) != 1:
        raise DataError(f"attack names {len(paths)} files, {', '.join(paths)}; needed one")
    words = tuple(told.get("words", "").split("+")) if "words" in told else ()
    items = read_labelled(paths[0], classes=len(words) or sys.maxsize)
    if asked.limit is not None and asked.limit < len(items):
        order = torch.randperm(len(items), generator=torch.Generator().manual_seed(asked.seed))
        items = tuple(items[i] for i in order[: asked.limit].sort().values.tolist())
    given = Path(told["synonyms"]) if "synonyms" in told else None
    synonyms = None if given is None else read_wordnet(given) if given.is_dir() else read_synonyms(given)
    try:
        attack = recipe(name, synonyms=synonyms)
    except MeasureError as error:
        raise DataError(f"{error}; write attack:{name}:FILE.jsonl,synonyms=PATH if it needs synonyms") from error
    task = Attacked(items=items, attack=attack, name=f"{named(paths[0])}-{name}", seed=asked.seed)
    made = replace(task, classifier=ByWords(words) if words else sequence_classifier)
    return [TextAttack(task=made, source=paths[0])]


def moved(data: str, at: Callable[[str], str]) -> str:
    """The data with their places changed; the recipe is none."""
    name, colon, rest = data.partition(":")
    return f"{name}:{every_part(rest, at)}" if colon else data


KIND = Kind(read=read, better="higher", settings=SETTINGS, moved=moved)
