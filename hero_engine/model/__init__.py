"""The diffusion model: pipelines, prompts, LoRA, the sampler and its random draws."""
