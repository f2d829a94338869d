"""Max-write-wins under fire: devices of one learner advance the same lessons while processes are paused, killed and cut off."""
