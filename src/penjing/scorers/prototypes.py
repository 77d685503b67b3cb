"""The distance of an example's features from the centre of its cluster; no labels are needed.

Source: Sorscher et al., "Beyond neural scaling laws: beating power law scaling via data pruning", arXiv:2206.14486,
section 5: k-means of self-supervised embeddings, distance to the nearest centre. Deviations: features are brought to
length 1 and distances are 1 - cosine, which the released scores are based on; clusters are as many as classes, or the
root of the number of examples where there are no labels. With `by_class` the centres are those of the classes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from penjing.core import ExampleView
from penjing.errors import RequestError, UnsupportedError
from penjing.maths.clusters import spherical

TRAINS = False


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """`clusters` centres (0: as many as classes), the best of `restarts` beginnings."""

    clusters: int = 0
    restarts: int = 4
    by_class: bool = False

    def __post_init__(self) -> None:
        if self.clusters < 0 or self.restarts < 1:
            raise RequestError(f"found {self.clusters} clusters and {self.restarts} restarts; needed 0 and 1 or more")

    def score(self, seen: ExampleView) -> Tensor:
        """[n], 0 to 2: 1 - the cosine with the example's own centre.

        Raises:
            UnsupportedError: centres of classes were asked for, and there are no labels.
        """
        rows = normalize(seen.features.double(), dim=1)
        if self.by_class:
            if seen.labels is None:
                raise UnsupportedError("centres of classes need labels; leave by_class out")
            centres = torch.stack([rows[seen.labels == c].sum(0) for c in range(seen.classes)])
            own = normalize(centres, dim=1)[seen.labels]
            return 1 - (rows * own).sum(1)
        count = self.clusters or seen.classes or round(len(rows) ** 0.5)
        found = spherical(rows, min(count, len(rows)), restarts=self.restarts, seed=seen.seed)
        return 1 - (rows * found.centres[found.member]).sum(1)
