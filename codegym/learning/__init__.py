"""Learning: what agents share: their interface, advantages, optimiser, metrics and replay."""
