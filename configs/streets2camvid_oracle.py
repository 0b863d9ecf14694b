# The ceiling: the same network trained on the labels of the target's training images.
_base_ = './streets2camvid_source_only.py'
train_dataloader = dict(
    source=dict(
        dataset=dict(
            _delete_=True,
            type='CamVidDataset',
            data_root={{_base_.camvid.data_root}},
            split='train',
            pipeline={{_base_.source_pipeline}},
        )
    )
)
