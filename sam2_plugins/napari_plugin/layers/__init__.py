"""napari's layers of one image and their contents: frames, masks, prompts, tracks."""
