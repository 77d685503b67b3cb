"""How far one distribution over classes is from another, given as logits."""

import torch
from torch import Tensor


def kl(
    teacher: Tensor, student: Tensor, *, temperature: float = 1.0, reverse: bool = False, counts: Tensor | None = None
) -> Tensor:
    """[]: the Kullback-Leibler divergence of two softmaxes in nats, the mean over positions.

    `teacher` and `student` are logits [... classes]; `counts` [...] bool says which positions count (None: all). The
    divergence is KL(teacher | student), or with `reverse` KL(student | teacher), of logits divided by the
    `temperature`, times its square, so that gradients keep their size. It is summed over classes, in float32.

    >>> kl(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item()
    0.0

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", arXiv:1503.02531.
    """
    from_, to = (torch.log_softmax(x.float() / temperature, dim=-1) for x in (teacher, student))
    if reverse:
        from_, to = to, from_
    each = (from_.exp() * (from_ - to)).sum(-1) * temperature**2
    return each.mean() if counts is None else each[counts].mean()
