"""Audio files of other formats: how they are read to their true end, and written."""
