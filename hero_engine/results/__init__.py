"""What a run leaves: its evaluation, exports, model card and pictures."""
