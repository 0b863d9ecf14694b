# The network of camvid_day2dusk_*.py on CamVid's video, with the logits of the frame before, warped by optical flow. A
# trained image network gets its fusion from `udass convert IN OUT --add-fusion 0.5`, see
# docs/checkpoints.md. --cfg-options model.student.type=SlidingEncoderDecoder tests the image network on the same video.
_base_ = [
    '_base_/small_runtime.py',
    '_base_/datasets/camvid_video.py',
    '_base_/models/small_video_effnet_lite0.py',
    '_base_/uda/source_only.py',
    '_base_/schedules/small_finetune.py',
]
# The video is what is tested on: training uses the stills only, as clips without motion.
train_dataloader = dict(_delete_=True, source={{_base_.train_dataloader.source}})
model = dict(student={{_base_.segmentor}})
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval={{_base_.max_iters}})
