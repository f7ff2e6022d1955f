"""A causal low-pass filter of sequences (BSARec: Shin et al., 2024, arXiv:2312.10325).

At the last place, the lowest frequencies of the discrete Fourier transform are a weighted sum over distances d. Its
weights are ``(1 + 2 Σ_k cos(2πkd / history)) / history``. Applied at every place to its own past, the sum is causal
and independent of the length of a history. The exported graph needs no transform.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_FREQUENCIES = 2


class LowPass(nn.Module):
    """The slow part, plus the fast part with a learnt weight for each component."""

    def __init__(self, history: int, width: int) -> None:
        super().__init__()
        self.root_of_fast = nn.Parameter(torch.randn(width))
        self.weight_of_distance: Tensor
        self.register_buffer("weight_of_distance", torch.from_numpy(_weights(history)))

    def forward(self, x_BLD: Tensor, mask_BL: Tensor, back_QL: Tensor) -> Tensor:
        """``[B, Q, D]`` for the last Q places; ``back_QL`` is the distance from each of them back to each of L."""
        weight_QL = torch.where(back_QL >= 0, self.weight_of_distance[back_QL.clamp(min=0)], 0.0)
        real_BLD = torch.where(mask_BL[..., None] > 0, x_BLD, 0.0)
        slow_BQD = weight_QL @ real_BLD
        fast_BQD = x_BLD[:, -back_QL.shape[0] :] - slow_BQD
        return slow_BQD + self.root_of_fast.square() * fast_BQD


def _weights(history: int) -> NDArray[np.float32]:
    phase = 2 * np.pi * np.arange(history) / history
    waves = sum(np.cos(frequency * phase) for frequency in range(1, _FREQUENCIES + 1))
    return np.asarray((1 + 2 * waves) / history, dtype=np.float32)
