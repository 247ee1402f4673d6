"""Pictures in and out: rasters, their codes, and the way between."""
