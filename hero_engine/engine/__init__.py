"""The engine: Algorithm 1, its processes, and how it works on a machine."""
