"""stub"""
from PIL import Image

def centre_square(image: Image.Image, side: int) -> tuple[Image.Image, tuple[int, int, int]]:
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    if short == side:
        return image.crop((left, top, left + short, top + short)), (top, left, short)
    return image.resize((side, side), Image.Resampling.BICUBIC, (left, top, left + short, top + short)), (top, left, short)
