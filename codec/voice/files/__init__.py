"""Audio files of other formats, read to their true end."""
