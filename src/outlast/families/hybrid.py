"""Hybrids: layers of another family with sliding-window attention between them (De et al. 2024, "Griffin"; Ren et al.
2024, "Samba")."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from outlast.errors import InputError, unknown_name
from outlast.families.attention import SlidingAttention
from outlast.families.recurrent import RECURRENT
from outlast.families.shell import Mixer, Settings, require


@dataclass(frozen=True, kw_only=True)
class HybridSettings(Settings):
    """Settings of a hybrid.

    Args:
        recurrent: the family of the recurrent layers.
        recurrent_settings: its settings, but for those that every family has.
        attention_every: of so many layers the last one attends.
        attention_heads: heads of those layers.
        window: W, positions that they see, the present one included.
    """

    recurrent: str = "gla"
    recurrent_settings: dict[str, Any] = field(default_factory=dict)
    attention_every: int = 2
    attention_heads: int = 2
    window: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.residual, self, "residual = true: attention cannot stand alone")
        require(2 <= self.attention_every <= self.layers, self, "attention_every from 2 to the number of layers")
        require(
            self.attention_heads >= 1 and self.width % (2 * self.attention_heads) == 0,
            self,
            "attention_heads that divide the width into even parts",
        )
        require(self.window >= 2, self, "a window of at least 2")
        self.of_recurrent()

    def of_recurrent(self) -> Settings:
        """The settings of the recurrent layers' family.

        Raises:
            InputError: an unknown family, hybrids in hybrids, or settings that the family does not have.
        """
        if self.recurrent not in RECURRENT:
            raise unknown_name("family", self.recurrent, RECURRENT)
        try:
            return RECURRENT[self.recurrent](
                width=self.width, layers=self.layers, residual=True, **self.recurrent_settings
            )
        except TypeError as error:
            raise InputError(
                f"recurrent_settings {self.recurrent_settings} ({error})",
                f"settings of {self.recurrent} other than width, layers and residual",
                "change the settings of the family",
            ) from None

    def mixer(self) -> Mixer:
        return self.of_recurrent().mixer()

    def mixer_of(self, layer: int) -> Mixer:
        if (layer + 1) % self.attention_every == 0:
            return SlidingAttention(self.width, self.attention_heads, self.window)
        return self.mixer()
