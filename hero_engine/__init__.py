"""The headless half of hero-tui: it samples, learns from labels and writes a run folder.

Knows nothing about terminals. Importing this package, and the modules that describe tasks, labels
and run folders, does not import torch.
"""

__version__ = "0.1.0"
