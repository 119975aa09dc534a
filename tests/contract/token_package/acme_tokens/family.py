"""A sum of two embeddings over all positions, and a linear layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgetl.models import Block, PretrainedWeights

from .tokens import LENGTH, VOCABULARY

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class TwoEmbeddings:
    version: int = 1
    task: str = "pairing"
    token_length: int = LENGTH
    min_size: int = 8
    size_multiple: int = 1
    min_classes: int = 2
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    has_widths: bool = False
    blocks: tuple[Block, ...] = (
        Block("embeddings", ("first", "second")),
        Block("head", ("head",)),
    )
    head: str = "head"
    reinitialized: tuple[str, ...] = ("head",)
    pretrained: Mapping[str, PretrainedWeights] = field(default_factory=dict)
    key_mapping: Mapping[str, str] = field(default_factory=dict)

    def build(self, *, width: float, num_classes: int, seed: int) -> nn.Module:
        import torch
        from torch import nn

        class Network(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.first = nn.Embedding(VOCABULARY, 8)
                self.second = nn.Embedding(VOCABULARY, 8)
                self.head = nn.Linear(8, num_classes)

            def forward(self, first: Tensor, second: Tensor) -> Tensor:
                logits: Tensor = self.head((self.first(first) - 2 * self.second(second)).sum(1))
                return logits

        del width
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Network().train()

    def decoded(self, network: nn.Module, size: int) -> nn.Module:
        del size
        return network

    def fetch(self, name: str) -> Mapping[str, Tensor]:
        raise KeyError(name)


FAMILY = TwoEmbeddings()
