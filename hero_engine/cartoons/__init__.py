"""The embedded model's domain: 64x64 cartoons drawn by code, judged by pixels, and the model.

`drawing` makes the pictures and their captions, `oracle` says whether a picture fulfils its task,
`train` makes the weights from the drawings, `pipeline` loads them. Importing this package,
`drawing` or `oracle` does not import torch.
"""
