# Training on the labelled source alone: the floor that adaptation is measured from (and, on target labels, the oracle).
model = dict(type='DomainAdapter')
train_cfg = dict(type='UDATrainLoop', domains=('source',))
