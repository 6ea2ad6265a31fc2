"""The scorers, with tiny models of random weights, saved by transformers' own classes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BlipConfig,
    BlipForImageTextRetrieval,
    CLIPConfig,
    CLIPModel,
    PreTrainedTokenizerFast,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from hero_engine.errors import InputError
from hero_engine.method.batch import Batch
from hero_engine.method.reward import by_function
from hero_engine.results import scorers
from hero_engine.results.scorers import Unavailable, load_scorer
from hero_engine.run.diversity import cosine_diversity
from hero_engine.run.scorer_names import SCORERS, ScorerWeights

pytestmark = pytest.mark.slow

WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "a", "black", "cat", "dog"]
TEXT = {
    "vocab_size": len(WORDS), "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
    "num_attention_heads": 2, "max_position_embeddings": 12, "bos_token_id": 1, "eos_token_id": 2,
    "pad_token_id": 0,
}  # fmt: skip
VISION = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "image_size": 16, "patch_size": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each kind, as the hub has them."""
    torch.manual_seed(0)
    found = {kind: tmp_path_factory.mktemp(kind) for kind in ("clip", "blip-itm")}
    clip = CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=8)
    CLIPModel(clip).save_pretrained(found["clip"])
    blip = BlipConfig(
        text_config={**TEXT, "encoder_hidden_size": 16, "sep_token_id": 2},
        vision_config=VISION,
        projection_dim=8,
        image_text_hidden_size=8,
    )
    BlipForImageTextRetrieval(blip).save_pretrained(found["blip-itm"])
    size = {"height": 16, "width": 16}
    CLIPImageProcessorPil(size=size, crop_size=size).save_pretrained(found["clip"])
    BlipImageProcessorPil(size=size).save_pretrained(found["blip-itm"])
    unknown = {"unk_token": "[UNK]"}
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(WORDS)}, **unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    for folder in found.values():
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, **unknown, **{"pad_token": "[PAD]"}
        ).save_pretrained(folder)
    return found


@pytest.fixture(autouse=True)
def here(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        scorers,
        "SCORERS",
        {
            name: ScorerWeights(of.kind, str(folders[of.kind]), str(folders[of.kind]), "")
            for name, of in SCORERS.items()
        },
    )


PICTURES = [np.full((20, 20, 3), 40 * n, np.uint8) for n in range(5)]


@pytest.mark.parametrize("name", SCORERS)
def test_each_picture_is_scored_with_its_own_prompt(name: str) -> None:
    scorer = load_scorer(name)
    prompts = ["a cat", "a black dog", "a dog", "cat", "a black black black cat dog a cat a dog"]
    scores = scorer(PICTURES, prompts)
    assert len(scores) == 5
    assert len(set(scores)) == 5
    alone = [
        scorer([picture], [prompt])[0] for picture, prompt in zip(PICTURES, prompts, strict=True)
    ]
    assert scores == pytest.approx(alone, abs=1e-5), "neither neighbours nor padding matter"


def test_blips_score_is_a_probability_and_clips_has_its_scale(folders: dict[str, Path]) -> None:
    assert all(0 < score < 1 for score in load_scorer("blip-itm")(PICTURES, ["a cat"] * 5))
    clip = load_scorer("clip")
    (score,) = clip(PICTURES[:1], ["a cat"])
    texts = clip.model.get_text_features(**clip._texts(["a cat"])).pooler_output[0]
    cosine = torch.cosine_similarity(texts, torch.tensor(clip.features(PICTURES[:1])[0]), dim=0)
    assert score == pytest.approx(clip.model.logit_scale.exp().item() * cosine.item(), abs=1e-4)


def test_weights_that_are_not_here_are_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(scorers, "SCORERS", SCORERS)
    with pytest.raises(Unavailable) as raised:
        load_scorer("pickscore")
    said = str(raised.value)
    assert said.startswith("pickscore: unavailable: yuvalkirstain/PickScore_v1 is not on this")
    assert "`hf download laion/CLIP-ViT-H-14-laion2B-s32B-b79K`" in said


def test_weights_that_are_no_safetensors_are_not_read(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in folders["clip"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    model = CLIPModel.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    weights = ScorerWeights("clip", str(tmp_path), str(tmp_path), "")
    monkeypatch.setattr(scorers, "SCORERS", {"clip": weights})
    with pytest.raises(Unavailable, match="as safetensors"):
        load_scorer("clip")


def test_damaged_weights_are_unavailable_too(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in folders["clip"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[:5000])
    weights = ScorerWeights("clip", str(tmp_path), str(tmp_path), "")
    monkeypatch.setattr(scorers, "SCORERS", {"clip": weights})
    with pytest.raises(Unavailable, match="clip: unavailable"):
        load_scorer("clip")


def test_diversity_is_the_mean_of_one_minus_the_cosine_over_pairs() -> None:
    features = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert cosine_diversity(features) == pytest.approx(2 / 3)
    assert cosine_diversity(features[:1]) == 0.0


def test_pickscore_is_a_reward(monkeypatch: pytest.MonkeyPatch) -> None:
    scorers._loaded.cache_clear()
    pictures, prompts = np.stack(PICTURES), ["a cat"] * 5
    latents = torch.zeros(5, 4, 2, 2)
    rewards = by_function(
        "hero_engine.results.scorers:pickscore", Batch(latents, prompts, lambda: pictures)
    )
    assert rewards.tolist() == pytest.approx(load_scorer("pickscore")(PICTURES, prompts), abs=1e-5)
    monkeypatch.setattr(scorers, "_loaded", load_scorer)
    monkeypatch.setattr(scorers, "SCORERS", {"pickscore": ScorerWeights("clip", "no", "no", "")})
    with pytest.raises(InputError, match=r"reward\.function .*pickscore: unavailable: no is not"):
        by_function(
            "hero_engine.results.scorers:pickscore", Batch(latents, prompts, lambda: pictures)
        )
