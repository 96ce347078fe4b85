"""One protocol for weights, endpoints and formulas; `load` takes any of them by name."""
