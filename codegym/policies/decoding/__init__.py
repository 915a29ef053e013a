"""Decoding: draws tokens, writes programs and scores actions, with any network."""
