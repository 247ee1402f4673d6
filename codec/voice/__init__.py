"""Voices in and out: recordings, their codes, and the conversion between the two."""
