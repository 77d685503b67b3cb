"""A bag of words as a classifier, and synonyms for its words."""

from types import MappingProxyType

import torch

from penjing.data.labelled import LabelledText
from penjing.data.synonyms import Synonyms
from penjing.tasks.attacks.wording import split

WEIGHTS = {"good": 2.0, "fine": 1.0, "nice": 1.5, "bad": -2.0, "poor": -1.5, "film": 0.1, "decent": 0.2, "movie": -0.3}
SYNONYMS = Synonyms(
    MappingProxyType({
        "": MappingProxyType({
            "good": ("decent", "fine"), "nice": ("decent",), "film": ("movie", "picture"), "bad": ("poor", "naughty"),
            "poor": ("needy",),
        })
    }),
    "toy",
)  # fmt: skip
ITEMS = tuple(
    LabelledText(id=str(i), text=text, label=label)
    for i, (text, label) in enumerate([
        ("A good film.", 1),
        ("The film was bad, really bad!", 0),
        ("nice and good and fine", 1),
        ("A poor movie about nothing", 0),
        ("good bad ugly", 0),
        ("is it", 1),
        ("", 1),
    ])
)  # fmt: skip


def classify(texts):
    """[texts 2]: sigmoid of the summed weights, with a leaning of 0.05 to the first class."""
    sums = torch.tensor([sum(WEIGHTS.get(w.lower(), 0.0) for w in split(t).words) - 0.05 for t in texts])
    up = sums.double().sigmoid()
    return torch.stack([1 - up, up], 1)
