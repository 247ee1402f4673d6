"""Training of the picture codec."""
