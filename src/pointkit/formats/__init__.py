"""Reading and writing files of shapes: one format a file, chosen by the suffix."""
