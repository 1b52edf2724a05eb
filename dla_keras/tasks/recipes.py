"""Recipes: what to train a dataset with, one row each; flags override.

Plain data, which flags are read with before Keras is imported. Rows whose
comment names the paper are its own (section 5 and the authors' code), which
`tests/tasks/test_recipes.py` holds them to; the others are what is usual for
the dataset today.
"""

from dla_keras.variants import PHONE_DETECTORS

# Optimizer -> its learning rate and weight decay where no recipe says more.
OPTIMIZERS = {
    "sgd": (0.02, 1e-4),  # the paper's
    "adamw": (1e-3, 1e-2),  # further on after few steps from scratch
}
SCHEDULES = ("poly", "step", "cosine", "constant")

# Instead of a weight of boundaries: as much as the rest of their picture.
BALANCED = "balanced"

# What training computes in -> Keras' name of it.
COMPUTE = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}

_SGD = {"optimizer": "sgd", "weight_decay": 1e-4, "schedule": "poly"}
_ADAMW = {"optimizer": "adamw", "weight_decay": 0.05, "schedule": "cosine"}
_PAPER = {**_SGD, "scale": (0.5, 2.0), "rotation": 10.0, "jitter": 0.4}

# What the commands of the authors' README have in common. On purpose otherwise:
# a crop is resampled once, bilinearly, where theirs is turned and zoomed one
# after the other, in Pillow's filters, by whole degrees; a picture smaller than
# its crop lies anywhere in it, not in the middle; a reflection repeats the
# outermost pixel on all four sides, theirs on the lower and the right one; the
# colors change in one order, and are cut off at 0 and 255 once; "poly" falls
# with every step, not every epoch; an epoch's last batch is full; batch norm is
# synchronized for every dataset; pixels are normalized by ImageNet's mean and
# deviation unless the folder's info.json has its own; the last upsampling is
# frozen, as theirs. Validation is theirs in no row: whole pictures of the val
# split, and scores in place of the pixel accuracy of random crops.
_AUTHORS = {
    **_PAPER,
    "variant": "dla102",
    "weights": "imagenet",
    "head_stride": 2,
    "upsampling": "learned",
    "even_scale": True,
    "reflect": True,
    "saturation": 0.0,
    "sharpness": 0.4,
}

SEGMENTATION = {
    # An hour of two slow cores.
    "toy_streets": {
        **_PAPER,
        "dataset": "toy_streets",
        "size": "128x256",
        "batch_size": 4,
        "epochs": 4,
        "learning_rate": 0.02,
    },
    # The paper's.
    "cityscapes": {
        **_AUTHORS,
        "dataset": "cityscapes",
        "size": "832x832",
        "batch_size": 16,
        "epochs": 500,
        "learning_rate": 0.01,
        "validate_every": 10,
    },
    # The paper's.
    "camvid": {
        **_AUTHORS,
        "dataset": "camvid",
        "size": "448x448",
        "batch_size": 16,
        "epochs": 1200,
        "learning_rate": 0.01,
        "schedule": "step",
        "milestones": (2 / 3,),
        "validate_every": 20,
    },
    # Forty minutes of two cores, from the weights that ship: 0.672.
    "camvid_small": {
        **_ADAMW,
        "dataset": "camvid",
        "variant": "dla46_c",
        "weights": "tiny_imagenet",
        "size": "288x384",
        "scale": (0.6, 1.6),
        "rotation": 5.0,
        "jitter": 0.3,
        "class_weighting": 0.3,
        "batch_size": 4,
        "steps": 3600,
        "learning_rate": 2e-3,
        "warmup_epochs": 1.0,
        "ema": 0.999,
        "validate_every": 10,
    },
    "bdd100k": {
        **_PAPER,
        "dataset": "bdd100k",
        "size": "640x640",
        "batch_size": 16,
        "epochs": 200,
        "learning_rate": 0.01,
        "validate_every": 5,
    },
    "ade20k": {
        **_PAPER,
        "dataset": "ade20k",
        "size": "512x512",
        "batch_size": 16,
        "epochs": 128,
        "learning_rate": 0.02,
        "rotation": 0.0,
        "validate_every": 8,
    },
    "pets": {
        **_PAPER,
        "dataset": "oxford_iiit_pet",
        "size": "256x256",
        "batch_size": 16,
        "epochs": 80,
        "learning_rate": 0.02,
        "validate_every": 5,
    },
}

