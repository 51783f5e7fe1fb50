"""napari's layers of one image, and what lies in them: frames, masks, prompts, tracks."""
