"""The recipe behind the embedded checkpoint, and fine-tuning on a user's own masks."""
