"""The house by a Lightning module: one output a window from the last hidden state; standardised outside."""

from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import nn

HERE = Path(__file__).parent


class LitLSTM(pl.LightningModule):
    def __init__(self, n_features=28, hidden_size=32, lr=3e-3):
        super().__init__()
        self.save_hyperparameters()
        self.lstm = nn.LSTM(n_features, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(0.1)
        self.regressor = nn.Linear(hidden_size, 1)

    def forward(self, x):
        _, (h_n, _) = self.lstm(x)
        return self.regressor(self.dropout(h_n[-1]))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = nn.functional.mse_loss(self(x), y)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


def build():
    model = LitLSTM()
    model.load_state_dict(torch.load(HERE / "lightning_module.pt", weights_only=True))
    return model.eval()
