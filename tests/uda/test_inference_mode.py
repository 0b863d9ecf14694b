"""Networks that are not trained run in inference mode, and what they say can still be trained on."""

import torch
from mmengine.registry import init_default_scope

from tests.uda.small import METHODS, build, unlabelled


def test_the_teacher_runs_in_inference_mode_and_its_labels_can_be_trained_on():
    init_default_scope('mmseg')
    model, _ = build(METHODS['daformer'][0])
    assert model.teacher_logits(torch.rand(2, 3, 64, 64)).is_inference()
    clip = model.pseudo_labelled_clip(unlabelled(2))
    assert not any(value.is_inference() for value in (clip.frames, clip.labels, clip.weights, clip.confidence))
