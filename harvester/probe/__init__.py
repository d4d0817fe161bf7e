"""The check of an instance's API: what an operator has to know before it is harvested, step by step."""
