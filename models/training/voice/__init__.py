"""Training of the voice codec."""
