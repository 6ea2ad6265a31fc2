"""The embedded model's shape: a Stable Diffusion pipeline small enough to live in the repository.

Says what the five parts are and writes them to a folder. It trains nothing (`train` does), and it
loads nothing: the folder is an ordinary diffusers pipeline, read by `from_pretrained` like any
other.
"""

import shutil
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

IMAGE_SIZE = 64
LATENT_SIZE = 16
LATENT_CHANNELS = 4
TEXT_WIDTH = 64
TEXT_LENGTH = 77  # Stable Diffusion's, so that prompts take the same path through the code

START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"


def build_tokenizer(captions: Iterable[str]) -> CLIPTokenizer:
    """A CLIP tokenizer with one token for every word of `captions`.

    As in CLIP the vocabulary starts with the 256 byte symbols, then the same at the end of a word:
    any text tokenizes, unknown words into single characters or known pieces. The merges are those
    of byte pair encoding trained on the captions' words until each word is one token.
    """
    alphabet = sorted(ByteLevel.alphabet())
    merges = _byte_pair_merges(_words(captions, alphabet))
    symbols = [*alphabet, *(letter + WORD_END for letter in alphabet)]
    symbols += ["".join(pair) for pair in merges]
    vocabulary = {symbol: number for number, symbol in enumerate([*symbols, START, END])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=TEXT_LENGTH)


def _words(captions: Iterable[str], alphabet: list[str]) -> list[str]:
    """The distinct words of the captions, split as a CLIP tokenizer splits them."""
    letters = CLIPTokenizer(
        vocab={s: i for i, s in enumerate([*alphabet, START, END])}, merges=[]
    ).backend_tokenizer
    words: dict[str, None] = {}
    for caption in captions:
        text = letters.normalizer.normalize_str(caption)
        words.update((word, None) for word, _ in letters.pre_tokenizer.pre_tokenize_str(text))
    return list(words)


def _byte_pair_merges(words: list[str]) -> list[tuple[str, str]]:
    """Byte pair encoding (Sennrich et al. 2016), carried on until every word is one symbol."""
    splits = [[*word[:-1], word[-1] + WORD_END] for word in words]
    merges: list[tuple[str, str]] = []
    while counts := Counter(pair for split in splits for pair in pairwise(split)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        splits = [_merge(split, best) for split in splits]
    return merges


def _merge(split: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for symbol in split:
        if merged and (merged[-1], symbol) == pair:
            merged[-1] += symbol
        else:
            merged.append(symbol)
    return merged


def build_vae() -> AutoencoderKL:
    """Pictures (B, 3, 64, 64) in [-1, 1] to latents (B, 4, 16, 16) and back."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(32, 48, 96),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=IMAGE_SIZE,
        scaling_factor=1.0,  # training ends by making the latents zero-mean, unit-variance
    )


def build_unet() -> UNet2DConditionModel:
    """Predicts the noise in latents (B, 4, 16, 16), given text states (B, 77, 64)."""
    return UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(64, 128),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,  # diffusers reads it as the number of heads: 4 of width 32
        norm_num_groups=16,
    )


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Token numbers (B, 77) to states (B, 77, 64)."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            projection_dim=TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=TEXT_LENGTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def build_scheduler() -> DDIMScheduler:
    """The noise schedule of Stable Diffusion 1.x."""
    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        steps_offset=1,
        set_alpha_to_one=False,
        clip_sample=False,
    )


def build_pipeline(
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
) -> StableDiffusionPipeline:
    """The parts and their scheduler as one pipeline, without a safety checker."""
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def save(pipeline: StableDiffusionPipeline, folder: Path) -> None:
    """Write `pipeline` to `folder`, UNet and VAE in half precision, replacing what was there.

    The folder is complete under a temporary name before it takes its own. The text encoder stays in
    single precision: transformers loads a model in the precision of its file, diffusers in single,
    and the two must agree without the caller's help. `pipeline` itself is changed to half.
    """
    new, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    for stale in (new, old):
        shutil.rmtree(stale, ignore_errors=True)
    for part in (pipeline.unet, pipeline.vae):
        torch.nn.Module.to(part, torch.float16)
    pipeline.save_pretrained(new, safe_serialization=True)
    # transformers 5 writes tokenizer.json only; these two are what a CLIP tokenizer is known by.
    pipeline.tokenizer.backend_tokenizer.model.save(str(new / "tokenizer"))
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
