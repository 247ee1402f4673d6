"""Voice codecs and metrics of voices."""
