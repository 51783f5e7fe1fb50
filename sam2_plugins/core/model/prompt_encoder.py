"""Points, boxes and masks to the tokens and the map that the decoder takes.

As in SAM (Kirillov et al. 2023).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sam2_plugins.core.model.layers import LayerNorm2d
from sam2_plugins.core.model.position_encoding import RandomFourierEncoding

PADDING, BACKGROUND, FOREGROUND, BOX_START, BOX_END = -1, 0, 1, 2, 3
"""Labels of a point. A box is two points: its first and its last corner."""


class PromptEncoder(nn.Module):
    """Encode prompts given in pixels of the model's input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pe_layer = RandomFourierEncoding(width)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, width) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, width)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, 4, 2, stride=2),
            LayerNorm2d(4),
            nn.GELU(),
            nn.Conv2d(4, 16, 2, stride=2),
            LayerNorm2d(16),
            nn.GELU(),
            nn.Conv2d(16, width, 1),
        )
        self.no_mask_embed = nn.Embedding(1, width)

    def sparse(self, points: Tensor, labels: Tensor, size: int) -> Tensor:
        """Tokens of points.

        Parameters
        ----------
        points
            [B, P, 2], (x, y) in pixels of the model's input; the centre of a pixel is + 0.5.
        labels
            [B, P], the constants of this module.
        size
            Side of the model's input in pixels.

        Returns
        -------
        Tensor
            [B, P + 1, width]: a padding point always ends the list.
        """
        points = torch.cat((points + 0.5, points.new_zeros(len(points), 1, 2)), dim=1)
        labels = torch.cat((labels, labels.new_full((len(labels), 1), PADDING)), dim=1)
        encoded = self.pe_layer(points / size)
        embeddings = [self.not_a_point_embed, *self.point_embeddings]
        kinds = torch.cat([embedding.get_parameter("weight") for embedding in embeddings])
        encoded = torch.where((labels == PADDING)[..., None], 0.0, encoded)
        return encoded + kinds[labels.long() + 1]

    def dense(self, masks: Tensor | None, batch: int, grid: int) -> Tensor:
        """Map [B, width, grid, grid] of low-resolution logits [B, 1, 4 grid, 4 grid], if any."""
        if masks is not None:
            return self.mask_downscaling(masks)
        return self.no_mask_embed.weight.view(1, -1, 1, 1).expand(batch, -1, grid, grid)
