"""Pictures in and out: rasters, their codes, and the conversion between the two."""
