"""Codes to bytes and back: integers only; no pixels, no float weights, no devices."""
