"""Moving in, step by step, on machines that are only said to be."""
