"""The classes of the paper's three data sets, and what the numbers in their label maps mean.

COCO-Stuff (Caesar, Uijlings, Ferrari: CVPR 2018) numbers its 91 things and 91 stuff classes from 0; 11 of
the things were never annotated. Its own hierarchy joins them into 12 coarse things and 15 coarse stuff
classes, which are scored since IIC (Ji, Henriques, Vedaldi: ICCV 2019). Cityscapes numbers classes as in its
label table; the 27 from road on are scored. KITTI-STEP uses the 19 train ids of Cityscapes.
"""

from collections.abc import Mapping

VOID = 255
"""Number of pixels that do not count."""

# Number in a label map and name of each annotated fine class, by coarse class.
_COCO_STUFF: Mapping[str, str] = {
    "electronic": "71 tv, 72 laptop, 73 mouse, 74 remote, 75 keyboard, 76 cell phone",
    "appliance": "77 microwave, 78 oven, 79 toaster, 80 sink, 81 refrigerator",
    "food things": (
        "51 banana, 52 apple, 53 sandwich, 54 orange, 55 broccoli, 56 carrot, 57 hot dog, 58 pizza, "
        "59 donut, 60 cake"
    ),
    "furniture things": "61 chair, 62 couch, 63 potted plant, 64 bed, 66 dining table, 69 toilet",
    "indoor": "83 book, 84 clock, 85 vase, 86 scissors, 87 teddy bear, 88 hair drier, 89 toothbrush",
    "kitchen": "43 bottle, 45 wine glass, 46 cup, 47 fork, 48 knife, 49 spoon, 50 bowl",
    "accessory": "26 backpack, 27 umbrella, 30 handbag, 31 tie, 32 suitcase",
    "animal": (
        "15 bird, 16 cat, 17 dog, 18 horse, 19 sheep, 20 cow, 21 elephant, 22 bear, 23 zebra, 24 giraffe"
    ),
    "outdoor": "9 traffic light, 10 fire hydrant, 12 stop sign, 13 parking meter, 14 bench",
    "person": "0 person",
    "sports": (
        "33 frisbee, 34 skis, 35 snowboard, 36 sports ball, 37 kite, 38 baseball bat, 39 baseball "
        "glove, 40 skateboard, 41 surfboard, 42 tennis racket"
    ),
    "vehicle": "1 bicycle, 2 car, 3 motorcycle, 4 airplane, 5 bus, 6 train, 7 truck, 8 boat",
    "ceiling": "101 ceiling other, 102 ceiling tile",
    "floor": (
        "100 carpet, 113 floor marble, 114 floor other, 115 floor stone, 116 floor tile, 117 floor wood"
    ),
    "food stuff": "120 food other, 121 fruit, 152 salad, 169 vegetable",
    "furniture stuff": (
        "97 cabinet, 106 counter, 107 cupboard, 109 desk stuff, 111 door stuff, 122 furniture other, "
        "129 light, 132 mirror stuff, 155 shelf, 160 stairs, 164 table"
    ),
    "raw material": "99 cardboard, 131 metal, 138 paper, 142 plastic",
    "textile": (
        "91 banner, 92 blanket, 103 cloth, 104 clothes, 108 curtain, 130 mat, 136 napkin, 140 pillow, "
        "151 rug, 166 textile other, 167 towel"
    ),
    "wall": (
        "170 wall brick, 171 wall concrete, 172 wall other, 173 wall panel, 174 wall stone, 175 wall "
        "tile, 176 wall wood"
    ),
    "window": "179 window blind, 180 window other",
    "building": "94 bridge, 95 building other, 127 house, 150 roof, 157 skyscraper, 165 tent",
    "ground": (
        "110 dirt, 124 gravel, 125 ground other, 135 mud, 139 pavement, 143 platform, 144 "
        "playingfield, 146 railroad, 148 road, 153 sand, 158 snow"
    ),
    "plant": (
        "93 branch, 96 bush, 118 flower, 123 grass, 128 leaves, 133 moss, 141 plant other, 162 straw, "
        "168 tree"
    ),
    "sky": "105 clouds, 156 sky other",
    "solid": "126 hill, 134 mountain, 149 rock, 159 solid other, 161 stone, 181 wood",
    "structural": "98 cage, 112 fence, 137 net, 145 railing, 163 structural other",
    "water": "119 fog, 147 river, 154 sea, 177 water other, 178 waterdrops",
}

COCO_STUFF_COARSE = tuple(_COCO_STUFF)
"""The 27 classes that are scored."""

_FINE = {
    int(entry.split(" ", 1)[0]): (entry.split(" ", 1)[1], coarse)
    for coarse, entries in enumerate(_COCO_STUFF.values())
    for entry in entries.split(", ")
}

COCO_STUFF_FINE = {number: _FINE[number][0] for number in sorted(_FINE)}
"""Names of the 171 classes that are predicted, by their number in a label map."""

COCO_STUFF_TO_COARSE = {number: _FINE[number][1] for number in sorted(_FINE)}
"""Index of the coarse class of each of them."""

CITYSCAPES = (
    "road",
    "sidewalk",
    "parking lot",
    "rail track",
    "building",
    "wall",
    "fence",
    "guard rail",
    "bridge",
    "tunnel",
    "pole",
    "polegroup",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "rider",
    "car",
    "truck",
    "bus",
    "caravan",
    "trailer",
    "train",
    "motorcycle",
    "bicycle",
)
"""The 27 classes that are scored; the first has the number `CITYSCAPES_FIRST` in a label map."""

CITYSCAPES_FIRST = 7

_NOT_TRAINED = {
    "parking lot", "rail track", "guard rail", "bridge", "tunnel", "polegroup", "caravan", "trailer"
}  # fmt: skip

KITTI_STEP = tuple(name for name in CITYSCAPES if name not in _NOT_TRAINED)
"""The 19 classes of KITTI-STEP, numbered from 0."""
