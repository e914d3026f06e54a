"""Carrying a plan out: in the right order, each write exactly once, with an honest report."""
