"""Files and arrays in, files and arrays out: the container, and the glue around the models."""
