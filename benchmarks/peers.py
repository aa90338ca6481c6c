"""Models of one size from several hands: ours, transformers', torch's, and the projections alone, which bound them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Mamba2Config, Mamba2ForCausalLM, MambaConfig, MambaForCausalLM

from outlast.families import build
from outlast.linear import Linear
from outlast.model import InputSpec

VOCABULARY, WIDTH, LAYERS = 256, 128, 2


def ours(family: str, size: int = VOCABULARY, **settings) -> nn.Module:
    """A family of outlast over `size` tokens, bytes unless told otherwise, as are two layers of width 128."""
    chosen = {"width": WIDTH, "layers": LAYERS, **settings}
    return build(family, inputs=InputSpec("tokens", size), outputs=size, **chosen)


def transformers_mamba(*, mambapy: bool, width: int = WIDTH, layers: int = LAYERS, size: int = VOCABULARY) -> nn.Module:
    """Mamba-1 of transformers: its default, or with the parallel scan of mambapy."""
    return MambaForCausalLM(
        MambaConfig(
            vocab_size=size, hidden_size=width, num_hidden_layers=layers, state_size=16, expand=2,
            use_mambapy=mambapy, use_cache=False,
        )
    )  # fmt: skip


def transformers_mamba2(
    state_size: int, chunk: int = 64, width: int = WIDTH, layers: int = LAYERS, size: int = VOCABULARY
) -> nn.Module:
    """Mamba-2 of transformers in plain torch, heads of 64, chunks of 64 (its fastest here)."""
    return Mamba2ForCausalLM(
        Mamba2Config(
            vocab_size=size, hidden_size=width, num_hidden_layers=layers, state_size=state_size, expand=2,
            head_dim=64, num_heads=width // 32, n_groups=1, chunk_size=chunk, use_cache=False, tie_word_embeddings=True,
        )
    )  # fmt: skip


@torch.no_grad()
def copy_weights(theirs: nn.Module, mine: nn.Module) -> None:
    """Give our Mamba or Mamba-2 the weights of transformers', so that both must compute the same numbers."""
    backbone = theirs.backbone
    pairs = [(mine.embed.weight, backbone.embeddings.weight), (mine.norm.weight, backbone.norm_f.weight)]
    pairs.append((mine.head.weight, theirs.get_output_embeddings().weight))
    mine.head.bias.zero_()
    for block, layer in zip(mine.blocks, backbone.layers, strict=True):
        a, b = block.mixer, layer.mixer
        pairs += [
            (block.norm.weight, layer.norm.weight),
            (a.input.weight, b.in_proj.weight),
            (a.convolution.weight, b.conv1d.weight[:, 0].T),
            (a.convolution.bias, b.conv1d.bias),
            (a.log_rate, b.A_log),
            (a.skip, b.D),
            (a.output.weight, b.out_proj.weight),
        ]
        if hasattr(b, "x_proj"):
            pairs += [(a.selection.weight, b.x_proj.weight), (a.step.weight, b.dt_proj.weight)]
            pairs += [(a.step.bias, b.dt_proj.bias)]
        else:
            pairs += [(a.step_bias, b.dt_bias), (a.norm.weight, b.norm.weight)]
    for target, source in pairs:
        target.copy_(source)


class Rnn(nn.Module):
    """torch's own LSTM or GRU between an embedding and a head."""

    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(VOCABULARY, WIDTH), nn.Linear(WIDTH, VOCABULARY)
        self.rnn = kind(WIDTH, WIDTH, LAYERS, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.rnn(self.embed(tokens))[0])


class Projections(nn.Module):
    """Every matrix product of a family's training step and nothing else: the limit that no recurrence can pass."""

    def __init__(self, family: str, width: int = WIDTH) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(VOCABULARY, width), Linear(width, VOCABULARY)
        self.layers = nn.ModuleList(
            nn.ModuleList(Linear(a, b, bias=False) for a, b in self.sizes(family, width)) for _ in range(LAYERS)
        )

    @staticmethod
    def sizes(family: str, width: int) -> list[tuple[int, int]]:
        """Inputs and outputs of the products of one layer: Mamba-2 with N = 64 and heads of 64."""
        rank = math.ceil(width / 16)
        return {
            "mamba": [(width, 4 * width), (2 * width, rank + 32), (rank, 2 * width), (2 * width, width)],
            "mamba2": [(width, 4 * width + 128 + width // 32), (2 * width, width)],
            "gla": [(width, 2 * width), (width, 16), (16, width // 2), (width, width), (width, width)],
        }[family]

    def forward(self, tokens: Tensor) -> Tensor:
        x, unused = self.embed(tokens), torch.zeros(())
        for layer in self.layers:
            made = [x]
            for product in layer:
                # Each reads the first columns of the latest result that is wide enough.
                source = next(x for x in reversed(made) if x.shape[-1] >= product.in_features)
                made.append(product(source[..., : product.in_features]))
            x = made[-1]
            unused = unused + sum(result.sum() for result in made[1:-1])
        return self.head(x) + 0.0 * unused  # so that every product's gradient is computed


def loss_of(model: nn.Module, tokens: Tensor) -> Tensor:
    """Mean next-token cross-entropy, whatever the model's calling convention."""
    if hasattr(model, "initial_state"):
        logits, _ = model(tokens, model.initial_state(len(tokens)))
    elif hasattr(model, "backbone"):
        logits = model(input_ids=tokens, use_cache=False).logits
    else:
        logits = model(tokens)
    return F.cross_entropy(logits[:, :-1].float().flatten(0, 1), tokens[:, 1:].flatten())


def train_step(model: nn.Module, tokens: Tensor, half: bool = False) -> float:
    """Forward and backward; the loss. half: under autocast to bfloat16."""
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        loss = loss_of(model, tokens)
    loss.backward()
    return loss.item()
