"""Voices in and out: recordings, their codes, and the way between."""
