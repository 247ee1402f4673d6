"""What people read of an evaluation: the report, its curves and tables, and pages of a project."""
