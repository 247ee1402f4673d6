"""The float side of pictures: networks, their linear start, tiling, drawing and choice of codes."""
