"""How far one distribution over classes is from another, given as logits."""

from typing import Any

import torch
from torch import Tensor

AT_ONCE = 1 << 22
"""Logits that are looked at together: with their exponentials they lie in a processor's cache."""


def kl(
    teacher: Tensor, student: Tensor, *, temperature: float = 1.0, reverse: bool = False, counts: Tensor | None = None
) -> Tensor:
    """[]: the Kullback-Leibler divergence of two softmaxes in nats, the mean over positions.

    `teacher` and `student` are logits [... classes]; `counts` [...] bool says which positions count (None: all). The
    divergence is KL(teacher | student), or with `reverse` KL(student | teacher), of logits divided by the
    `temperature`, times its square, so that gradients keep their size. It is summed over classes, in float32.
    Gradients go to the student alone. They are worked out with the value, some positions at a time, so that of the
    vocabulary's size nothing is held but the gradient itself.

    >>> kl(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item()
    0.0

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", arXiv:1503.02531.
    """
    classes = student.shape[-1]
    from_, to = (x.reshape(-1, classes) for x in (teacher.detach(), student))
    if counts is not None:
        from_, to = from_[counts.flatten()], to[counts.flatten()]
    value: Tensor = _Divergence.apply(from_, to, temperature, reverse)  # type: ignore[assignment]
    return value


class _Divergence(torch.autograd.Function):
    """The mean over rows [rows classes], and its gradient for the student's logits."""

    @staticmethod
    def forward(ctx: Any, teacher: Tensor, student: Tensor, temperature: float, reverse: bool) -> Tensor:
        rows, classes = student.shape
        total = torch.zeros((), dtype=torch.float64, device=student.device)
        gradient = torch.empty_like(student) if ctx.needs_input_grad[1] else None
        for start in range(0, rows, max(1, AT_ONCE // classes)):
            part = slice(start, start + max(1, AT_ONCE // classes))
            t, s = (torch.log_softmax(x[part].float() / temperature, dim=-1) for x in (teacher, student))
            if reverse:
                p = s.exp()
                gap = s - t
                each = (p * gap).sum(-1)
                slope = None if gradient is None else p.mul_(gap.sub_(each[:, None]))
            else:
                p = t.exp()
                each = (p * (t - s)).sum(-1)
                slope = None if gradient is None else s.exp_().sub_(p)
            total += each.sum(dtype=torch.float64)
            if gradient is not None and slope is not None:
                gradient[part] = slope.mul_(temperature / rows)
        ctx.save_for_backward(*(() if gradient is None else (gradient,)))
        return (total * (temperature**2 / rows)).float()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (gradient,) = ctx.saved_tensors
        return None, gradient * grads[0].to(gradient.dtype), None, None
