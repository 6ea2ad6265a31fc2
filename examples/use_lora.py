"""One picture from what a run leaves, with diffusers alone: base model, LoRA, noise pool.

`hero-tui export` writes these lines, with the run's own settings, into the README.md of its folder.
"""

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from safetensors.torch import load_file

BASE = "stable-diffusion-v1-5/stable-diffusion-v1-5"
EXPORT = "exports"

pipeline = StableDiffusionPipeline.from_pretrained(
    BASE,
    feature_extractor=None,
    image_encoder=None,
    safety_checker=None,
    requires_safety_checker=False,
)
pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)
pipeline.load_lora_weights(EXPORT, weight_name="pytorch_lora_weights.safetensors")
pipeline.to("cuda" if torch.cuda.is_available() else "cpu")

generator = torch.Generator().manual_seed(0)
mu = load_file(f"{EXPORT}/noise_pool.safetensors")["best_z_T"]
z_T = (1 - 0.1**2) ** 0.5 * mu + 0.1 * torch.randn(mu.shape, generator=generator)
picture = pipeline(
    "a black cat sitting inside a cardboard box",
    latents=z_T[None],
    num_inference_steps=50,
    guidance_scale=5,
    eta=1,
    generator=generator,
).images[0]
picture.save("black-cat.png")
