"""A pipeline folder as the single .safetensors file that most checkpoints are shared as.

The names are those of the original Stable Diffusion code, as diffusers' loader expects them.
"""

import re
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
UNET = {
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def save_single_file(folder: Path, path: Path) -> Path:
    """Writes the pipeline in `folder` to `path`."""
    tensors = {
        f"model.diffusion_model.{name}": tensor for name, tensor in unet(folder / "unet").items()
    } | {f"first_stage_model.{name}": tensor for name, tensor in vae(folder / "vae").items()}
    first = load_file(folder / "text_encoder" / "model.safetensors")
    second = folder / "text_encoder_2" / "model.safetensors"
    prefix = "conditioner.embedders.0" if second.exists() else "cond_stage_model"
    for name, tensor in first.items():
        name = name.removeprefix("text_model.")
        tensors[f"{prefix}.transformer.text_model.{name}"] = tensor
    if second.exists():
        for name, tensor in open_clip(load_file(second)).items():
            tensors[f"conditioner.embedders.1.model.{name}"] = tensor
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def unet(folder: Path) -> dict[str, Tensor]:
    tensors = load_file(folder / "diffusion_pytorch_model.safetensors")
    layers = 1 + max(int(n.split(".")[3]) for n in tensors if n.startswith("down_blocks.0.resnets"))

    def renamed(name: str) -> str:
        for new, old in UNET.items():
            if name.startswith(f"{new}."):
                return old + name.removeprefix(new)
        match name.split("."):
            case ["down_blocks", block, "downsamplers", "0", "conv", kind]:
                return f"input_blocks.{(int(block) + 1) * (layers + 1)}.0.op.{kind}"
            case ["down_blocks", block, part, layer, *rest]:
                number = int(block) * (layers + 1) + int(layer) + 1
                return f"input_blocks.{number}.{part == 'attentions':d}.{inner(part, rest)}"
            case ["mid_block", part, layer, *rest]:
                number = 1 if part == "attentions" else 2 * int(layer)
                return f"middle_block.{number}.{inner(part, rest)}"
            case ["up_blocks", block, "upsamplers", "0", "conv", kind]:
                number = int(block) * (layers + 1) + layers
                attends = any(n.startswith(f"up_blocks.{block}.attentions") for n in tensors)
                return f"output_blocks.{number}.{1 + attends}.conv.{kind}"
            case ["up_blocks", block, part, layer, *rest]:
                number = int(block) * (layers + 1) + int(layer)
                return f"output_blocks.{number}.{part == 'attentions':d}.{inner(part, rest)}"
        raise ValueError(name)

    def inner(part: str, rest: list[str]) -> str:
        names = [RESNET[rest[0]], *rest[1:]] if part == "resnets" else rest
        return ".".join(names)

    return {renamed(name): tensor for name, tensor in tensors.items()}


def vae(folder: Path) -> dict[str, Tensor]:
    tensors = load_file(folder / "diffusion_pytorch_model.safetensors")
    last = max(int(n.split(".")[2]) for n in tensors if n.startswith("decoder.up_blocks"))
    found = {}
    for name, tensor in tensors.items():
        name = re.sub(r"down_blocks\.(\d+)\.resnets", r"down.\1.block", name)
        name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", name)
        name = re.sub(r"up_blocks\.(\d+)\.resnets", lambda m: f"up.{last - int(m[1])}.block", name)
        name = re.sub(
            r"up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"up.{last - int(m[1])}.upsample", name
        )
        name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
        if "mid_block.attentions.0" in name:
            name = name.replace("mid_block.attentions.0", "mid.attn_1")
            for new, old in ATTENTION.items():
                name = name.replace(f".{new}.", f".{old}.")
            tensor = tensor[..., None, None] if tensor.ndim == 2 else tensor
        name = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
        found[name] = tensor
    return found


def open_clip(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    found = {}
    for name, tensor in tensors.items():
        name = name.removeprefix("text_model.")
        if name == "text_projection.weight":
            name, tensor = "text_projection", tensor.T
        name = name.replace("embeddings.position_embedding.weight", "positional_embedding")
        name = name.replace("embeddings.token_embedding", "token_embedding")
        name = name.replace("final_layer_norm", "ln_final")
        name = name.replace("encoder.layers", "transformer.resblocks")
        name = name.replace("layer_norm", "ln_").replace("self_attn", "attn")
        name = name.replace("fc1", "c_fc").replace("fc2", "c_proj")
        if ".attn.q_proj." in name:
            first = f"text_model.encoder.layers.{name.split('.')[2]}.self_attn"
            kind = name.rsplit(".", 1)[1]
            tensor = torch.cat([tensors[f"{first}.{p}_proj.{kind}"] for p in "qkv"])
            name = name.replace("q_proj.", "in_proj_")
        if ".attn.k_proj." not in name and ".attn.v_proj." not in name:
            found[name] = tensor
    return found