BOUNDARIES = {
    # The edges of its labels; minutes of two slow cores.
    "toy_streets": {
        **_PAPER,
        "dataset": "toy_streets",
        "size": "128x256",
        "batch_size": 4,
        "epochs": 2,
        "learning_rate": 0.02,
    },
    # The paper's; boundaries have no upright.
    "bsds500": {
        **_AUTHORS,
        "dataset": "bsds500",
        "annotators": "any",
        "positive_weight": 10.0,
        "size": "416x416",
        "scale": (1.0, 1.0),
        "rotation": 180.0,
        "batch_size": 16,
        "epochs": 1200,
        "learning_rate": 0.01,
        "schedule": "step",
        "milestones": (2 / 3,),
        "validate_every": 50,
    },
    # Forty minutes of two cores, from the weights that ship: ODS 0.73.
    "bsds500_small": {
        **_ADAMW,
        "dataset": "bsds500",
        "variant": "dla46_c",
        "weights": "tiny_imagenet",
        "size": "288x288",
        "scale": (1.0, 1.0),
        "rotation": 180.0,
        "jitter": 0.4,
        "batch_size": 4,
        "steps": 3000,
        "learning_rate": 2e-3,
        "warmup_epochs": 1.0,
        "ema": 0.999,
        "recalibrate_bn": 20,
        "validate_every": 30,
    },
    # The paper's.
    "pascal_boundary": {
        **_AUTHORS,
        "dataset": "pascal_boundary",
        "annotators": "any",
        "positive_weight": 10.0,
        "size": "480x480",
        "scale": (1.0, 1.0),
        "batch_size": 32,
        "epochs": 400,
        "learning_rate": 0.01,
        "schedule": "step",
        "milestones": (0.5,),
        "validate_every": 20,
    },
}

_CROP = {"area": (0.08, 1.0), "aspect": (3 / 4, 4 / 3), "flip": True}

CLASSIFICATION = {
    # Two or three minutes of two slow cores: 0.94 of the digits of writers
    # most of whom are new. A mirrored digit is none.
    "digits": {
        **_ADAMW,
        "dataset": "digits",
        "variant": "dla46_c",
        "size": "64x64",
        "area": (0.7, 1.0),
        "aspect": (0.85, 1.18),
        "crop_fraction": 1.0,
        "flip": False,
        "batch_size": 32,
        "epochs": 8,
        "learning_rate": 4e-3,
        "warmup_epochs": 1.0,
        "ema": 0.98,
    },
    # The paper's.
    "imagenet": {
        **_SGD,
        **_CROP,
        "dataset": "imagenet2012",
        "size": "224x224",
        "batch_size": 256,
        "epochs": 120,
        "learning_rate": 0.1,
        "schedule": "step",
        "milestones": (0.25, 0.5, 0.75),
    },
    # More from the same network: after timm's recipes for ResNets.
    "imagenet_modern": {
        **_SGD,
        **_CROP,
        "dataset": "imagenet2012",
        "size": "224x224",
        "batch_size": 1024,
        "epochs": 300,
        "learning_rate": 0.5,
        "weight_decay": 5e-5,
        "schedule": "cosine",
        "warmup_epochs": 5.0,
        "label_smoothing": 0.1,
        "mixup": 0.2,
        "cutmix": 1.0,
        "jitter": 0.4,
        "ema": 0.9999,
        "compute": "bfloat16",
    },
    # An hour and a half of two cores: the backbone that ships to start from.
    # Its first layers keep their strides, so the kernels fit larger pictures.
    "tiny_imagenet": {
        **_ADAMW,
        "dataset": "tiny_imagenet",
        "variant": "dla46_c",
        "size": "64x64",
        "area": (0.25, 1.0),
        "aspect": (3 / 4, 4 / 3),
        "crop_fraction": 1.0,
        "flip": True,
        "batch_size": 128,
        "epochs": 20,
        "learning_rate": 4e-3,
        "warmup_epochs": 0.5,
        "label_smoothing": 0.1,
        "ema": 0.999,
        "validate_every": 4,
    },
    # The paper's crop and rate, from ImageNet's weights. For CUB-200, Stanford
    # Cars, FGVC-Aircraft, Food-101: --dataset caltech_birds2011, cars196, a
    # folder, food101.
    "fine_grained": {
        **_SGD,
        **_CROP,
        "dataset": "caltech_birds2011",
        "weights": "imagenet",
        "size": "448x448",
        "batch_size": 64,
        "epochs": 100,
        "learning_rate": 0.01,
        "schedule": "cosine",
        "backbone_rate": 0.1,
        "label_smoothing": 0.1,
        "validate_every": 5,
    },
    # The same at ImageNet's size, for any small set.
    "fine_tune": {
        **_SGD,
        **_CROP,
        "dataset": "oxford_flowers102",
        "weights": "imagenet",
        "size": "224x224",
        "batch_size": 64,
        "epochs": 50,
        "learning_rate": 0.01,
        "schedule": "cosine",
        "backbone_rate": 0.1,
        "label_smoothing": 0.1,
    },
}

