"""An image's objects and SAM 2's work on them, without any user interface."""
