"""The paper's experiments, a file each: `made` trains and leaves rows, `told` says what the rows show."""
