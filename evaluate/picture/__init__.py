"""Picture codecs and metrics of pictures."""
