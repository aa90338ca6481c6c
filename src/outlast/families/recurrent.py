"""The families of recurrent layers, by name: those that a hybrid may be made of. A new one is one new file and one line
here."""

from __future__ import annotations

from outlast.families.gated_deltanet import GatedDeltaNetSettings
from outlast.families.gla import GLASettings
from outlast.families.gru import GRUSettings
from outlast.families.lstm import LSTMSettings
from outlast.families.mamba import MambaSettings
from outlast.families.mamba2 import Mamba2Settings
from outlast.families.mlstm import MLSTMSettings
from outlast.families.retnet import RetNetSettings
from outlast.families.rglru import RGLRUSettings
from outlast.families.rwkv6 import RWKV6Settings
from outlast.families.shell import Settings
from outlast.plugins import Table

RECURRENT: Table[type[Settings]] = Table(
    "outlast.families",
    {
        "gated_deltanet": GatedDeltaNetSettings,
        "gla": GLASettings,
        "gru": GRUSettings,
        "lstm": LSTMSettings,
        "mamba": MambaSettings,
        "mamba2": Mamba2Settings,
        "mlstm": MLSTMSettings,
        "retnet": RetNetSettings,
        "rglru": RGLRUSettings,
        "rwkv6": RWKV6Settings,
    },
)
