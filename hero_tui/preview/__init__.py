"""Pictures in a terminal: what it can do, encoding for it, and keeping it quick to answer."""
