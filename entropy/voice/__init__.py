"""The codes of voices: their order and their context model."""
