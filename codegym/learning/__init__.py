"""Learning: what agents share: their interface, losses, advantages, optimiser step and replay."""
