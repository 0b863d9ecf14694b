# HRDA's step on clips of two frames (UnifiedVideoDA, Kareer et al. 2024, arXiv 2402.00868): the teacher labels frame t
# from both frames and the flow between them.
_base_ = ['hrda.py']

# The same pixels are mixed in both frames, with their flow.
model = dict(mixing=dict(same_mask=True))
