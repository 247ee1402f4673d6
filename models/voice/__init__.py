"""The float side of voices: networks, quantiser, tiling, choice and correction."""
