"""The float side of pictures: networks, their linear start, tiling, choice and correction."""
