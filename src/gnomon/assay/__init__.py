"""Behaviour: one file or small folder an evaluation; its name is the command's, `gnomon assay NAME`."""
