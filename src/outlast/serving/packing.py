"""Rows of several tensors as bytes side by side, and back: what is kept of many streams, one blob a stream."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from outlast.errors import InputError


def pack(tensors: Sequence[Tensor]) -> np.ndarray:
    """Tensors (N, …) as (N, bytes) uint8."""
    rows = len(tensors[0])
    flat = [each.detach().cpu().reshape(rows, -1).contiguous().view(torch.uint8).numpy() for each in tensors]
    return np.concatenate(flat, 1)


def widths_of(tensors: Sequence[Tensor]) -> list[int]:
    """Bytes that one row of each takes."""
    return [math.prod(each.shape[1:]) * each.element_size() for each in tensors]


def unpack(packed: np.ndarray, like: Sequence[Tensor]) -> list[Tensor]:
    """The tensors that `pack` packed.

    Args:
        like: tensors of the same kinds and of any number of rows.

    Raises:
        InputError: another number of bytes than these take.
    """
    widths = widths_of(like)
    if packed.shape[1] != sum(widths):
        raise InputError(
            f"{packed.shape[1]:,} bytes of a stream", f"{sum(widths):,}, as this model's states take", "start anew"
        )
    found, begin = [], 0
    for each, width in zip(like, widths, strict=True):
        part = torch.from_numpy(packed[:, begin : begin + width].copy()).view(each.dtype)
        found.append(part.reshape(len(packed), *each.shape[1:]))
        begin += width
    return found
