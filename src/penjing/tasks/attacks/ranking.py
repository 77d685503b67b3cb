"""The order in which words are attacked: by how much each holds the label up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from penjing.tasks.attacks.wording import Wording

Support = Callable[[Sequence[str]], Tensor]
"""Texts -> probability of the true label, float64 [texts]."""

Candidates = Callable[[int], Sequence[Wording]]
"""Place -> the texts that its allowed candidates make."""


class Ranking(Protocol):
    """Orders places, the most important first."""

    def order(
        self, wording: Wording, places: Sequence[int], base: float, support: Support, candidates: Candidates
    ) -> list[int]:
        """The places by falling importance, ties in the text's order; `base` is the support of the text itself."""
        ...


@dataclass(frozen=True)
class Deletion:
    """By how much support falls when the word is left out."""

    def order(
        self, wording: Wording, places: Sequence[int], base: float, support: Support, candidates: Candidates
    ) -> list[int]:
        """One query for each place."""
        return _falling(places, base - support([wording.without(i) for i in places]))


@dataclass(frozen=True)
class Unknown:
    """By how much support falls when the word is replaced by an unknown one.

    `token` goes in as text: a tokenizer without such a token cuts it into pieces.
    """

    token: str = "[UNK]"

    def order(
        self, wording: Wording, places: Sequence[int], base: float, support: Support, candidates: Candidates
    ) -> list[int]:
        """One query for each place."""
        return _falling(places, base - support([wording.with_word(i, self.token).text for i in places]))


@dataclass(frozen=True)
class WeightedSaliency:
    """By softmax(fall of support when the word is unknown) times the most that one of its candidates takes away.

    Places without candidates are left out. Source: Ren et al., ACL 2019, equations 6 to 9.
    """

    token: str = "[UNK]"

    def order(
        self, wording: Wording, places: Sequence[int], base: float, support: Support, candidates: Candidates
    ) -> list[int]:
        """One query for each place and one for each candidate."""
        saliency = base - support([wording.with_word(i, self.token).text for i in places])
        made = [candidates(i) for i in places]
        flat = [w.text for each in made for w in each]
        if not flat:
            return []
        falls = (base - support(flat)).split([len(each) for each in made])
        gains = torch.stack([f.max() if len(f) else torch.tensor(float("-inf"), dtype=f.dtype) for f in falls])
        kept = [k for k, each in enumerate(made) if each]
        weighted = (saliency.softmax(0) * gains)[kept]
        return _falling([places[k] for k in kept], weighted)


def _falling(places: Sequence[int], importance: Tensor) -> list[int]:
    order = importance.sort(descending=True, stable=True).indices
    return [places[k] for k in order.tolist()]
