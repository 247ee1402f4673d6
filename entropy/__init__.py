"""Codes to bytes and back: integers only; no pixel, no float weight, no device."""
