"""Draw ``docs/parts.png``: synthetic images with a bundle's predictions; run after ``make demo``.

    python docs/picture.py dist/host docs/parts.png

The images have a different seed than the recipe's, so none of them was used in training.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from edgetl.data.synthetic.part_images import make_part_image
from edgetl.data.synthetic.parts import class_of
from edgetl.runtime.predictor import Predictor
from edgetl.runtime.tasks.classification import ClassPrediction

_SEED = 1000
_COLUMNS, _ROWS = 6, 2
_WIDTH, _BAR = 160, 22
_RIGHT, _WRONG = (30, 110, 60), (160, 40, 40)


def main(bundle: Path, output: Path) -> None:
    """Predict the images and write the sheet; a bar is green if the prediction is right."""
    predictor = Predictor.open(bundle)
    font = ImageFont.load_default(size=13)
    sheet = Image.new("RGB", (_COLUMNS * _WIDTH, _ROWS * (_WIDTH + _BAR)), "white")
    draw = ImageDraw.Draw(sheet)
    for index in range(_COLUMNS * _ROWS):
        image = make_part_image(index, _SEED).pixels
        prediction = predictor.predict_array(image)
        if not isinstance(prediction, ClassPrediction):
            raise TypeError(f"{bundle} is not a classifier")
        resized = Image.fromarray(image).resize((_WIDTH, _WIDTH))
        left = index % _COLUMNS * _WIDTH
        top = index // _COLUMNS * (resized.height + _BAR)
        sheet.paste(resized, (left, top))
        colour = _RIGHT if prediction.label == class_of(index) else _WRONG
        bar = top + resized.height
        draw.rectangle((left, bar, left + _WIDTH - 1, bar + _BAR - 1), fill=colour)
        text = f"{prediction.label} {max(prediction.probabilities):.2f}"
        draw.text((left + 6, bar + 3), text, fill="white", font=font)
    sheet.save(output, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
