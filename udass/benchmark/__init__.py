"""What things cost: time of the stages of a step, of loaders, mixing, inference and flow, and memory."""
