"""What happens to a ranking between the indexes and the answer: arithmetic on arrays, no I/O."""
