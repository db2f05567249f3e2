"""The steps of the chain for one session: each reads what earlier steps stored, computes, and returns what to store."""
