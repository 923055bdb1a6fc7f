"""API Priority and Fairness: how many requests run at a time, and who waits for whom."""
