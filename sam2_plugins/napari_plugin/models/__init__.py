"""What is known of an image's objects, and SAM 2's work on them; neither window nor buttons."""
