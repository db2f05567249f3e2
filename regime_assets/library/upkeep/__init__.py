"""Keeping a data folder: its format, what it no longer needs, copies of it, and what is wrong with it."""
