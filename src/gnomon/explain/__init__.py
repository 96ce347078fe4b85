"""What goes on inside a model: one file, or one small folder, a paper."""