_CENTERS = {
    "optimizer": "adamw",
    "weight_decay": 1e-4,
    "rotation": 0.0,
    "scale": (0.77, 1.67),  # of the reference: windows of 0.6 to 1.3 sides
    "jitter": 0.4,
}

DETECTION = {
    # An hour of two slow cores.
    "toy_streets": {
        **_CENTERS,
        "dataset": "toy_streets",
        **PHONE_DETECTORS["small"],
        "size": "160x320",
        "scale": (0.8, 1.6),
        "batch_size": 8,
        "epochs": 40,
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "warmup_epochs": 1.0,
        "recalibrate_bn": 20,
        "validate_every": 5,
    },
    # Blood cells: 205 photographs of 480x640 pixels; an hour of two slow
    # cores. They have no upright.
    "bccd": {
        **_CENTERS,
        "dataset": "bccd",
        **PHONE_DETECTORS["small"],
        "size": "224x288",
        "max_side": 320,
        "scale": (0.8, 1.25),
        "jitter": 0.2,
        "batch_size": 8,
        "epochs": 60,
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "warmup_epochs": 1.0,
        "recalibrate_bn": 20,
        "validate_every": 5,
    },
    # The reference's "1x", without deformable convolutions.
    "coco": {
        **_CENTERS,
        "dataset": "coco",
        "upsampling": "learned",
        "weights": "imagenet",
        "size": "512x512",
        "max_side": 512,
        "batch_size": 128,
        "epochs": 140,
        "learning_rate": 5e-4,
        "schedule": "step",
        "milestones": (90 / 140, 120 / 140),
        "validate_every": 5,
    },
    # The reference's, at 384 pixels.
    "voc": {
        **_CENTERS,
        "dataset": "voc",
        "upsampling": "learned",
        "weights": "imagenet",
        "size": "384x384",
        "max_side": 384,
        "batch_size": 32,
        "epochs": 70,
        "learning_rate": 1.25e-4,
        "schedule": "step",
        "milestones": (45 / 70, 60 / 70),
        "validate_every": 5,
    },
    # Its labels as COCO's json files, which its own toolkit writes.
    "bdd100k": {
        **_CENTERS,
        "dataset": "bdd100k",
        "upsampling": "learned",
        "weights": "imagenet",
        "size": "576x1024",
        "max_side": 1024,
        "batch_size": 32,
        "epochs": 36,
        "learning_rate": 1.25e-4,
        "schedule": "step",
        "milestones": (24 / 36, 32 / 36),
        "validate_every": 2,
    },
}

# Task -> its recipes, the command's own default first, and the one for
# datasets that have none.
RECIPES = {
    "segmentation": (SEGMENTATION, "toy_streets"),
    "boundary": (BOUNDARIES, "bsds500_small"),
    "classification": (CLASSIFICATION, "fine_tune"),
    "detection": (DETECTION, "toy_streets"),
}
