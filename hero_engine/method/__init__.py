"""The method: rollout, embedding, reward, noise pool and update. Never the engine that runs it."""
