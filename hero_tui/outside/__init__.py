"""Pictures outside the terminal: in a program of the desktop, or on a page over a tunnel."""
