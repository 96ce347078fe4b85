"""Training methods: one file a method; its name is the command's, `gnomon train NAME`."""
