"""What is particular to each model family, a file each; `model/family.py` has the table."""
