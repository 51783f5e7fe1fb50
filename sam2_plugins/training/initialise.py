"""Fresh weights from which a small SAM 2 learns quickly.

With default weights the prompts are ignored for a thousand steps, and the memory longer: attention
is uniform, so nothing tells the decoder where the click was. Here attention begins by looking at
the same place, which learning then refines. Each constant was found by trial.
"""

from __future__ import annotations

import torch
from torch import nn

from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.model.layers import Attention
from sam2_plugins.core.model.memory_attention import RotaryAttention

SAME_PLACE_GAIN = 1.5
PROMPT_KIND_SCALE = 0.1
NECK_SCALE = 0.3
POINT_FREQUENCY = 2.0
OBJECT_SCORE_BIAS = 3.0
MEMORY_PLACE_BIAS = 1.2


@torch.no_grad()
def initialise(model: Sam2Model) -> None:
    """Set the weights of a freshly built model in place."""
    _look_where_the_prompt_is(model)
    _look_where_the_memory_is(model)
    for name, weight in model.image_encoder.neck.named_parameters():
        if name.endswith("weight"):
            weight.mul_(NECK_SCALE)
    score_head = model.sam_mask_decoder.pred_obj_score_head.layers[-1]
    nn.init.constant_(score_head.get_parameter("bias"), OBJECT_SCORE_BIAS)
    for name, gamma in model.memory_encoder.fuser.named_parameters():
        if name.endswith("gamma"):
            gamma.fill_(0.1)
    for table in (model.maskmem_tpos_enc, model.no_mem_embed, model.no_obj_ptr):
        nn.init.trunc_normal_(table, std=0.02)
    if model.variant.absent_memory_embedding:
        nn.init.trunc_normal_(model.no_obj_embed_spatial, std=0.02)


def _look_where_the_prompt_is(model: Sam2Model) -> None:
    """Equal projections of queries and keys: tokens attend to image positions like their own."""
    for module in model.sam_mask_decoder.transformer.modules():
        if isinstance(module, Attention):
            nn.init.orthogonal_(module.q_proj.weight, gain=SAME_PLACE_GAIN)
            module.k_proj.weight.copy_(module.q_proj.weight)
            module.q_proj.bias.zero_()
            module.k_proj.bias.zero_()
    prompts = model.sam_prompt_encoder
    kinds = (*prompts.point_embeddings, prompts.not_a_point_embed, prompts.no_mask_embed)
    for kind in kinds:
        kind.weight.mul_(PROMPT_KIND_SCALE)
    prompts.pe_layer.positional_encoding_gaussian_matrix.mul_(POINT_FREQUENCY)


def _look_where_the_memory_is(model: Sam2Model) -> None:
    """A constant that both sides share turns the rotary encoding into a preference for nearness."""
    for name, cross in model.memory_attention.named_modules():
        if isinstance(cross, RotaryAttention) and name.endswith("cross_attn_image"):
            cross.q_proj.bias.fill_(MEMORY_PLACE_BIAS)
            cross.k_proj.bias.fill_(MEMORY_PLACE_BIAS)
