"""The optimiser of encoders: AdamW, with a row-wise Adam for item tables of which a step reads only some rows."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainer.models.encoders import Encoder, SequenceEncoder
from trainer.recipe.models import GradientConfig

_WARMUP_STEPS = 20
_MAX_NORM = 1.0


class EncoderOptimiser:
    """Its learning rate follows :func:`schedule`.

    With ``sampled``, the gradients of the encoder's item tables are sparse, and the cost of a step does not grow with
    the catalogue. Rows that a step did not read keep their values (``torch.optim.SparseAdam``, without weight decay).
    """

    def __init__(self, encoder: Encoder, config: GradientConfig, steps: int, *, sampled: bool) -> None:
        self._parameters = list(encoder.parameters())
        tables = encoder.item_tables() if sampled and isinstance(encoder, SequenceEncoder) else []
        others = [one for one in self._parameters if not any(one is table for table in tables)]
        self._optimisers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(others, lr=config.learning_rate, weight_decay=config.weight_decay)
        ]
        if tables:
            self._optimisers.append(torch.optim.SparseAdam(tables, lr=config.learning_rate))
        self._schedules = [schedule(one, warm_up=_WARMUP_STEPS, steps=steps) for one in self._optimisers]

    def step(self, loss: Tensor) -> None:
        """One step down the gradient of the loss."""
        for optimiser in self._optimisers:
            optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        clip(self._parameters)
        for optimiser in self._optimisers:
            optimiser.step()
        for one in self._schedules:
            one.step()


def schedule(optimiser: torch.optim.Optimizer, warm_up: int, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """The rate rises linearly over ``warm_up`` steps and falls along a cosine to zero at the last of ``steps``
    (Loshchilov and Hutter, 2017, arXiv:1608.03983).
    """

    def rate(step: int) -> float:
        return min(1.0, (step + 1) / warm_up) * 0.5 * (1.0 + math.cos(math.pi * min(step, steps) / steps))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, rate)


def clip(parameters: Sequence[nn.Parameter]) -> None:
    """Clips the joint norm of the gradients to one, like ``clip_grad_norm_``, which takes no sparse gradients."""
    gradients = [_values(one) for one in parameters if one.grad is not None]
    scale = torch.clamp(_MAX_NORM / (nn.utils.get_total_norm(gradients) + 1e-6), max=1.0)
    for gradient in gradients:
        gradient.mul_(scale)


def _values(parameter: nn.Parameter) -> Tensor:
    """The parameter's gradient; of a sparse gradient the stored values."""
    assert parameter.grad is not None
    if not parameter.grad.is_sparse:
        return parameter.grad
    parameter.grad = parameter.grad.coalesce()
    return parameter.grad.values()
