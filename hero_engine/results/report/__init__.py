"""Pages that show what runs did: one HTML file each, which needs no network and runs no script.

What a page says is read from run folders (`facts`), so it can be written while a run goes on.
Nothing here imports torch.
"""
