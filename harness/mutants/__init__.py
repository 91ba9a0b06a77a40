"""Bugs that are planted in a copy of the product, one at a time, for the faults to find."""
