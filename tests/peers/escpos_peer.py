"""What is asked, as python-escpos sends it to a printer.

Arguments: the wish as JSON (lines, ean13, qr, picture = width and height) and the file for the stream. Beside it
goes the SHA-256 of the picture's rows, one bit a dot, 1 = black.
"""

import hashlib
import json
import sys
from pathlib import Path

from escpos.printer import Dummy
from PIL import Image, ImageDraw

wish, out = json.loads(sys.argv[1]), Path(sys.argv[2])
printer = Dummy()
printer.hw("INIT")
for line in wish["lines"][:-1]:
    printer.text(line + "\n")
printer.set(align="center", bold=True, custom_size=True, width=2, height=2)
printer.text(wish["lines"][-1] + "\n")
printer.set_with_default()

picture = Image.new("1", tuple(wish["picture"]), 1)
draw = ImageDraw.Draw(picture)
draw.ellipse((3, 3, picture.width - 9, picture.height - 5), fill=0)
draw.line((0, 0, picture.width, picture.height), fill=1, width=3)
printer.image(picture, impl="bitImageRaster")
black = bytes(byte ^ 0xFF for byte in picture.tobytes())
out.with_suffix(".sha256").write_text(hashlib.sha256(black).hexdigest())

printer.barcode(wish["ean13"], "EAN13", align_ct=False, force_software=False)
printer.qr(wish["qr"], native=True, size=5)
printer.cashdraw(2)
printer.cut()
out.write_bytes(printer.output)
