"""One module a subject: its prompt, the names of its flaws, and `paint(rng, flaw)`."""
