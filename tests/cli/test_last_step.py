"""The commonest module there is, `nn.LSTM` and a linear layer on its last position, through the verbs with defaults."""

from __future__ import annotations

from pathlib import Path

import outlast
from cli.workshop import MEASURE, Run
from outlast.results import Diagnosis

LAST_STEP = """
import torch
from torch import nn


class LastStep(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 8, batch_first=True)
        self.head = nn.Linear(8, 1)

    def forward(self, x):
        out, _ = self.lstm(x)
        return self.head(out[:, -1])


class Summing(LastStep):
    \"\"\"Its cell adds up what it reads, and its answer drifts away with it.\"\"\"

    def __init__(self):
        super().__init__()
        with torch.no_grad():
            for name, parameter in self.lstm.named_parameters():
                parameter.zero_()
            self.lstm.bias_ih_l0[8:16] = 30.0  # forgets nothing
            self.lstm.bias_ih_l0[16:24] = 0.01
            self.head.weight.fill_(8.0)
            self.head.bias.zero_()


def build():
    torch.manual_seed(0)
    return LastStep()


def summing():
    return Summing()
"""


def test_check_says_one_call_and_diagnose_goes_through_with_two_jobs(run: Run, here: Path) -> None:
    (here / "lastmod.py").write_text(LAST_STEP)
    checked = run("check", "--model", "lastmod:build", "--out", "checked")
    assert checked.status == 0
    assert "all positions of it read in one call" in checked.err
    for name in ("build", "summing"):
        outcome = run("diagnose", "--model", f"lastmod:{name}", *MEASURE, "--out", name)  # two jobs unasked
        assert outcome.status == 0, outcome.err
    result = outlast.load_result(here / "summing")
    assert isinstance(result, Diagnosis)
    assert result.evaluation.verdict is not None
    assert result.evaluation.verdict.name == "fails", result.evaluation.verdict.because
    assert result.causes
