"""Batches through a step function: the loop, optimiser, checkpoints and scalar heads that all training shares."""
