"""Decoding: how tokens are drawn and programs are written, whatever the network."""
