"""Does bfloat16 change a conclusion? The same short trainings in both precisions, three seeds.

``python tests/benchmarks/bench_conclusions.py``; see README.md beside this file. Data: LFW if
``FACELAB_LFW`` names it, else the synthetic faces; 32 pixels, 5 epochs.
"""

import os
from functools import partial

import torch
from harness import bench
from lightning_fabric import Fabric
from pytorch_metric_learning import losses, miners

import facelab as fl
from facelab.study.execute import MALLOC

SIZE = 32
DATA = "lfw" if os.environ.get("FACELAB_LFW") else "synthetic"


def dev_auc(precision, seed):
    train, dev, _ = fl.view1(fl.load_lfw(DATA, SIZE, progress=False))
    torch.manual_seed(seed)
    network = fl.siamese_cnn(128, SIZE)
    training = fl.fit(
        network,
        train,
        losses.TripletMarginLoss(margin=0.2),
        miners.TripletMarginMiner(margin=0.2, type_of_triplets="semihard"),
        sampler=fl.people_by_images,
        augment=fl.augment,
        epochs=5,
        seed=seed,
        watch={"dev": dev},
        fabric=Fabric(devices=1, precision=precision),
    )
    return {"dev AUC": training.history.dev_auc.iloc[-1]}


STAGES = {
    f"small CNN, {precision}, seed {seed}": (partial(dev_auc, precision, seed), MALLOC)
    for seed in range(3)
    for precision in ("bf16-mixed", "32-true")
}

if __name__ == "__main__":
    bench(__file__, STAGES, runs=1)
