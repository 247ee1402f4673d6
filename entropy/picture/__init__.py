"""The codes of pictures: their order, their context model, their tables."""
