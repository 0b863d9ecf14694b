"""Measure time and memory of training steps, mixing, loaders and inference with torch.utils.benchmark."""
