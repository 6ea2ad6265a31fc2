"""What every schedule has in common: noisy latents, what a network predicts of them, and steps."""

import pytest
import torch
from torch import Tensor

from hero_engine.model.schedule import Levels, PredictionType, noised, split, target

DIFFUSION = torch.linspace(0.01, 0.99, 5, dtype=torch.float64)
TYPES: dict[PredictionType, tuple[Tensor, Tensor]] = {
    "epsilon": (DIFFUSION.sqrt(), (1 - DIFFUSION).sqrt()),
    "v_prediction": (DIFFUSION.sqrt(), (1 - DIFFUSION).sqrt()),
    "flow": (DIFFUSION, 1 - DIFFUSION),
}


@pytest.mark.parametrize("prediction_type", TYPES)
def test_what_is_right_to_predict_says_the_latent_and_its_noise(
    prediction_type: PredictionType,
) -> None:
    generator = torch.Generator().manual_seed(0)
    z_0, epsilon = torch.randn(2, 5, 4, 8, 8, generator=generator, dtype=torch.float64)
    level = Levels(torch.arange(5), *TYPES[prediction_type]).at(torch.arange(5), z_0)
    z_t = noised(z_0, epsilon, level)
    right = target(prediction_type, z_0, epsilon, level)
    torch.testing.assert_close(split(prediction_type, right, z_t, level), (z_0, epsilon))
