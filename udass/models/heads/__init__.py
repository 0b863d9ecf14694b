from udass.models.heads.segformer_head import WeightedSegformerHead

__all__ = ['WeightedSegformerHead']
