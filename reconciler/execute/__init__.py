"""Apply a plan: in order, each write exactly once, with an accurate report."""
