"""The Label Studio ML backend: boxes on video, masks on images and on stacks of frames.

From a request to its answer: `server` (HTTP) or `model` (label-studio-ml's class) → `engine` → one
of `videos`, `images`, `everything` → `formats`, the one home of Label Studio's conventions.
"""
