"""Picture files of other formats: what they hold, how they are read and written."""
