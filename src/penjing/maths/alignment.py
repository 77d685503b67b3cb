"""Which block of a shallower model stands for which of a deeper one, and how far their outputs are apart."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from penjing.errors import UnsupportedError


def evenly(few: int, many: int) -> tuple[tuple[int, int], ...]:
    """Pairs (block of a student that has `few`, block of a teacher), spread evenly, the last with the last.

    >>> evenly(2, 4), evenly(3, 3)
    (((0, 1), (1, 3)), ((0, 0), (1, 1), (2, 2)))

    Raises:
        UnsupportedError: a model has no blocks.
    """
    if not few or not many:
        raise UnsupportedError(f"found {few} blocks in the student and {many} in the teacher; heal by logits")
    return tuple((i, max(0, round((i + 1) * many / few) - 1)) for i in range(few))


def state_error(student: Tensor, teacher: Tensor, counts: Tensor | None = None, *, normalise: bool = True) -> Tensor:
    """[]: the mean squared difference of states [... width] over positions and width, in float32.

    `counts` [...] bool says which positions count (None: all). With `normalise` each state is brought to mean 0 and
    variance 1 over its width first, so that a few large channels do not decide.
    """
    one, other = student.float(), teacher.float()
    if normalise:
        one, other = (F.layer_norm(x, x.shape[-1:]) for x in (one, other))
    each = (one - other).square().mean(-1)
    return each.mean() if counts is None else each[counts].mean()


def relative_error(student: Tensor, teacher: Tensor, counts: Tensor | None = None) -> Tensor:
    """[]: the squared distance of states [... width] over the teacher's squared length, the mean over positions.

    Each position counts alike, however long its state is: a few positions of transformers have states that are a
    hundred times as long as the others'. `counts` [...] bool says which positions count (None: all). In float32.

    >>> relative_error(torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0]])).item()
    0.25
    """
    one, other = student.float(), teacher.float()
    smallest = torch.finfo(torch.float32).tiny
    each = (one - other).square().sum(-1) / other.square().sum(-1).clamp_min(smallest)
    return each.mean() if counts is None else each[counts].mean()


def projection(of: int, to: int) -> nn.Linear:
    """A linear map from one width to another, to be learned: at first the identity, as far as it fits."""
    made = nn.Linear(of, to, bias=False)
    with torch.no_grad():
        made.weight.copy_(torch.eye(to, of))
    return made
