"""What cutting widths would do to the time, before anything is cut."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from penjing.core import Layout
from penjing.profiling.roofline.predicting import Job, Prediction, predict
from penjing.profiling.roofline.profile import Profile
from penjing.profiling.roofline.shape import describe


@dataclass(frozen=True, kw_only=True)
class WhatIf:
    """Predictions before and after; `slower` names the cut tensors that are predicted to take no less than before."""

    before: Prediction
    after: Prediction
    slower: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """Seconds after over seconds before: below 1 is faster."""
        return self.after.seconds / self.before.seconds

    @property
    def warnings(self) -> tuple[str, ...]:
        """What speaks against these sizes, for people."""
        out = []
        if self.ratio >= 1:
            out.append(f"the smaller shape is predicted to be no faster ({self.ratio:.2f} of the time)")
        first = next(iter(self.slower), None)
        if first is not None:
            more = f" and {len(self.slower) - 1} more" if len(self.slower) > 1 else ""
            out.append(f"{first}{more} would be smaller and not faster; round the width to a multiple of 16")
        return tuple(out)


def what_if(
    profile: Profile,
    layout: Layout,
    sizes: Mapping[str, int],
    job: Job,
    *,
    dtypes: Mapping[str, torch.dtype] | None = None,
    itemsize: int = 4,
    cache_bytes: tuple[float, float] = (0.0, 0.0),
) -> WhatIf:
    """The predicted times of a model as it is and with other axis `sizes`.

    `cache_bytes` are those that a token adds to the cache, before and after.
    """
    dense = describe(layout, dtypes=dtypes, itemsize=itemsize, cache_bytes=cache_bytes[0])
    small = describe(layout, dtypes=dtypes, itemsize=itemsize, cache_bytes=cache_bytes[1], sizes=sizes)
    before, after = predict(profile, dense, job), predict(profile, small, job)
    bytes_of = {p.tensor: p.bytes for p in dense.products}
    cut = [p.tensor for p in small.products if p.bytes < bytes_of[p.tensor]]
    slower = tuple(t for t in cut if t in after.tensors and after.tensors[t] >= before.tensors[t])
    return WhatIf(before=before, after=after, slower=slower)
