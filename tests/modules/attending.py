"""What reads a whole window at once, and attention with and without a memory of fixed size, as people write them."""

from __future__ import annotations

import torch
from torch import nn


class LinearTransformer(nn.Module):
    """Attention without a softmax: keys and values go into a memory of fixed size."""

    def __init__(self, vocab=13, dim=8, heads=2, layers=2):
        super().__init__()
        self.heads = heads
        self.embed = nn.Embedding(vocab, dim)
        self.qkv = nn.ModuleList([nn.Linear(dim, 3 * dim) for _ in range(layers)])
        self.mlp = nn.ModuleList(
            [nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 16), nn.GELU(), nn.Linear(16, dim)) for _ in range(layers)]
        )
        self.head = nn.Linear(dim, vocab)

    def forward(self, tokens, kv_memory=None):
        x = self.embed(tokens)
        B, T, D = x.shape
        H, K = self.heads, D // self.heads
        if kv_memory is None:
            kv_memory = [(x.new_zeros(B, H, K, K), x.new_zeros(B, H, K)) for _ in self.qkv]
        new_memory = []
        for proj, mlp, (kv, z) in zip(self.qkv, self.mlp, kv_memory, strict=True):
            q, k, v = (part.view(B, T, H, K) for part in proj(x).chunk(3, -1))
            q, k = torch.nn.functional.elu(q) + 1, torch.nn.functional.elu(k) + 1
            kvs = kv[:, None] + torch.einsum("bthk,bthv->bthkv", k, v).cumsum(1)
            zs = z[:, None] + k.cumsum(1)
            y = torch.einsum("bthk,bthkv->bthv", q, kvs) / torch.einsum("bthk,bthk->bth", q, zs)[..., None]
            x = x + y.reshape(B, T, D)
            x = x + mlp(x)
            new_memory.append((kvs[:, -1], zs[:, -1]))
        return self.head(x), new_memory


class KVCache(nn.Module):
    """Softmax attention that keeps every key: what it carries grows with the position."""

    def __init__(self, vocab=13, dim=8):
        super().__init__()
        self.embed, self.qkv, self.head = nn.Embedding(vocab, dim), nn.Linear(dim, 3 * dim), nn.Linear(dim, vocab)

    def forward(self, tokens, past_kv=None):
        q, k, v = self.qkv(self.embed(tokens)).chunk(3, -1)
        if past_kv is not None:
            k, v = torch.cat([past_kv[0], k], 1), torch.cat([past_kv[1], v], 1)
        T, S = q.shape[1], k.shape[1]
        mask = torch.ones(T, S, dtype=torch.bool, device=q.device).tril(S - T)
        weights = (q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).masked_fill(~mask, float("-inf")).softmax(-1)
        return self.head(weights @ v), (k, v)


class Seq2Seq(nn.Module):
    """Reads the whole window, then writes a forecast for each of its positions."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.LSTM(3, 8, batch_first=True)
        self.decoder = nn.LSTM(1, 8, batch_first=True)
        self.fc = nn.Linear(8, 1)

    def forward(self, src):
        _, state = self.encoder(src)
        step, outputs = src.new_zeros(len(src), 1, 1), []
        for _ in range(src.size(1)):
            y, state = self.decoder(step, state)
            step = self.fc(y)
            outputs.append(step)
        return torch.cat(outputs, 1)


class BiLSTM(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(13, 6)
        self.lstm = nn.LSTM(6, 8, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(16, 13)

    def forward(self, x, hidden=None):
        y, hidden = self.lstm(self.embedding(x), hidden)
        return self.fc(y), hidden
